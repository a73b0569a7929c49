"""``erase``: whose a message is, what goes, what stays in the books, and that nothing left behind names the person."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from deltalake import DeltaTable

from lakehouse import config
from lakehouse.contract.table_properties import SALT
from lakehouse.contract.tables import AGGREGES, EFFACES, GENERATIONS, REJETS, REJOUES, SILVER, VENTES, TableSpec
from lakehouse.lake import delta_tables, job_progress, writer_lock
from lakehouse.maintenance import erasure
from lakehouse.maintenance.erasure import fingerprint
from lakehouse.maintenance.whose_message import concerns
from lakehouse.observability import provenance, run_files
from lakehouse.observability.audit_log import AuditLog
from tests.support import job_lake, lakes
from tests.support.kills import killed_at, killed_at_commit
from tests.support.messages import encoded, sale

Operate = Callable[..., tuple[int, str]]
CLIENT = 13
ERASE = ("erase", "--client-id", str(CLIENT), "--yes")


@pytest.mark.parametrize(
    "value, key",
    [
        (encoded(sale(client_id=13)), b"7"),
        (encoded(sale(client_id="13")), None),
        (b'{"client_id": 13.0}', None),
        (b'{"client_id": 5, "client_id": 13}', None),
        (b'{"a": [{"client_id": 13}]}', None),
        (b'{"client_id": 13, "montant": ', None),
        (b"client_id=0013;x", None),
        ('{"client_id": 13}'.encode("utf-16-le"), None),
        (b"\xff\xfe", b"13"),
        (None, b"13"),
    ],
)
def test_a_message_of_the_client_is_known(value: bytes | None, key: bytes | None) -> None:
    assert concerns(13, value, key)
    assert not concerns(1, value, key) and not concerns(133, value, key)


@pytest.mark.parametrize(
    "value", [None, b"", b"{}", b'{"client_id": 130}', b'{"produit_id": 13}', b'{"client_id": -13}', b'{"client_id": 13.5}']
)  # fmt: skip
def test_a_message_of_another_client_is_not(value: bytes | None) -> None:
    assert not concerns(13, value, b"130")


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two batches with Silver; of the client also two bad messages, one of them replayed as a sale, and a bad message
    that somebody else sent. Kafka does not answer."""
    place = str(tmp_path / "lake")
    rows = job_lake.build(place)
    when = max(row["kafka_timestamp"] for row in rows)
    values = [encoded(sale(client_id=CLIENT, pays="")), encoded(sale(client_id=8, pays="")), b'{"client_id": 13, oops']
    bad = [
        {**lakes.rejects()[0], "topic": job_lake.TOPIC, "kafka_partition": 0, "kafka_offset": 500 + n,
         "kafka_timestamp": when, "valeur": value, "cle": b"7", "jour": when.date()}
        for n, value in enumerate(values)
    ]  # fmt: skip
    job_lake.append(place, REJETS, bad, job_lake.CLOCK + timedelta(minutes=2), 2)
    at = {"kafka_partition": 0, "kafka_offset": 500, "kafka_timestamp": when}
    sold = {**rows[0], **at, "vente_id": "replayed", "client_id": CLIENT}
    job_lake.append(place, VENTES, [sold], job_lake.CLOCK + timedelta(minutes=3), 3)
    note = {**dict.fromkeys(REJOUES.names), **at, "topic": job_lake.TOPIC, "resultat": "vente", "vente_id": "replayed",
            "corrige": True, "correction": values[0].decode(), "date_rejeu": when}  # fmt: skip
    job_lake.commit(place, REJOUES, [note], provenance.commit_metadata("rejects replay"))
    AuditLog(Path(place, "audit")).append(verb="rejects replay", state="begin")
    ends = {
        p: 1 + max(row["kafka_offset"] for row in held(place, VENTES) if row["kafka_partition"] == p) for p in range(4)
    }
    job_lake.bronze_checkpoint(
        place, {**{p: end + 3 for p, end in ends.items()}, 0: 503}, 3, job_lake.CLOCK + timedelta(minutes=3)
    )
    job_lake.accept_unread(place, dict.fromkeys(range(4), 1000))
    build_silver(place)
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", place)
    monkeypatch.setenv("VENTES_DELTA__BACKUP_PATH", str(tmp_path / "store"))
    monkeypatch.setenv("VENTES_KAFKA__BOOTSTRAP_SERVERS", "localhost:1")
    monkeypatch.setenv("VENTES_KAFKA__REQUEST_TIMEOUT", "1 second")
    return place


def answer(text: str) -> dict[str, Any]:
    """What ``--json`` printed, among the lines for people."""
    made: dict[str, Any] = json.JSONDecoder().raw_decode(text[text.index("{") :])[0]
    return made


