"""The operators' verbs over a lake with operations on sales: each counts, keeps, rolls back and erases them as it does sales."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from lakehouse import config
from lakehouse.contract.tables import EFFACES, GENERATIONS, OPERATIONS, REJETS, REJOUES, VENTES, TableSpec, checkpoint
from lakehouse.explorer.queries import quality
from lakehouse.explorer.queries.model import Filters
from lakehouse.kafka import clients
from lakehouse.lake import delta_tables, writer_lock
from lakehouse.lake.reader import Lake
from lakehouse.maintenance import erasure, retention
from lakehouse.operations.recovery.backup import Backups
from tests.support import job_lake, lakes
from tests.support.job_lake import CLOCK, TOPIC, sums
from tests.support.lakes import Row

Run = Callable[..., tuple[int, str]]
PARTITIONS = range(4)


@pytest.fixture
def run(operate: Run) -> Run:
    return operate


def ends_of(base: str, batch: int) -> dict[int, int]:
    text = (Path(checkpoint(base, "bronze")) / "offsets" / str(batch)).read_text().splitlines()[2]
    return {int(partition): end for partition, end in json.loads(text)[TOPIC].items()}


def about(sale: Row, number: int, kind: str = "retour", **fields: Any) -> Row:
    """The row of an operation on a sale."""
    own = {"quantite": 1, "montant": Decimal("5.00")} if kind == "retour" else {}
    moment = sale["kafka_timestamp"] + timedelta(hours=number)
    named = {"operation_id": f"op-{number}", "operation": kind, "vente_id": sale["vente_id"], "est_tardif": False}
    at = {"timestamp": moment, "jour": moment.date(), "kafka_timestamp": moment}
    return {**dict.fromkeys(OPERATIONS.names), **named, **own, **at, **fields}


@pytest.fixture
def sold(base: str) -> list[Row]:
    """Two batches of sales with Silver, then two of an operation on each partition; each is about a sale that is there."""
    rows = job_lake.build(base)
    for batch in (2, 3):
        ends = ends_of(base, batch - 1)
        done = [
            about(rows[p], 10 * batch + p, kafka_partition=p, kafka_offset=ends[p]) for p in PARTITIONS
        ]  # fmt: skip
        clock = CLOCK + timedelta(minutes=batch)
        job_lake.append(base, OPERATIONS, done, clock, batch)
        job_lake.bronze_checkpoint(base, {p: end + 1 for p, end in ends.items()}, batch, clock)
    return rows


def held(base: str, spec: TableSpec = OPERATIONS) -> list[Row]:
    rows: list[Row] = lakes.contents(job_lake.table(base, spec)).to_pylist()
    return rows


def reconcile(run: Run) -> dict[str, Any]:
    code, out = run("reconcile", "--without-kafka", "--json")
    record: dict[str, Any] = json.loads(out)
    assert code == (1 if record["found"] else 0)
    return record


def test_an_operation_is_a_term_of_the_balance(run: Run, base: str, sold: list[Row]) -> None:
    record = reconcile(run)
    assert record["found"] == []
    for line in record["per_partition"]:
        mine = sum(row["kafka_partition"] == line["partition"] for row in sold)
        assert (line["bronze"], line["operations"], line["rejected"], line["difference"]) == (mine, 2, 1, 0)
    assert sums(record)["consumed"] == len(sold) + 8 + 4 + sums(record)["unread"]
    assert record["versions"]["ventes_operations"] == 1
    assert "operations" in run("reconcile", "--without-kafka")[1]

    gone = held(base)[0]
    job_lake.table(base, OPERATIONS).delete(f"operation_id = '{gone['operation_id']}'")
    job_lake.append(base, OPERATIONS, [{**held(base)[0], "kafka_offset": 0}], CLOCK + timedelta(minutes=4), 4)
    found = "\n".join(reconcile(run)["found"])
    assert "ventes_operations: the commit of version " in found and "wrote 4 rows, 3 stand there now" in found
    assert (
        f"partition {gone['kafka_partition']}: the offsets up to {gone['kafka_offset']} that are in no table are not those"
        in found
    )
    assert re.search(r"offset 0 \(2026-11-1\d\) stands more than once", found)
    assert re.search(r"ventes_operations operation_id=op-\d+ stands 2 times, and a key stands once", found)
    assert "ventes_operations version 2 (" in found and "restore-table ventes_operations --version 1" in found


def test_a_table_of_operations_goes_back_like_the_sales(run: Run, base: str, sold: list[Row]) -> None:
    code, out = run("restore-table", "ventes_operations", "--version", "0", "--dry-run")
    assert code == 0 and "4 rows leave it, 0 rows come back." in out
    assert "reads the topic again" in out and "a restore would reach it as operations that come twice" in out
    for job in ("bronze", "silver"):
        with writer_lock.writer_lock(config.load(), job):
            assert run("restore-table", "ventes_operations", "--version", "0", "--yes")[0] == 4
    assert run("restore-table", "ventes_operations", "--version", "0", "--yes")[0] == 0
    assert len(held(base)) == 4 and len(held(base, VENTES)) == len(sold)
    assert not Path(checkpoint(base, "bronze")).exists(), "Bronze reads the topic again, and ingests what left"
    assert [row["etat"] for row in held(base, GENERATIONS)].count("invalide") == 1


def test_a_new_checkpoint_finds_the_operations_that_stand(
    run: Run, sold: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "topic_id", lambda _config: "topic-1")
    monkeypatch.setattr(clients, "earliest_and_latest_offsets", lambda _config: dict.fromkeys(PARTITIONS, (0, 500)))
    code, out = run("rebuild", "bronze", "--dry-run", "--json")
    found = json.loads(out)
    assert code == 0 and found["rows"] == len(sold) + 8 + 4
    assert sum(one["standing"] for one in found["partitions"]) == found["rows"]


def test_a_backup_takes_no_operations_of_a_batch_that_it_cannot_go_on_from(
    run: Run, base: str, sold: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a batch would be planned anew, with other messages, and its operations skipped by its number."""
    store = tmp_path / "store"
    monkeypatch.setenv("VENTES_DELTA__BACKUP_PATH", str(store))
    job_lake.append(base, OPERATIONS, [about(sold[0], 99, kafka_partition=0, kafka_offset=400)], CLOCK, 4)
    assert run("backup", "create")[0] == 0
    (backup,) = Backups(str(store), config.load()).ids()
    assert Backups(str(store), config.load()).load(backup).tables["ventes_operations"] == 1
    assert run("backup", "restore", backup, "--to", str(tmp_path / "again"))[0] == 0
    back = held(str(tmp_path / "again"))
    assert sorted(row["operation_id"] for row in back) == sorted(f"op-{10 * n + p}" for n in (2, 3) for p in PARTITIONS)


