"""What a Silver refresh changes in days that had ended: figures that may have been reported already."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.contract.tables import CORRECTIONS
from lakehouse.lake.expressions import day

_FIGURES = ("transactions", "montant", "articles")
_KEYS = ("jour", "pays", "segment")


def added(sales: DataFrame) -> DataFrame:
    """Each sale as a change of its day, country and segment."""
    return sales.selectExpr(
        *_KEYS,
        "CASE WHEN annulee THEN 0L ELSE 1L END AS transactions",
        "montant",
        "CAST(quantite AS BIGINT) AS articles",
    )


def reversed_totals(hours: DataFrame) -> DataFrame:
    """Each row of ``tendances_horaires`` as the change that reverses it."""
    return hours.selectExpr(
        *_KEYS, "-total_transactions AS transactions", "-revenue_total AS montant", "-items_sold AS articles"
    )


def corrections(changes: DataFrame, today: date) -> DataFrame:
    """``changes`` to the days before ``today``, summed up to one row per jour × pays × segment (money in EUR, exact);
    those that cancel out are left out."""
    kinds = dict(CORRECTIONS.columns)
    sums = [F.sum(name).cast(kinds[name]).alias(name) for name in _FIGURES]
    summed = changes.where(F.col("jour") < day(today)).groupBy(*_KEYS).agg(*sums)
    return summed.where(" OR ".join(f"{name} <> 0" for name in _FIGURES))
