"""EDGE. Upkeep of one table without a JVM: days that have ended are compacted, dead files and old log entries go.

The caller is the table's only writer: the job between two batches, or an operator who holds the job's lock. Compaction
changes no row and says so (``dataChange`` is false), so that neither Silver's stream nor the ledger sees it. A kill
leaves files that no version names, or dead files that are still there: the next round finds both.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from lakehouse import commits, delta_files, metrics, positions
from lakehouse.config import Config
from lakehouse.errors import CheckpointInvalid
from lakehouse.marks import REMOVERS
from lakehouse.origins import read_origin
from lakehouse.tables import BRONZE, CORRECTIONS, MEMBRES, SILVER, VENTES, TableSpec, checkpoint

WHAT = "maintain"
TABLES = {"bronze": BRONZE, "silver": (*SILVER, MEMBRES, CORRECTIONS)}
"""The tables that grow, by the job that writes them."""

_SAFE_DAYS = (date(1678, 1, 1), date(2262, 1, 1))
"""Files of an earlier release hold times as INT96, which is read as nanoseconds: outside of these days they would be
rewritten as times of another century."""
_READERS_HOURS = 1
"""Files stay at least so long: a reader that has opened a version reads on."""
_TARGET_BYTES = 128 * 1024 * 1024
_KEPT_CHECKPOINTS = re.compile(r"^(bronze|silver-[0-9a-f]+)(\..+)?$")
_LOG_ENTRY = re.compile(r"^\.?(\d{20})\.(json|crc|checkpoint\.|compacted)")


@dataclass(frozen=True)
class Small:
    """One partition that has ended, with files that are worth merging."""

    values: tuple[tuple[str, str | None], ...]
    files: int
    bytes: int


@dataclass(frozen=True)
class Survey:
    """What upkeep would do to a table. ``lost``: versions that time travel can no longer read, first and last;
    ``held``: a sentence about a reader for whose sake more is kept."""

    spec: TableSpec
    version: int
    files: int
    bytes: int
    small: tuple[Small, ...]
    dead: tuple[str, ...]
    dead_bytes: int
    hours: int
    lost: tuple[int, int] | None
    log_entries: int
    log_before: int
    held: str | None


def exists(config: Config, spec: TableSpec) -> bool:
    return DeltaTable.is_deltatable(spec.path(config.delta.base_path))


def survey(config: Config, spec: TableSpec, *, now: datetime | None = None) -> Survey:
    """Look at one table; nothing is changed. ``now``: for simulations."""
    now = now or datetime.now(UTC)
    path = spec.path(config.delta.base_path)
    table = DeltaTable(path)
    files = _files(table)
    needed, held = _reader(config, spec, table.version())
    hours = _hours(config, path, table.version(), needed, now)
    dead = table.vacuum(retention_hours=hours, dry_run=True, enforce_retention_duration=False, full=True)
    first = _first_entry(path)
    gone = _last_before(path, first, table.version(), now - timedelta(hours=hours))
    entries, before = _old_entries(config, path, table.version(), needed, now)
    return Survey(
        spec, table.version(), len(files), sum(size for _, size in files), _small(config, spec, files, now),
        tuple(dead), sum(_size(path, name) for name in dead), hours,
        (first, gone - 1) if dead and gone is not None and gone > first else None, len(entries), before, held,
    )  # fmt: skip


# --- what there is ---------------------------------------------------------------------------------------------------


def _files(table: DeltaTable) -> list[tuple[dict[str, str | None], int]]:
    """(partition values, bytes) of each file of the newest version."""
    actions: Any = pa.table(table.get_add_actions(flatten=True))
    names = [name for name in actions.column_names if name.startswith("partition.")]
    return [
        ({name[10:]: None if row[name] is None else str(row[name]) for name in names}, row["size_bytes"])
        for row in actions.select([*names, "size_bytes"]).to_pylist()
    ]


def _small(
    config: Config, spec: TableSpec, files: list[tuple[dict[str, str | None], int]], now: datetime
) -> tuple[Small, ...]:
    """Partitions that have ended with two small files or more; a table without days counts as one that has."""
    today = now.astimezone(config.analytics.timezone).date()
    found: dict[tuple[tuple[str, str | None], ...], list[int]] = defaultdict(list)
    for values, size in files:
        if size < metrics.SMALL_FILE_BYTES:
            found[tuple(values.items())].append(size)
    return tuple(
        Small(values, len(sizes), sum(sizes))
        for values, sizes in sorted(found.items(), key=repr)
        if len(sizes) > 1 and _ended(spec, dict(values), today)
    )


def _ended(spec: TableSpec, values: dict[str, str | None], today: date) -> bool:
    if "jour" not in spec.partition_by:
        return True
    day = values.get("jour")
    if day is None:  # a distinct count that no day bounds: it has no end, and its files are merged by the job itself
        return False
    return _SAFE_DAYS[0] <= date.fromisoformat(day) < min(today, _SAFE_DAYS[1])


def _size(path: str, name: str) -> int:
    try:
        return 0 if "://" in path else Path(path, name).stat().st_size
    except OSError:
        return 0


def _reader(config: Config, spec: TableSpec, newest: int) -> tuple[int | None, str | None]:
    """The version from which on the table's stream still has to be read, and a sentence when that holds something back."""
    if spec is not VENTES:
        return None, None
    try:
        silver = positions.silver(config)
    except CheckpointInvalid:
        return 0, "Silver's checkpoint cannot be read: nothing that it may still need is removed"
    if silver is None or not _rows_after(spec.path(config.delta.base_path), silver.bronze_version, newest):
        return None, None
    return (
        silver.bronze_version,
        f"Silver has taken in version {silver.bronze_version} of {newest}: what left later stays",
    )


