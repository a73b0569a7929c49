"""``ops_utils.py`` beside the real jobs: what it accounts for, replays and rolls back is what the jobs go on from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from deltalake import DeltaTable
from kafka import KafkaProducer
from pyspark.sql import SparkSession

from lakehouse.contract.sale import VALEUR
from lakehouse.contract.table_properties import EXACT_DEDUP_UNTIL
from lakehouse.contract.tables import GENERATIONS, VENTES
from lakehouse.kafka import options as kafka_options
from lakehouse.operations.recovery import replay
from tests.support.children import eventually
from tests.support.harness import Lake
from tests.support.job_lake import sums
from tests.support.messages import ago, encoded, sale

pytestmark = pytest.mark.timeout(900)

Run = Callable[..., tuple[int, dict[str, Any]]]


def in_a_transaction(lake: Lake, fields: dict[str, Any]) -> None:
    """One sale in a transaction of its own: Kafka writes a marker behind it, which no reader ever sees."""
    options = kafka_options.producer_options(lake.config) | {"transactional_id": f"t-{lake.config.kafka.topic}"}
    producer = KafkaProducer(**options)
    try:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(lake.config.kafka.topic, encoded(fields), b"7", partition=0)
        producer.commit_transaction()
    finally:
        producer.close()


def ids(lake: Lake) -> Counter[str]:
    return Counter(row["vente_id"] for row in lake.rows())


def test_what_was_consumed_replayed_and_rolled_back_is_accounted_for(lake: Lake, run: Run, spark: SparkSession) -> None:
    lake.produce(120, 1)
    in_a_transaction(lake, sale())
    lake.sales(sale(), partition=0)  # an offset after the marker
    lake.bronze(spark)
    lake.silver(spark)
    code, record = run("reconcile")
    found = sums(record)
    assert (code, record["found"], found["difference"], found["unread"]) == (0, [], 0, 0)
    assert found["markers"] == 1 and found["duplicates"] > 0
    assert found["bronze"] == len(lake.rows()) == record["per_table"][0]["sales_silver"]
    signed = found["markers"] + found["duplicates"]
    assert run("reconcile")[1]["proofs"]["signed off before"] == signed
    (commit,) = [c for c in run("history", "ventes_stream")[1]["commits"] if c["operation"] == "WRITE"]
    assert (commit["added"], commit["what"]) == (found["bronze"], "bronze batch 0") and commit["code"] and commit["run"]
    shown = run("history", "ventes_stream", "--version", str(commit["version"]), "--limit", "500")[1]["rows"]
    written = {row["vente_id"]: row["timestamp"].isoformat().replace("+00:00", "Z") for row in lake.rows()}
    assert {row["vente_id"]: row["timestamp"] for row in shown} == written
    merged = run("history", "ventes_par_pays")[1]["commits"]
    assert all(commit["who"] and commit["run"] and commit["code"] for commit in merged)

    # a message that is corrected and replayed, then a copy of the sale, on time
    fields = sale()
    (sent,) = lake.broken((encoded({**fields, "segment": "Inconnu"}), f"{VALEUR}:segment"), partition=1)
    lake.bronze(spark)
    place = f"{sent.partition}:{sent.offset}"
    assert run("rejects", "replay", place, "--set", "segment=Particulier")[0] == 0
    assert EXACT_DEDUP_UNTIL in DeltaTable(VENTES.path(str(lake.base))).metadata().configuration
    lake.send([encoded({**fields, "segment": "Particulier"})] * 2, partition=0)
    lake.bronze(spark)
    assert ids(lake)[fields["vente_id"]] == 1
    code, record = run("reconcile")
    assert (code, record["found"]) == (0, [])

    # back to the empty table: the jobs make everything right again, from what Kafka holds
    known = set(ids(lake))
    assert run("restore-table", "ventes_stream", "--version", "0", "--yes")[0] == 0
    assert lake.rows() == []
    lake.bronze(spark)
    assert set(ids(lake)) == known and max(ids(lake).values()) == 1
    lake.silver(spark)
    assert [row["etat"] for row in sorted(lake.rows(GENERATIONS), key=lambda row: row["date_etat"])] == [
        "debut", "fin", "invalide", "debut", "fin",
    ]  # fmt: skip
    assert lake.verify(spark) == []
    assert run("rejects", "replay", place, "--set", "segment=Particulier")[1]["counts"] == {"doublon": 1}
    code, record = run("reconcile")
    assert (code, record["found"]) == (0, [])

    # while the job streams
    with lake.streaming(spark):
        lake.produce(60, 2)
        eventually(lambda: len(lake.rows()) > len(known), 120, "the new sales")
        assert run("reconcile")[0] == 0

    # a row taken out behind the back
    victim = lake.rows()[0]
    DeltaTable(VENTES.path(str(lake.base))).delete(f"vente_id = '{victim['vente_id']}'")
    code, record = run("reconcile")
    at = f"partition {victim['kafka_partition']} offset {victim['kafka_offset']} ({victim['kafka_timestamp'].date()})"
    assert code == 1
    assert f"{at} was consumed, and the sale {victim['vente_id']} is not in Bronze" in record["found"]


@pytest.mark.parametrize("door", [True, False], ids=["door-open", "door-shut"])
def test_a_copy_that_comes_after_a_replay_is_left_out_because_exact_deduplication_is_required(
    lake: Lake, run: Run, spark: SparkSession, monkeypatch: pytest.MonkeyPatch, door: bool
) -> None:
    """Without the horizon that a replay sets, the copy gets in: that is why it is there."""
    if not door:
        monkeypatch.setattr(replay.Replay, "_require_exact_dedup", lambda *_: None)
    fields = sale(ago(seconds=1))
    lake.broken((encoded({**fields, "segment": "Inconnu"}), f"{VALEUR}:segment"))
    lake.sales(sale())
    lake.bronze(spark)
    assert run("rejects", "replay", "--all")[0] == 1, "it is still against the contract"
    (waiting,) = run("rejects", "list", "--motif", "valeur*")[1]["rejects"]
    place = f"{waiting['kafka_partition']}:{waiting['kafka_offset']}"
    assert run("rejects", "replay", place, "--set", "segment=Entreprise")[0] == 0
    lake.send([encoded({**fields, "segment": "Entreprise"})])
    lake.bronze(spark)
    assert ids(lake)[fields["vente_id"]] == (1 if door else 2)
    code, record = run("reconcile")
    assert code == (0 if door else 1)
    if not door:
        assert f"the sale {fields['vente_id']} stands 2 times in ventes_stream" in record["found"]
