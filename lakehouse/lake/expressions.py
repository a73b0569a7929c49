"""Spark column helpers missing from ``pyspark.sql.functions``."""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column
from pyspark.sql import functions as F


def evaluated(value: Column) -> Column:
    """``value``, kept out of the code that Spark generates: a number that changes with each batch would have that code
    compiled anew each time. A lambda is evaluated and not generated, and is not folded into a constant
    (docs/decisions/0024-generated-code.md)."""
    return F.transform(F.array(value), lambda each: each)[0]


def day(value: date) -> Column:
    """``value`` as a literal. By its number: PySpark hands a date to Java as text, in which it does not pad a year below
    1000, and Java refuses that."""
    return F.date_from_unix_date(F.lit((value - date(1970, 1, 1)).days))
