"""The bad messages of a batch, written to ``ventes_rejetees`` with their reasons."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from lakehouse.bronze import batch_stats, exact_dedup, transforms
from lakehouse.bronze.micro_batch import MicroBatch, WritePlan
from lakehouse.bronze.table_writer import TableWriter
from lakehouse.contract.tables import REJETS


def write(batch: MicroBatch, plan: WritePlan, tables: TableWriter, commit_facts: Mapping[str, object]) -> Row | None:
    """Commit the bad messages; their reasons as ``batch_stats.rejects`` takes them, None when nothing was written.

    The reasons are worked out here, for the bad messages alone: no other row ever goes through Python.
    """
    bad = _new(transforms.rejected(plan.rows), batch).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        reasons = bad.agg(
            F.array(*(F.count_if(F.col("motif").startswith(code)) for code in batch_stats.REASONS)).alias("by_reason"),
            F.count(F.lit(1)).alias("messages"),
            F.min(F.struct("kafka_partition", "kafka_offset", "motif")).alias("first"),
        ).first()
        assert reasons is not None
        written = tables.append(bad, REJETS, batch_id=batch.batch_id, batch_rows=plan.stats.rows, facts=commit_facts)
        return reasons if written is not None and reasons.messages else None
    finally:
        bad.unpersist()


def _new(bad: DataFrame, batch: MicroBatch) -> DataFrame:
    """A rebuilt checkpoint reads old bad messages again: those that are in the reject table already are not written again.
    The broker's time is part of the key because a topic that was deleted and created again counts its offsets from 0."""
    if batch.scope.until is None:
        return bad
    known = exact_dedup.known_rejects(bad.sparkSession, batch.config)
    return transforms.unknown(bad, known, (*REJETS.keys, "kafka_timestamp"))
