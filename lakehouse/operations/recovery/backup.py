"""Backups: one consistent state of a lake, stored by content hash; listed, verified, restored. No JVM.

A store holds ``objects/``, each file named after the SHA-256 of its bytes, and ``backups/``, one manifest each. The
manifest is written last: a backup that was killed left objects that the next one finds, and nothing else.
"""

from __future__ import annotations

import dataclasses
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lakehouse import crash_points
from lakehouse.config import Config, FilePath, paths
from lakehouse.config.containment import is_within, resolved
from lakehouse.errors import ConfigError, LakehouseError, TableLocked, TableMissing, one_line
from lakehouse.lake.writer_lock import lock_folder
from lakehouse.observability import provenance
from lakehouse.operations.reconcile.report import Reconciliation
from lakehouse.operations.recovery.file_store import Changed, Store, digest
from lakehouse.operations.recovery.manifest import BackupFile, Manifest, manifest_path, object_path, parse, text_of
from lakehouse.operations.recovery.snapshot import Capture, LakeChanged, SourceFile, capture

_TRIES = 5
_FOLDERS = ("objects", "backups")
"""Of a store."""
_DRAFT = re.compile(r"\.[0-9a-f]{8}\.part$")
_DRAFT_AGE_NS = 3_600_000_000_000
_MINE = ".restoring.lock"
"""The file by which a restore knows its own unfinished folder."""
Progress = Callable[..., Any]
"""``runner.Work.progress``."""


@dataclass(frozen=True)
class CreatedBackup:
    """A backup, and what it took: files that the store did not hold yet, or held ``damaged`` (paths in the store), and their
    bytes."""

    manifest: Manifest
    new_files: int
    new_bytes: int
    damaged: tuple[str, ...]


