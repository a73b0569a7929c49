"""Damage to the files of a checkpoint and of tables, while no job runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from campaign.faults.scene import Damage, Scene, newest_entry


def _none() -> Damage:
    return Damage(False, "there was none yet")


def _log_file(scene: Scene, job: str, which: str) -> Path | None:
    folder = scene.folder(job, which)
    newest = newest_entry(folder)
    return folder / str(newest) if newest >= 0 else None


def last_commit_entry_gone(scene: Scene, job: str) -> Damage:
    """The newest entry of the checkpoint's commit log is removed: the batch is repeated."""
    found = _log_file(scene, job, "commits")
    if found is None:
        return _none()
    for path in (found, found.with_name(f".{found.name}.crc")):
        path.unlink(missing_ok=True)
    return Damage(True, "its batch is repeated")


def half_an_offset_file(scene: Scene, job: str) -> Damage:
    """The newest plan of a batch is cut in its middle."""
    found = _log_file(scene, job, "offsets")
    if found is None:
        return _none()
    content = found.read_bytes()
    found.write_bytes(content[: len(content) // 2])
    found.with_name(f".{found.name}.crc").unlink(missing_ok=True)
    return Damage(True, f"{len(content) // 2} of {len(content)} bytes are left", needs_person=True)


def state_gone(scene: Scene, job: str) -> Damage:
    """The folder of the state is empty."""
    folder = scene.folder(job, "state")
    if not folder.is_dir():
        return _none()
    shutil.rmtree(folder)
    folder.mkdir()
    return Damage(True, "", needs_person=True)


def state_file_gone(scene: Scene, job: str) -> Damage:
    """The newest file of RocksDB's is missing: a snapshot, a table of it, or a changelog."""
    files = [
        path
        for path in scene.folder(job, "state").rglob("*")
        if path.suffix in (".changelog", ".zip", ".sst") and not path.name.startswith(".")
    ]
    newest = max(files, key=lambda path: path.stat().st_mtime_ns, default=None)
    if newest is None:
        return _none()
    newest.unlink()
    return Damage(True, newest.suffix, needs_person=True)


def metadata_gone(scene: Scene, job: str) -> Damage:
    """The checkpoint no longer says which query it belongs to."""
    path = scene.folder(job, "metadata")
    if not path.is_file():
        return _none()
    path.unlink()
    path.with_name(".metadata.crc").unlink(missing_ok=True)
    return Damage(True, "", needs_person=True)


def helpers_gone(scene: Scene, _job: str) -> Damage:
    """The pointers to the log's checkpoints, and the checksums of its versions, are removed."""
    gone = 0
    for pattern in ("*/*/_delta_log/_last_checkpoint", "*/*/_delta_log/*.crc"):
        for path in scene.place.lake.glob(pattern):
            path.unlink()
            gone += 1
    return Damage(gone > 0, f"{gone} files")


def stale_pointer(scene: Scene, _job: str) -> Damage:
    """The pointers to the newest checkpoints of the logs name those before, as far as there are two."""
    changed = 0
    for pointer in scene.place.lake.glob("*/*/_delta_log/_last_checkpoint"):
        there = sorted(int(path.name[:20]) for path in pointer.parent.glob("*.checkpoint.parquet"))
        if len(there) > 1:
            pointer.write_text(json.dumps({"version": there[0], "size": 1}), encoding="utf-8")
            pointer.with_name("._last_checkpoint.crc").unlink(missing_ok=True)
            changed += 1
    return Damage(changed > 0, f"{changed} tables")


def wrong_checksum(scene: Scene, _job: str) -> Damage:
    """The checksum of the newest version of each table of Bronze counts one file too many."""
    changed = 0
    for log in scene.place.lake.glob("bronze/*/_delta_log"):
        newest = max(log.glob("[0-9]*.crc"), default=None)
        if newest is not None:
            found = json.loads(newest.read_text(encoding="utf-8"))
            found["numFiles"] = found.get("numFiles", 0) + 1
            newest.write_text(json.dumps(found), encoding="utf-8")
            newest.with_name(f".{newest.name}.crc").unlink(missing_ok=True)
            changed += 1
    return Damage(changed > 0, f"{changed} tables")


def _put_back(path: Path, content: bytes) -> Callable[[], None]:
    def undo() -> None:
        path.write_bytes(content)

    return undo


def half_a_commit_file(scene: Scene, job: str) -> Damage:
    """The newest commit of a table that the job writes is cut in its middle."""
    tables = sorted(scene.place.lake.glob("bronze/ventes_*" if job == "bronze" else "silver/[a-z]*"))
    logs = [newest for table in tables if (newest := max(table.glob("_delta_log/[0-9]*.json"), default=None))]
    if not logs:
        return _none()
    path = scene.chance.choice(logs)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    table = path.parent.parent.name
    return Damage(True, f"version {int(path.stem)} of {table}", needs_person=True, undo=_put_back(path, content))


def flipped_bit(scene: Scene, _job: str) -> Damage:
    """One bit of a data file of Bronze."""
    files = sorted(scene.place.lake.glob("bronze/ventes_stream/*/part-*.parquet"))
    if not files:
        return _none()
    path = scene.chance.choice(files)
    content = path.read_bytes()
    at = scene.chance.randrange(4, len(content))
    changed = bytearray(content)
    changed[at] ^= 1 << scene.chance.randrange(8)
    path.write_bytes(changed)
    where = f"byte {at} of {len(content)}"
    return Damage(True, where, needs_person=True, undo=_put_back(path, content))


def foreign_writer(scene: Scene, _job: str) -> Damage:
    """Somebody appends to Bronze by another tool, between two batches: a row that is there already."""
    import pyarrow as pa
    from deltalake import DeltaTable, QueryBuilder, write_deltalake

    path = scene.place.lake / "bronze" / "ventes_stream"
    if not (path / "_delta_log").is_dir():
        return _none()
    table = DeltaTable(str(path))
    rows = pa.table(QueryBuilder().register("held", table).execute("SELECT * FROM held LIMIT 1"))
    if not rows.num_rows:
        return _none()
    write_deltalake(table, rows, mode="append")
    return Damage(True, f"{rows.num_rows} row at {datetime.now(UTC):%H:%M:%S}", needs_person=True)