def held(base: str, spec: TableSpec) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = lakes.contents(DeltaTable(spec.path(base))).to_pylist()
    return rows


def build_silver(base: str) -> None:
    """What Silver's next pass does: all tables anew from Bronze as it is now."""
    version = DeltaTable(VENTES.path(base)).version()
    job_lake.silver_built(base, held(base, VENTES), f"g{version}")
    job_lake.silver_settled(base, version, f"g{version}", timedelta(hours=version))


def reconciled(operate: Operate) -> dict[str, Any]:
    code, text = operate("reconcile", "--without-kafka", "--json")
    record: dict[str, Any] = json.loads(text)
    assert (code, record["found"]) == (0, []), record["found"]
    return record


def erased(record: dict[str, Any]) -> int:
    return sum(line["erased"] for line in record["per_partition"])


def is_gone(base: str) -> None:
    """Not a row of the client's in Bronze, and every other row as it was."""
    assert not [row for row in held(base, VENTES) if row["client_id"] == CLIENT]
    assert held(base, REJOUES) == []
    assert {row["kafka_offset"] for row in held(base, REJETS) if row["kafka_offset"] >= 500} == {501}


def test_an_operation_goes_with_the_sale_that_it_names(base: str, operate: Operate) -> None:
    """Among the rejects, and by a key and a text that name no client."""
    mine, other = (
        next(row["vente_id"] for row in held(base, VENTES) if (row["client_id"] == CLIENT) is own)
        for own in (True, False)
    )
    rows = [
        {**held(base, REJETS)[0], "kafka_partition": 1, "kafka_offset": 900 + n, "cle": None, "motif": "operation_en_attente",
         "valeur": json.dumps({"operation": "retour", "operation_id": f"o{n}", "vente_id": vente_id}).encode()}
        for n, vente_id in enumerate((mine, other))
    ]  # fmt: skip
    job_lake.append(base, REJETS, rows, job_lake.CLOCK + timedelta(minutes=4), 4)
    code, text = operate(*ERASE)
    assert code == 1 and "Silver still shows the figures of before" in text
    assert {row["kafka_offset"] for row in held(base, REJETS) if row["kafka_offset"] >= 900} == {901}


def test_the_person_goes_the_books_balance_and_nothing_that_stays_names_them(base: str, operate: Operate) -> None:
    reconciled(operate)  # signed: what it explained must stay explained
    mine = [row for row in held(base, VENTES) if row["client_id"] == CLIENT]
    others = [row for row in held(base, VENTES) if row["client_id"] != CLIENT]
    rejects = len(held(base, REJETS))
    code, text = operate(*ERASE, "--json")
    done = answer(text)
    assert code == 1 and done["silver"] == "due"
    assert done["rows"] == {"ventes_stream": len(mine), "ventes_rejetees": 2, "rejets_rejoues": 1}
    is_gone(base)
    assert sorted(map(repr, held(base, VENTES))) == sorted(map(repr, others)) and len(held(base, REJETS)) == rejects - 2
    record = reconciled(operate)
    assert erased(record) == len(mine) + 1  # the replayed message is one offset, and two rows
    salt = DeltaTable(EFFACES.path(base)).metadata().configuration[SALT]
    prints = {row["empreinte"] for row in held(base, EFFACES) if row["empreinte"]}
    assert prints == {fingerprint(salt, row["vente_id"]) for row in mine}

    build_silver(base)
    code, text = operate(*ERASE)
    assert code == 0 and "hold nothing of this client any more." in text
    record = reconciled(operate)
    assert [table["sales_silver"] for table in record["per_table"]] == [len(others)] * len(SILVER)

    receipt = Path(base, "audit", "erasures", done["receipt"])
    said = receipt.read_text() + AuditLog(Path(base, "audit")).path.read_text()
    for word in (mine[0]["client_nom"], mine[0]["vente_id"], f" {CLIENT}", f'"{CLIENT}"'):
        assert word not in said
    assert '"client_id": "***"' in said and done["sha256"] in said
    assert not list(Path(base, "locks", "requests").iterdir())
    assert json.loads(receipt.read_text())["client"] == fingerprint(done["token"], str(CLIENT))


def test_what_remains_is_said_where_and_until_when(base: str, operate: Operate) -> None:
    Path(base, "checkpoints/bronze/metadata").write_text('{"id":"q1"}')
    backup = json.loads(operate("backup", "create", "--json")[1])["id"]
    _, text = operate(*ERASE, "--json")
    left = {one["where"]: one for one in answer(text)["remains"]}
    newest = max(row["kafka_timestamp"] for row in held(base, EFFACES))
    until = (newest + timedelta(days=14)).isoformat(timespec="minutes")  # retention, and the age of a segment
    assert left["Kafka topic ventes_stream"]["until"].startswith(until)
    week = (datetime.now(UTC) + timedelta(days=7)).date().isoformat()
    assert left["bronze ventes_stream"]["until"].startswith(week)
    assert "its next build" in left["silver profil_clients"]["until"]
    assert left[f"backup {backup}"]["until"] == "until it is removed"
    assert "Bronze's checkpoint" in left


