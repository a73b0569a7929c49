"""EDGE. Writes of Silver: one micro-batch merged into every table, or every table built anew.

Guarantee: a batch that is repeated after a crash, between whichever two commits, changes nothing twice. Each commit
carries (application id, batch id); Delta refuses the pair the second time, and the new members of a distinct count are
found again by the batch that brought them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date

from delta.tables import DeltaTable
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse import bronze, delta_io, log, silver
from lakehouse.config import Config
from lakehouse.silver import Aggregate, Measure
from lakehouse.tables import TableSpec

_log = log.get("silver")

_APP_ID = "spark.databricks.delta.write.txnAppId"
_VERSION = "spark.databricks.delta.write.txnVersion"

SOURCE_COLUMNS = (
    "vente_id", "client_id", "produit_id", "timestamp", "quantite", "montant",
    "client_nom", "produit_nom", "categorie", "pays", "segment", "jour",
)  # fmt: skip


@contextmanager
def _once(spark: SparkSession, app_id: str, batch_id: int) -> Iterator[None]:
    """Within it, a MERGE commits once per (``app_id``, ``batch_id``)."""
    spark.conf.set(_APP_ID, app_id)
    spark.conf.set(_VERSION, str(batch_id))
    try:
        yield
    finally:
        spark.conf.unset(_APP_ID)
        spark.conf.unset(_VERSION)


class SilverSink:
    """The ``foreachBatch`` function of one generation of the Silver tables."""

    def __init__(self, config: Config, entries: Sequence[Aggregate], generation: str) -> None:
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
            for entry in self._entries:
                self._merge(sales, entry, days, batch_id)
        finally:
            sales.unpersist()
        self.rows += rows
        _log.info("merged", batch=batch_id, sales=rows, days=len(days), seconds=round(time.monotonic() - started, 1))

    def _merge(self, sales: DataFrame, entry: Aggregate, days: Sequence[date], batch_id: int) -> None:
        partials = silver.partial(sales, entry)
        for measure, table in entry.member_tables:
            new = self._add_members(sales, entry, measure, table, days, batch_id)
            partials = silver.with_new_members(partials, entry, measure, new)
        spark = sales.sparkSession
        target = DeltaTable.forPath(spark, entry.table.path(self._config.delta.base_path))
        with _once(spark, self._app_id(entry.table), batch_id):
            (
                target.alias("t")
                .merge(partials.alias("s"), silver.merge_condition(entry, days))
                .whenMatchedUpdate(set=dict(silver.update_values(entry)))
                .whenNotMatchedInsert(values=dict(silver.insert_values(entry)))
                .execute()
            )

    def _add_members(
        self,
        sales: DataFrame,
        entry: Aggregate,
        measure: Measure,
        table: TableSpec,
        days: Sequence[date],
        batch_id: int,
    ) -> DataFrame:
        """Append the members that the table does not know; return those that this batch brought, now or before a crash."""
        spark, config = sales.sparkSession, self._config
        condition = silver.day_condition(table, days) or "true"
        pairs = silver.member_pairs(sales, entry, measure)
        known = delta_io.read(spark, table, config).where(condition)
        # the batch is the small side: the member table is scanned past it, instead of being shuffled
        known = known.join(F.broadcast(pairs), list(table.keys), "left_semi")
        new = bronze.unknown(pairs, known, table.keys).withColumn("_lot", F.lit(batch_id).cast("bigint"))
        delta_io.append(
            new.select(*table.names).coalesce(1), table, config, app_id=self._app_id(table), batch_id=batch_id
        )
        return delta_io.read(spark, table, config).where(condition).where(F.col("_lot") == batch_id)

    # --- all of Bronze -----------------------------------------------------------------------------------------------

    def build(self, sales: DataFrame, stop: threading.Event | None = None) -> bool:
        """Replace every table by its recompute over ``sales``, each in one commit; a repeat changes nothing. False when
        ``stop`` was set between two tables: the next start finishes the build."""
        config = self._config
        for entry in self._entries:
            if stop is not None and stop.is_set():
                return False
            _log.info("building", table=entry.table.name)
            for measure, table in entry.member_tables:
                pairs = silver.member_pairs(sales, entry, measure).withColumn("_lot", F.lit(-1).cast("bigint"))
                self._replace(pairs.select(*table.names), table, config)
            self._replace(silver.complete(silver.partial(sales, entry), entry), entry.table, config)
        return True

    def _replace(self, rows: DataFrame, table: TableSpec, config: Config) -> None:
        delta_io.ensure(rows.sparkSession, table, config)
        (
            rows.write.format("delta")
            .mode("overwrite")
            .option("overwriteSchema", "true")
            .option("txnAppId", f"{self._app_id(table)}-build")
            .option("txnVersion", 0)
            .save(table.path(config.delta.base_path))
        )
