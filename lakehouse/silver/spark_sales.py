"""Sales net of their operations as Spark's plans, and what a step of operations reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession

from lakehouse.config import Config
from lakehouse.contract.tables import OPERATIONS, VENTES
from lakehouse.lake import net_sql, spark_tables
from lakehouse.lake.net_sql import SOURCE_COLUMNS
from lakehouse.lake.operations_progress import NONE, OperationsStep
from lakehouse.silver import operation_steps


@dataclass(frozen=True)
class SparkNetSales:
    """Sales with the columns of ``net_sql.net``. ``plain``: none of them has an operation."""

    rows: DataFrame
    plain: bool


def asked(spark: SparkSession, sql: str, **named: DataFrame) -> DataFrame:
    """A SELECT over these tables."""
    for name, rows in named.items():
        rows.createOrReplaceTempView(name)
    try:
        return spark.sql(sql)
    finally:
        for name in named:
            spark.catalog.dropTempView(name)


@contextmanager
def kept(rows: DataFrame) -> Iterator[DataFrame]:
    """The rows, computed once for all that reads them in the block."""
    rows = rows.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield rows
    finally:
        rows.unpersist()


def without_operations(sold: DataFrame) -> SparkNetSales:
    """Sales none of which has an operation."""
    return SparkNetSales(sold.selectExpr("*", *(f"{sql} AS {name}" for name, sql in net_sql.PLAIN.items())), True)


def with_operations(sold: DataFrame, done: DataFrame) -> SparkNetSales:
    """Sales with all of these operations."""
    return SparkNetSales(
        asked(sold.sparkSession, net_sql.net("sold", "done", "spark", SOURCE_COLUMNS), sold=sold, done=done), False
    )


def of_bronze(spark: SparkSession, config: Config, *, sales: int, operations: int) -> SparkNetSales:
    """Bronze's sales at a version, with the operations at a version of theirs (``NONE``: without any)."""
    sold = spark_tables.read(spark, VENTES, config, version=sales).select(*SOURCE_COLUMNS)
    if operations == NONE:
        return without_operations(sold)
    return with_operations(sold, spark_tables.read(spark, OPERATIONS, config, version=operations))


@contextmanager
def of_batch(config: Config, sold: DataFrame, *, operations: int) -> Iterator[SparkNetSales]:
    """New sales with those of the operations up to a version that came before them."""
    if operations == NONE:
        yield without_operations(sold)
        return
    done = spark_tables.read(sold.sparkSession, OPERATIONS, config, version=operations)
    with kept(done.join(sold.select("vente_id"), "vente_id", "left_semi")) as came:
        yield without_operations(sold) if came.isEmpty() else with_operations(sold, came)


@dataclass(frozen=True)
class SparkChanges:
    """What a step changes: the tables of ``operation_steps``. ``sales`` and ``operations``: all of Bronze's, as the step has them."""

    spark: SparkSession
    tables: Mapping[str, DataFrame]
    sales: DataFrame
    operations: DataFrame

    def asked(self, sql: str, **more: DataFrame) -> DataFrame:
        """A SELECT over the states before and after, and these tables."""
        return asked(self.spark, f"{operation_steps.states('spark')} {sql}", **self.tables, **more)


@contextmanager
def changed(spark: SparkSession, config: Config, step: OperationsStep) -> Iterator[SparkChanges | None]:
    """What the step changes; None when no sale of its operations has come yet."""
    sales = spark_tables.read(spark, VENTES, config, version=step.sales)
    operations = spark_tables.read(spark, OPERATIONS, config, version=step.upto)
    news, keys = operations, list(operation_steps.ROW_KEYS)
    if step.after != NONE:
        known = spark_tables.read(spark, OPERATIONS, config, version=step.after)
        news = operations.join(known.select(*keys), keys, "left_anti")
    with ExitStack() as held:
        news = held.enter_context(kept(news.select(*keys, "vente_id")))
        buyers = held.enter_context(kept(asked(spark, operation_steps.BUYERS, sales=sales, news=news)))
        if buyers.isEmpty():
            yield None
            return
        corrected = asked(spark, operation_steps.CORRECTED, operations=operations, news=news)
        clients = held.enter_context(kept(buyers.union(corrected)))
        sql = operation_steps.context("spark")
        context = held.enter_context(kept(asked(spark, sql, sales=sales, operations=operations, clients=clients)))
        about = asked(spark, operation_steps.ABOUT_CONTEXT, operations=operations, news=news, context=context)
        done = held.enter_context(kept(about))
        yield SparkChanges(spark, {"context": context, "operations": done}, sales, operations)
