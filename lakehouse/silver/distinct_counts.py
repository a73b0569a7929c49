"""Exact distinct counts that are too large for an array: their members, all in one table, and the merge of them.

A count goes up by the members of a batch that the member table (``tables.MEMBRES``) does not know yet. One table for
all counts: a table each made a refresh a third slower, since a commit costs more than the rows in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.contract.tables import MEMBRES
from lakehouse.silver.aggregates import Aggregate, Measure, day_condition, member_name, members_have_day
from lakehouse.silver.spark_plans import key_columns


def _key(entry: Aggregate) -> Column:
    """The row's key but for its day, as text that no two keys share."""
    return F.to_json(F.struct(*(F.col(key) for key in entry.table.keys if key != "jour")))


def members(sales: DataFrame, entries: Sequence[Aggregate]) -> DataFrame:
    """The distinct members in ``sales`` of every large distinct count, as the member table has them, without ``_lot``."""
    pairs = [_members(sales, entry, measure) for entry in entries for measure in entry.member_measures]
    return reduce(DataFrame.unionAll, pairs).distinct()


def _members(sales: DataFrame, entry: Aggregate, measure: Measure) -> DataFrame:
    keyed = sales.where("NOT annulee").withColumns(dict(zip(entry.table.keys, key_columns(entry), strict=True)))
    return keyed.select(
        F.lit(member_name(entry, measure)).alias("mesure"),
        (F.col("jour") if members_have_day(entry, measure) else F.lit(None).cast("date")).alias("jour"),
        _key(entry).alias("cle"),
        F.expr(measure.of.spark).cast("string").alias("membre"),
    )


def partitions(days: Sequence[date]) -> str:
    """SQL that prunes the member table to the partitions that sales of ``days`` can touch."""
    return f"(jour IS NULL OR {day_condition(MEMBRES, days) or 'true'})"


def unknown(found: DataFrame, known: DataFrame) -> DataFrame:
    """Those members of ``found`` that are not in ``known``."""
    # the batch is the small side: broadcast to the scan of the member table, which is then not shuffled
    near = known.join(F.broadcast(found.select("mesure", "cle").distinct()), ["mesure", "cle"], "left_semi")
    return found.join(near, [found[key].eqNullSafe(near[key]) for key in MEMBRES.keys], "left_anti")


def with_new(partials: DataFrame, entry: Aggregate, measure: Measure, new: DataFrame) -> DataFrame:
    """``partials`` with the measure replaced by the number of its members that are ``new`` with this batch."""
    on = ["cle", "jour"] if "jour" in entry.table.keys else ["cle"]
    mine = new.where(F.col("mesure") == member_name(entry, measure))
    counts = mine.groupBy(*on).agg(F.count(F.lit(1)).alias("_nouveaux"))
    joined = partials.drop(measure.column).withColumn("cle", _key(entry)).join(counts, on, "left")
    return joined.withColumn(measure.column, F.coalesce("_nouveaux", F.lit(0))).drop("_nouveaux", "cle")
