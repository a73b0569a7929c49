"""``backup create | list | verify | restore`` without a JVM: what one moment is, what is copied, what is refused."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from filelock import FileLock

from lakehouse import config
from lakehouse.config import Config
from lakehouse.contract import tables
from lakehouse.contract.tables import GENERATIONS, PAR_PAYS, REJETS, SILVER, VENTES, TableSpec
from lakehouse.operations.recovery import backup as recovery_backup
from lakehouse.operations.recovery import file_store, snapshot
from lakehouse.operations.recovery.backup import Backups
from lakehouse.operations.recovery.manifest import object_path
from tests.support import job_lake, lakes, s3
from tests.support.kills import killed_at

Operate = Callable[..., tuple[int, str]]


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A lake after two batches, with Silver, and a store beside it."""
    place = str(tmp_path / "lake")
    job_lake.build(place)
    Path(tables.checkpoint(place, "bronze"), "metadata").write_text('{"id":"q1"}')
    monkeypatch.setenv("VENTES_DELTA__BACKUP_PATH", str(tmp_path / "store"))
    return place


@pytest.fixture
def store(tmp_path: Path) -> Backups:
    return Backups(str(tmp_path / "store"), config.load())


def made(operate: Operate) -> str:
    code, text = operate("backup", "create")
    assert code == 0, text
    (backup,) = re.findall(r"Backup (\S+):", text)
    return str(backup)


def batch(base: str, spec: TableSpec, number: int, count: int = 3) -> None:
    """A commit as the Bronze job of query q1 makes it."""
    write_deltalake(
        spec.path(base),
        lakes.arrow_table(spec, lakes.sales(count, seed=number) if spec is VENTES else lakes.rejects()[:1]),
        mode="append",
        partition_by=list(spec.partition_by),
        commit_properties=CommitProperties(app_transactions=[Transaction(f"{spec.name}-q1", number)]),
    )


def plan(base: str, number: int, *, commit: bool) -> None:
    folder = Path(tables.checkpoint(base, "bronze"))
    clock = job_lake.CLOCK + timedelta(minutes=number)
    job_lake.bronze_checkpoint(base, dict.fromkeys(range(4), 200 + number), number, clock)
    if not commit:
        (folder / "commits" / str(number)).unlink()


def contents(folder: str) -> dict[str, bytes]:
    root = Path(folder)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def rows(base: str, spec: TableSpec, version: int | None = None) -> list[str]:
    return sorted(map(repr, lakes.contents(DeltaTable(spec.path(base), version=version)).to_pylist()))


def test_a_backup_comes_back_as_it_was_and_nothing_is_copied_twice(
    base: str, operate: Operate, store: Backups, tmp_path: Path
) -> None:
    first = made(operate)
    held = contents(store.store.place)
    batch(base, VENTES, 2)
    plan(base, 2, commit=True)
    second = made(operate)
    assert store.ids() == [first, second]
    new = {path for path in contents(store.store.place) if path.startswith("objects/")} - set(held)
    added = {entry.path for entry in store.load(second).entries} - {entry.path for entry in store.load(first).entries}
    # a log entry, a data file for each day of the batch, three files of the checkpoint, the grown audit log and head
    data = sum(path.endswith(".parquet") for path in added)
    assert data >= 1 and len(new) == data + 1 + 2 + 2 and all(held[path] == data for path, data in held.items())
    for backup, versions in ((first, 1), (second, 2)):
        folder = str(tmp_path / backup)
        assert operate("backup", "restore", backup, "--to", folder)[0] == 0
        assert DeltaTable(VENTES.path(folder)).version() == versions
        assert all(rows(folder, spec) == rows(base, spec) for spec in (REJETS, *SILVER, GENERATIONS))
        assert rows(folder, VENTES) == rows(base, VENTES, versions)
        assert (Path(folder) / "checkpoints/bronze/topic_id").read_text() == "topic-1"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_tables_that_are_ahead_of_the_checkpoint_are_taken_at_the_version_that_fits_it(
    base: str, operate: Operate, store: Backups
) -> None:
    """A batch whose plan is not kept would be planned anew, with other messages, and skipped by its number."""
    plan(base, 2, commit=False)
    for number in (2, 3, 4):
        batch(base, VENTES, number)
    batch(base, REJETS, 3)
    write_deltalake(
        PAR_PAYS.path(base),
        lakes.contents(DeltaTable(PAR_PAYS.path(base))),
        mode="append",
        commit_properties=CommitProperties(app_transactions=[Transaction("ventes_par_pays-g1", 0)]),
    )
    manifest = store.load(made(operate))
    assert (manifest.bronze["batch"], manifest.tables["ventes_stream"], manifest.tables["ventes_rejetees"]) == (1, 2, 0)
    assert manifest.bronze["planned"] == {str(p): 202 for p in range(4)}
    assert manifest.tables["ventes_par_pays"] == 0, "Silver stands at its last committed batch, exactly"
    kept = {entry.path for entry in manifest.entries}
    assert {"checkpoints/bronze/offsets/2", "checkpoints/bronze/commits/1"} <= kept
    assert not any(f"{n:020}" in path for path in kept if path.startswith("bronze/ventes_stream") for n in (3, 4))


