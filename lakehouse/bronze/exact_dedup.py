"""Exact deduplication: a batch's stale sales are compared with Bronze itself. Proof: docs/PROOFS.md, "Exact deduplication"."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.bronze import transforms
from lakehouse.bronze.batch_stats import BatchStats
from lakehouse.config import Config
from lakehouse.contract.table_properties import EXACT_DEDUP_UNTIL, SALT
from lakehouse.contract.tables import EFFACES, REJETS, VENTES
from lakehouse.lake import spark_tables
from lakehouse.observability import log

_log = log.get("bronze")


def required_until(spark: SparkSession, config: Config) -> datetime | None:
    """Until when every sale is compared with Bronze, not the stale ones alone; None when that was never required."""
    text = spark_tables.properties(spark, VENTES, config).get(EXACT_DEDUP_UNTIL)
    return datetime.fromisoformat(text) if text else None


def require_exact_dedup_until(
    spark: SparkSession, config: Config, *, why: str = "new checkpoint over an existing table"
) -> None:
    """Have every sale compared with Bronze until no sale that the state does not know, of another checkpoint or of a batch
    that was ingested in parts, can be on time again."""
    streaming = config.streaming
    until = datetime.now(UTC) + streaming.watermark_delay + 2 * streaming.future_tolerance + timedelta(minutes=1)
    spark_tables.set_properties(spark, VENTES, config, {EXACT_DEDUP_UNTIL: until.isoformat(timespec="seconds")})
    _log.info(f"{why}: every sale is compared with Bronze", until=until.isoformat())


def with_need(rows: DataFrame, until: datetime | None) -> DataFrame:
    """``rows`` with ``NEEDS_EXACT_DEDUP``: true for the stale sales, and for every sale ingested before ``until``."""
    compared = F.col(transforms.STALE)
    if until is not None:
        compared |= F.col("date_ingestion") < F.lit(until)
    return rows.withColumn(transforms.NEEDS_EXACT_DEDUP, F.col("motif").isNull() & compared)


def without_erased_sales(rows: DataFrame, config: Config) -> DataFrame:
    """``rows`` (with a vente_id) without the sales that were erased, whatever offset they come from."""
    spark = rows.sparkSession
    if not spark_tables.exists(spark, EFFACES, config):
        return rows
    salt = spark_tables.properties(spark, EFFACES, config)[SALT]
    hashed = rows.withColumn("empreinte", F.sha2(F.concat(F.lit(salt), F.col("vente_id")), 256))
    erased = spark_tables.read(spark, EFFACES, config).where(F.col("empreinte").isNotNull())
    return transforms.unknown(hashed, F.broadcast(erased), ("empreinte",)).drop("empreinte")


def known_rejects(spark: SparkSession, config: Config) -> DataFrame:
    """The bad messages that are in the reject table or were erased from it, as its keys and the broker's time."""
    keys = (*REJETS.keys, "kafka_timestamp")
    known = spark_tables.read(spark, REJETS, config).select(*keys)
    if not spark_tables.exists(spark, EFFACES, config):
        return known
    erased = spark_tables.read(spark, EFFACES, config).where(F.col("table_effacee") == REJETS.name)
    return known.unionAll(erased.select(*keys))


def new_sales(batch: DataFrame, stats: BatchStats, config: Config, cached: list[DataFrame]) -> DataFrame:
    """The batch's rows without the sales that are in Bronze already, one row per new sale. Only rows with
    ``NEEDS_EXACT_DEDUP`` are compared. What is cached for it is added to ``cached``, for the caller to release."""
    if not stats.to_compare:
        return batch
    needed = F.col(transforms.NEEDS_EXACT_DEDUP)
    to_compare, fresh = batch.where(needed), batch.where(~needed)
    new = without_copies(to_compare, stats, config, cached)
    new = without_erased_sales(to_compare if new is None else new, config)
    return new if stats.to_compare == stats.sales else fresh.unionByName(new)


def without_copies(
    to_compare: DataFrame,
    stats: BatchStats,
    config: Config,
    cached: list[DataFrame],
    days: Sequence[date] | None = None,
) -> DataFrame | None:
    """The rows that are new to Bronze, one per ``vente_id``. None if there is no duplicate (the usual case): use the input
    unchanged. ``days``: the rows' days, if they are known."""
    if days is None:
        days = [row.jour for row in to_compare.select("jour").distinct().collect()]
    ids, known = to_compare.select("vente_id"), _known(to_compare.sparkSession, days, stats, config)
    if stats.to_compare <= config.performance.broadcast_rows:
        # few stale rows: broadcast to the scan of Bronze, which is then not shuffled
        known = known.join(F.broadcast(ids), "vente_id", "left_semi")
    elif transforms.are_distinct(ids.unionAll(known)):
        return None
    suspects = transforms.suspects(ids, known).persist(StorageLevel.MEMORY_AND_DISK)
    if suspects.isEmpty():
        # now: each write to a table makes Spark plan again whatever is cached of it
        suspects.unpersist()
        return None
    cached.append(suspects)
    return transforms.first_copies(to_compare, suspects)


def _known(spark: SparkSession, days: Sequence[date], stats: BatchStats, config: Config) -> DataFrame:
    """The ids in Bronze within ``days`` and the stale sales' span of event times: a sale's copies have one event time."""
    span = (F.timestamp_micros(F.lit(each)) for each in (stats.first_event, stats.last_event))
    rows = (
        spark_tables.read(spark, VENTES, config)
        .where(transforms.on_days(days))
        .where(F.col("timestamp").between(*span))
    )
    return rows.select("vente_id")
