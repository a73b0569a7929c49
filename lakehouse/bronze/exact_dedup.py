"""Exact deduplication: a batch's stale sales are compared with Bronze itself. Proof: docs/PROOFS.md, "Exact deduplication"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.bronze import transforms
from lakehouse.bronze.batch_settings import BatchSettings, compared_until
from lakehouse.bronze.batch_stats import BatchStats
from lakehouse.config import Config
from lakehouse.contract.table_properties import (
    EXACT_DEDUP_UNTIL,
    SALT,
    UNKNOWN_ZONE,
    ZONES,
    with_zone,
    zones_of,
    zones_sentence,
)
from lakehouse.contract.tables import EFFACES, OPERATIONS, REJETS, VENTES, TableSpec
from lakehouse.lake import spark_tables
from lakehouse.observability import log

_log = log.get("bronze")
_MARGIN = timedelta(minutes=1)
"""For clocks that differ, and for seconds that are cut off."""


@dataclass(frozen=True)
class Scope:
    """What Bronze's properties ask for beyond the stale sales. ``until``: sales that are ingested before it are all compared with
    Bronze; None when that was never required. ``zones``: of the table's ``jour``."""

    until: datetime | None
    zones: tuple[str, ...]

    @classmethod
    def of(cls, spark: SparkSession, config: Config) -> Scope:
        """As the table has it."""
        found = spark_tables.properties(spark, VENTES, config)
        until = found.get(EXACT_DEDUP_UNTIL)
        return cls(datetime.fromisoformat(until) if until else None, zones_of(found.get(ZONES)))


def _moment(micros: int) -> datetime:
    """Microseconds since 1970; far from the calendar's end, so that a delay can be added."""
    last = datetime(9000, 1, 1, tzinfo=UTC)
    return min(last, datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros))


def _require(spark: SparkSession, config: Config, until: datetime) -> bool:
    """Have every sale compared with Bronze until then. False when that, or longer, is required already."""
    held = Scope.of(spark, config).until
    if held is not None and held >= until:
        return False
    spark_tables.set_properties(spark, VENTES, config, {EXACT_DEDUP_UNTIL: until.isoformat(timespec="seconds")})
    return True


def require_exact_dedup_until(
    spark: SparkSession,
    config: Config,
    delay: timedelta | None = None,
    *,
    why: str = "new checkpoint over an existing table",
) -> None:
    """Have every sale compared with Bronze until no sale that the state does not know, of another checkpoint or of a batch
    that was ingested in parts, can be on time again. ``delay``: the batch's, if that is another than the settings'."""
    streaming, now = config.streaming, datetime.now(UTC)
    newest = now + 2 * streaming.future_tolerance
    ahead = spark_tables.read(spark, VENTES, config).where(F.col("timestamp") > F.lit(newest))
    latest = ahead.agg(F.max(F.unix_micros("timestamp")).alias("latest")).collect()[0].latest
    if latest is not None:
        newest = _moment(latest)
    until = newest + max(streaming.watermark_delay, delay or timedelta(0)) + _MARGIN
    _require(spark, config, until)
    _log.info(f"{why}: every sale is compared with Bronze", until=until.isoformat())


def require_for_new_checkpoint(spark: SparkSession, config: Config) -> None:
    """See ``require_exact_dedup_until``. Nothing to do over tables that hold no row, and from which none was erased."""
    empty = all(spark_tables.is_empty(spark, spec, config) for spec in (VENTES, REJETS))
    if not empty or spark_tables.exists(spark, EFFACES, config):
        require_exact_dedup_until(spark, config)


def require_for_sales_ahead(spark: SparkSession, config: Config, latest_us: int, settings: BatchSettings) -> None:
    """The state may forget sales that lie so far ahead of this machine's clock, the latest at ``latest_us``: have every sale compared
    with Bronze until their copies are stale."""
    latest = _moment(latest_us)
    until = latest + settings.watermark_delay + _MARGIN
    if _require(spark, config, until):
        _log.warning(
            "sales lie further ahead of this machine's clock than watermark_delay: every sale is compared with Bronze. Set "
            "the clocks of this machine, of the brokers and of the senders right",
            latest=latest.isoformat(),
            until=until.isoformat(),
        )


def prepare(
    spark: SparkSession, config: Config, before: BatchSettings | None, now: BatchSettings, last_clock_ms: int | None
) -> None:
    """Make the table ready for batches with the settings ``now``; the arguments are those of ``batch_settings.following``."""
    found = spark_tables.properties(spark, VENTES, config)
    empty = ZONES not in found and spark_tables.is_empty(spark, VENTES, config)
    wanted = {ZONES: with_zone(found.get(ZONES), now.timezone, datetime.now(UTC), empty=empty)}
    if wanted[ZONES] != found.get(ZONES) and (sentence := zones_sentence(wanted[ZONES])):
        _log.warning(f"{sentence} Silver has to be built anew: python streaming_silver.py --full")
    held = Scope.of(spark, config).until
    until = compared_until(held, before, now, last_clock_ms)
    if until and until != held:
        wanted[EXACT_DEDUP_UNTIL] = until.isoformat(timespec="seconds")
    spark_tables.set_properties(spark, VENTES, config, wanted)


