"""The declared aggregates as Spark's plans: sales → partials → rows, and the cells in which two tables differ."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.contract.tables import TableSpec
from lakehouse.silver import aggregates
from lakehouse.silver.aggregates import Aggregate


def key_columns(entry: Aggregate) -> list[Column]:
    """The keys, computed from Bronze's columns."""
    return [F.expr(sql).alias(key) for key, sql in aggregates.key_values(entry, "spark").items()]


def partial(sales: DataFrame, entry: Aggregate, *, plain: bool) -> DataFrame:
    """The entry's keys and measures over ``sales`` alone. One row per key; members are counted within ``sales``.
    ``plain``: no sale has an operation."""
    measures = [F.expr(sql).alias(name) for name, sql in aggregates.partial_values(entry, "spark", plain=plain).items()]
    return sales.groupBy(*key_columns(entry)).agg(*measures)


def complete(partials: DataFrame, entry: Aggregate) -> DataFrame:
    """``partials`` as full rows of the table: derived columns computed, every column with its type, in order."""
    values = aggregates.insert_values(entry, prefix="")
    return partials.select(*(F.expr(sql).alias(name) for name, sql in values.items()))


def differences(expected: DataFrame, actual: DataFrame, entry: Aggregate) -> DataFrame:
    """One row per differing cell: the key as text, the column, both values as text. A row that only one side has is
    one difference, in the column ``*``."""
    keys, columns = list(entry.table.keys), entry.compared
    left = expected.select(*keys, F.struct(*columns).alias("e"))
    right = actual.select(*keys, F.struct(*columns).alias("a"))
    joined = left.join(right, keys, "full_outer")

    def text(column: Column) -> Column:
        return F.coalesce(column.cast("string"), F.lit("null"))

    def cell(name: str, a: Column, b: Column) -> Column:
        return F.struct(F.lit(name).alias("colonne"), text(a).alias("attendu"), text(b).alias("trouve"))

    both = F.col("e").isNotNull() & F.col("a").isNotNull()
    cells = F.when(
        both,
        F.filter(
            F.array(
                *(
                    F.when(~F.col(f"e.{c}").eqNullSafe(F.col(f"a.{c}")), cell(c, F.col(f"e.{c}"), F.col(f"a.{c}")))
                    for c in columns
                )
            ),
            lambda item: item.isNotNull(),
        ),
    ).otherwise(F.array(cell("*", F.col("e"), F.col("a"))))
    return joined.select(_shown(keys).alias("cle"), F.explode(cells).alias("d")).select("cle", "d.*")


def doubled(rows: DataFrame, table: TableSpec) -> DataFrame:
    """One row, as of ``differences``, for each identity (``TableSpec.identity``) that stands more than once in ``rows``."""
    keys = table.identity
    found = rows.groupBy(*keys).count().where("count > 1")
    counted = F.concat(F.col("count").cast("string"), F.lit(" rows")).alias("trouve")
    return found.select(
        _shown(keys).alias("cle"), F.lit("*").alias("colonne"), F.lit("1 row").alias("attendu"), counted
    )


def _shown(keys: Sequence[str]) -> Column:
    """A row's key as text."""
    return F.concat_ws(" × ", *(F.concat(F.lit(f"{key}="), F.col(key).cast("string")) for key in keys))