def test_operations_are_compacted_and_outlast_the_sales_that_retention_removes(
    run: Run, base: str, sold: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention.Removal, "where", lambda self, alias="": f"{alias}jour < DATE '{self.day}'")
    monkeypatch.setattr(retention, "_silver_waits", lambda *_: None)  # as if Silver had read them all
    monkeypatch.setenv("VENTES_KAFKA__RETENTION", "1 second")
    day = date.fromordinal(max(row["jour"] for row in sold).toordinal() + 1)
    monkeypatch.setenv("VENTES_DELTA__RETENTION_DAYS_BRONZE", str((datetime.now(UTC).date() - day).days))
    before = sorted(held(base), key=repr)
    files = len(job_lake.table(base, OPERATIONS).file_uris())
    assert run("maintain", "bronze", "--yes")[0] == 0
    assert sorted(held(base), key=repr) == before and held(base, VENTES) == []
    assert len(job_lake.table(base, OPERATIONS).file_uris()) == len({row["jour"] for row in before}) <= files
    record = reconcile(run)
    assert (sums(record)["operations"], sums(record)["removed"]) == (8, len(sold))
    assert [text for text in record["found"] if "partition" in text or "ventes_operations" in text] == []


def test_a_person_s_operations_go_with_what_a_replay_noted_of_them(
    base: str, run: Run, sold: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A correction names the person; its reject and the note of its replay are of another offset than any sale."""
    monkeypatch.setenv("VENTES_KAFKA__BOOTSTRAP_SERVERS", "localhost:1")
    monkeypatch.setenv("VENTES_KAFKA__REQUEST_TIMEOUT", "1 second")
    client = sold[0]["client_id"]
    moment = max(row["kafka_timestamp"] for row in sold)
    at = {"kafka_partition": 0, "kafka_offset": 300, "kafka_timestamp": moment}
    own = about(sold[0], 1, "annulation", **at)
    corrected = about(next(row for row in sold if row["client_id"] != client), 2, "correction", revision=1,
                      client_id=client, **{**at, "kafka_offset": 301})  # fmt: skip
    others = about(next(row for row in sold if row["client_id"] != client), 3, **{**at, "kafka_offset": 302})
    job_lake.append(base, OPERATIONS, [own, corrected, others], CLOCK + timedelta(minutes=5), 5)
    config_, whose = config.load(), {row["vente_id"]: row["client_id"] for row in sold}
    notes = [
        {**dict.fromkeys(REJOUES.names), **{name: row[name] for name in at}, "topic": TOPIC, "resultat": "operation",
         "vente_id": row["vente_id"], "corrige": False, "date_rejeu": moment}
        for row in (own, corrected, others)
    ]  # fmt: skip
    delta_tables.append(notes, REJOUES, config_, what="test")
    old = [
        {**lakes.rejects()[0], **{name: row[name] for name in at}, "topic": TOPIC, "motif": "operation_en_attente",
         "valeur": b"cut off", "cle": None, "jour": moment.date()}
        for row in (own, corrected, others)
    ]  # fmt: skip
    job_lake.append(base, REJETS, old, CLOCK + timedelta(minutes=5), 5)

    mine = [row for row in held(base) if whose[row["vente_id"]] == client or row["client_id"] == client]
    erasure.ask(config_, client)
    (done,) = erasure.serve(config_)
    assert done.rows["ventes_operations"] == len(mine) >= 2
    assert not any(whose[row["vente_id"]] == client or row["client_id"] == client for row in held(base))
    assert [row["kafka_offset"] for row in held(base, REJOUES)] == [302]
    assert [row["kafka_offset"] for row in held(base, REJETS) if row["kafka_offset"] >= 300] == [302]
    noted = [row for row in held(base, EFFACES) if row["table_effacee"] == "ventes_operations"]
    assert len(noted) == len(mine) and all(row["empreinte"] for row in noted)
    _, out = run("erase", "--client-id", str(client), "--yes", "--json")
    assert "ventes_operations" in out, "older versions of the table name the person for a while"


def test_offsets_without_a_row_are_counted_with_and_without_the_table(base: str) -> None:
    """A lake of an earlier release has none."""
    rows = job_lake.build(base)
    query = quality.offsets_without_row(Filters())

    def counted() -> dict[int, tuple[int, int]]:
        return {row[0]: (row[3], row[4]) for row in Lake(base).read(query).rows}

    before = counted()
    assert sum(lines for lines, _ in before.values()) == len(rows) + 4
    end = ends_of(base, 1)[0]
    done = [about(rows[0], n, kafka_partition=0, kafka_offset=end + n - 1) for n in (0, 1)]
    job_lake.append(base, OPERATIONS, done, CLOCK + timedelta(minutes=2), 2)
    assert DeltaTable(OPERATIONS.path(base)).version() == 0
    after = counted()
    assert after[0] == (before[0][0] + 2, before[0][1] + 1), "one copy was left out before them"
    assert {p: found for p, found in after.items() if p} == {p: found for p, found in before.items() if p}