def test_what_silver_has_still_to_read_is_kept_though_it_left_the_table(
    base: str, operate: Operate, store: Backups, tmp_path: Path
) -> None:
    """Silver compares with Bronze at the version that it has taken in, and reads each commit after it."""
    batch(base, VENTES, 2)
    plan(base, 2, commit=True)
    DeltaTable(VENTES.path(base)).optimize.compact()
    assert store.ids() == []
    made(operate)
    folder = str(tmp_path / "restored")
    assert operate("backup", "restore", "latest", "--to", folder)[0] == 0
    for version in (1, 2, 3):
        assert rows(folder, VENTES, version) == rows(base, VENTES, version)


def test_the_drill_restores_and_reconciles_and_sees_what_is_wrong(base: str, operate: Operate) -> None:
    made(operate)
    code, text = operate("backup", "verify", "latest", "--restore", "--without-kafka")
    assert code == 0 and "Restored into a scratch folder and reconciled: everything is accounted for." in text
    DeltaTable(VENTES.path(base)).delete("kafka_partition = 1 AND kafka_offset = 5")
    made(operate)
    code, text = operate("backup", "verify", "latest", "--restore", "--without-kafka")
    assert code == 1 and "DIFFERENCE: ventes_stream: the commit of version" in text


def test_the_drill_of_a_backup_without_a_checkpoint_says_why_nothing_is_reconciled(base: str, operate: Operate) -> None:
    shutil.rmtree(tables.checkpoint(base, "bronze"))  # as after restore-table
    backup = made(operate)
    code, text = operate("backup", "verify", backup, "--restore")
    assert (
        code == 1 and f"The backup {backup} was restored into a scratch folder, and holds nothing to reconcile" in text
    )
    assert str(base) not in text and "ventes-drill" not in text


def test_a_backup_goes_with_what_it_alone_holds_and_the_others_stay_whole(
    base: str, operate: Operate, store: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = made(operate)
    DeltaTable(VENTES.path(base)).delete("kafka_partition = 1")
    second = made(operate)
    alone = store.load(first).objects().keys() - store.load(second).objects().keys()
    assert alone
    before = {file.path for file in store.store.files()}
    code, text = operate("backup", "remove", first, "--dry-run")
    assert code == 0 and f"would go, with {len(alone)} contents" in text
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115, PTH123
    assert operate("backup", "remove", first)[0] == 2
    assert {file.path for file in store.store.files()} == before

    code, text = operate("backup", "remove", first, "--yes")
    assert code == 0 and f"Backup {first} is gone, with {len(alone)} contents" in text
    assert before - {file.path for file in store.store.files()} == {
        f"backups/{first}.json", *(object_path(one) for one in alone),
    }  # fmt: skip
    assert store.ids() == [second] and operate("backup", "verify", second)[0] == 0
    assert operate("backup", "remove", first, "--yes")[0] == 1


def test_a_removal_that_is_killed_is_finished_by_the_same_command(base: str, operate: Operate, store: Backups) -> None:
    first = made(operate)
    DeltaTable(VENTES.path(base)).delete("kafka_partition = 1")
    second = made(operate)
    killed_at(
        base, "lakehouse.operations.recovery.file_store:Store.delete", ["backup", "remove", first, "--yes"], number=1
    )
    assert store.ids() == [first, second] and operate("backup", "verify", first)[0] == 1
    assert operate("backup", "remove", first, "--yes")[0] == 0
    assert store.ids() == [second] and operate("backup", "verify", second)[0] == 0
    needed = {object_path(one) for one in store.load(second).objects()}
    assert {file.path for file in store.store.files("objects")} == needed


def test_nothing_is_removed_while_a_backup_is_made_or_beside_a_damaged_manifest(
    base: str, operate: Operate, store: Backups
) -> None:
    first, second = made(operate), made(operate)
    with FileLock(Path(base, "locks", "backup.lock")):
        for words in (("remove", first, "--yes"), ("create",)):
            code, text = operate("backup", *words)
            assert code == 4 and "Another process makes or removes a backup of this lake." in text
    store.store.put(f"backups/{second}.json", [b"{}"])
    code, text = operate("backup", "remove", first, "--yes")
    assert code == 1 and "is damaged or was changed" in text and store.ids() == [first, second]


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("metadata", None, "its metadata file is missing or damaged"),
        ("offsets/1", "v1", "offsets/1 is missing or damaged"),
    ],
)
def test_a_broken_checkpoint_is_refused_and_the_way_on_is_named(
    base: str, operate: Operate, name: str, text: str | None, fault: str
) -> None:
    path = Path(tables.checkpoint(base, "bronze"), name)
    path.unlink() if text is None else path.write_text(text)
    code, said = operate("backup", "create")
    assert code == 3 and fault in said and "Type: python ops_utils.py rebuild bronze" in said


