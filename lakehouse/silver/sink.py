"""Writes of Silver: one micro-batch merged into every table, or every table rebuilt.

Guarantee: a batch that is repeated after a crash, between whichever two commits, changes nothing twice. Each commit
carries (application id, batch id); Delta refuses the pair the second time, and the new members of a distinct count are
found again by the batch that brought them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime

from delta.tables import DeltaTable
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse import crash_points
from lakehouse.config import Config
from lakehouse.contract.table_properties import KEPT_FROM
from lakehouse.contract.tables import CORRECTIONS, MEMBRES, TENDANCES, TableSpec
from lakehouse.lake import spark_tables
from lakehouse.lake.expressions import evaluated
from lakehouse.observability import log, provenance
from lakehouse.silver import aggregates, corrections, distinct_counts, spark_plans
from lakehouse.silver.aggregates import Aggregate

_log = log.get("silver")

_APP_ID = "spark.databricks.delta.write.txnAppId"
_VERSION = "spark.databricks.delta.write.txnVersion"
_ORIGIN = "spark.databricks.delta.commitInfo.userMetadata"

SOURCE_COLUMNS = (
    "vente_id", "client_id", "produit_id", "timestamp", "quantite", "montant",
    "client_nom", "produit_nom", "categorie", "pays", "segment", "jour",
)  # fmt: skip


@contextmanager
def _once(spark: SparkSession, app_id: str, batch_id: int) -> Iterator[None]:
    """Within it, a MERGE commits once per (``app_id``, ``batch_id``), and its commit names the batch."""
    origin = spark.conf.get(_ORIGIN, "")
    spark.conf.set(_ORIGIN, provenance.commit_metadata("silver batch", batch=batch_id, engine="spark"))
    spark.conf.set(_APP_ID, app_id)
    spark.conf.set(_VERSION, str(batch_id))
    try:
        yield
    finally:
        spark.conf.unset(_APP_ID)
        spark.conf.unset(_VERSION)
        spark.conf.set(_ORIGIN, origin or "")


def source_options(config: Config, built_from: int, *, removed: bool = False) -> dict[str, str]:
    """Options of the Delta source: Bronze after the version that the generation was built from. ``removed``:
    skip commits by which retention removed rows: Silver's figures keep them."""
    return {
        "skipChangeCommits": str(removed).lower(),
        "startingVersion": str(built_from + 1),
        "maxFilesPerTrigger": str(config.performance.max_files_per_trigger),
    }


