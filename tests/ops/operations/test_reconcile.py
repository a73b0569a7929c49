"""``reconcile`` finds what it must: a row lost, a row doubled, one cent; and names partition, day, table and key."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from lakehouse import config as settings
from lakehouse.bronze.health import BronzeHealth
from lakehouse.bronze.sink import BronzeSink
from lakehouse.config import Config
from lakehouse.contract.tables import AGGREGES, PAR_PAYS, PERTES, REJETS, REJOUES, SILVER, TENDANCES, VENTES
from lakehouse.observability import audit_log, provenance
from lakehouse.observability.health import Monitor
from lakehouse.observability.registry import exposition
from lakehouse.operations.reconcile import offset_balance
from lakehouse.operations.reconcile.offset_balance import Break, UnaccountedOffsets
from tests.support import job_lake, lakes
from tests.support.kills import killed_at

Run = Callable[..., tuple[int, str]]


def at(base: str) -> Config:
    return settings.load(env={"VENTES_DELTA__BASE_PATH": base})


@pytest.fixture
def run(operate: Run) -> Run:
    def call(*words: str, verb: str = "reconcile") -> tuple[int, str]:
        offline = ["--without-kafka"] if verb == "reconcile" and "--explain" not in words else []
        return operate(*verb.split(), *offline, *words)

    return call


def found(run: Run) -> list[str]:
    code, out = run("--json")
    record = json.loads(out)
    assert code == (1 if record["differences"] else 0) and record["differences"] == len(record["found"])
    texts: list[str] = record["found"]
    return texts


def test_a_whole_lake_is_accounted_for_by_partition_and_day(run: Run, base: str) -> None:
    rows = job_lake.build(base)
    code, out = run("--json")
    record = json.loads(out)
    assert (code, record["found"]) == (0, [])
    for line in record["per_partition"]:
        p = line["partition"]
        mine = [row for row in rows if row["kafka_partition"] == p]
        left_out = len(job_lake.HOLES.get(p, ())) + 2
        assert (line["bronze"], line["rejected"], line["unread"]) == (len(mine), 1, left_out)
        assert line["consumed"] == len(mine) + 1 + left_out and line["difference"] == 0
    by_day = {(line["partition"], line["day"]): line for line in record["per_day"]}
    for (p, day), line in by_day.items():
        arrived = [row for row in rows if (row["kafka_partition"], str(row["kafka_timestamp"].date())) == (p, day)]
        assert line["bronze"] == len(arrived) and line["difference"] == 0
    assert sum(line["consumed"] for line in by_day.values()) == sum(
        line["consumed"] for line in record["per_partition"]
    )
    expected = sum((row["montant"] for row in rows), Decimal(0))
    for table in record["per_table"]:
        assert (table["sales_silver"], table["amount_silver"], table["differing"]) == (300, str(expected), 0)
    kept = audit_log.last_reconciliation(at(base))
    assert kept and kept["differences"] == 0 and datetime.fromisoformat(kept["finished"]) <= datetime.now(UTC)
    assert audit_log.last_reconciliation(at(base + "x")) is None
    assert "accounted for, and Silver equals Bronze" in run()[1]


def test_a_row_deleted_behind_the_back_is_found_by_the_ledger_and_by_the_signed_record(run: Run, base: str) -> None:
    rows = job_lake.build(base)
    victim = rows[10]
    job_lake.table(base, VENTES).delete(f"vente_id = '{victim['vente_id']}'")
    texts = found(run)
    assert any(
        re.search(r"ventes_stream: the commit of version 0 .* wrote 150 rows, 149 stand there now", t) for t in texts
    )
    assert found(run) == texts  # and again: what differs is never signed off


def test_a_row_deleted_after_a_signed_record_is_found_though_the_log_is_gone(run: Run, base: str) -> None:
    rows = job_lake.build(base)
    assert found(run) == []
    job_lake.table(base, VENTES).delete(f"vente_id = '{rows[10]['vente_id']}'")
    job_lake.table(base, VENTES).create_checkpoint()
    for number in (0, 1):  # the commits that wrote the rows are cleaned up
        (Path(VENTES.path(base)) / "_delta_log" / f"{number:020}.json").unlink()
    shutil.rmtree(Path(base) / "silver")  # Silver's Bronze version went with them
    foreign, text = found(run)
    assert foreign.startswith("ventes_stream version 2 ") and "DELETE" in foreign
    assert text.startswith(f"partition {rows[10]['kafka_partition']}: the offsets up to ")
    assert "are not those of the last signed record" in text


def test_a_doubled_row_is_found_with_partition_offset_and_day(run: Run, base: str) -> None:
    row = job_lake.build(base)[25]
    lakes.write(base, "ventes_stream", [{**row, "date_ingestion": job_lake.CLOCK}])
    texts = found(run)
    day = row["kafka_timestamp"].date()
    assert f"partition {row['kafka_partition']} offset {row['kafka_offset']} ({day}) stands more than once" in texts
    assert f"the sale {row['vente_id']} stands 2 times in ventes_stream" in texts
    line = next(
        x
        for x in json.loads(run("--json", "--by-day")[1])["per_day"]
        if (x["partition"], x["day"]) == (row["kafka_partition"], str(day))
    )
    assert line["difference"] == -1


def test_one_cent_in_silver_is_found_with_table_and_key(run: Run, base: str) -> None:
    job_lake.build(base)
    job_lake.table(base, PAR_PAYS).update(updates={"revenue_total": "revenue_total + 0.01"}, predicate="pays = 'Japon'")
    foreign, text = found(run)
    assert foreign.startswith("ventes_par_pays version 1 ") and "UPDATE" in foreign
    assert re.fullmatch(
        r"ventes_par_pays pays=Japon: revenue €([\d,]+\.\d\d) in Silver, €([\d,]+\.\d\d) in Bronze", text
    )
    silver, bronze = (Decimal(amount.replace(",", "")) for amount in re.findall(r"[\d,]+\.\d\d", text))
    assert silver - bronze == Decimal("0.01")
    code, out = run()
    assert code == 1 and "DIFFERENCE: ventes_par_pays pays=Japon" in out and "2 differences found" in out


def test_two_errors_that_cancel_out_in_a_total_are_both_found(run: Run, base: str) -> None:
    rows = job_lake.build(base)
    client, day = rows[0]["client_id"], rows[0]["jour"]
    other = next(row for row in rows if row["jour"] == day and row["client_id"] != client)["client_id"]
    for who, sign in ((client, "+"), (other, "-")):
        job_lake.table(base, AGGREGES).update(
            updates={"total_depense": f"total_depense {sign} 1.00"}, predicate=f"client_id = {who} AND jour = '{day}'"
        )
    assert len([text for text in found(run) if text.startswith("ventes_aggreges client_id=")]) == 2


def test_hours_are_compared_in_the_business_zone(run: Run, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    job_lake.build(base)
    monkeypatch.setenv("VENTES_ANALYTICS__TIMEZONE", "Asia/Kolkata")
    assert {text.split()[0].rstrip(":") for text in found(run)} == {TENDANCES.name}


def test_a_declared_gap_is_no_difference_and_counts_as_such(run: Run, base: str) -> None:
    job_lake.build(base)
    gap = {
        "topic": job_lake.TOPIC, "kafka_partition": 3, "premier_offset": 7, "dernier_offset": 7,
        "date_declaration": job_lake.CLOCK, "operateur": "t",
    }  # fmt: skip
    audit_log.declare_losses(at(base), "accept-data-loss", [(job_lake.TOPIC, 3, 7, 7)])
    job_lake.commit(base, PERTES, [gap], provenance.commit_metadata("bronze job"))
    record = json.loads(run("--json")[1])
    line = next(line for line in record["per_partition"] if line["partition"] == 3)
    assert (line["declared"], line["unread"], line["difference"], record["found"]) == (1, 3, 0, [])


def test_a_replayed_reject_counts_once(run: Run, base: str) -> None:
    rows = job_lake.build(base)
    reject = lakes.contents(job_lake.table(base, REJETS)).to_pylist()[0]
    place = {name: reject[name] for name in ("kafka_partition", "kafka_offset", "kafka_timestamp")}
    replay = {
        **place,
        "topic": job_lake.TOPIC,
        "resultat": "vente",
        "vente_id": "new",
        "corrige": False,
        "date_rejeu": job_lake.CLOCK,
    }
    lakes.write(base, REJOUES.name, [{**dict.fromkeys(REJOUES.names), **replay}])
    lakes.write(
        base,
        "ventes_stream",
        [
            {
                **rows[0],
                **place,
                "vente_id": "new",
                "date_ingestion": job_lake.CLOCK + timedelta(seconds=1, microseconds=1),
            }
        ],
    )
    record = json.loads(run("--json")[1])
    assert not [text for text in record["found"] if text.startswith("partition")]
    line = next(line for line in record["per_partition"] if line["partition"] == reject["kafka_partition"])
    assert (line["rejected"], line["difference"]) == (0, 0)


def test_a_signed_record_that_was_changed_is_said_and_not_built_upon(run: Run, base: str) -> None:
    job_lake.build(base)
    assert found(run) == []
    (path,) = (Path(base) / "audit" / audit_log.RECONCILIATIONS).glob("*.json")
    path.write_text(path.read_text().replace('"differences": 0', '"differences": 7'))
    assert any("was changed after it was signed" in text for text in found(run))
    assert run(verb="audit verify")[0] == 0


def test_a_record_whose_run_was_killed_before_its_audit_entry_is_not_built_upon(run: Run, base: str) -> None:
    rows = job_lake.build(base)
    killed_at(base, "lakehouse.operations.reconcile.report:Reconciliation.sign", ["reconcile", "--without-kafka"])
    assert len(list((Path(base) / "audit" / audit_log.RECONCILIATIONS).glob("*.json"))) == 1
    assert found(run) == []  # the first that the audit log vouches for
    job_lake.table(base, VENTES).delete(f"vente_id = '{rows[10]['vente_id']}'")
    assert any("are not those of the last signed record" in text for text in found(run))


def test_a_silver_that_is_in_a_pass_is_waited_for(run: Run, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    job_lake.build(base)
    folder = Path(base) / "checkpoints" / "silver-g1" / "offsets"
    folder.mkdir(parents=True)
    end = json.dumps({"reservoirVersion": 2, "index": -1, "isStartingVersion": False})
    (folder / "0").write_text(f'v1\n{{"batchTimestampMs":1}}\n{end}')
    monkeypatch.setattr("lakehouse.operations.reconcile.silver._PATIENCE", 0.5)
    code, out = run()
    assert code == 1 and "Silver had no settled moment" in out
    commits = folder.parent / "commits"
    commits.mkdir()
    (commits / "0").write_text("v1\n{}")
    assert run()[0] == 0


def test_nothing_to_reconcile_is_said(run: Run) -> None:
    code, out = run()
    assert code == 1 and "the Bronze job has committed no batch" in out


# --- explain ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "table", ["ventes_par_pays", "ventes_aggreges", "ventes_par_produit", "tendances_horaires", "profil_clients"]
)
def test_explain_leads_from_a_figure_to_sales_whose_sum_is_the_figure(run: Run, base: str, table: str) -> None:
    rows = job_lake.build(base)
    spec = next(spec for spec in SILVER if spec.name == table)
    row = {**rows[42], "heure": rows[42]["timestamp"].hour}
    code, out = run("--explain", table, *(str(row[key]) for key in spec.keys), "--json", "--limit", "500")
    answer = json.loads(out)
    mine = [
        one
        for one in ({**r, "heure": r["timestamp"].hour} for r in rows)
        if all(one[key] == row[key] for key in spec.keys)
    ]
    assert (code, answer["equal"], answer["sales"]) == (0, True, len(mine))
    assert Decimal(answer["amount"]) == sum(one["montant"] for one in mine)
    places = {(sale["kafka_partition"], sale["kafka_offset"]) for sale in answer["listed"]}
    assert places == {(one["kafka_partition"], one["kafka_offset"]) for one in mine}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nosuch", "1"), "knows no table"),
        (("ventes_aggreges", "101"), "needs 2 words for its key"),
        (("ventes_aggreges", "101", "yesterday"), "a day such as 2026-11-22"),
        (("profil_clients", "x"), "a whole number"),
    ],
)
def test_explain_refuses_a_key_that_is_none(run: Run, base: str, words: tuple[str, ...], said: str) -> None:
    job_lake.build(base, count=40)
    code, out = run("--explain", *words)
    assert code == 2 and said in out


def test_explain_says_when_the_sum_is_not_the_figure(run: Run, base: str) -> None:
    job_lake.build(base)
    job_lake.table(base, PAR_PAYS).update(updates={"items_sold": "items_sold + 1"}, predicate="pays = 'Japon'")
    code, out = run("--explain", "ventes_par_pays", "Japon")
    assert code == 1 and "is not the figure" in out


# --- the arithmetic --------------------------------------------------------------------------------------------------

DAY, NEXT = date(2026, 11, 22), date(2026, 11, 23)


def breaks(*offsets: int) -> list[Break]:
    made = []
    for number, offset in enumerate(offsets):
        previous = offsets[number - 1] if number else None
        made.append(Break(0, previous, DAY if number else None, offset, NEXT, number == len(offsets) - 1))
    return [one for one in made if one.previous is None or one.offset != one.previous + 1 or one.last]


def test_holes_are_before_between_and_after_the_rows() -> None:
    found, doubled = offset_balance.unaccounted(breaks(2, 3, 6, 6, 7), {0: (0, 10), 1: (5, 8), 2: (3, 3)}, DAY)
    assert [(hole.partition, hole.first, hole.last, hole.day) for hole in found] == [
        (0, 0, 1, NEXT), (0, 4, 5, DAY), (0, 8, 9, NEXT), (1, 5, 7, DAY),
    ]  # fmt: skip
    assert [(hole.first, hole.size) for hole in doubled] == [(6, 1)]


def test_one_offset_after_the_last_row_is_a_hole() -> None:
    found, _ = offset_balance.unaccounted(breaks(0, 1), {0: (0, 3)}, DAY)
    assert [(hole.first, hole.last) for hole in found] == [(2, 2)]


def test_split_cuts_holes_and_loses_no_offset() -> None:
    within, outside = offset_balance.split(
        [UnaccountedOffsets(0, 2, 9, DAY), UnaccountedOffsets(1, 0, 3, DAY)], {0: [(0, 4), (6, 7)], 2: [(0, 9)]}
    )
    assert [(hole.first, hole.last) for hole in within] == [(2, 3), (6, 6)]
    assert [(hole.partition, hole.first, hole.last) for hole in outside] == [(0, 4, 5), (0, 7, 9), (1, 0, 3)]


def test_single_offsets_are_taken_out_of_holes_and_what_follows_on_is_joined() -> None:
    whole = [UnaccountedOffsets(0, 2, 5, DAY), UnaccountedOffsets(0, 7, 9, DAY), UnaccountedOffsets(1, 0, 0, DAY)]
    left = list(offset_balance.without(whole, [(0, 9), (0, 2), (0, 4), (0, 6), (1, 0), (2, 7)]))
    assert [(hole.partition, hole.first, hole.last) for hole in left] == [(0, 3, 3), (0, 5, 5), (0, 7, 8)]
    assert list(offset_balance.without(whole, [])) == whole
    singles = [
        UnaccountedOffsets(0, 3, 3, DAY),
        UnaccountedOffsets(0, 4, 4, DAY),
        UnaccountedOffsets(0, 5, 5, NEXT),
        UnaccountedOffsets(1, 6, 6, NEXT),
    ]
    assert offset_balance.joined(singles) == [UnaccountedOffsets(0, 3, 4, DAY), *singles[2:]]


def test_an_aborted_message_balances_and_one_too_many_does_not() -> None:
    assert offset_balance.Line(0, DAY, consumed=3, bronze=1, markers=1, aborted=1).difference == 0
    assert offset_balance.Line(0, DAY, consumed=3, bronze=1, markers=1).difference == 1


def test_the_digest_knows_offsets_not_cuts() -> None:
    whole = [UnaccountedOffsets(0, 2, 9, DAY)]
    cut = [UnaccountedOffsets(0, 2, 4, DAY), UnaccountedOffsets(0, 5, 9, NEXT)]
    assert (
        offset_balance.digest(whole)
        == offset_balance.digest(cut)
        != offset_balance.digest([UnaccountedOffsets(0, 2, 8, DAY)])
    )


def test_the_critical_alert_is_fed_by_the_last_reconciliation(run: Run, base: str) -> None:
    """The Bronze job's real sampler over a lake whose last reconciliation differs, and the alert's own expression."""
    rows = job_lake.build(base)
    job_lake.table(base, VENTES).delete(f"vente_id = '{rows[10]['vente_id']}'")
    differences = len(found(run))
    assert differences > 0
    config = at(base)
    monitor = Monitor(config, "bronze")
    BronzeHealth(config, monitor).watch(cast(BronzeSink, SimpleNamespace(newest=0.0)))
    monitor.look()
    lines = exposition(monitor.meter)[0].decode().splitlines()
    assert f"ventes_reconciliation_differences {float(differences)}" in lines
    assert not [line for line in lines if line.startswith("ventes_sample_failures_total") and "reconciliation" in line]
    assert any(line.startswith("ventes_reconciliation_timestamp_seconds 1.") for line in lines)
