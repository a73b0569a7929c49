"""Operations on sales in Bronze: each once, whatever their order, their copies and their batches, beside sales and rejects."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.errors import StreamingQueryException
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from lakehouse.bronze import exact_dedup, rejects, transforms
from lakehouse.bronze.micro_batch import MicroBatch, WritePlan
from lakehouse.bronze.table_writer import TableWriter
from lakehouse.config import Config
from lakehouse.contract.sale import EN_ATTENTE, FUTUR, JSON_INVALIDE
from lakehouse.contract.tables import OPERATIONS, REJETS
from lakehouse.lake import spark_tables
from tests.spark.bronze.test_sink import BACKLOG, Topic, bronze_ids, settings_of
from tests.unit.contract.test_operations import operation
from tests.unit.contract.test_sale import VALID


def stored(spark: SparkSession, chosen: Config) -> list[Row]:
    return spark_tables.read(spark, OPERATIONS, chosen).orderBy("operation_id").collect()


def rejected(spark: SparkSession, chosen: Config) -> list[str]:
    return sorted(row.motif for row in spark_tables.read(spark, REJETS, chosen).select("motif").collect())


def test_a_batch_s_operations_sales_and_bad_messages_each_have_their_table(spark: SparkSession, tmp_path: Path) -> None:
    chosen, topic = settings_of(tmp_path / "lake", ANALYTICS__TIMEZONE="Pacific/Auckland"), Topic(spark, tmp_path)
    back = operation("retour", operation_id="r", raison="trop petit", timestamp="2024-05-01T12:30:00.000001Z")
    right = operation("correction", operation_id="c", revision=3, client_id=2**53 + 1, pays="Suisse")
    future = operation("annulation", operation_id="f", timestamp="2126-01-01T00:00:00Z")
    topic.deliver([("a", 0), ("b", 700)], bad=[back, b"{", right, future, operation("annulation", operation_id="a")])
    sink = topic.drain(chosen)
    assert bronze_ids(spark, chosen) == ["a", "b"]
    assert rejected(spark, chosen) == [FUTUR, JSON_INVALIDE]
    void, corrected, returned = stored(spark, chosen)
    assert returned.asDict() == {
        **dict.fromkeys(OPERATIONS.names),
        "operation_id": "r", "operation": "retour", "vente_id": VALID["vente_id"], "raison": "trop petit", "quantite": 1,
        "montant": Decimal("899.99"), "timestamp": datetime(2024, 5, 1, 12, 30, 0, 1), "jour": date(2024, 5, 2),
        "kafka_partition": 0, "kafka_offset": 2, "est_tardif": True,
        "date_ingestion": returned.date_ingestion, "kafka_timestamp": returned.kafka_timestamp,
    }  # fmt: skip
    assert (corrected.revision, corrected.client_id, corrected.pays, corrected.quantite) == (
        3,
        2**53 + 1,
        "Suisse",
        None,
    )
    assert (void.operation, void.raison, void.kafka_offset) == ("annulation", "doublon de caisse", 6)
    (counts,) = sink.unreported.values()
    assert (counts.entered, counts.new, counts.late, counts.operations, counts.rejected) == (7, 2, 1, 3, 2)


def test_a_stream_without_operations_makes_no_table(spark: SparkSession, tmp_path: Path) -> None:
    chosen, topic = settings_of(tmp_path / "lake"), Topic(spark, tmp_path)
    topic.deliver([("a", 0)], bad=[b"{"])
    topic.drain(chosen)
    assert not spark_tables.exists(spark, OPERATIONS, chosen)
    assert rejected(spark, chosen) == [JSON_INVALIDE]


NAMES = [f"o{number}" for number in range(6)]
messages = st.lists(st.sampled_from(NAMES), max_size=8)


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(batches=st.lists(messages, min_size=1, max_size=3), restart=st.booleans(), backlog=st.booleans())
def test_any_copies_in_any_batches_give_each_operation_once(
    spark: SparkSession, batches: list[list[str]], restart: bool, backlog: bool
) -> None:
    kinds = ("retour", "annulation", "correction")
    texts = {name: operation(kinds[number % 3], operation_id=name) for number, name in enumerate(NAMES)}
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        chosen, topic = settings_of(base / "lake", **(BACKLOG if backlog else {})), Topic(spark, base)
        for number, batch in enumerate(batches):
            topic.deliver([(f"v{number}", 700), ("v", 700)], bad=[texts[name] for name in batch])
            if restart:
                topic.drain(chosen)
        topic.drain(chosen)
        assert bronze_ids(spark, chosen) == sorted({"v", *(f"v{number}" for number in range(len(batches)))})
        wanted = sorted({name for batch in batches for name in batch})
        found = [row.operation_id for row in stored(spark, chosen)] if wanted else []
        assert found == wanted
        assert rejected(spark, chosen) == []


@pytest.mark.parametrize("at", [OPERATIONS, REJETS], ids=lambda spec: spec.name)
def test_a_batch_that_breaks_off_between_two_tables_changes_nothing_twice(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: Any
) -> None:
    chosen, topic = settings_of(tmp_path / "lake"), Topic(spark, tmp_path)
    topic.deliver([("a", 0)], bad=[operation("retour", operation_id="r"), b"{", operation("retour", operation_id="r")])
    real = TableWriter.append

    def broken(self: TableWriter, rows: Any, spec: Any, **options: Any) -> int | None:
        if spec is at:
            raise OSError("the disk is full")
        return real(self, rows, spec, **options)

    with monkeypatch.context() as patched:
        patched.setattr(TableWriter, "append", broken)
        with pytest.raises(StreamingQueryException, match="the disk is full"):
            topic.drain(chosen)
    topic.drain(chosen)
    topic.drain(chosen)
    assert bronze_ids(spark, chosen) == ["a"]
    assert [(row.operation_id, row.kafka_offset) for row in stored(spark, chosen)] == [("r", 1)]
    assert rejected(spark, chosen) == [JSON_INVALIDE]


def test_an_operation_that_an_earlier_release_rejected_does_not_come_twice(spark: SparkSession, tmp_path: Path) -> None:
    """A rebuilt checkpoint reads it again: its offset stands in the reject table, and nowhere else."""
    chosen, topic = settings_of(tmp_path / "lake"), Topic(spark, tmp_path)
    topic.deliver([("a", 0)], bad=[operation("retour", operation_id="r")])
    topic.drain(chosen)
    (row,) = stored(spark, chosen)
    old = {**dict.fromkeys(REJETS.names), "motif": "operation_en_attente", "topic": "ventes_stream"}
    old |= {
        name: row[name] for name in ("kafka_partition", "kafka_offset", "kafka_timestamp", "date_ingestion", "jour")
    }
    frame = spark.createDataFrame([tuple(old[name] for name in REJETS.names)], REJETS.ddl)
    frame.write.format("delta").mode("append").save(REJETS.path(chosen.delta.base_path))
    remove(chosen, ["checkpoints", "bronze/ventes_operations"])
    exact_dedup.require_for_new_checkpoint(spark, chosen)
    topic.drain(chosen)
    assert not spark_tables.exists(spark, OPERATIONS, chosen)
    assert rejected(spark, chosen) == ["operation_en_attente"]


def remove(chosen: Config, folders: Sequence[str]) -> None:
    for name in folders:
        place = Path(chosen.delta.base_path) / name
        place.rename(place.with_name(f"{place.name}-before"))


def test_a_batch_that_an_earlier_release_wrote_is_not_written_again_as_operations(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It kept them among the rejects, and was killed before Spark noted the batch."""
    chosen, topic = settings_of(tmp_path / "lake"), Topic(spark, tmp_path)
    topic.deliver([("a", 0)], bad=[operation("retour", operation_id="r"), b"{"])

    def earlier(batch: MicroBatch, plan: WritePlan, tables: TableWriter, facts: Any) -> None:
        read = transforms.refused(plan.rows, batch.settings.future_tolerance)
        kept = read.withColumn("motif", F.coalesce("motif", F.lit(EN_ATTENTE)))
        tables.append(transforms.rejected(kept), REJETS, batch_id=batch.batch_id, batch_rows=3, facts=facts)
        raise OSError("the machine stopped here")

    with monkeypatch.context() as patched:
        patched.setattr(rejects, "write", earlier)
        with pytest.raises(StreamingQueryException, match="the machine stopped here"):
            topic.drain(chosen)
    topic.drain(chosen)
    assert rejected(spark, chosen) == [JSON_INVALIDE, EN_ATTENTE]
    assert not spark_tables.exists(spark, OPERATIONS, chosen)
    topic.deliver([], bad=[operation("retour", operation_id="r")])  # its copy, in a batch of this release
    topic.drain(chosen)
    assert [row.operation_id for row in stored(spark, chosen)] == ["r"]