class Backups:
    """The backups in one store."""

    def __init__(self, place: str, config: Config) -> None:
        self._config = config
        self.store = Store(place, config)

    # --- what is there -----------------------------------------------------------------------------------------------

    def ids(self) -> list[str]:
        """The ids of the backups, oldest first."""
        return [
            file.path.removeprefix("backups/").removesuffix(".json")
            for file in self.store.files("backups")
            if file.path.endswith(".json")
        ]

    def load(self, backup: str) -> Manifest:
        """The manifest of a backup; ``latest`` is the newest. Raises ``LakehouseError`` for one that is not there, or that was changed."""
        known = self.ids()
        if backup == "latest" and known:
            backup = known[-1]
        if backup not in known:
            raise LakehouseError(
                f"There is no backup {backup} in {self.store.place}. They are listed by: python ops_utils.py backup list"
            )
        try:
            return parse(self.store.read(manifest_path(backup)), backup)
        except ValueError as error:
            raise LakehouseError(
                f"The manifest {manifest_path(backup)} in {self.store.place} is damaged or was changed: {error}. Take "
                f"another backup: python ops_utils.py backup list"
            ) from None

    def _objects(self) -> dict[str, int]:
        """SHA-256 → bytes of the objects that the store holds."""
        return {file.path.rpartition("/")[2]: file.size for file in self.store.files("objects")}

    # --- create ------------------------------------------------------------------------------------------------------

    def create(self, config: Config, progress: Progress, *, dry_run: bool = False) -> CreatedBackup:
        """Make a backup. Raises ``LakehouseError`` when there is no lake, or when it changes during every attempt."""
        base, place = config.delta.base_path, self.store.place
        for lake in _lake_places(config):
            if is_within(place, lake) or any(is_within(lake, f"{place}/{own}") for own in _FOLDERS):
                raise ConfigError(f"The backup store {place} lies inside the lake {lake}: name another place.")
        for _ in range(_TRIES):
            try:
                found = capture(config)
                if not found.tables:
                    raise LakehouseError(f"There is no table under {base} to keep. Type: make run")
                with nullcontext() if dry_run else self._alone():
                    return self._keep(found, Store(base, config), progress, dry_run)
            except (LakeChanged, Changed, FileNotFoundError) as error:
                reason = str(error)
        raise LakehouseError(
            f"The lake changed under the backup {_TRIES} times in a row; the last time: {reason}. No backup was made. "
            f"Raise [DELTA] deleted_file_retention if files leave too soon, and type it again: python ops_utils.py backup create"
        )

    def _keep(self, found: Capture, lake: Store, progress: Progress, dry_run: bool) -> CreatedBackup:
        if not dry_run:
            self._drop_drafts()
        objects, known = self._objects(), self._known()
        entries: list[BackupFile] = []
        whole: set[str] = set()
        damaged: list[str] = []
        new_files = new_bytes = 0
        with progress("files to keep", len(found.sources)) as advance:
            for source in found.sources:
                entry = _entry(source, lake, known)
                held = entry.sha256 in whole or objects.get(entry.sha256) == entry.bytes
                if held and entry.sha256 not in whole and not self._is_whole(entry.sha256):
                    damaged.append(object_path(entry.sha256))
                    held = False
                whole.add(entry.sha256)
                if not held:
                    new_files, new_bytes = new_files + 1, new_bytes + entry.bytes
                    if not dry_run:
                        self._put(source, entry, lake)
                entries.append(entry)
                advance(1)
        now = datetime.now(UTC)
        manifest = Manifest(
            f"{now:%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(3)}", now.isoformat(timespec="seconds"),
            provenance.origin("backup create"), found.tables, found.bronze, found.silver, tuple(entries),
        )  # fmt: skip
        if not dry_run:
            self.store.put(manifest_path(manifest.id), [text_of(manifest).encode()])
        return CreatedBackup(manifest, new_files, new_bytes, tuple(damaged))

    def _is_whole(self, sha256: str) -> bool:
        """Whether an object is what its name says: a backup builds on nothing else. An object store compares by itself."""
        return not self.store.is_local or digest(self.store.chunks(object_path(sha256))) == sha256

    def _drop_drafts(self) -> None:
        """Remove what writers that were killed left. Another lake's backup may write into the store now: its draft is young."""
        before = time.time_ns() - _DRAFT_AGE_NS
        for folder in _FOLDERS:
            for file in self.store.files(folder):
                if _DRAFT.search(file.path) and 0 < file.mtime_ns < before:
                    with suppress(FileNotFoundError):
                        self.store.delete(file.path)

    def _put(self, source: SourceFile, entry: BackupFile, lake: Store) -> None:
        """Store one object under the hash of its bytes as they were read."""
        chunks = [source.content] if source.content is not None else lake.chunks(source.file.path)
        self.store.put(object_path(entry.sha256), chunks, expected=entry.sha256)

    def _known(self) -> dict[tuple[str, int, int], BackupFile]:
        """Files of the newest backup: the same path, size and time is the same content, and is not read again."""
        for backup in reversed(self.ids()):
            try:
                entries = self.load(backup).entries
            except LakehouseError:
                continue
            return {(entry.path, entry.bytes, entry.mtime_ns): entry for entry in entries if entry.mtime_ns}
        return {}

    # --- remove ------------------------------------------------------------------------------------------------------

    def remove(self, manifest: Manifest, progress: Progress, *, dry_run: bool) -> dict[str, int]:
        """Take a backup out of the store, with the contents that no other one holds: SHA-256 → bytes. The manifest goes
        last, so that a removal that was killed is finished by the same command. Raises ``LakehouseError`` when the manifest
        of another one is damaged: nobody can say then what it needs."""
        with nullcontext() if dry_run else self._alone():
            needed = {sha256 for other in self.ids() if other != manifest.id for sha256 in self.load(other).objects()}
            there = self._objects()
            gone = {one: there[one] for one in manifest.objects() if one in there and one not in needed}
            if not dry_run:
                self._drop_drafts()
                with progress("contents to remove", len(gone)) as advance:
                    for sha256 in gone:
                        self.store.delete(object_path(sha256))
                        advance(1)
                self.store.delete(manifest_path(manifest.id))
        return gone

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of making and removing: a backup in the making relies on objects that the store holds."""
        folder = lock_folder(self._config)
        if not folder.parent.is_dir():  # no lake here: nobody makes a backup of it
            yield
            return
        folder.mkdir(exist_ok=True)
        lock = FileLock(folder / "backup.lock", thread_local=False)
        try:
            lock.acquire(timeout=self._config.delta.lock_timeout.total_seconds())
        except Timeout:
            raise TableLocked(
                "Another process makes or removes a backup of this lake. Nothing was changed. When it has ended, type the same "
                "command again."
            ) from None
        try:
            yield
        finally:
            lock.release()

    # --- verify and restore ------------------------------------------------------------------------------------------

    def damaged(self, manifest: Manifest, progress: Progress) -> list[str]:
        """Every object of the backup is read and hashed again; a line for each that is missing or is another."""
        found = []
        wanted = manifest.objects()
        with progress("objects to read again", len(wanted)) as advance:
            for sha256, entry in wanted.items():
                try:
                    same = digest(self.store.chunks(object_path(sha256))) == sha256
                    state = "" if same else "was changed"
                except FileNotFoundError:
                    state = "is missing"
                except OSError as error:  # an object store compares checksums of its own
                    state = f"cannot be read ({one_line(error, 100)})"
                if state:
                    found.append(f"{object_path(sha256)} {state}: it is {entry.path}")
                advance(1)
        return found

    def restore(self, manifest: Manifest, folder: str, progress: Progress, *, leave_out: str | None = None) -> None:
        """Bring the lake back into ``folder``, which is made, or empty; it is complete when it appears. ``leave_out``: a
        path below which nothing is restored. Raises what ``target`` does."""
        target = self.target(folder)
        entries = [entry for entry in manifest.entries if leave_out is None or not entry.path.startswith(leave_out)]
        with _making(target) as making:
            to = Store(str(making), self._config)
            try:
                with progress("files to bring back", len(entries)) as advance:
                    for entry in entries:
                        to.put(entry.path, self.store.chunks(object_path(entry.sha256)), expected=entry.sha256)
                        advance(1)
            except (Changed, FileNotFoundError):
                raise LakehouseError(
                    f"The backup {manifest.id} is damaged at {entry.path}. Nothing was restored. See what is left of it: "
                    f"python ops_utils.py backup verify {manifest.id}"
                ) from None

    def target(self, folder: str) -> Path:
        """The folder behind all links. Raises ``ConfigError`` unless a lake may be restored there: a folder of this machine,
        new or empty, that is neither part of the lake nor of the store."""
        if paths.is_uri(folder):
            raise ConfigError(f"{folder} is no folder of this machine: restore into one, and copy it from there.")
        target = Path(resolved(folder))
        inside = [
            f"the lake {lake}"
            for lake in _lake_places(self._config)
            if is_within(folder, lake) and not is_within(lake, folder)
        ]
        if is_within(folder, self.store.place):
            inside.append(f"the backup store {self.store.place}")
        if inside:
            raise ConfigError(
                f"{folder} lies inside {inside[0]}: a backup is restored beside it. Nothing was restored. Name another folder "
                f"with --to."
            )
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ConfigError(
                f"{folder} is not empty: a backup is restored into an empty place only. Nothing was restored. Name a new "
                f"folder with --to, or move that one away."
            )
        return target

    def drill(self, manifest: Manifest, config: Config, progress: Progress, *, ask_kafka: bool) -> dict[str, Any]:
        """Restore into a scratch folder, reconcile there, and remove it: the reconciliation's record."""
        built = bool(manifest.silver.get("built"))
        with _scratch() as scratch:
            place = scratch / "lake"
            self.restore(manifest, str(place), progress, leave_out=None if built else "silver/")
            there = dataclasses.replace(config, delta=dataclasses.replace(config.delta, base_path=FilePath(place)))
            try:
                return Reconciliation(there, ask_kafka=ask_kafka, progress=progress).run()
            except TableMissing:
                raise LakehouseError(
                    f"The backup {manifest.id} was restored into a scratch folder, and holds nothing to reconcile: Bronze had "
                    f"committed no batch then, or its checkpoint had been moved aside. When Bronze has run, make another: "
                    f"python ops_utils.py backup create"
                ) from None


