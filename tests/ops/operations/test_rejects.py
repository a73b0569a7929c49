"""``rejects``: what is shown, and that a replayed message lands once, however often and wherever it is killed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lakehouse import config
from lakehouse.contract import tables
from lakehouse.contract.table_properties import EXACT_DEDUP_UNTIL
from lakehouse.contract.tables import CHAMPS_INCONNUS, OPERATIONS, REJETS, REJOUES, VENTES
from lakehouse.lake import writer_lock
from lakehouse.observability.audit_log import AuditLog
from lakehouse.operations.recovery import replay
from tests.support import job_lake, lakes
from tests.support.kills import killed_at
from tests.support.messages import encoded, sale

Run = Callable[..., tuple[int, str]]
ARRIVED = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=6)  # recent, however long ago the tests began


@pytest.fixture
def run(operate: Run) -> Run:
    return partial(operate, "rejects")


def message(number: int, **fields: Any) -> bytes:
    moment = (ARRIVED - timedelta(seconds=5)).isoformat().replace("+00:00", "Z")
    return encoded({**sale(), "vente_id": f"new-{number}", "timestamp": moment, **fields})


@pytest.fixture(autouse=True)
def lake(base: str) -> None:
    """Rejects at offsets 500 to 505 of partition 0: five that are sales by the present contract (one of them stands in
    Bronze already, two are the same sale), one that is still bad."""
    rows = job_lake.build(base, count=60)
    values = [
        message(1), message(2), message(2), message(0, vente_id=rows[0]["vente_id"]), message(4, pays=""), message(5),
    ]  # fmt: skip
    bad = [
        {
            **lakes.rejects()[0], "motif": "valeur_invalide:pays", "topic": job_lake.TOPIC, "kafka_partition": 0,
            "kafka_offset": 500 + n, "kafka_timestamp": ARRIVED, "valeur": value, "jour": ARRIVED.date(),
        }
        for n, value in enumerate(values)
    ]  # fmt: skip
    job_lake.append(base, REJETS, bad, job_lake.CLOCK + timedelta(minutes=2), 2)


def held(base: str) -> Counter[tuple[int, int]]:
    rows = lakes.contents(job_lake.table(base, VENTES)).to_pylist()
    return Counter((row["kafka_partition"], row["kafka_offset"]) for row in rows if row["kafka_offset"] >= 500)


def results(base: str) -> dict[int, str]:
    rows = lakes.contents(job_lake.table(base, REJOUES)).to_pylist()
    found = {row["kafka_offset"]: row["resultat"] for row in rows}
    assert len(found) == len(rows), "an offset was noted twice"
    return found


EXPECTED = {500: "vente", 501: "vente", 502: "doublon", 503: "doublon", 505: "vente"}
ALL = ("replay", "--motif", "valeur_invalide:pays")


def test_a_sale_of_the_calendars_first_day_is_replayed_in_a_zone_behind_utc(
    run: Run, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its local day would be the last before the calendar begins; ``jour`` is the first one, as Bronze itself has it."""
    first = {
        **lakes.rejects()[0], "motif": "valeur_invalide:segment", "topic": job_lake.TOPIC, "kafka_partition": 0,
        "kafka_offset": 506, "kafka_timestamp": ARRIVED, "valeur": message(6, timestamp="0001-01-01T00:00:00Z"),
        "jour": ARRIVED.date(),
    }  # fmt: skip
    job_lake.append(base, REJETS, [first], job_lake.CLOCK + timedelta(minutes=3), 3)
    monkeypatch.setenv("VENTES_ANALYTICS__TIMEZONE", "America/New_York")
    assert run("replay", "0:506")[0] == 0
    (row,) = [r for r in lakes.contents(job_lake.table(base, VENTES)).to_pylist() if r["vente_id"] == "new-6"]
    assert (row["jour"], row["timestamp"]) == (date(1, 1, 1), datetime(1, 1, 1, tzinfo=UTC))


def test_an_operation_that_an_earlier_release_rejected_is_ingested_once(run: Run, base: str) -> None:
    moment = (ARRIVED - timedelta(minutes=20)).isoformat()
    done = [
        {
            "operation": "retour",
            "operation_id": name,
            "vente_id": "v",
            "timestamp": moment,
            "quantite": 2,
            "montant": 19.99,
        }
        for name in ("o1", "o1", "o2")
    ]
    waiting = [
        {
            **lakes.rejects()[0], "motif": "operation_en_attente", "topic": job_lake.TOPIC, "kafka_partition": 0,
            "kafka_offset": 510 + n, "kafka_timestamp": ARRIVED, "valeur": json.dumps(one).encode(), "jour": ARRIVED.date(),
        }
        for n, one in enumerate(done)
    ]  # fmt: skip
    job_lake.append(base, REJETS, waiting, job_lake.CLOCK + timedelta(minutes=3), 3)
    assert "it is a valid operation" in run("show", "0:510")[1]
    for _ in range(2):
        assert run("replay", "--motif", "operation_en_attente")[0] == 0
        rows = lakes.contents(job_lake.table(base, OPERATIONS)).to_pylist()
        rows.sort(key=lambda row: row["operation_id"])
        assert [(row["operation_id"], row["kafka_offset"]) for row in rows] == [("o1", 510), ("o2", 512)]
    assert (rows[0]["montant"], rows[0]["quantite"], rows[0]["est_tardif"]) == (Decimal("19.99"), 2, True)
    assert results(base) == {510: "operation", 511: "doublon", 512: "operation"}
    assert not held(base).keys() & {(0, 510), (0, 511), (0, 512)}


