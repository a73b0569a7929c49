"""What Spark's expressions do not say by themselves."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F


def evaluated(value: Column) -> Column:
    """``value``, kept out of the code that Spark generates: a number that changes with each batch would have that code
    compiled anew each time. A lambda is evaluated and not generated, and is not folded into a constant
    (docs/decisions/0024-generated-code.md)."""
    return F.transform(F.array(value), lambda each: each)[0]