def test_a_dry_run_counts_and_changes_nothing(base: str, operate: Operate) -> None:
    before = [DeltaTable(spec.path(base)).version() for spec in (VENTES, REJETS, REJOUES)]
    code, text = operate("erase", "--client-id", str(CLIENT), "--dry-run", "--json")
    mine = [row for row in held(base, VENTES) if row["client_id"] == CLIENT]
    assert (code, json.loads(text)["rows"]) == (
        0,
        {"ventes_stream": len(mine), "ventes_rejetees": 2, "rejets_rejoues": 1},
    )
    assert before == [DeltaTable(spec.path(base)).version() for spec in (VENTES, REJETS, REJOUES)]
    assert not Path(EFFACES.path(base)).exists() and not Path(base, "locks", "requests").exists()
    code, text = operate("erase", "--client-id", "99999", "--yes")
    assert code == 0 and "Nothing of this client is in Bronze." in text
    assert before == [DeltaTable(spec.path(base)).version() for spec in (VENTES, REJETS, REJOUES)]


@pytest.mark.parametrize(
    "function, number, when",
    [
        ("lakehouse.maintenance.erasure:ask", 1, "after"),
        ("lakehouse.lake.delta_tables:create", 1, "after"),
        ("lakehouse.lake.delta_tables:append", 1, "after"),
        ("lakehouse.lake.delta_tables:delete", 1, "after"),
        ("lakehouse.lake.delta_tables:delete", 3, "before"),
        ("lakehouse.lake.delta_tables:delete", 3, "after"),
        ("lakehouse.maintenance.erasure:serve", 1, "after"),
    ],
)
def test_an_erasure_that_is_killed_is_taken_up_again(
    base: str, operate: Operate, function: str, number: int, when: str
) -> None:
    expected = erasure.found(config.load(), CLIENT)
    killed_at(base, function, ERASE, number=number, when=when)
    is_taken_up_again(base, operate, expected)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3], ids=["rejects", "replays", "sales"])
def test_an_erasure_that_is_killed_within_a_commit_is_taken_up_again(
    base: str, operate: Operate, number: int, when: str
) -> None:
    expected = erasure.found(config.load(), CLIENT)
    tables = {spec.name: delta_tables.opened(spec, config.load()) for spec in (REJETS, REJOUES, VENTES)}
    before = {name: table.version() for name, table in tables.items()}
    killed_at_commit(base, ERASE, '"operation":"DELETE"', number, when)
    for table in tables.values():
        table.update_incremental()
    done = [name for name, table in tables.items() if table.version() > before[name]]
    assert len(done) == number - (when == "before"), "the kill met another commit"
    is_taken_up_again(base, operate, expected)


def is_taken_up_again(base: str, operate: Operate, expected: dict[str, int]) -> None:
    reconciled(operate)  # half of it is no difference either
    code, text = operate(*ERASE, "--json")
    assert code == 1 and answer(text)["rows"] == expected
    is_gone(base)
    places = Counter((row["table_effacee"], row["kafka_partition"], row["kafka_offset"]) for row in held(base, EFFACES))
    assert len(places) == sum(expected.values()) and max(places.values()) == 1
    reconciled(operate)
    assert not list(Path(base, "locks", "requests").iterdir())


@contextmanager
def job(base: str, *, serves: bool) -> Iterator[None]:
    """Somebody who holds Bronze's lock, and who serves requests as the job does, or does not."""
    settings, stop, ready = config.load(), threading.Event(), threading.Event()

    def work() -> None:
        with writer_lock.writer_lock(settings, "bronze"):
            ready.set()
            while not stop.wait(0.01):
                if serves and erasure.waiting(settings):
                    erasure.serve(settings)

    assert settings.delta.base_path == base
    thread = threading.Thread(target=work)
    thread.start()
    ready.wait(60)
    try:
        yield
    finally:
        stop.set()
        thread.join(60)


def test_the_running_job_erases_and_the_command_waits_for_it(base: str, operate: Operate) -> None:
    with job(base, serves=True):
        code, text = operate(*ERASE)
    assert code == 1 and "The Bronze job runs: it is asked to erase between two batches." in text
    is_gone(base)
    reconciled(operate)