def test_list_and_show_say_what_there_is(run: Run) -> None:
    code, out = run("list", "--json")
    reasons = {row["motif"]: (row["messages"], row["waiting"]) for row in json.loads(out)["reasons"]}
    assert (code, reasons) == (0, {"json_invalide": (4, 4), "valeur_invalide:pays": (6, 6)})
    code, out = run("list", "--motif", "valeur*", "--limit", "2")
    assert code == 0 and "6 wait for a replay" in out and out.count("valeur_invalide:pays") == 2
    code, out = run("show", "0:504")
    assert code == 0 and "valeur_invalide:pays: The field pays is" in out and '"vente_id": "new-4"' in out
    assert "it is a valid sale" in run("show", "0:500")[1]
    code, out = run("show", "0:999")
    assert code == 1 and "No rejected message waits at partition 0, offset 999" in out
    assert run("show", "zero")[0] == 2
    code, out = run("list", "--motif", "json*", "--limit", "0")
    assert code == 2 and "expected a whole number of 1 or more" in out


def test_replay_takes_in_what_is_a_sale_once_and_keeps_the_rejects(run: Run, base: str) -> None:
    before = sorted(lakes.contents(job_lake.table(base, REJETS)).to_pylist(), key=repr)
    code, out = run(*ALL, "--dry-run")
    assert code == 1 and "Would be: 2 doublon, 1 still rejected, 3 vente. Nothing was changed." in out
    assert not held(base) and not Path(REJOUES.path(base)).exists()

    assert run(*ALL)[0] == 1
    assert held(base) == Counter({(0, 500): 1, (0, 501): 1, (0, 505): 1})
    assert results(base) == EXPECTED
    (row,) = [r for r in lakes.contents(job_lake.table(base, VENTES)).to_pylist() if r["vente_id"] == "new-1"]
    assert (row["montant"], row["kafka_timestamp"], row["est_tardif"]) == (Decimal("51.00"), ARRIVED, False)
    assert row["jour"] == (ARRIVED - timedelta(seconds=5)).date() and row["date_ingestion"].microsecond % 1000 == 1
    assert sorted(lakes.contents(job_lake.table(base, REJETS)).to_pylist(), key=repr) == before

    version = job_lake.table(base, VENTES).version()
    assert run(*ALL)[0] == 1  # 504 is still bad
    assert run("replay", "0:500")[0] == 0
    assert job_lake.table(base, VENTES).version() == version and results(base) == EXPECTED


@pytest.mark.parametrize(
    ("function", "number", "when"),
    [
        ("lakehouse.lake.delta_tables:append", 1, "before"),
        ("lakehouse.lake.delta_tables:append", 1, "after"),
        ("lakehouse.lake.delta_tables:append", 2, "before"),
        ("lakehouse.lake.delta_tables:append", 2, "after"),
    ],
    ids=["before-bronze", "after-bronze", "before-the-note", "after-the-note"],
)
def test_a_replay_that_is_killed_and_repeated_lands_each_once(
    run: Run, base: str, function: str, number: int, when: str
) -> None:
    killed_at(base, function, ["rejects", *ALL], number=number, when=when)
    landed = sum(held(base).values())
    assert landed == (0 if (number, when) == (1, "before") else 3)
    assert Path(REJOUES.path(base)).exists() is ((number, when) == (2, "after"))
    entries = [
        entry["state"] for entry in AuditLog(Path(base) / "audit").entries() if entry["verb"] == "rejects replay"
    ]
    assert entries == ["begin"], "the audit shows the command that never ended"

    assert run(*ALL)[0] == 1
    assert held(base) == Counter({(0, 500): 1, (0, 501): 1, (0, 505): 1})
    assert results(base) == EXPECTED


def test_exact_deduplication_is_required_before_the_sales_come(run: Run, base: str) -> None:
    killed_at(base, "lakehouse.lake.delta_tables:append", ["rejects", *ALL], number=1, when="before")
    until = datetime.fromisoformat(job_lake.table(base, VENTES).metadata().configuration[EXACT_DEDUP_UNTIL])
    assert until >= ARRIVED - timedelta(seconds=5) + timedelta(minutes=11)
    later = until + timedelta(days=1)
    job_lake.table(base, VENTES).alter.set_table_properties(
        {EXACT_DEDUP_UNTIL: later.isoformat()}, raise_if_not_exists=False
    )
    run(*ALL)
    assert job_lake.table(base, VENTES).metadata().configuration[EXACT_DEDUP_UNTIL] == later.isoformat(), (
        "it was closed early"
    )