def test_a_damaged_file_is_not_kept_and_a_verb_that_meets_it_says_so(base: str, operate: Operate) -> None:
    path = Path(max(DeltaTable(VENTES.path(base)).file_uris()))
    path.write_bytes(path.read_bytes()[:-9])
    code, text = operate("backup", "create")
    assert (
        code == 1 and "and the log of its table says" in text and "it is damaged, and no backup was made of it." in text
    )
    for words in (("erase", "--client-id", "13", "--yes"), ("reconcile", "--without-kafka")):
        code, text = operate(*words)
        assert code == 1 and "is damaged. Roll the table back, or restore a backup" in text and path.name in text
    path.unlink()
    code, text = operate("erase", "--client-id", "13", "--yes")
    assert code == 1 and "Run the same command again; if it says so again, it is lost." in text
    code, text = operate("restore-table", "ventes_stream", "--version", "0", "--yes")
    assert code == 0 and "how many rows leave it cannot be counted, since a file of it is lost or damaged." in text
    assert operate("erase", "--client-id", "13", "--yes")[0] == 1, "Silver is due, and Bronze can be read"


def test_a_log_that_cannot_be_read_is_a_sentence(base: str, operate: Operate) -> None:
    log = max(Path(VENTES.path(base), "_delta_log").glob("*.json"))
    log.write_bytes(log.read_bytes()[:-9])
    for words in (("maintain", "--yes"), ("backup", "create"), ("rebuild", "silver", "--yes")):
        code, text = operate(*words)
        assert code == 1 and "Json error" in text, text


