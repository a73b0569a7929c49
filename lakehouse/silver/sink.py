"""Writes of Silver: one micro-batch merged into every table, or every table rebuilt.

Guarantee: a batch that is repeated after a crash, between whichever two commits, changes nothing twice. Each commit
carries (application id, batch id); Delta refuses the pair the second time, and the new members of a distinct count are
found again by the batch that brought them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date, datetime

from delta.tables import DeltaMergeBuilder, DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse import crash_points
from lakehouse.config import Config
from lakehouse.contract.table_properties import KEPT_FROM
from lakehouse.contract.tables import CORRECTIONS, MEMBRES, TENDANCES, VENTES, TableSpec
from lakehouse.lake import spark_tables
from lakehouse.lake.expressions import evaluated
from lakehouse.lake.net_sql import SOURCE_COLUMNS
from lakehouse.lake.operations_progress import NONE
from lakehouse.lake.query import literal
from lakehouse.observability import log, provenance
from lakehouse.silver import aggregates, corrections, distinct_counts, operation_steps, spark_plans, spark_sales
from lakehouse.silver.aggregates import Aggregate
from lakehouse.silver.spark_sales import SparkChanges, SparkNetSales, asked, kept

_log = log.get("silver")

_APP_ID = "spark.databricks.delta.write.txnAppId"
_VERSION = "spark.databricks.delta.write.txnVersion"
_ORIGIN = "spark.databricks.delta.commitInfo.userMetadata"


@contextmanager
def _once(spark: SparkSession, app_id: str, batch_id: int, what: str = "silver batch") -> Iterator[None]:
    """Within it, a MERGE commits once per (``app_id``, ``batch_id``), and its commit names the batch."""
    origin = spark.conf.get(_ORIGIN, "")
    spark.conf.set(_ORIGIN, provenance.commit_metadata(what, batch=batch_id, engine="spark"))
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
        *,
        operations: int = NONE,
    ) -> None:
        """``merged`` is called with each table and the seconds that its merge took. ``operations``: the version of them that the tables hold."""
        self._operations = operations
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
        with kept(batch.select(*SOURCE_COLUMNS)) as sold:
            counted = sold.groupBy("jour").count().collect()
            if not counted:
                return
            days = [row["jour"] for row in counted]
            rows = sum(row["count"] for row in counted)
            with spark_sales.of_batch(self._config, sold, operations=self._operations) as sales:
                self._merge_all(sales, days, batch_id)
        self.rows += rows
        _log.info("merged", batch_id=batch_id, sales=rows, days=len(days), seconds=round(time.monotonic() - started, 1))

    def _merge_all(self, sales: SparkNetSales, days: Sequence[date], batch_id: int) -> None:
        if min(days) < (today := self._today()):
            self._record(corrections.added(sales.rows), today, self._app_id(CORRECTIONS), batch_id)
        with kept(self._add_members(sales.rows, days, batch_id)) as new:
            for entry in self._entries:
                began = time.monotonic()
                self._merge(sales, entry, days, new, batch_id)
                self._merged(entry.table.name, time.monotonic() - began)

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

    def _merge(
        self, sales: SparkNetSales, entry: Aggregate, days: Sequence[date], new: DataFrame, batch_id: int
    ) -> None:
        partials = spark_plans.partial(self._kept(sales.rows, entry.table), entry, plain=sales.plain)
        for measure in entry.member_measures:
            partials = distinct_counts.with_new(partials, entry, measure, new)
        spark = sales.rows.sparkSession
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
        since = self._since(sales.sparkSession, table)
        return sales.where(F.col("jour") >= F.lit(since).cast("date")) if since else sales

    def _since(self, spark: SparkSession, table: TableSpec) -> str | None:
        if "jour" not in table.keys or not spark_tables.exists(spark, table, self._config):
            return None
        return spark_tables.properties(spark, table, self._config).get(KEPT_FROM)

    # --- one step of operations --------------------------------------------------------------------------------------

    def apply(self, changed: SparkChanges, number: int) -> None:
        """Take the changed sales out of every table as they were, and put them back as they are."""
        started = time.monotonic()
        days = [row["jour"] for row in changed.asked(operation_steps.DAYS).collect()]
        if min(days) < (today := self._today()):
            app_id = operation_steps.app_id(CORRECTIONS, self._generation)
            changes = changed.asked(operation_steps.CHANGES)
            self._record(changes, today, app_id, number, lot=operation_steps.lot(number))
        self._change_members(changed, number)
        for entry in self._entries:
            began = time.monotonic()
            self._shift(changed, entry, days, number)
            self._merged(entry.table.name, time.monotonic() - began)
        _log.info("operations merged", step=number, days=len(days), seconds=round(time.monotonic() - started, 1))

    def _change_members(self, changed: SparkChanges, number: int) -> None:
        states = (changed.asked(f"SELECT * FROM sales_{state}") for state in ("before", "after"))
        before, after = (distinct_counts.members(sales, self._entries) for sales in states)
        gone, came = before.subtract(after), after.subtract(before)
        rows = gone.withColumn("gone", F.lit(True)).unionAll(came.withColumn("gone", F.lit(False)))
        with kept(rows.withColumn("_lot", F.lit(operation_steps.lot(number)).cast("bigint"))) as found:
            days = [row["jour"] for row in found.select("jour").distinct().collect()]
            if not days:
                return
            touched = aggregates.day_condition(MEMBRES, [day for day in days if day is not None], alias="t.")
            same = " AND ".join(f"(t.{key} IS NOT DISTINCT FROM s.{key})" for key in MEMBRES.keys)
            target = DeltaTable.forPath(changed.spark, MEMBRES.path(self._config.delta.base_path))
            merge = target.alias("t").merge(found.alias("s"), f"(t.jour IS NULL OR {touched or 'false'}) AND {same}")
            values = {name: f"s.{name}" for name in MEMBRES.names}
            merge = merge.whenMatchedDelete("s.gone").whenNotMatchedInsert("NOT s.gone", dict(values))
            self._once_a_step(changed.spark, merge, MEMBRES, number)

    def _shift(self, changed: SparkChanges, entry: Aggregate, days: Sequence[date], number: int) -> None:
        kept_from = self._since(changed.spark, entry.table)
        since = literal(date.fromisoformat(kept_from)) if kept_from else None
        target = DeltaTable.forPath(changed.spark, entry.table.path(self._config.delta.base_path))
        with self._read_again(changed, entry, days, since) as rest:
            rows = changed.asked(operation_steps.shifted(entry, "spark", since=since, rest=bool(rest)), **rest)
            merge = target.alias("t").merge(rows.alias("s"), aggregates.merge_condition(entry, days))
            merge = merge.whenMatchedDelete(operation_steps.is_empty(entry, "spark"))
            merge = merge.whenMatchedUpdate(set=dict(operation_steps.update_values(entry, "spark")))
            is_row, values = operation_steps.is_row(entry, "spark"), operation_steps.insert_values(entry, "spark")
            self._once_a_step(changed.spark, merge.whenNotMatchedInsert(is_row, dict(values)), entry.table, number)

    @contextmanager
    def _read_again(
        self, changed: SparkChanges, entry: Aggregate, days: Sequence[date], since: str | None
    ) -> Iterator[dict[str, DataFrame]]:
        """``rest``, when measures of some keys rested on what is gone, and Bronze is asked for the others."""
        spark, target = changed.spark, spark_tables.read(changed.spark, entry.table, self._config)
        with ExitStack() as held:
            rest: dict[str, DataFrame] = {}
            for scope in operation_steps.scopes(entry):
                sql = operation_steps.lost(entry, "spark", since=since, rest=bool(rest))
                lost = held.enter_context(kept(changed.asked(sql, target=target, **rest)))
                if lost.isEmpty():
                    break
                there = (
                    [row["jour"] for row in lost.select("jour").distinct().collect()] if scope == "its days" else days
                )
                within = aggregates.day_condition(VENTES, there) if scope != "everywhere" else None
                sql = operation_steps.read_again(entry, within, "spark", rest=bool(rest))
                named = {"sales": changed.sales, "operations": changed.operations, "lost": lost, **rest}
                rest = {"rest": held.enter_context(kept(asked(spark, sql, **named)))}
            yield rest

    def _once_a_step(self, spark: SparkSession, merge: DeltaMergeBuilder, table: TableSpec, number: int) -> None:
        with _once(spark, operation_steps.app_id(table, self._generation), number, "silver operations"):
            merge.execute()
        crash_points.step(f"after a merge into {table.name}")

    # --- days that had ended -----------------------------------------------------------------------------------------

    def _today(self) -> date:
        return datetime.now(self._config.analytics.timezone).date()

    def _record(self, changes: DataFrame, today: date, app_id: str, batch_id: int, lot: int | None = None) -> None:
        """Record the corrections before the figures change: a crash in between repeats the batch, not this."""
        rows = corrections.corrections(changes, today).withColumns(
            {
                "date_correction": F.current_timestamp(),
                "generation": F.lit(self._generation),
                "lot": F.lit(batch_id if lot is None else lot).cast("bigint"),
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

    def build(self, sales: SparkNetSales, stop: threading.Event | None = None) -> bool:
        """Replace every table by its recompute over ``sales``, each in one commit; a repeat changes nothing. False when
        ``stop`` was set between two tables: the next start finishes the build."""
        spark = sales.rows.sparkSession
        if spark_tables.exists(spark, TENDANCES, self._config):
            before = corrections.reversed_totals(spark_tables.read(spark, TENDANCES, self._config))
            changes = corrections.added(sales.rows).unionAll(before)
            self._record(changes, self._today(), f"{self._app_id(CORRECTIONS)}-build", 0)
        members = distinct_counts.members(sales.rows, self._entries).withColumn("_lot", F.lit(-1).cast("bigint"))
        self._replace(members.select(*MEMBRES.names), MEMBRES)
        for entry in self._entries:
            if stop is not None and stop.is_set():
                return False
            _log.info("building", table=entry.table.name)
            partials = spark_plans.partial(self._kept(sales.rows, entry.table), entry, plain=sales.plain)
            self._replace(spark_plans.complete(partials, entry), entry.table)
        return True

    def _replace(self, rows: DataFrame, table: TableSpec, app_id: str | None = None) -> None:
        facts = {"generation": self._generation, "engine": "spark"}
        app_id = app_id or f"{self._app_id(table)}-build"
        spark_tables.replace(rows, table, self._config, app_id=app_id, batch_id=0, facts=facts)

    def gain_columns(self, spark: SparkSession) -> None:
        """Add the columns that tables of an earlier release lack, with their values, each table in one commit."""
        for entry in self._entries:
            held = spark_tables.read(spark, entry.table, self._config)
            if set(entry.table.names) <= (there := set(held.columns)):
                continue
            _log.info("adding columns", table=entry.table.name)
            gained = {name: F.expr(sql) for name, sql in aggregates.gained_values(entry).items() if name not in there}
            rows = held.withColumns(gained).select(*entry.table.names)
            self._replace(rows, entry.table, operation_steps.gained_id(entry.table, self._generation))