def test_a_holder_of_the_lock_that_does_not_answer_is_named_and_the_request_taken_back(
    base: str, operate: Operate
) -> None:
    with job(base, serves=False):
        code, text = operate(*ERASE, "--wait", "300 ms")
    assert code == 1 and "has not erased anything within 300 ms" in text
    assert not list(Path(base, "locks", "requests").iterdir())
    assert [row for row in held(base, VENTES) if row["client_id"] == CLIENT]


def test_an_erasure_that_fails_is_said_and_goes_on_when_it_is_typed_again(
    base: str, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = erasure.found(config.load(), CLIENT)
    real = delta_tables.delete

    def full(spec: TableSpec, *args: Any, **options: Any) -> None:
        if spec is VENTES:
            raise OSError("No space left on device")
        real(spec, *args, **options)

    monkeypatch.setattr(delta_tables, "delete", full)
    code, text = operate(*ERASE)
    assert code == 1 and "failed: No space left on device." in text
    monkeypatch.setattr(delta_tables, "delete", real)
    code, text = operate(*ERASE, "--json")
    assert answer(text)["rows"] == expected
    is_gone(base)


def test_an_erasure_asks_first(base: str, operate: Operate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115, PTH123
    code, text = operate("erase", "--client-id", str(CLIENT))
    assert code == 2 and "out of the lake for ever. Nothing was changed." in text
    assert [row for row in held(base, VENTES) if row["client_id"] == CLIENT]


def test_the_command_waits_for_a_running_silver_job(
    base: str, operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    me, here = psutil.Process(), socket.gethostname()
    run_files.folder(config.load()).mkdir(exist_ok=True)
    run_files.write(
        config.load(),
        run_files.RunFile("silver", "silver", me.pid, me.create_time(), here, "", None, "r", "v", "c", job_lake.CLOCK),
    )
    looked, real = threading.Event(), job_progress.silver

    def look(settings: config.Config) -> job_progress.SilverPosition | None:
        found = real(settings)
        looked.set()
        return found

    def job() -> None:
        looked.wait(60)
        build_silver(base)

    monkeypatch.setattr(job_progress, "silver", look)
    thread = threading.Thread(target=job)
    thread.start()
    code, text = operate(*ERASE)
    thread.join(60)
    assert code == 0 and "The Silver job runs: its next pass builds the tables anew." in text


def test_silver_is_asked_to_build_when_it_alone_still_names_the_client(base: str, operate: Operate) -> None:
    """Retention took the sales out of Bronze; Silver keeps its figures, and with them the client."""
    DeltaTable(VENTES.path(base)).delete(f"client_id = {CLIENT}")
    DeltaTable(REJETS.path(base)).delete("kafka_offset IN (500, 502)")
    DeltaTable(REJOUES.path(base)).delete()
    code, text = operate(*ERASE, "--json")
    made = answer(text)
    assert (code, made["rows"], made["silver"]) == (1, {}, "due") and made["receipt"]
    assert erasure.silver_is_asked(config.load())
    assert operate(*ERASE)[0] == 1
    build_silver(base)
    erasure.silver_has_built(config.load(), done=False)
    assert operate(*ERASE)[0] == 1, "a build that was stopped does not count"
    erasure.silver_has_built(config.load(), done=True)
    code, text = operate(*ERASE)
    assert code == 0 and "hold nothing of this client any more" in text


def test_a_first_build_that_has_not_ended_still_shows_the_client(base: str, operate: Operate) -> None:
    """It goes on from Bronze as it was when it began, and had written one table."""
    for spec in SILVER:
        if spec is not AGGREGES:
            shutil.rmtree(spec.path(base))
    begun = job_lake.CLOCK + timedelta(days=1)
    last = {"generation": "g", "etat": "debut", "bronze_version": DeltaTable(VENTES.path(base)).version(),
            "definition": "d", "date_etat": begun}  # fmt: skip
    lakes.write_spec(base, GENERATIONS, [last])
    code, text = operate(*ERASE, "--json")
    assert code == 1 and answer(text)["silver"] == "due"
    assert erasure.in_silver(config.load(), CLIENT)


def test_rows_that_a_rollback_brings_back_are_announced_and_erased_again(base: str, operate: Operate) -> None:
    version = DeltaTable(VENTES.path(base)).version()
    expected = erasure.found(config.load(), CLIENT)
    operate(*ERASE)
    code, text = operate("restore-table", "ventes_stream", "--version", str(version), "--yes")
    assert code == 0 and f"{expected['ventes_stream']} rows of it were deleted by an erasure" in text
    _, text = operate(*ERASE, "--json")
    assert answer(text)["rows"] == {"ventes_stream": expected["ventes_stream"]}
    assert not [row for row in held(base, VENTES) if row["client_id"] == CLIENT]
