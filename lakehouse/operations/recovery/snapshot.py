"""One consistent state of a lake while its jobs write: which files belong to it. No JVM; nothing is written.

Checkpoints first, then tables, each table at the version that fits: a table may be ahead of the captured checkpoint by
no batch whose plan the checkpoint does not hold. Otherwise the restored job would plan a batch of that number anew, with
other messages, and Delta, which knows the number, would skip it: sales would be lost. So a table is pinned below the
first commit of a later batch (each batch's commit carries its number, see ``spark_tables.append``).

- Silver is taken at its last committed batch, exactly.
- Bronze is taken with the batch that is planned and not committed, too: Silver may have read of it already.
- Bronze's files are those of all versions that Silver has still to read, or compares with.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from lakehouse.config import Config
from lakehouse.contract.tables import BRONZE, GENERATIONS, INTERNAL, OPERATIONS, PUBLIC, VENTES, TableSpec, checkpoint
from lakehouse.errors import LakehouseError
from lakehouse.lake import checkpoint_files, checkpoint_validation, job_progress, log_entry, object_store, table_handle
from lakehouse.lake.checkpoint_files import COMMITS, METADATA, OFFSETS, SETTINGS, DamagedFile
from lakehouse.lake.checkpoint_folder import FileCheckpoint
from lakehouse.lake.operations_progress import ENDED, NONE, PLANNED, OperationsProgress
from lakehouse.observability import audit_log
from lakehouse.operations.recovery.file_store import File, Store
from lakehouse.silver import operation_steps

TABLES = (*PUBLIC, *INTERNAL)
_VERSION = re.compile(r"(\d+)(?:\.(?:delta|snapshot|changelog|zip))?")
"""A checkpoint's file that is of one batch, or of one version of the state."""


class LakeChanged(Exception):
    """The lake changed during the capture, which must be repeated."""


@dataclass(frozen=True)
class SourceFile:
    """One file to keep. ``content`` when it was read already (it changes in place), otherwise it never changes."""

    file: File
    content: bytes | None = None


@dataclass
class Capture:
    """The captured state: see ``manifest.Manifest``."""

    sources: list[SourceFile] = field(default_factory=list)
    tables: dict[str, int] = field(default_factory=dict)
    bronze: dict[str, Any] = field(default_factory=dict)
    silver: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Place:
    """A checkpoint at one moment: ``batch`` is the last committed one (-1: none), ``plan`` the last that is kept."""

    folder: str
    query: str | None
    batch: int
    plan: int
    planned: bytes


def _still_read(position: job_progress.SilverPosition | None, spec: TableSpec, newest: int) -> int:
    """The version from which on Silver has still to read the table, or compares with it: ``newest`` of any that it does not read."""
    if position is None or spec not in (VENTES, OPERATIONS):
        return newest
    return position.bronze_version if spec is VENTES else max(position.operations_version, 0)


def capture(config: Config) -> Capture:
    """Capture the lake's state. Raises ``LakeChanged`` when a file went away or a job began anew meanwhile, ``CheckpointInvalid`` for a damaged one."""
    try:
        return _Capturing(config).run()
    except (FileNotFoundError, DeltaError) as error:
        raise LakeChanged(str(error)) from error


