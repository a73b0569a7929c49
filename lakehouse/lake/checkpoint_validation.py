"""Validation of a streaming query's checkpoint before a job continues from it: what is missing, cut off, or another query's.

Spark detects some of this late, with a stack trace, and some of it never: without ``metadata`` it takes a new query id,
and Delta then commits a repeated batch twice.
"""

from __future__ import annotations

import re
from typing import Protocol

from lakehouse.errors import CheckpointInvalid
from lakehouse.lake import checkpoint_files
from lakehouse.lake.checkpoint_files import (
    COMMITS,
    METADATA,
    OFFSETS,
    ROWS_DROPPED,
    STATE,
    STATE_OPERATOR,
    DamagedFile,
    Planned,
)

SPARK_SAYS = re.compile(
    r"\[((?:CANNOT_LOAD_STATE_STORE|STATE_STORE_|STATEFUL_|STREAMING_STATEFUL|INVALID_STATE|UNSUPPORTED_STATE"
    r"|CANNOT_LOAD_CHECKPOINT|STREAMING_CHECKPOINT|MALFORMED_|STDS_|INVALID_LOG|OFFSET_LOG)[A-Z_.]*)\]"
    r"|(Incomplete log file|Malformed log file|UnsupportedLogVersion|is not of the query's sources)"
)
"""Spark's own messages for a checkpoint that cannot be read, or whose state belongs to another query."""


class Folder(Protocol):
    """A checkpoint's folder, however it is read."""

    def ids(self, name: str) -> list[int]:
        """The entries of the folder ``name`` whose names are numbers, sorted; none when it is not there."""

    def text(self, name: str) -> str | None:
        """The file's text; None when there is none."""


def refusal(path: str, job: str, fault: str, *, hidden: bool = False) -> CheckpointInvalid:
    """The error for a job that cannot continue from the checkpoint at ``path``. ``hidden``: ``fault`` below does not see it, so
    that ``rebuild`` leaves such a checkpoint alone unless it is told otherwise."""
    anyway = " --anyway" if hidden else ""
    return CheckpointInvalid(
        f"The checkpoint {path} cannot be used: {fault}. Nothing was written. Type: python ops_utils.py rebuild {job}{anyway}"
    )


def fault(folder: Folder, job: str, *, topic: str | None = None, table_id: str | None = None) -> str | None:
    """Why ``job`` cannot continue from this checkpoint; None when it can, or when it is new.

    ``topic``: what Bronze reads; ``table_id``: the id of the table that Silver reads. None leaves that unchecked.
    """
    planned, committed = folder.ids(OFFSETS), folder.ids(COMMITS)
    if not planned and not committed:
        return None
    try:
        if found := _dropped(folder) or _metadata(folder) or _logs(planned, committed):
            return found
        _check_newest(folder, planned, committed)
        return _source(_planned(folder, planned[-1]), topic, table_id) or (
            _state(folder) if job == "bronze" and committed else None
        )
    except DamagedFile as damage:
        return str(damage)


def _dropped(folder: Folder) -> str | None:
    text = folder.text(ROWS_DROPPED)
    return None if text is None else f"its watermark dropped sales, which are missing from Bronze ({text.strip()})"


def _metadata(folder: Folder) -> str | None:
    text = folder.text(METADATA)
    if text is None:
        return (
            "it has batches but no metadata file, so that the query's id is lost, and with it what was written already"
        )
    checkpoint_files.query_id(text)
    return None


def _logs(planned: list[int], committed: list[int]) -> str | None:
    last = committed[-1] if committed else -1
    if not planned or planned[-1] < last:
        return f"its offset log ends before batch {last}, which was committed"
    if planned[-1] > last + 1:
        return f"its commit log ends at batch {last}, and batch {planned[-1]} was planned after it"
    if committed and last not in planned:
        return f"its offset log has no batch {last}, which was committed"
    return None


def _check_newest(folder: Folder, planned: list[int], committed: list[int]) -> None:
    """Raises ``DamagedFile`` for one of the files that Spark reads when it starts."""
    for number in sorted({planned[-1], *committed[-1:]}):
        _planned(folder, number)
    for number in committed[-1:]:
        checkpoint_files.next_watermark_ms(number, folder.text(f"{COMMITS}/{number}") or "")


def _planned(folder: Folder, number: int) -> Planned:
    return checkpoint_files.planned(number, folder.text(f"{OFFSETS}/{number}") or "")


def _source(entry: Planned, topic: str | None, table_id: str | None) -> str | None:
    """Raises ``DamagedFile`` when the source's own line cannot be read."""
    if len(entry.ends) != 1:
        return f"it was made by another query, which read {len(entry.ends)} sources"
    (found,) = entry.ends
    if not found:
        return None
    if topic is not None and topic not in found:
        return f"it was made by another query, which read the topic {', '.join(sorted(found))} and not {topic}"
    if topic is not None:
        entry.kafka_ends(topic)
    if table_id is not None and "reservoirId" in found and entry.delta_end().table_id not in (None, table_id):
        return "it was made over another table, which stood in Bronze's place"
    return None


def _state(folder: Folder) -> str | None:
    if not folder.ids(STATE):
        return "its state is missing, and with it the keys of the latest sales"
    text = folder.text(STATE_OPERATOR)
    if text is None:
        return None
    name = checkpoint_files.state_operator(text)
    return None if name == "dedupeWithinWatermark" else f"it was made by another query, whose state is of {name}"
