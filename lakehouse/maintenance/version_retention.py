"""Version retention of a Delta table: which old files and log entries are kept, for which reader, until when. No JVM."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from lakehouse.config import Config, paths
from lakehouse.contract.table_properties import RETENTION
from lakehouse.contract.tables import OPERATIONS, VENTES, TableSpec
from lakehouse.errors import CheckpointInvalid
from lakehouse.lake import history, job_progress, log_entry
from lakehouse.observability.provenance import read_origin

_READERS_HOURS = 1
"""Files stay at least so long: a reader that has opened a version reads on."""
_LOG_ENTRY = re.compile(r"^\.?(\d{20})\.(json|crc|checkpoint\.|compacted)")


def reader(config: Config, spec: TableSpec, newest: int) -> tuple[int | None, str | None]:
    """The version from which on the table's stream still has to be read, and a sentence when that holds something back."""
    if spec not in (VENTES, OPERATIONS):
        return None, None
    try:
        silver = job_progress.silver(config)
    except CheckpointInvalid:
        return 0, "Silver's checkpoint cannot be read: nothing that it may still need is removed"
    if silver is None:
        return None, None
    merged = silver.bronze_version if spec is VENTES else max(silver.operations_version, 0)
    if not _rows_after(spec.path(config.delta.base_path), merged, newest):
        return None, None
    return (
        merged,
        f"Silver has merged version {merged} of {newest}: files that were removed later are kept",
    )


_LOOKED_AT = 1000
"""Commits that are looked through: behind more than these are rows, surely."""


def _rows_after(path: str, version: int, newest: int) -> bool:
    """Whether a commit after ``version`` brought rows; compactions, properties and retention bring none."""
    if newest - version > _LOOKED_AT or paths.is_uri(path):
        return newest > version
    return any(_brings_rows(Path(log_entry.place(path, number))) for number in range(version + 1, newest + 1))


def _brings_rows(entry: Path) -> bool:
    try:
        actions = log_entry.actions(entry.read_bytes())
    except OSError:
        return True
    origin = read_origin(log_entry.commit_info(actions)).what
    return origin != RETENTION and any(log_entry.changes_rows(action["add"]) for action in actions if "add" in action)


# --- how far back ----------------------------------------------------------------------------------------------------


def first_entry(path: str) -> int:
    """The first version whose log entry is there."""
    return min((number for number, _ in _log(path)), default=0)


def _log(path: str) -> Iterator[tuple[int, Path]]:
    """(version, file) of everything in a local table's log that belongs to a version."""
    if paths.is_uri(path):
        return
    for file in Path(path, "_delta_log").iterdir():
        if match := _LOG_ENTRY.match(file.name):
            yield int(match[1]), file


def last_before(path: str, first: int, newest: int, moment: datetime) -> int | None:
    """The last version committed before ``moment``, found by halving; None when all came later, or for a URI."""
    if paths.is_uri(path):
        return None
    low, high = first - 1, newest
    while low < high:
        middle = (low + high + 1) // 2
        made = history.committed(path, middle)
        if made is not None and made > moment:
            high = middle - 1
        else:
            low = middle
    return low if low >= first else None


def hours(config: Config, path: str, newest: int, needed: int | None, now: datetime) -> int:
    """How many hours dead files stay: what the settings say, no longer than ``max_versions`` reach back, and not so
    short that a reader of ``needed`` misses one."""
    kept = config.delta.deleted_file_retention
    limit = config.delta.max_versions
    local = not paths.is_uri(path)
    if limit and newest > limit and local and (made := history.committed(path, newest - limit)) is not None:
        kept = min(kept, now - made)
    kept = max(kept, timedelta(hours=_READERS_HOURS))
    if needed is not None:
        made = history.committed(path, needed) if local else None
        kept = max(kept, now - made if made else timedelta(days=36_500))
    return math.ceil(kept / timedelta(hours=1))


LATE = timedelta(days=1)
"""How much longer than ``log_retention`` a log that gets no checkpoint of its own reaches back: an idle or a small table would
keep its first entries, and what they say of erased rows, for ever."""


def old_entries(
    config: Config, path: str, newest: int, needed: int | None, now: datetime
) -> tuple[list[Path], int, int | None]:
    """Files of the log that no version within reach is made from, and the version that stays the first: one with a
    checkpoint, since every later version is worked out from it. And the version of which a checkpoint has to be written
    before; None when those that there are will do."""
    delta = config.delta
    first = first_entry(path)
    cut = last_before(path, first, newest, now - delta.log_retention) or first
    if delta.max_versions:
        cut = max(cut, newest - delta.max_versions)
    cut = min(cut, newest, needed if needed is not None else newest)
    log = list(_log(path))
    stays = max(
        (number for number, file in log if number <= cut and file.name.endswith(".checkpoint.parquet")), default=0
    )
    oldest = history.committed(path, max(first, stays))
    due = cut > max(first, stays) and oldest is not None and oldest < now - delta.log_retention - LATE
    stays = cut if due else stays
    return [file for number, file in log if number < stays], stays, cut if due else None