def with_need(rows: DataFrame, until: datetime | None, watermark_delay: timedelta) -> DataFrame:
    """``rows`` with ``NEEDS_EXACT_DEDUP``: true for the stale sales, for those that are far ahead of the clock, and for every sale
    ingested before ``until``."""
    compared = F.col(transforms.STALE) | transforms.is_far_ahead(watermark_delay)
    if until is not None:
        compared |= F.col("date_ingestion") < F.lit(until)
    return rows.withColumn(transforms.NEEDS_EXACT_DEDUP, F.col("motif").isNull() & compared)


def without_erased_sales(rows: DataFrame, config: Config) -> DataFrame:
    """``rows`` (with a vente_id) without the sales that were erased, whatever offset they come from."""
    return _without_erased(rows, config, VENTES)


def _without_erased(rows: DataFrame, config: Config, spec: TableSpec) -> DataFrame:
    """``rows`` without those that name, in the table's key, what was erased from the table."""
    (name,) = spec.keys
    spark = rows.sparkSession
    if not spark_tables.exists(spark, EFFACES, config):
        return rows
    salt = spark_tables.properties(spark, EFFACES, config)[SALT]
    hashed = rows.withColumn("empreinte", F.sha2(F.concat(F.lit(salt), F.col(name)), 256))
    of_table = F.col("empreinte").isNotNull() & (F.col("table_effacee") == spec.name)
    erased = spark_tables.read(spark, EFFACES, config).where(of_table)
    return transforms.unknown(hashed, F.broadcast(erased), ("empreinte",)).drop("empreinte")


def known_rejects(spark: SparkSession, config: Config) -> DataFrame:
    """The bad messages that are in the reject table or were erased from it, as its keys and the broker's time."""
    keys = (*REJETS.keys, "kafka_timestamp")
    known = spark_tables.read(spark, REJETS, config).select(*keys)
    if not spark_tables.exists(spark, EFFACES, config):
        return known
    erased = spark_tables.read(spark, EFFACES, config).where(F.col("table_effacee") == REJETS.name)
    return known.unionAll(erased.select(*keys))


def new_operations(batch: DataFrame, config: Config) -> DataFrame:
    """The batch's operations (columns of ``ventes_operations``) that are not in the table, the first copy of each, and none that was
    erased or is about an erased sale. All are compared, in the days that a copy's time may have in any zone, and in the span of their
    times: copies have one event time."""
    event = F.unix_micros("timestamp")
    span = batch.agg(F.min(event).alias("first"), F.max(event).alias("last"), F.collect_set("jour").alias("days"))
    (found,) = span.collect()
    within = (F.timestamp_micros(F.lit(each)) for each in (found["first"], found["last"]))
    rows = spark_tables.read(batch.sparkSession, OPERATIONS, config)
    known = rows.where(transforms.on_days(transforms.around(found.days))).where(F.col("timestamp").between(*within))
    new = transforms.unknown(transforms.first_of_each(batch, "operation_id"), known, OPERATIONS.keys)
    return _without_erased(_without_erased(new, config, OPERATIONS), config, VENTES)


def new_sales(
    batch: DataFrame, stats: BatchStats, config: Config, cached: list[DataFrame], zones: Sequence[str]
) -> DataFrame:
    """The batch's rows without the sales that are in Bronze already, one row per new sale. Only rows with
    ``NEEDS_EXACT_DEDUP`` are compared. What is cached for it is added to ``cached``, for the caller to release. ``zones``: of the
    ``jour`` of Bronze's rows."""
    if not stats.to_compare:
        return batch
    needed = F.col(transforms.NEEDS_EXACT_DEDUP)
    to_compare, fresh = batch.where(needed), batch.where(~needed)
    new = without_copies(to_compare, stats, config, cached, zones)
    new = without_erased_sales(to_compare if new is None else new, config)
    return new if stats.to_compare == stats.sales else fresh.unionByName(new)


def without_copies(
    to_compare: DataFrame,
    stats: BatchStats,
    config: Config,
    cached: list[DataFrame],
    zones: Sequence[str],
    days: Sequence[date] | None = None,
) -> DataFrame | None:
    """The rows that are new to Bronze, one per ``vente_id``. None if there is no duplicate (the usual case): use the input
    unchanged. ``days``: the rows' days, if they are known."""
    if days is None:
        days = [row.jour for row in to_compare.select("jour").distinct().collect()]
    if len(zones) > 1 or UNKNOWN_ZONE in zones:
        days = transforms.around(days)  # a copy may stand under the day of another zone
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
