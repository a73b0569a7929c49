"""A record that explains a row away has to be tied to what its writer leaves elsewhere: a forged one hides nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

import pytest

from lakehouse import config as settings
from lakehouse.contract.tables import (
    AGGREGES,
    EFFACES,
    PAR_PAYS,
    PAR_PRODUIT,
    PAR_SEGMENT,
    PERTES,
    PROFIL,
    REJETS,
    RETRAITS,
    TENDANCES,
    VENTES,
    TableSpec,
)
from lakehouse.observability import audit_log, provenance
from lakehouse.operations.reconcile.audit_evidence import Evidence
from lakehouse.operations.reconcile.offset_balance import UnaccountedOffsets
from lakehouse.operations.reconcile.silver import FIGURES
from lakehouse.operations.reconcile.unread_offsets import findings
from tests.support import job_lake
from tests.support.lakes import Row

Operate = Callable[..., tuple[int, str]]
DAY = date(2026, 11, 22)


@pytest.fixture
def rows(base: str) -> list[Row]:
    return job_lake.build(base)


def reconciled(operate: Operate) -> dict[str, Any]:
    code, out = operate("reconcile", "--without-kafka", "--json")
    record: dict[str, Any] = json.loads(out)
    assert code == (1 if record["differences"] else 0)
    return record


def counted(record: dict[str, Any], name: str) -> int:
    return sum(line[name] for line in record["per_partition"])


def deleted(base: str, row: Row) -> None:
    job_lake.table(base, VENTES).delete(f"vente_id = '{row['vente_id']}'")


def test_a_forged_loss_hides_no_deleted_sale(operate: Operate, base: str, rows: Sequence[Row]) -> None:
    victim = rows[10]
    deleted(base, victim)
    loss = {
        "topic": job_lake.TOPIC, "kafka_partition": victim["kafka_partition"], "premier_offset": victim["kafka_offset"],
        "dernier_offset": victim["kafka_offset"], "date_declaration": job_lake.CLOCK, "operateur": "t",
    }  # fmt: skip
    job_lake.commit(base, PERTES, [loss], provenance.commit_metadata("bronze job"))
    record = reconciled(operate)
    place = f"ventes_stream[{victim['kafka_partition']}] offsets {victim['kafka_offset']} to {victim['kafka_offset']}"
    assert any(text.startswith(f"pertes_declarees: {place}, declared") for text in record["found"])
    assert counted(record, "declared") == 0


def test_a_loss_that_the_audit_log_declares_explains_and_a_person_may_accept_an_older_one(
    operate: Operate, base: str, rows: Sequence[Row]
) -> None:
    loss = {
        "topic": job_lake.TOPIC, "kafka_partition": 3, "premier_offset": 7, "dernier_offset": 7,
        "date_declaration": job_lake.CLOCK, "operateur": "t",
    }  # fmt: skip
    older = {**loss, "premier_offset": 20, "dernier_offset": 20}
    job_lake.commit(base, PERTES, [loss, older], provenance.commit_metadata("bronze job"))
    config = settings.load(env={"VENTES_DELTA__BASE_PATH": base})
    audit_log.declare_losses(config, "accept-data-loss", [(job_lake.TOPIC, 3, 7, 7)])
    record = reconciled(operate)
    assert [text.split(", ")[0] for text in record["found"]] == ["pertes_declarees: ventes_stream[3] offsets 20 to 20"]
    assert counted(record, "declared") == 1
    assert operate("audit", "accept", "--without-kafka", "--yes")[0] == 0
    record = reconciled(operate)
    assert (record["found"], counted(record, "declared")) == ([], 2)
    assert rows


def erasure_of(row: Row, name: str) -> Row:
    return {
        "effacement": name, "table_effacee": VENTES.name, "topic": job_lake.TOPIC,
        "kafka_partition": row["kafka_partition"], "kafka_offset": row["kafka_offset"],
        "kafka_timestamp": row["kafka_timestamp"], "date_ingestion": job_lake.CLOCK, "empreinte": None,
        "date_effacement": job_lake.CLOCK,
    }  # fmt: skip


@pytest.mark.parametrize("known", [None, 1], ids=["no-entry", "of-another-size"])
def test_a_forged_erasure_hides_no_deleted_sale(
    operate: Operate, base: str, rows: Sequence[Row], known: int | None
) -> None:
    """Of its own, or as one more row of an erasure that a person did ask for."""
    name = "20261127T000000Z-abcdef"
    if known:
        log = audit_log.AuditLog(audit_log.folder(settings.load(env={"VENTES_DELTA__BASE_PATH": base})))
        log.append(verb="erase", state="end", exit_code=0, summary={"rows": known, "receipt": f"{name}.json"})
    for row in rows[10:12]:
        deleted(base, row)
    forged = [erasure_of(row, name) for row in rows[10:12]]
    job_lake.commit(base, EFFACES, forged, provenance.commit_metadata("erase", erasure=name))
    record = reconciled(operate)
    has = "an entry of 1 row" if known else "no entry"
    assert any(
        text.startswith(f"_effacements: 2 rows of the erasure {name}, of which the audit log has {has}")
        for text in record["found"]
    )
    assert counted(record, "erased") == 0


@pytest.mark.parametrize("more", [0, 1])
def test_a_forged_removal_hides_no_deleted_sale(operate: Operate, base: str, rows: Sequence[Row], more: int) -> None:
    """``more`` rows than the commit that says it was retention did take away; none of that name did."""
    victim = rows[10]
    last = victim["kafka_offset"] + more
    removal = {
        "retrait": "0123456789ab", "table_source": VENTES.name, "jour_limite": date(2000, 1, 1),
        "date_limite": job_lake.CLOCK - timedelta(days=9000), "version_avant": 1,
        "kafka_partition": victim["kafka_partition"], "premier_offset": victim["kafka_offset"], "dernier_offset": last,
        "date_ingestion": job_lake.CLOCK,
    }  # fmt: skip
    if more:
        properties = provenance.commit_metadata("retention", retrait="0123456789ab", rows=1)
        job_lake.table(base, VENTES).delete(
            f"vente_id = '{victim['vente_id']}'",
            commit_properties=job_lake.marked(properties),
        )
    else:
        deleted(base, victim)
    job_lake.commit(base, RETRAITS, [removal], provenance.commit_metadata("retention"))
    record = reconciled(operate)
    counted_rows = "2 rows" if more else "1 row"
    has = "took 1 row" if more else "is not in the log"
    assert any(
        text.startswith(f"retraits: {counted_rows} of the removal 0123456789ab from ventes_stream, whose commit {has}")
        for text in record["found"]
    )
    assert counted(record, "removed") == 0


@pytest.mark.parametrize(
    ("spec", "column"),
    [(AGGREGES, "nb_produits_distincts"), (PAR_PAYS, "unique_customers"), (PAR_SEGMENT, "unique_customers"),
     (PAR_PRODUIT, "unique_customers"), (PROFIL, "nb_jours_actifs")],
    ids=lambda value: getattr(value, "name", value),
)  # fmt: skip
def test_a_changed_distinct_count_is_found(
    operate: Operate, base: str, rows: Sequence[Row], spec: TableSpec, column: str
) -> None:
    assert rows
    job_lake.table(base, spec).update(updates={column: f"{column} + 1"})
    texts = [text for text in reconciled(operate)["found"] if f": {column} " in text]
    assert texts and all(text.startswith(f"{spec.name} ") and " in Silver, " in text for text in texts)


def test_each_table_but_the_hours_counts_something_once() -> None:
    assert [one.table for one in FIGURES if one.once is None] == [TENDANCES]


@pytest.mark.usefixtures("rows")
def test_offsets_that_nobody_can_read_are_a_difference_until_a_person_accepts_them(operate: Operate, base: str) -> None:
    job_lake.bronze_checkpoint(base, dict.fromkeys(range(4), 110), 2, job_lake.CLOCK + timedelta(minutes=2))
    record = reconciled(operate)
    assert len(record["found"]) == 4 and counted(record, "unread") > 0
    for text in record["found"]:
        assert "consumed offsets are in no table, and whether sales lay there cannot be told" in text
        assert "Kafka was not asked (--without-kafka)" in text and "python ops_utils.py audit accept" in text
    assert operate("audit", "accept", "--without-kafka", "--yes")[0] == 0
    assert reconciled(operate)["found"] == []
    job_lake.table(base, REJETS).delete("kafka_partition = 2")
    assert any(text.startswith("partition 2: ") for text in reconciled(operate)["found"]), "one more than was accepted"


def test_what_was_accepted_covers_these_offsets_and_no_more() -> None:
    gaps = [UnaccountedOffsets(1, 3, 4, DAY), UnaccountedOffsets(1, 9, 9, DAY)]

    def left(*accepted: tuple[Any, ...]) -> bool:
        return bool(findings(gaps, "t", Evidence(accepted=frozenset(accepted)), "why", {}))

    assert left()
    assert not left(("unread", "t", 1, 3, 10, 3))
    assert left(("unread", "t", 1, 3, 10, 2)), "one offset more than was accepted"
    assert left(("unread", "t", 1, 3, 9, 3)) and left(("unread", "t", 1, 4, 10, 3)), "one lies outside"
    assert (
        left(("unread", "u", 1, 3, 10, 3)) and left(("unread", "t", 2, 3, 10, 3)) and left(("loss", "t", 1, 3, 10, 3))
    )
    assert not left(("unread", "t", 1, 3, 5, 2), ("unread", "t", 1, 5, 10, 1)), "accepted at two times"
    (found,) = findings(gaps, "t", Evidence(), "why", {})
    assert found.key == ("unread", "t", 1, 3, 10, 3) and "since why: 3 to 4, 9." in found.text
    (found,) = findings(gaps, "t", Evidence(), "why", {1: (0, 10)})
    assert "the offsets up to 9 that are in no table are not those of the last signed record" in found.text