def _lake_places(config: Config) -> set[str]:
    """The folders that are the lake's."""
    return {config.delta.base_path, str(paths.state(config))}


@contextmanager
def _making(target: Path) -> Iterator[Path]:
    """A folder beside ``target`` that takes its place at the end of the block, and goes when the block raises. One that a
    restore left when it was killed is removed before; it is known by its lock."""
    making = target.with_name(f".{target.name}.restoring")
    lock = FileLock(making / _MINE, thread_local=False)
    if making.is_symlink() or not _is_ours(making):
        raise ConfigError(
            f"{making} is in the way, and no restore of this release has left it. Nothing was restored. Move it away, or name "
            f"another folder with --to."
        )
    try:
        making.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise TableLocked(
            f"Another process restores a backup into {target} now. When it has ended, look at what is there."
        ) from None
    except OSError as error:
        raise LakehouseError(
            f"{making} cannot be written: {error.strerror}. Make room there, or name another place, and type the same command "
            f"again."
        ) from None
    try:
        for left in making.iterdir():
            if left.name != _MINE:
                shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        yield making
        (making / _MINE).unlink()
        crash_points.step("before the backup is given its name")
        making.rename(target)
        crash_points.step("after the backup was given its name")
    finally:
        lock.release()
        shutil.rmtree(making, ignore_errors=True)  # a full disk is not to stay full


def _is_ours(making: Path) -> bool:
    """Whether a restore may fill the folder and remove it: it is not there, has the lock of one, or is empty."""
    if not making.exists() or (making / _MINE).is_file():
        return True
    return making.is_dir() and not any(making.iterdir())


def _entry(source: SourceFile, lake: Store, known: dict[tuple[str, int, int], BackupFile]) -> BackupFile:
    file = source.file
    if source.content is not None:
        return BackupFile(file.path, digest([source.content]), len(source.content), file.mtime_ns)
    if held := known.get((file.path, file.size, file.mtime_ns)):
        return held
    return BackupFile(file.path, digest(lake.chunks(file.path)), file.size, file.mtime_ns)


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ventes-drill-") as folder:
        yield Path(folder)