class _Capturing:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._base = config.delta.base_path.rstrip("/")
        self._lake = Store(self._base, config)
        self._made = Capture()

    def run(self) -> Capture:
        made, generations = self._made, self._version(GENERATIONS)
        position = job_progress.silver(self._config)
        silver = self._silver_place(position)
        bronze = self._place(checkpoint(self._base, "bronze"), with_plan=True)
        limits = {f"{spec.name}-{bronze.query}": bronze.plan for spec in BRONZE} if bronze else {}
        if position and silver:
            of_silver = [spec for spec in TABLES if spec.layer == "silver"]
            limits |= {f"{spec.name}-{position.generation}": silver.batch for spec in of_silver}
            limits |= {operation_steps.app_id(spec, position.generation): position.step for spec in of_silver}
        pinned = {spec: handle for spec in TABLES if (handle := self._pin(spec, limits))}
        self._check_same(bronze, generations)
        made.tables = {spec.name: handle.version() for spec, handle in pinned.items()}
        made.bronze = self._bronze_facts(bronze)
        if position:
            assert silver is not None
            built = any(row["etat"] == "fin" for row in self._states(position.generation))
            made.silver = {
                "generation": position.generation, "batch": silver.batch, "bronze_version": position.bronze_version,
                "built": built,
            }  # fmt: skip
        for place in filter(None, (silver, bronze)):
            made.sources += self._checkpoint_files(place, position.step if position and place is silver else -1)
        for spec, handle in pinned.items():
            since = _still_read(position, spec, handle.version())
            made.sources += self._table_files(spec, handle, since)
        made.sources += _audit_files(self._config)
        return made

    # --- checkpoints -------------------------------------------------------------------------------------------------

    def _silver_place(self, position: job_progress.SilverPosition | None) -> _Place | None:
        if position is None:
            return None
        folder = checkpoint(self._base, f"silver-{position.generation}")
        place = self._place(folder, with_plan=False)
        steps = OperationsProgress(FileCheckpoint(self._config, folder), NONE)
        if steps.ended() != position.step:
            raise LakeChanged("a step of operations was ended meanwhile")
        if place and place.batch != (position.seen[-1] if position.seen[-1] is not None else -1):
            raise LakeChanged("a Silver batch was committed meanwhile")
        return place or _Place(folder[len(self._base) + 1 :], None, -1, -1, b"")

    def _place(self, folder: str, *, with_plan: bool) -> _Place | None:
        """The checkpoint in ``folder`` as it is now; None for one that was never used."""
        path = folder[len(self._base) + 1 :]
        files = FileCheckpoint(self._config, folder)
        committed = files.committed_ids()  # before the plans: the one after the last commit is then seen
        planned = files.planned_ids()
        if not planned:
            return None
        batch = committed[-1] if committed else -1
        plan = batch + 1 if with_plan and batch + 1 in planned else batch
        return _Place(
            path,
            self._query(files, path),
            batch,
            plan,
            self._lake.read(f"{path}/{OFFSETS}/{plan}") if plan >= 0 else b"",
        )

    def _query(self, files: FileCheckpoint, path: str) -> str:
        """The query's id. Raises ``CheckpointInvalid`` when the checkpoint lost it: no job could continue from the backup."""
        try:
            return checkpoint_files.query_id(files.text(METADATA) or "")
        except DamagedFile:
            if files.is_new():
                raise LakeChanged(f"{path} was moved aside") from None
            fault = "its metadata file is missing or damaged"
            raise checkpoint_validation.refusal(files.path, files.job, fault) from None

    def _settled(self, folder: str) -> Iterator[File]:
        """The checkpoint's files, listed twice, so that no list of RocksDB tables is taken without a table that it names: a
        table is written before the list, but one listing of the folder may see the list alone."""
        found = {file.path: file for file in self._lake.files(folder)}
        if any(path.endswith(".zip") for path in found):
            later = self._lake.files(f"{folder}/state")
            found |= {file.path: file for file in later if not _VERSION.fullmatch(file.path.rpartition("/")[2])}
        yield from found.values()

    def _checkpoint_files(self, place: _Place, step: int) -> Iterator[SourceFile]:
        for file in self._settled(place.folder):
            within = file.path[len(place.folder) + 1 :]
            name = within.rpartition("/")[2]
            if name.startswith((".", "temp-")) or name.endswith(".tmp"):
                continue  # checksums of Hadoop's, files in the making
            number = int(known[1]) if (known := _VERSION.fullmatch(name)) else None
            if within.startswith((f"{OFFSETS}/", f"{SETTINGS}/")) and (number is None or number > place.plan):
                continue
            if within.startswith((f"{PLANNED}/", f"{ENDED}/")) and (number is None or number > step):
                continue
            if within.startswith(f"{COMMITS}/") and (number is None or number > place.batch):
                continue
            # the state after batch n is version n + 1; what is older than the last snapshot goes with the others
            if within.startswith("state/") and number is not None and number > place.batch + 1:
                continue
            yield SourceFile(file, self._lake.read(file.path) if file.size < 1 << 16 else None)

    def _check_same(self, bronze: _Place | None, generations: int | None) -> None:
        """Check that what the versions were chosen by still holds: no checkpoint was replaced, no plan was dropped, no build began."""
        again = self._place(checkpoint(self._base, "bronze"), with_plan=False)
        if (bronze and bronze.query) != (again and again.query) or self._version(GENERATIONS) != generations:
            raise LakeChanged("a job began anew")
        if (
            bronze
            and bronze.plan >= 0
            and self._lake.read(f"{bronze.folder}/{OFFSETS}/{bronze.plan}") != bronze.planned
        ):
            raise LakeChanged("a batch was planned anew")

    def _bronze_facts(self, place: _Place | None) -> dict[str, Any]:
        if place is None:
            return {}

        topic, files = self._config.kafka.topic, FileCheckpoint(self._config, checkpoint(self._base, "bronze"))

        def ends(batch: int) -> dict[str, int]:
            with files.reading():
                found = files.existing(batch).kafka_ends(topic)
            if not found:
                fault = f"it was made by another query, which did not read the topic {topic}"
                raise checkpoint_validation.refusal(files.path, files.job, fault)
            return {str(partition): offset for partition, offset in found.items()}

        return {
            "topic": topic,
            "topic_id": files.topic_id(),
            "batch": place.batch,
            "offsets": ends(place.batch) if place.batch >= 0 else {},
            "planned": ends(place.plan) if place.plan > place.batch else None,
        }

    # --- tables ------------------------------------------------------------------------------------------------------

    def _open(self, spec: TableSpec, version: int | None = None) -> DeltaTable | None:
        path = spec.path(self._base)
        options = object_store.options(self._config)
        return table_handle.opened(path, options, version=version) if table_handle.exists(path, options) else None

    def _version(self, spec: TableSpec) -> int | None:
        handle = self._open(spec)
        return handle.version() if handle else None

    def _states(self, generation: str) -> list[Mapping[str, Any]]:
        handle = self._open(GENERATIONS, self._made.tables[GENERATIONS.name])
        rows = pa.table(handle.to_pyarrow_table()).to_pylist() if handle else []
        return [row for row in rows if row["generation"] == generation]

    def _pin(self, spec: TableSpec, limits: Mapping[str, int]) -> DeltaTable | None:
        """The newest version without a batch beyond its limit; None for a table that is not there."""
        handle = self._open(spec)
        mine = {app: limit for app, limit in limits.items() if app.startswith(f"{spec.name}-")}
        while handle and any((seen := handle.transaction_version(app)) is not None and seen > limit for app, limit in mine.items()):  # fmt: skip
            handle.load_as_version(handle.version() - 1)
        return handle

    def _table_files(self, spec: TableSpec, handle: DeltaTable, since: int) -> Iterator[SourceFile]:
        """The log up to the version, its data files, and those of every version from ``since`` on that are still there."""
        folder = spec.path(self._base)[len(self._base) + 1 :]
        there = {file.path: file for file in self._lake.files(folder)}
        actions = pa.table(handle.get_add_actions(flatten=True)).select(["path", "size_bytes"]).to_pylist()
        sizes = {f"{folder}/{action['path']}": action["size_bytes"] for action in actions}
        wanted = set(sizes)
        wanted |= self._left(folder, range(since + 1, handle.version() + 1)) & there.keys()
        for path in sorted(wanted):
            if path not in there:
                raise LakeChanged(f"{path} is not there any more")
            if there[path].size != sizes.get(path, there[path].size):
                raise LakehouseError(
                    f"{path} has {there[path].size} bytes, and the log of its table says {sizes[path]}: it is damaged, and no "
                    f"backup was made of it. See those that there are: python ops_utils.py backup list"
                )
            yield SourceFile(there[path])
        for path, file in there.items():
            name = path.removeprefix(f"{folder}/_delta_log/")
            numbers = re.findall(r"(?<!\d)\d{20}(?!\d)", name)
            # _last_checkpoint is left out: it may name a later version, and a log without it is read all the same
            if name != path and numbers and int(numbers[-1]) <= handle.version() and not name.startswith((".", "_")):
                yield SourceFile(file)

    def _left(self, folder: str, versions: range) -> set[str]:
        """The data files that left the table in these versions, as far back as the log reaches."""
        found: set[str] = set()
        for version in versions:
            with contextlib.suppress(FileNotFoundError):
                actions = log_entry.actions(self._lake.read(log_entry.place(folder, version)))
                gone = (action["remove"] for action in actions if "remove" in action)
                found |= {f"{folder}/{unquote(file['path'])}" for file in gone}
        return found


def _audit_files(config: Config) -> Iterator[SourceFile]:
    """The audit log and its signed records. The head first: a line that comes meanwhile is then only one more."""
    place = audit_log.folder(config)
    store = Store(str(place), config)
    listed = {file.path: file for file in store.files() if file.path.endswith((".json", ".jsonl"))}
    for path in sorted(listed, key=lambda path: (path != "head.json", path)):
        content = store.read(path)
        if path == "log.jsonl":
            content = content[: content.rfind(b"\n") + 1]
        yield SourceFile(File(f"audit/{path}", len(content), 0), content)
