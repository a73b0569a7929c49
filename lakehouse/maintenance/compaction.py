"""Maintenance of one table without a JVM: days that have ended are compacted, dead files and old log entries are deleted.

The caller is the table's only writer: the job between two batches, or an operator who holds the job's lock. Compaction
changes no row and says so (``dataChange`` is false), so that neither Silver's stream nor the count of each commit's rows sees it. A kill
leaves files that no version names, or dead files that are still there: the next round finds both.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from lakehouse.config import Config, paths
from lakehouse.contract.tables import BRONZE, CORRECTIONS, MEMBRES, REJOUES, SILVER, TableSpec, checkpoint
from lakehouse.lake import delta_tables, job_progress
from lakehouse.maintenance import retention, version_retention
from lakehouse.observability import metrics

WHAT = "maintain"
TABLES = {"bronze": (*BRONZE, REJOUES), "silver": (*SILVER, MEMBRES, CORRECTIONS)}
"""The tables that grow, by the job that writes them."""

_SAFE_DAYS = (date(1678, 1, 1), date(2262, 1, 1))
"""Files of an earlier release hold times as INT96, which is read as nanoseconds: outside of these days they would be
rewritten as times of another century."""
_TARGET_BYTES = 128 * 1024 * 1024
_KEPT_CHECKPOINTS = re.compile(r"^(bronze|silver-[0-9a-f]+)(\..+)?$")


@dataclass(frozen=True)
class Small:
    """One partition with files that are worth merging."""

    values: tuple[tuple[str, str | None], ...]
    files: int
    bytes: int


@dataclass(frozen=True)
class Survey:
    """What maintenance would do to a table. ``lost``: versions that time travel can no longer read, first and last;
    ``log_checkpoint``: the version of which the log's clean-up needs a checkpoint that is not there;
    ``held``: a sentence about the reader for which more is kept."""

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
    log_checkpoint: int | None
    held: str | None


def survey(config: Config, spec: TableSpec, *, now: datetime | None = None) -> Survey:
    """Look at one table; nothing is changed. ``now``: for simulations."""
    now = now or datetime.now(UTC)
    path = spec.path(config.delta.base_path)
    table = delta_tables.opened(spec, config)
    files = _files(table)
    needed, held = version_retention.reader(config, spec, table.version())
    hours = version_retention.hours(config, path, table.version(), needed, now)
    dead = table.vacuum(retention_hours=hours, dry_run=True, enforce_retention_duration=False, full=True)
    first = version_retention.first_entry(path)
    gone = version_retention.last_before(path, first, table.version(), now - timedelta(hours=hours))
    entries, before, due = version_retention.old_entries(config, path, table.version(), needed, now)
    return Survey(
        spec, table.version(), len(files), sum(size for _, size in files), _small(config, spec, files, now),
        tuple(dead), sum(_size(path, name) for name in dead), hours,
        (first, gone - 1) if dead and gone is not None and gone > first else None, len(entries), before, due, held,
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
    """Partitions that have ended with two small files or more; a table without days counts as one that has. Days that
    retention takes away, now or when their rows are old enough, are not merged before: a plan, which is made before they
    have gone, and a round, which looks after that, find the same."""
    today = now.astimezone(config.analytics.timezone).date()
    first = retention.first_day(config, spec, now) or date.min
    return tuple(one for one in _with_small_files(files, at_least=2) if _ended(spec, dict(one.values), first, today))


def _with_small_files(files: list[tuple[dict[str, str | None], int]], *, at_least: int) -> list[Small]:
    """The partitions with so many small files or more, in a fixed order."""
    found: dict[tuple[tuple[str, str | None], ...], list[int]] = defaultdict(list)
    for values, size in files:
        if size < metrics.SMALL_FILE_BYTES:
            found[tuple(values.items())].append(size)
    return [
        Small(values, len(sizes), sum(sizes))
        for values, sizes in sorted(found.items(), key=repr)
        if len(sizes) >= at_least
    ]


def _ended(spec: TableSpec, values: dict[str, str | None], first: date, today: date) -> bool:
    if "jour" not in spec.partition_by:
        return True
    day = values.get("jour")
    if day is None:  # a distinct count that no day bounds: it has no end, and its files are merged by the job itself
        return False
    return safe_day(day) and first <= date.fromisoformat(day) < today


def safe_day(day: str) -> bool:
    """Whether nanoseconds hold the times of a day."""
    return _SAFE_DAYS[0] <= date.fromisoformat(day) < _SAFE_DAYS[1]


def _size(path: str, name: str) -> int:
    try:
        return 0 if paths.is_uri(path) else Path(path, name).stat().st_size
    except OSError:
        return 0


# --- doing it --------------------------------------------------------------------------------------------------------


def maintain(config: Config, found: Survey, *, advance: Callable[[int], None] = lambda _steps: None) -> dict[str, int]:
    """Do what ``survey`` found; counts for the log and the audit."""
    spec, path = found.spec, found.spec.path(config.delta.base_path)
    merged = 0
    for one in found.small:
        merged += _compact(config, spec, one, _TARGET_BYTES)
        advance(1)
    if found.dead:
        table = delta_tables.opened(spec, config)
        table.vacuum(
            retention_hours=found.hours, dry_run=False, enforce_retention_duration=False, full=True,
            commit_properties=delta_tables.stamped(WHAT, {"files": len(found.dead)}),
            post_commithook_properties=delta_tables.HOOKS,
        )  # fmt: skip
        delta_tables.committed(table, spec, config)
    _forget_removed_files(config, found)
    advance(1)
    if found.log_checkpoint is not None:
        checkpoint_log(config, spec, found.log_checkpoint)
    entries, _, due = version_retention.old_entries(
        config, path, found.version, version_retention.reader(config, spec, found.version)[0], datetime.now(UTC)
    )
    entries = [] if due else entries
    for file in sorted(entries):  # the oldest first: a kill leaves a log without a gap
        file.unlink(missing_ok=True)
    advance(1)
    return {"merged": merged, "dead": len(found.dead), "log": len(entries)}


_REMEMBERED = "delta.deletedFileRetentionDuration"


def _forget_removed_files(config: Config, found: Survey) -> None:
    """Each checkpoint of the log lists every file that left the table within this time, and Spark reads the list with each
    batch: no longer than the files stay on disk. A job's start sets it back to the setting."""
    kept = timedelta(hours=found.hours)
    wanted = f"interval {kept.total_seconds():.0f} seconds"
    table = delta_tables.opened(found.spec, config)
    if kept < config.delta.deleted_file_retention and table.metadata().configuration.get(_REMEMBERED) != wanted:
        delta_tables.set_properties(found.spec, config, {_REMEMBERED: wanted}, what=WHAT)


