"""Where backups and restores may not go, what a manifest cannot make them do, and what is damaged or left over in a store."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from lakehouse import config
from lakehouse.contract import tables
from lakehouse.operations.recovery.backup import Backups
from lakehouse.operations.recovery.manifest import Manifest, object_path, text_of
from tests.support import job_lake
from tests.support.kills import killed_at

Operate = Callable[..., tuple[int, str]]


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A lake, a store beside it, and the folder of both as the working folder."""
    place = str(tmp_path / "lake")
    job_lake.build(place, count=40)
    Path(tables.checkpoint(place, "bronze"), "metadata").write_text('{"id":"q1"}')
    monkeypatch.setenv("VENTES_DELTA__BACKUP_PATH", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return place


@pytest.fixture
def store(tmp_path: Path) -> Backups:
    return Backups(str(tmp_path / "store"), config.load())


def made(operate: Operate) -> str:
    code, text = operate("backup", "create", "--json")
    assert code == 0, text
    return str(json.loads(text)["id"])


def files(folder: str | Path) -> dict[str, bytes]:
    root = Path(folder)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# --- places ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place", ["lake", "lake/store", "./lake/../lake/store", "link/store", "link", "file://{}/store", "into/a/store"]
)
def test_a_store_in_the_lake_is_refused_however_it_is_written(
    base: str, operate: Operate, tmp_path: Path, place: str
) -> None:
    (tmp_path / "link").symlink_to("lake")
    (tmp_path / "into").symlink_to("lake/bronze")
    before = files(base).keys()
    code, text = operate("backup", "create", "--store", place.format(base))
    assert code == 2 and "lies inside the lake" in text and "name another place" in text
    assert {path for path in files(base) if not path.startswith("audit/")} == {
        path for path in before if not path.startswith("audit/")
    }


def test_a_lake_among_the_objects_of_the_store_is_refused(base: str, operate: Operate, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "objects").symlink_to(Path(base).parent)
    code, text = operate("backup", "create")
    assert code == 2 and "lies inside the lake" in text


@pytest.mark.parametrize("place", ["lake/restored", "link/restored", "lake/../lake/audit/x", "into/restored"])
def test_a_restore_into_the_live_lake_is_refused(base: str, operate: Operate, tmp_path: Path, place: str) -> None:
    (tmp_path / "link").symlink_to("lake")
    (tmp_path / "into").symlink_to("lake/bronze")
    made(operate)
    code, text = operate("backup", "restore", "latest", "--to", place)
    assert code == 2 and "lies inside the lake" in text and "Nothing was restored" in text
    assert not list(Path(base).rglob("*restor*"))


@pytest.mark.parametrize("place", ["store/restored", "store", "copies/objects/restored", "store/objects/../new"])
def test_a_restore_into_the_store_is_refused(operate: Operate, store: Backups, tmp_path: Path, place: str) -> None:
    made(operate)
    (tmp_path / "copies").symlink_to("store")
    before = files(store.store.place)
    code, text = operate("backup", "restore", "latest", "--to", place)
    assert code == 2 and "lies inside the backup store" in text
    assert files(store.store.place) == before


def test_a_lost_lake_is_restored_to_where_it_was_and_through_a_link(
    base: str, operate: Operate, tmp_path: Path
) -> None:
    made(operate)
    kept = files(Path(base) / "bronze")
    shutil.rmtree(base)
    assert operate("backup", "restore", "latest", "--to", base)[0] == 0
    assert files(Path(base) / "bronze") == kept
    (tmp_path / "link").symlink_to("elsewhere/new")
    assert operate("backup", "restore", "latest", "--to", "link")[0] == 0
    assert (tmp_path / "link").is_symlink() and files(tmp_path / "elsewhere/new/bronze") == kept


# --- manifests -------------------------------------------------------------------------------------------------------


def forged(store: Backups, backup: str, **changed: Any) -> None:
    """A manifest with these values, and a hash of its own that fits."""
    manifest = store.load(backup)
    body = {name: getattr(manifest, name) for name in Manifest.__dataclass_fields__}
    store.store.put(f"backups/{backup}.json", [text_of(Manifest(**{**body, **changed})).encode()])