def on_a_small_disk(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``ops_utils.py`` with ``words`` while ``place`` is a disk of 200 KiB, which no other process sees."""
    place.mkdir()
    inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mounted = f"mount -t tmpfs -o size=200k none '{place}'"
    if (
        shutil.which("unshare") is None
        or subprocess.run([*inside, mounted], capture_output=True, check=False).returncode
    ):
        pytest.skip("this machine lets nobody mount a small disk of his own (unshare)")
    script = f'{mounted} && "$0" ops_utils.py "$@"; code=$?; ls -A \'{place}\' >&2; exit $code'
    command = [*inside, script, sys.executable, *words]
    return subprocess.run(command, cwd=config.PROJECT, capture_output=True, text=True, check=False)


@pytest.mark.usefixtures("base")
def test_a_full_disk_is_said_in_a_sentence_and_is_not_left_full(operate: Operate, tmp_path: Path) -> None:
    small = tmp_path / "small"
    done = on_a_small_disk(small, "backup", "create", "--store", str(small / "store"))
    assert done.returncode == 1 and "/store cannot be written: No space left on device. Make room there" in done.stderr
    assert "Traceback" not in done.stderr
    made(operate)
    small.rmdir()
    done = on_a_small_disk(small, "backup", "restore", "latest", "--to", str(small / "lake"))
    assert done.returncode == 1 and "cannot be written: No space left on device" in done.stderr
    assert done.stderr.endswith("type the same command again.\n"), "half a lake was left there"


@pytest.mark.usefixtures("base")
def test_a_place_that_cannot_be_made_is_no_lake_that_moves(operate: Operate, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, text = operate("backup", "create", "--store", str(tmp_path / "file"))
    assert code == 1 and "file cannot be written: Not a directory." in text
    code, text = operate("backup", "create", "--store", "/proc/nobody/store")
    assert code == 1 and "/proc/nobody/store cannot be written: No such file or directory." in text


@pytest.mark.parametrize("how", ["missing", "changed"])
def test_a_damaged_object_is_found_and_is_not_restored(
    operate: Operate, store: Backups, tmp_path: Path, how: str
) -> None:
    manifest = store.load(made(operate))
    victim = next(entry for entry in manifest.entries if entry.path.endswith(".parquet"))
    path = Path(store.store.place, object_path(victim.sha256))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.unlink() if how == "missing" else path.write_bytes(data)
    code, text = operate("backup", "verify", "latest")
    assert code == 1 and object_path(victim.sha256) in text and victim.path in text
    code, text = operate("backup", "restore", "latest", "--to", str(tmp_path / "restored"))
    assert code == 1 and f"is damaged at {victim.path}. Nothing was restored." in text
    assert not (tmp_path / "restored").exists()
    path.unlink(missing_ok=True)
    made(operate)  # what is not there is copied again
    assert operate("backup", "verify", manifest.id)[0] == 0


def test_a_manifest_that_was_changed_is_refused(operate: Operate, store: Backups) -> None:
    backup = made(operate)
    path = Path(store.store.place, "backups", f"{backup}.json")
    body = json.loads(path.read_text())
    body["entries"][0]["path"] = "../outside"
    path.write_text(json.dumps(body))
    code, text = operate("backup", "verify", backup)
    assert code == 1 and "is damaged or was changed: its own hash does not fit" in text
    assert operate("backup", "list")[0] == 1
    code, text = operate("backup", "verify", "20990101T000000Z-aaaaaa")
    assert code == 1 and "There is no backup 20990101T000000Z-aaaaaa in" in text


def test_a_restore_needs_an_empty_place_and_a_dry_run_changes_nothing(
    base: str, operate: Operate, tmp_path: Path
) -> None:
    assert operate("backup", "list")[1].startswith("There is no backup in")
    before = {path for path in contents(base) if not path.startswith("audit/")}
    code, text = operate("backup", "create", "--dry-run")
    assert code == 0 and "Nothing was changed" in text and not (tmp_path / "store").exists()
    assert {path for path in contents(base) if not path.startswith("audit/")} == before
    made(operate)
    assert operate("backup", "restore", "latest", "--to", str(tmp_path / "new"), "--dry-run")[0] == 0
    assert not (tmp_path / "new").exists()
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").touch()
    code, text = operate("backup", "restore", "latest", "--to", str(full))
    assert code == 2 and "is not empty: a backup is restored into an empty place only." in text
    assert [path.name for path in full.iterdir()] == ["mine"]
    code, text = operate("backup", "create", "--store", f"{base}/inside")
    assert code == 2 and "lies inside the lake" in text


def test_a_store_may_be_given_by_uri(operate: Operate, tmp_path: Path) -> None:
    place = (tmp_path / "elsewhere").as_uri()
    assert operate("backup", "create", "--store", place)[0] == 0
    assert operate("backup", "verify", "latest", "--store", place)[0] == 0
    assert (tmp_path / "elsewhere" / "objects").is_dir()


def test_a_store_may_lie_in_s3(base: str, operate: Operate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if s3.executable() is None:
        pytest.skip(f"NO S3 SERVER: versitygw is not here, so object stores are NOT TESTED. Type: {s3.GET_IT}")
    with s3.serving(tmp_path / "s3") as server:
        for name, text in server.settings("unused", tmp_path).items():
            if name.startswith("S3__"):
                monkeypatch.setenv(f"VENTES_{name}", text)
        monkeypatch.setenv("VENTES_DELTA__BACKUP_PATH", f"s3a://{s3.BUCKET}/copies")
        made(operate)
        batch(base, VENTES, 2)
        plan(base, 2, commit=True)
        code, text = operate("backup", "create")
        assert code == 0 and "0 new files" not in text
        assert operate("backup", "verify", "latest")[0] == 0
        assert operate("backup", "restore", "latest", "--to", str(tmp_path / "restored"))[0] == 0
        assert rows(str(tmp_path / "restored"), VENTES) == rows(base, VENTES)
        victim = next(path for path in (server.folder / "copies" / "objects").rglob("*") if path.is_file())
        victim.write_bytes(b"another")
        code, text = operate("backup", "verify", "latest")
        assert code == 1 and f"{victim.name} cannot be read" in text, "S3's own checksum tells it already"


def written(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(file.name)


def test_the_states_versions_are_those_of_the_batch_and_no_table_of_rocksdb_is_missing(
    base: str, operate: Operate, store: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forced: RocksDB's compaction brings a table and the list that names it while the folder is looked at, the table first; the look
    has passed the table's place by then."""
    state = Path(tables.checkpoint(base, "bronze"), "state", "0", "0")
    for name in ("2.changelog", "2.zip", "3.changelog", "9.zip", "SSTs/000099-old.sst", "_metadata/schema"):
        written(state / name)
    real, looks = file_store.Store.files, []

    def files(self: file_store.Store, folder: str = "") -> list[file_store.File]:
        found = real(self, folder)
        if folder == "checkpoints/bronze" and not looks:
            looks.append(folder)
            written(state / "SSTs" / "000100-new.sst")
        return found

    monkeypatch.setattr(file_store.Store, "files", files)
    backup = made(operate)
    assert looks
    kept = {entry.path.partition("state/0/0/")[2] for entry in store.load(backup).entries if "/state/" in entry.path}
    assert kept == {"2.changelog", "2.zip", "SSTs/000099-old.sst", "SSTs/000100-new.sst", "_metadata/schema"}


def test_a_file_that_leaves_meanwhile_makes_it_begin_again(
    base: str, operate: Operate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forced: a compaction and a vacuum between the choice of the files and their copy."""
    real, gone = recovery_backup.capture, []

    def then_vacuum(config: Config) -> snapshot.Capture:
        found = real(config)
        if not gone:
            table = DeltaTable(VENTES.path(base))
            table.optimize.compact()
            gone.extend(table.vacuum(0, dry_run=False, enforce_retention_duration=False))
        return found

    monkeypatch.setattr(recovery_backup, "capture", then_vacuum)
    made(operate)
    assert gone
    assert operate("backup", "restore", "latest", "--to", str(tmp_path / "restored"))[0] == 0
    assert rows(str(tmp_path / "restored"), VENTES) == rows(base, VENTES)


def test_a_lake_that_never_stands_still_is_not_kept(
    operate: Operate, store: Backups, monkeypatch: pytest.MonkeyPatch
) -> None:
    def moved(_config: Config) -> snapshot.Capture:
        raise snapshot.LakeChanged("a job began anew")

    monkeypatch.setattr(recovery_backup, "capture", moved)
    code, text = operate("backup", "create")
    assert code == 1 and "The lake changed under the backup 5 times in a row; the last time: a job began anew." in text
    assert store.ids() == []


@pytest.mark.parametrize("number", [1, 30])
def test_a_create_that_is_killed_leaves_no_backup_and_the_next_one_is_whole(
    base: str, operate: Operate, store: Backups, number: int
) -> None:
    killed_at(base, "lakehouse.operations.recovery.file_store:Store.put", ["backup", "create"], number=number)
    assert store.ids() == [] and len(store.store.files("objects")) == number
    made(operate)
    assert operate("backup", "verify", "latest", "--restore", "--without-kafka")[0] == 0


def test_a_restore_that_is_killed_leaves_no_folder_and_may_be_repeated(
    base: str, operate: Operate, tmp_path: Path
) -> None:
    made(operate)
    target = tmp_path / "restored"
    words = ["backup", "restore", "latest", "--to", str(target)]
    killed_at(base, "lakehouse.operations.recovery.file_store:Store.put", words, number=20)
    assert not target.exists() and (tmp_path / ".restored.restoring").is_dir()
    assert operate(*words)[0] == 0
    assert rows(str(target), VENTES) == rows(base, VENTES) and not (tmp_path / ".restored.restoring").exists()