_LOOKED_AT = 1000
"""Commits that are looked through: behind more than these are rows, surely."""


def _rows_after(path: str, version: int, newest: int) -> bool:
    """Whether a commit after ``version`` brought rows; compactions, properties and retention bring none."""
    if newest - version > _LOOKED_AT or "://" in path:
        return newest > version
    return any(
        _brings_rows(Path(path, "_delta_log", f"{number:020}.json")) for number in range(version + 1, newest + 1)
    )


def _brings_rows(entry: Path) -> bool:
    try:
        actions = [json.loads(line) for line in entry.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return True
    origin = next((read_origin(action["commitInfo"]).what for action in actions if "commitInfo" in action), None)
    return origin not in REMOVERS and any(action["add"]["dataChange"] for action in actions if "add" in action)


# --- how far back ----------------------------------------------------------------------------------------------------


def _first_entry(path: str) -> int:
    """The first version whose log entry is there."""
    return min((number for number, _ in _log(path)), default=0)


def _log(path: str) -> Iterator[tuple[int, Path]]:
    """(version, file) of everything in a local table's log that belongs to a version."""
    if "://" in path:
        return
    for file in Path(path, "_delta_log").iterdir():
        if match := _LOG_ENTRY.match(file.name):
            yield int(match[1]), file


def _last_before(path: str, first: int, newest: int, moment: datetime) -> int | None:
    """The last version committed before ``moment``, found by halving; None when all came later, or for a URI."""
    if "://" in path:
        return None
    low, high = first - 1, newest
    while low < high:
        middle = (low + high + 1) // 2
        made = commits.committed(path, middle)
        if made is not None and made > moment:
            high = middle - 1
        else:
            low = middle
    return low if low >= first else None


def _hours(config: Config, path: str, newest: int, needed: int | None, now: datetime) -> int:
    """How many hours dead files stay: what the settings say, no longer than ``max_versions`` reach back, and not so
    short that a reader of ``needed`` misses one."""
    kept = config.delta.deleted_file_retention
    limit = config.delta.max_versions
    local = "://" not in path
    if limit and newest > limit and local and (made := commits.committed(path, newest - limit)) is not None:
        kept = min(kept, now - made)
    kept = max(kept, timedelta(hours=_READERS_HOURS))
    if needed is not None:
        made = commits.committed(path, needed) if local else None
        kept = max(kept, now - made if made else timedelta(days=36_500))
    return math.ceil(kept / timedelta(hours=1))


def _old_entries(config: Config, path: str, newest: int, needed: int | None, now: datetime) -> tuple[list[Path], int]:
    """Files of the log that no version within reach is made from, and the version that stays the first: one with a
    checkpoint, since every later version is worked out from it."""
    delta = config.delta
    first = _first_entry(path)
    cut = _last_before(path, first, newest, now - delta.log_retention) or first
    if delta.max_versions:
        cut = max(cut, newest - delta.max_versions)
    cut = min(cut, newest, needed if needed is not None else newest)
    log = list(_log(path))
    stays = max(
        (number for number, file in log if number <= cut and file.name.endswith(".checkpoint.parquet")), default=0
    )
    return [file for number, file in log if number < stays], stays


# --- doing it --------------------------------------------------------------------------------------------------------


def tend(config: Config, found: Survey, *, advance: Callable[[int], None] = lambda _steps: None) -> dict[str, int]:
    """Do what ``survey`` found; counts for the log and the audit."""
    spec, path = found.spec, found.spec.path(config.delta.base_path)
    merged = 0
    for one in found.small:
        merged += _compact(path, one)
        advance(1)
    if found.dead:
        DeltaTable(path).vacuum(
            retention_hours=found.hours, dry_run=False, enforce_retention_duration=False, full=True,
            commit_properties=delta_files.properties(WHAT, {"files": len(found.dead)}),
            post_commithook_properties=delta_files.HOOKS,
        )  # fmt: skip
    advance(1)
    entries, _ = _old_entries(config, path, found.version, _reader(config, spec, found.version)[0], datetime.now(UTC))
    for file in sorted(entries):  # the oldest first: a kill leaves a log without a gap
        file.unlink(missing_ok=True)
    advance(1)
    return {"merged": merged, "dead": len(found.dead), "log": len(entries)}


def steps(found: Survey) -> int:
    """How often ``tend`` advances."""
    return len(found.small) + 2


def _compact(path: str, one: Small) -> int:
    made = DeltaTable(path).optimize.compact(
        partition_filters=[(name, "=", value or "") for name, value in one.values] or None,
        target_size=_TARGET_BYTES,
        max_concurrent_tasks=1,
        commit_properties=delta_files.properties(WHAT, {}),
        post_commithook_properties=delta_files.HOOKS,
    )
    return int(made["numFilesRemoved"]) - int(made["numFilesAdded"])


# --- checkpoints that no query goes on from --------------------------------------------------------------------------


def old_checkpoints(config: Config, job: str, *, now: float | None = None) -> list[Path]:
    """Folders of ended Silver generations and of checkpoints that were moved aside, once they are older than dead files
    may be."""
    base = config.delta.base_path
    if "://" in base:
        return []
    folder = Path(checkpoint(base, job)).parent
    if not folder.is_dir():
        return []
    last = positions.generation(config)
    current = {"bronze", f"silver-{last['generation']}" if last else ""}
    before = (now or time.time()) - config.delta.deleted_file_retention.total_seconds()
    return sorted(
        path
        for path in folder.iterdir()
        if path.name.startswith(job) and path.name not in current
        and _KEPT_CHECKPOINTS.match(path.name) and path.stat().st_mtime < before
    )  # fmt: skip


def drop(folders: list[Path]) -> int:
    for path in folders:
        shutil.rmtree(path)
    return len(folders)