class SilverSink:
    """The ``foreachBatch`` function of one generation of the Silver tables."""

    def __init__(
        self,
        config: Config,
        entries: Sequence[Aggregate],
        generation: str,
        merged: Callable[[str, float], None] = lambda _table, _seconds: None,
    ) -> None:
        """``merged`` is called with each table and the seconds that its merge took."""
        self._merged = merged
        self._config = config
        self._entries = entries
        self._generation = generation
        self.rows = 0

    def _app_id(self, table: TableSpec) -> str:
        return f"{table.name}-{self._generation}"

    # --- one micro-batch ---------------------------------------------------------------------------------------------

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        started = time.monotonic()
        sales = batch.select(*SOURCE_COLUMNS).persist(StorageLevel.MEMORY_AND_DISK)
        try:
            counted = sales.groupBy("jour").count().collect()
            if not counted:
                return
            days = [row["jour"] for row in counted]
            rows = sum(row["count"] for row in counted)
            if min(days) < (today := self._today()):
                self._record(corrections.added(sales), today, self._app_id(CORRECTIONS), batch_id)
            new = self._add_members(sales, days, batch_id).persist(StorageLevel.MEMORY_AND_DISK)
            try:
                for entry in self._entries:
                    began = time.monotonic()
                    self._merge(sales, entry, days, new, batch_id)
                    self._merged(entry.table.name, time.monotonic() - began)
            finally:
                new.unpersist()
        finally:
            sales.unpersist()
        self.rows += rows
        _log.info("merged", batch_id=batch_id, sales=rows, days=len(days), seconds=round(time.monotonic() - started, 1))

    def _add_members(self, sales: DataFrame, days: Sequence[date], batch_id: int) -> DataFrame:
        """Append the members that the table does not know; return those that this batch brought, now or before a crash."""
        spark, config = sales.sparkSession, self._config
        pruned = distinct_counts.partitions(days)
        known = spark_tables.read(spark, MEMBRES, config).where(pruned)
        new = distinct_counts.unknown(distinct_counts.members(sales, self._entries), known)
        new = new.withColumn("_lot", evaluated(F.lit(batch_id).cast("bigint"))).select(*MEMBRES.names)
        spark_tables.append(
            new.coalesce(1), MEMBRES, config, app_id=self._app_id(MEMBRES), batch_id=batch_id, facts={"engine": "spark"}
        )
        return spark_tables.read(spark, MEMBRES, config).where(pruned).where(F.col("_lot") == batch_id)

    def _merge(self, sales: DataFrame, entry: Aggregate, days: Sequence[date], new: DataFrame, batch_id: int) -> None:
        partials = spark_plans.partial(self._kept(sales, entry.table), entry)
        for measure in entry.member_measures:
            partials = distinct_counts.with_new(partials, entry, measure, new)
        spark = sales.sparkSession
        target = DeltaTable.forPath(spark, entry.table.path(self._config.delta.base_path))
        with _once(spark, self._app_id(entry.table), batch_id):
            (
                target.alias("t")
                .merge(partials.alias("s"), aggregates.merge_condition(entry, days))
                .whenMatchedUpdate(set=dict(aggregates.update_values(entry)))
                .whenNotMatchedInsert(values=dict(aggregates.insert_values(entry)))
                .execute()
            )
        crash_points.step(f"after a merge into {entry.table.name}")

    def _kept(self, sales: DataFrame, table: TableSpec) -> DataFrame:
        """Without the days that retention removed from ``table``: one late sale would count as the whole day."""
        if "jour" not in table.keys or not spark_tables.exists(sales.sparkSession, table, self._config):
            return sales
        since = spark_tables.properties(sales.sparkSession, table, self._config).get(KEPT_FROM)
        return sales.where(F.col("jour") >= F.lit(since).cast("date")) if since else sales

    # --- days that had ended -----------------------------------------------------------------------------------------

    def _today(self) -> date:
        return datetime.now(self._config.analytics.timezone).date()

    def _record(self, changes: DataFrame, today: date, app_id: str, batch_id: int) -> None:
        """Record the corrections before the figures change: a crash in between repeats the batch, not this."""
        rows = corrections.corrections(changes, today).withColumns(
            {
                "date_correction": F.current_timestamp(),
                "generation": F.lit(self._generation),
                "lot": F.lit(batch_id).cast("bigint"),
            }
        )
        spark_tables.ensure(changes.sparkSession, CORRECTIONS, self._config)
        spark_tables.append(
            rows.select(*CORRECTIONS.names).coalesce(1),
            CORRECTIONS,
            self._config,
            app_id=app_id,
            batch_id=batch_id,
            facts={"engine": "spark"},
        )

    # --- all of Bronze -----------------------------------------------------------------------------------------------

    def build(self, sales: DataFrame, stop: threading.Event | None = None) -> bool:
        """Replace every table by its recompute over ``sales``, each in one commit; a repeat changes nothing. False when
        ``stop`` was set between two tables: the next start finishes the build."""
        spark = sales.sparkSession
        if spark_tables.exists(spark, TENDANCES, self._config):
            before = corrections.reversed_totals(spark_tables.read(spark, TENDANCES, self._config))
            changes = corrections.added(sales).unionAll(before)
            self._record(changes, self._today(), f"{self._app_id(CORRECTIONS)}-build", 0)
        members = distinct_counts.members(sales, self._entries).withColumn("_lot", F.lit(-1).cast("bigint"))
        self._replace(members.select(*MEMBRES.names), MEMBRES)
        for entry in self._entries:
            if stop is not None and stop.is_set():
                return False
            _log.info("building", table=entry.table.name)
            self._replace(
                spark_plans.complete(spark_plans.partial(self._kept(sales, entry.table), entry), entry), entry.table
            )
        return True

    def _replace(self, rows: DataFrame, table: TableSpec) -> None:
        facts = {"generation": self._generation, "engine": "spark"}
        spark_tables.replace(rows, table, self._config, app_id=f"{self._app_id(table)}-build", batch_id=0, facts=facts)