def steps(found: Survey) -> int:
    """How often ``maintain`` advances."""
    return len(found.small) + 2


def merge_small(config: Config, spec: TableSpec, *, at_least: int) -> int:
    """Merge the small files of each partition that has so many, whether it has ended or not: into files that are no
    longer small, which the round that follows the day's end makes one. The files that went, less those that came."""
    files = _files(delta_tables.opened(spec, config))
    days = [(one, dict(one.values).get("jour")) for one in _with_small_files(files, at_least=at_least)]
    due = [
        one for one, day in days if day is None or safe_day(day)
    ]  # None: a partition that no day bounds, or no partition
    return sum(_compact(config, spec, one, metrics.SMALL_FILE_BYTES) for one in due)


def checkpoint_log(config: Config, spec: TableSpec, version: int | None = None) -> None:
    """Write the state of a local table, as of now or at ``version``, beside its log, so that no reader begins at the log's
    start."""
    last = Path(spec.path(config.delta.base_path), "_delta_log", "_last_checkpoint")
    known = last.read_bytes() if version is not None and last.exists() else None
    # Spark's own checksum of the file that names the last checkpoint, which is written anew: Spark would not believe it
    last.with_name("._last_checkpoint.crc").unlink(missing_ok=True)
    table = delta_tables.opened(spec, config)
    if version is not None:
        table.load_as_version(version)
    table.create_checkpoint()
    if known and json.loads(known)["version"] > json.loads(last.read_bytes())["version"]:
        last.write_bytes(known)


def _compact(config: Config, spec: TableSpec, one: Small, target: int) -> int:
    table = delta_tables.opened(spec, config)
    made = table.optimize.compact(
        partition_filters=[(name, "=", value or "") for name, value in one.values] or None,
        target_size=target,
        max_concurrent_tasks=1,
        commit_properties=delta_tables.stamped(WHAT, {}),
        post_commithook_properties=delta_tables.HOOKS,
    )
    delta_tables.committed(table, spec, config)
    return int(made["numFilesRemoved"]) - int(made["numFilesAdded"])


# --- checkpoints that no query goes on from --------------------------------------------------------------------------


def old_checkpoints(config: Config, job: str, *, now: float | None = None) -> list[Path]:
    """Folders of ended Silver generations and of checkpoints that were moved aside, once they are older than dead files
    may be."""
    base = config.delta.base_path
    if paths.is_uri(base):
        return []
    folder = Path(checkpoint(base, job)).parent
    if not folder.is_dir():
        return []
    last = job_progress.generation(config)
    current = {"bronze", f"silver-{last['generation']}" if last else ""}
    before = (now or time.time()) - config.delta.deleted_file_retention.total_seconds()
    return sorted(
        path
        for path in folder.iterdir()
        if path.name.startswith(job) and path.name not in current
        and _KEPT_CHECKPOINTS.match(path.name) and path.stat().st_mtime < before
    )  # fmt: skip


def drop(folders: list[Path]) -> int:
    """Delete these folders with all that is in them; how many there were."""
    for path in folders:
        shutil.rmtree(path)
    return len(folders)
