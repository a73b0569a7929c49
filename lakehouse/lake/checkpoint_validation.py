"""Whether a streaming query's checkpoint can be gone on from: what is missing, cut off, or of another query.

Spark finds some of this out late, with a stack trace, and some of it never: without ``metadata`` it takes a new query
id, and Delta then lets a repeated batch in twice.
"""

from __future__ import annotations

import json
import re
from typing import Any, Protocol

from lakehouse.errors import CheckpointInvalid

SPARK_SAYS = re.compile(
    r"\[((?:CANNOT_LOAD_STATE_STORE|STATE_STORE_|STATEFUL_|STREAMING_STATEFUL|INVALID_STATE|UNSUPPORTED_STATE"
    r"|CANNOT_LOAD_CHECKPOINT|STREAMING_CHECKPOINT|MALFORMED_|STDS_|INVALID_LOG|OFFSET_LOG)[A-Z_.]*)\]"
    r"|(Incomplete log file|Malformed log file|UnsupportedLogVersion|is not of the query's sources)"
)
"""Spark's own words for a checkpoint that cannot be read, or of which the state is another query's."""


ROWS_DROPPED = "rows_dropped"
"""A file that the Bronze job leaves in a checkpoint whose watermark has dropped rows: the batch is committed without them."""


class Folder(Protocol):
    """A checkpoint's folder, however it is read."""

    def ids(self, name: str) -> list[int]:
        """The entries of the folder ``name`` whose names are numbers, sorted; none when it is not there."""

    def text(self, name: str) -> str | None:
        """The file's text; None when there is none."""


def refusal(path: str, job: str, fault: str) -> CheckpointInvalid:
    """The sentence that refuses to go on from the checkpoint at ``path``."""
    return CheckpointInvalid(
        f"The checkpoint {path} cannot be used: {fault}. Nothing was written. Type: python ops_utils.py rebuild {job}"
    )


def fault(folder: Folder, job: str, *, topic: str | None = None, table_id: str | None = None) -> str | None:
    """Why ``job`` cannot go on from this checkpoint; None when it can, or when it is new.

    ``topic``: what Bronze reads; ``table_id``: the id of the table that Silver reads. None leaves that unlooked at.
    """
    planned, committed = folder.ids("offsets"), folder.ids("commits")
    if not planned and not committed:
        return None
    return (
        _dropped(folder)
        or _metadata(folder)
        or _logs(planned, committed)
        or _newest(folder, planned, committed)
        or _source(folder, planned[-1], topic, table_id)
        or (_state(folder) if job == "bronze" and committed else None)
    )


def _dropped(folder: Folder) -> str | None:
    text = folder.text(ROWS_DROPPED)
    return None if text is None else f"its watermark dropped sales, which are missing from Bronze ({text.strip()})"


def _metadata(folder: Folder) -> str | None:
    text = folder.text("metadata")
    if text is None:
        return (
            "it has batches but no metadata file, so that the query's id is lost, and with it what was written already"
        )
    try:
        return None if json.loads(text)["id"] else "its metadata file is damaged"
    except (ValueError, KeyError, TypeError):
        return "its metadata file is damaged"


def _logs(planned: list[int], committed: list[int]) -> str | None:
    last = committed[-1] if committed else -1
    if not planned or planned[-1] < last:
        return f"its offset log ends before batch {last}, which was committed"
    if planned[-1] > last + 1:
        return f"its commit log ends at batch {last}, and batch {planned[-1]} was planned after it"
    if committed and last not in planned:
        return f"its offset log has no batch {last}, which was committed"
    return None


def _newest(folder: Folder, planned: list[int], committed: list[int]) -> str | None:
    """The files that Spark reads when it starts. It writes each whole or not at all: a part of one is a damage."""
    for number in {planned[-1], *committed[-1:]}:
        lines = (folder.text(f"offsets/{number}") or "").splitlines()
        try:
            sound = lines[0].startswith("v") and int(json.loads(lines[1])["batchTimestampMs"]) > 0 and len(lines) > 2
            sound = sound and all(line == "-" or json.loads(line) is not None for line in lines[2:])
        except (ValueError, KeyError, IndexError, TypeError):
            sound = False
        if not sound:
            return f"its file offsets/{number} is cut off or damaged"
    for number in committed[-1:]:
        lines = (folder.text(f"commits/{number}") or "").splitlines()
        try:
            sound = lines[0].startswith("v") and isinstance(json.loads(lines[1]), dict)
        except (ValueError, IndexError):
            sound = False
        if not sound:
            return f"its file commits/{number} is cut off or damaged"
    return None


def _source(folder: Folder, number: int, topic: str | None, table_id: str | None) -> str | None:
    sources = (folder.text(f"offsets/{number}") or "").splitlines()[2:]
    if len(sources) != 1:
        return f"it was made by another query, which read {len(sources)} sources"
    found: Any = json.loads(sources[0]) if sources[0] != "-" else {}
    if topic is not None and found and topic not in found:
        return f"it was made by another query, which read the topic {', '.join(sorted(found))} and not {topic}"
    read = found.get("reservoirId")
    if table_id is not None and read is not None and read != table_id:
        return "it was made over another table, which stood in Bronze's place"
    return None


def _state(folder: Folder) -> str | None:
    if not folder.ids("state/0"):
        return "its state is missing, and with it the keys of the latest sales"
    text = folder.text("state/0/_metadata/metadata")
    if text is None:
        return None
    try:
        names = [one["operatorName"] for one in [json.loads(text.splitlines()[1])["operatorInfo"]]]
    except (ValueError, KeyError, IndexError, TypeError):
        return "its file state/0/_metadata/metadata is cut off or damaged"
    return None if names == ["dedupeWithinWatermark"] else f"it was made by another query, whose state is of {names[0]}"
