"""The messages of a batch that are no sales, told apart once, and written: operations into ``ventes_operations``, bad messages with
their reasons into ``ventes_rejetees``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from lakehouse.bronze import batch_stats, exact_dedup, transforms
from lakehouse.bronze.micro_batch import MicroBatch, WritePlan
from lakehouse.bronze.table_writer import TableWriter
from lakehouse.contract.tables import OPERATIONS, REJETS
from lakehouse.lake import spark_tables


@dataclass(frozen=True)
class Refused:
    """What became of them. ``reasons``: as ``batch_stats.rejects`` takes them, None when no bad message was written; ``operations``
    of the batch, and ``new`` ones, None when none was written now."""

    operations: int = 0
    new: int | None = None
    reasons: Row | None = None


def write(batch: MicroBatch, plan: WritePlan, tables: TableWriter, commit_facts: Mapping[str, object]) -> Refused:
    """Commit the operations, then the bad messages.

    What a message is, is worked out here, for those that are no sales alone: no sale ever goes through Python. Of a batch whose bad
    messages are committed, all is committed: an earlier release, which had no operations, kept them among those.
    """
    if tables.has(REJETS, batch.batch_id):
        return Refused()
    refused = transforms.refused(plan.rows, batch.settings.future_tolerance)
    rows, bad = _new(refused, batch).persist(StorageLevel.MEMORY_AND_DISK), F.col("motif").isNotNull()
    try:
        found = rows.agg(
            F.array(*(F.count_if(F.col("motif").startswith(code)) for code in batch_stats.REASONS)).alias("by_reason"),
            F.count("motif").alias("messages"),
            F.count(transforms.OPERATION).alias("operations"),
            F.min(F.when(bad, F.struct("kafka_partition", "kafka_offset", "motif"))).alias("first"),
        ).first()
        assert found is not None
        facts, size = commit_facts, plan.stats.rows
        new = _write_operations(batch, rows, tables, size, facts) if found.operations else None
        if not found.messages and found.operations:
            return Refused(found.operations, new)
        written = tables.append(
            transforms.rejected(rows), REJETS, batch_id=batch.batch_id, batch_rows=size, facts=facts
        )
        return Refused(found.operations, new, found if written is not None and found.messages else None)
    finally:
        rows.unpersist()


def _write_operations(
    batch: MicroBatch, rows: DataFrame, tables: TableWriter, batch_rows: int, facts: Mapping[str, object]
) -> int | None:
    config, settings, spark = batch.config, batch.settings, rows.sparkSession
    if not spark_tables.exists(spark, OPERATIONS, config):
        spark_tables.ensure(spark, OPERATIONS, config)
    read = transforms.operations(rows, watermark_delay=settings.watermark_delay, timezone=settings.timezone)
    new = exact_dedup.new_operations(read, config)
    return tables.append(new, OPERATIONS, batch_id=batch.batch_id, batch_rows=batch_rows, facts=facts)


def _new(refused: DataFrame, batch: MicroBatch) -> DataFrame:
    """A rebuilt checkpoint reads old messages again: those that are in the reject table already are not written again, also not
    as the operations that this release sees in them. The broker's time is part of the key because a topic that was
    deleted and created again counts its offsets from 0."""
    if batch.scope.until is None:
        return refused
    known = exact_dedup.known_rejects(refused.sparkSession, batch.config)
    return transforms.unknown(refused, known, (*REJETS.keys, "kafka_timestamp"))