@pytest.mark.parametrize("name", ["../../victim", "../victim", "a\0b", None, 7])
def test_a_manifest_of_another_name_removes_nothing(
    operate: Operate, store: Backups, tmp_path: Path, name: Any
) -> None:
    backup = made(operate)
    forged(store, backup, id=name)
    victims = [tmp_path / "victim.json", tmp_path / "store" / "victim.json"]
    for victim in victims:
        victim.write_text("precious")
    before = files(tmp_path)
    for words in (("remove", backup, "--yes"), ("verify", backup), ("restore", backup, "--to", "new"), ("list",)):
        code, text = operate("backup", *words)
        assert code == 1 and "it says that it is the backup" in text and "Traceback" not in text
    assert {name: data for name, data in files(tmp_path).items() if "audit" not in name} == {
        name: data for name, data in before.items() if "audit" not in name
    }


def test_a_manifest_under_another_name_keeps_the_contents_that_it_may_need(
    operate: Operate, store: Backups, tmp_path: Path
) -> None:
    first = made(operate)
    (tmp_path / "store/backups" / f"{first}.json").rename(tmp_path / "store/backups/mine.json")
    second = made(operate)
    code, text = operate("backup", "remove", second, "--yes")
    assert code == 1 and "backups/mine.json" in text and "it says that it is the backup" in text
    assert store.ids() == [second, "mine"]


# --- objects and leftovers -------------------------------------------------------------------------------------------


def test_an_object_that_was_changed_at_its_size_is_not_built_upon(
    operate: Operate, store: Backups, tmp_path: Path
) -> None:
    first = made(operate)
    victim = next(entry for entry in store.load(first).entries if entry.path.endswith(".parquet"))
    path = tmp_path / "store" / object_path(victim.sha256)
    whole, times = path.read_bytes(), path.stat()
    path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a disk does it
    code, text = operate("backup", "create", "--dry-run")
    assert code == 1 and f"DAMAGED: {object_path(victim.sha256)}" in text and path.read_bytes() != whole
    code, text = operate("backup", "create")
    assert code == 1 and "it was copied again" in text and "has lost or changed 1 contents" in text
    assert path.read_bytes() == whole
    for backup in store.ids():
        assert operate("backup", "verify", backup)[0] == 0
    assert operate("backup", "create")[0] == 0


def test_drafts_of_writers_that_were_killed_go_and_young_ones_stay(base: str, operate: Operate, tmp_path: Path) -> None:
    killed_at(base, "lakehouse.atomic_file:move", ["backup", "create"], number=3, when="before")
    (draft,) = (path for path in (tmp_path / "store").rglob("*.part"))
    manifest = tmp_path / "store/backups/20260101T000000.000000Z-abcdef.json.0123abcd.part"
    manifest.parent.mkdir(exist_ok=True)
    manifest.write_text("{")
    mine = tmp_path / "store/objects/readme.part"
    mine.write_text("not of a backup")
    backup = made(operate)
    assert draft.exists() and manifest.exists(), "another lake's backup may be writing them now"
    for path in (draft, manifest, mine):
        os.utime(path, (time.time() - 7200,) * 2)
    made(operate)
    assert not draft.exists() and not manifest.exists() and mine.exists()
    assert operate("backup", "verify", backup)[0] == 0


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_lies_where_a_restore_would_work_is_not_touched(operate: Operate, tmp_path: Path, kind: str) -> None:
    made(operate)
    place, other = tmp_path / ".new.restoring", tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("mine")
    if kind == "folder":
        other.rename(place)
    else:
        place.symlink_to(other) if kind == "link" else place.write_text("mine")
    before = files(tmp_path / ".new.restoring") if kind != "file" else {}
    code, text = operate("backup", "restore", "latest", "--to", "new")
    assert code == 2 and f"{place} is in the way" in text and "Nothing was restored" in text
    assert not (tmp_path / "new").exists() and place.exists()
    assert kind == "file" or files(place) == before != {}


def test_two_restores_into_one_folder_do_not_meet(base: str, operate: Operate, tmp_path: Path) -> None:
    made(operate)
    words = ["backup", "restore", "latest", "--to", str(tmp_path / "new")]
    killed_at(base, "lakehouse.operations.recovery.file_store:Store.put", words, number=5)
    left = files(tmp_path / ".new.restoring")
    assert len(left) > 4
    with FileLock(tmp_path / ".new.restoring" / ".restoring.lock"):
        code, text = operate(*words)
        assert code == 4 and "Another process restores a backup" in text
        assert files(tmp_path / ".new.restoring") == left
    assert operate(*words)[0] == 0
    assert not (tmp_path / ".new.restoring").exists() and not (tmp_path / "new" / ".restoring.lock").exists()
