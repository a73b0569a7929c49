"""Backups: one consistent state of a lake, stored by content hash; listed, verified, restored. No JVM.

A store holds ``objects/``, each file named after the SHA-256 of its bytes, and ``backups/``, one manifest each. The
manifest is written last: a backup that was killed left objects that the next one finds, and nothing else.
"""

from __future__ import annotations

import dataclasses
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lakehouse.config import Config, FilePath, paths
from lakehouse.errors import ConfigError, LakehouseError, TableLocked, TableMissing, one_line
from lakehouse.lake.writer_lock import lock_folder
from lakehouse.observability import provenance
from lakehouse.operations.reconcile.report import Reconciliation
from lakehouse.operations.recovery.file_store import Changed, Store, digest
from lakehouse.operations.recovery.manifest import BackupFile, Manifest, manifest_path, object_path, parse, text_of
from lakehouse.operations.recovery.snapshot import Capture, LakeChanged, SourceFile, capture

_TRIES = 5
Progress = Callable[..., Any]
"""``runner.Work.progress``."""


@dataclass(frozen=True)
class CreatedBackup:
    """A backup, and what it took: files that the store did not hold yet, and their bytes."""

    manifest: Manifest
    new_files: int
    new_bytes: int


class Backups:
    """The backups in one store."""

    def __init__(self, place: str, config: Config) -> None:
        self._config = config
        self.store = Store(place, config)

    # --- what is there -----------------------------------------------------------------------------------------------

    def ids(self) -> list[str]:
        """Oldest first."""
        return [
            file.path.removeprefix("backups/").removesuffix(".json")
            for file in self.store.files("backups")
            if file.path.endswith(".json")
        ]

    def load(self, backup: str) -> Manifest:
        """``latest`` takes the newest. Raises ``LakehouseError`` for one that is not there, or that was changed."""
        known = self.ids()
        if backup == "latest" and known:
            backup = known[-1]
        if backup not in known:
            raise LakehouseError(
                f"There is no backup {backup} in {self.store.place}. They are listed by: python ops_utils.py backup list"
            )
        try:
            return parse(self.store.read(manifest_path(backup)))
        except ValueError as error:
            raise LakehouseError(
                f"The manifest {manifest_path(backup)} in {self.store.place} is damaged or was changed: {error}. Take "
                f"another backup: python ops_utils.py backup list"
            ) from None

    def _objects(self) -> dict[str, int]:
        """SHA-256 → bytes of what the store holds."""
        return {file.path.rpartition("/")[2]: file.size for file in self.store.files("objects")}

    # --- create ------------------------------------------------------------------------------------------------------

    def create(self, config: Config, progress: Progress, *, dry_run: bool = False) -> CreatedBackup:
        """Raises ``LakehouseError`` when there is no lake, or when it does not stand still for long enough."""
        base = config.delta.base_path
        if self.store.place.startswith(base.rstrip("/") + "/") or self.store.place == base:
            raise ConfigError(f"The backup store {self.store.place} lies inside the lake {base}: name another place.")
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
        objects, known = self._objects(), self._known()
        entries: list[BackupFile] = []
        new_files = new_bytes = 0
        with progress("files to keep", len(found.sources)) as advance:
            for source in found.sources:
                entry = _entry(source, lake, known)
                if objects.get(entry.sha256) != entry.bytes:
                    new_files, new_bytes = new_files + 1, new_bytes + entry.bytes
                    objects[entry.sha256] = entry.bytes
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
        return CreatedBackup(manifest, new_files, new_bytes)

    def _put(self, source: SourceFile, entry: BackupFile, lake: Store) -> None:
        """One object, under the hash that it really has."""
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
                with progress("contents to remove", len(gone)) as advance:
                    for sha256 in gone:
                        self.store.delete(object_path(sha256))
                        advance(1)
                self.store.delete(manifest_path(manifest.id))
        return gone

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A backup that is made counts on contents that the store holds: none may be removed meanwhile."""
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
        path below which nothing is restored. Raises ``ConfigError`` for a folder with something in it."""
        target = check_empty(folder)
        making = target.with_name(f".{target.name}.restoring")
        if making.exists():  # of a restore that was killed
            shutil.rmtree(making)
        entries = [entry for entry in manifest.entries if leave_out is None or not entry.path.startswith(leave_out)]
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
        else:
            making.rename(target)
        finally:
            shutil.rmtree(making, ignore_errors=True)  # a full disk is not to stay full

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


def check_empty(folder: str) -> Path:
    """Raises ``ConfigError`` unless a lake may be restored there."""
    if paths.is_uri(folder):
        raise ConfigError(f"{folder} is no folder of this machine: restore into one, and copy it from there.")
    target = Path(folder).absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(
            f"{folder} is not empty: a backup is restored into an empty place only. Nothing was restored. Name a new "
            f"folder with --to, or move that one away."
        )
    return target


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