def test_set_and_edit_correct_one_message_and_are_recorded(
    run: Run, base: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, out = run("replay", "0:504", "--set", "pays=Japon", "--set", "montant=12.10")
    assert code == 0, out
    (row,) = [r for r in lakes.contents(job_lake.table(base, VENTES)).to_pylist() if r["vente_id"] == "new-4"]
    assert (row["pays"], row["montant"]) == ("Japon", Decimal("12.10"))
    (note,) = lakes.contents(job_lake.table(base, REJOUES)).to_pylist()
    assert note["corrige"] and '"pays": "Japon"' in note["correction"] and "12.10" in note["correction"]
    assert "Japon" not in AuditLog(Path(base) / "audit").path.read_text()

    editor = tmp_path / "editor.sh"
    editor.write_text("#!/bin/sh\nsed -i 's/Souris/Clavier/' \"$1\"\n")
    editor.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", str(editor))
    assert run("replay", "0:500", "--edit")[0] == 0
    (row,) = [r for r in lakes.contents(job_lake.table(base, VENTES)).to_pylist() if r["vente_id"] == "new-1"]
    assert row["produit_nom"] == "Clavier"
    monkeypatch.setenv("EDITOR", "false")
    code, out = run("replay", "0:501", "--edit")
    assert code == 1 and "ended with code 1" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("replay",), "Say which messages to replay"),
        (("replay", "--all", "0:1"), "Say which messages to replay"),
        (("replay", "--all", "--edit"), "change one message"),
        (("replay", "0:504", "--set", "pays"), "expected FIELD=VALUE"),
        (("replay", "0-504"), "expected PARTITION:OFFSET"),
    ],
)
def test_a_replay_that_is_not_clear_is_refused(run: Run, words: tuple[str, ...], said: str) -> None:
    code, out = run(*words)
    assert code == 2 and said in out


@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--set", "pays=France")])
def test_a_place_at_which_nothing_was_rejected_is_no_success(run: Run, base: str, more: tuple[str, ...]) -> None:
    code, out = run("replay", "0:504", "0:99999", *more) if not more[1:] else run("replay", "0:99999", *more)
    assert code == 1 and "No message at partition 0, offset 99999 was rejected. Nothing was changed." in out
    assert not held(base) and not Path(REJOUES.path(base)).exists()


def test_a_running_bronze_job_is_not_disturbed(run: Run, base: str) -> None:
    with writer_lock.writer_lock(config.load(), "bronze"):
        code, out = run(*ALL)
    assert code == 4 and "Another process writes the bronze tables" in out and not held(base)


def test_amounts_keep_their_digits_when_a_field_is_set() -> None:
    value = b'{"montant": 10.10, "n": 12345678901234567890, "pays": "", "deep": [1, {"a": 2.50}]}'
    made = replay.changed(value, {"pays": "Japon", "quantite": "3"}).decode()
    assert '"montant": 10.10' in made and "12345678901234567890" in made
    assert json.loads(made)["pays"] == "Japon" and json.loads(made)["quantite"] == 3
    with pytest.raises(ValueError, match="no JSON object"):
        replay.changed(b"[1]", {"pays": "Japon"})


@pytest.mark.parametrize("policy", ["ignorer", "garder"])
def test_a_replayed_sale_keeps_its_unknown_fields_when_bronze_does(
    run: Run, operate: Run, base: str, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    """A type that a sender widened is rejected with its bytes; mended, the sale keeps what it had beyond the contract."""
    monkeypatch.setenv("VENTES_STREAMING__CHAMPS_INCONNUS", policy)
    widened = message(7, quantite="3 pièces", remise=0.5)
    bad = {
        **lakes.rejects()[0], "motif": "type_invalide:quantite", "topic": job_lake.TOPIC, "kafka_partition": 0,
        "kafka_offset": 600, "kafka_timestamp": ARRIVED, "valeur": widened, "jour": ARRIVED.date(),
    }  # fmt: skip
    job_lake.append(base, REJETS, [bad], job_lake.CLOCK + timedelta(minutes=3), 3)
    assert run("replay", "0:600", "--set", "quantite=3")[0] == 0
    table = lakes.contents(job_lake.table(base, VENTES))
    (row,) = [row for row in table.to_pylist() if row["vente_id"] == "new-7"]
    kept = '{"remise": 0.5}' if policy == "garder" else None
    assert (row["quantite"], row.get(CHAMPS_INCONNUS)) == (3, kept)
    assert (CHAMPS_INCONNUS in table.column_names) is (kept is not None), "a table without the column stays without it"
    _, out = operate("history", VENTES.name, "--version", str(job_lake.table(base, VENTES).version()), "--json")
    assert [row[CHAMPS_INCONNUS] for row in json.loads(out)["rows"]] == [kept]


def test_the_tables_that_operators_write_have_types_that_can_be_written() -> None:
    from lakehouse.lake import delta_tables

    for spec in (VENTES, REJOUES, tables.GENERATIONS):
        assert delta_tables.schema(spec).names == list(spec.names)
