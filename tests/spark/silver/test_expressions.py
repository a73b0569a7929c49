"""The vocabulary of Silver's columns: each word gives the same value in Spark and in DataFusion, extremes included."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from lakehouse.silver import expressions
from lakehouse.silver.expressions import Expression
from lakehouse.silver.local_sales import asked

FEW = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
"""An example is a list of hundreds of values: each is a Spark job."""

LARGEST = Decimal("99999999999999999999999999.99")
TOTALS = st.integers(0, int(LARGEST * 100)).map(lambda cents: Decimal(cents).scaleb(-2))
SMALL = st.integers(0, 10**6).map(lambda cents: Decimal(cents).scaleb(-2))
COUNTS = st.one_of(st.integers(1, 50), st.integers(1, 2**63 - 1), st.integers(10**10, 10**11))


def near_half(count: int, cents: int, distance: int) -> tuple[Decimal, int]:
    """A total whose mean lies next to half a cent: where one rounding more or less shows."""
    total = (2 * cents + 1) * count // 2 + distance
    return Decimal(max(total, 0)).scaleb(-2), count


PAIRS = st.one_of(
    st.tuples(TOTALS, COUNTS),
    st.tuples(SMALL, COUNTS),
    st.builds(near_half, st.integers(1, 10**13), st.integers(0, 10**9), st.integers(-2, 2)),
)
MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(2099, 12, 31, 23, 59, 59)).map(lambda each: each.replace(tzinfo=UTC))
EDGES = [
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
    datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
]


def values(
    spark: SparkSession,
    expression: Expression,
    columns: Sequence[tuple[str, str, pa.DataType]],
    rows: Sequence[tuple[Any, ...]],
) -> tuple[list[Any], list[Any]]:
    """The expression over the rows by Spark and by DataFusion, in the rows' order."""
    names = {name: name for name, _, _ in columns}
    numbered = [(number, *row) for number, row in enumerate(rows)]
    ddl = ", ".join(["n INT", *(f"`{name}` {kind}" for name, kind, _ in columns)])
    frame = spark.createDataFrame(numbered, ddl).repartition(1)
    by_spark = [
        row[0] for row in frame.selectExpr(f"{expression.spark.format(**names)} AS v", "n").orderBy("n").collect()
    ]
    schema = pa.schema([("n", pa.int32()), *((name, kind) for name, _, kind in columns)])
    with tempfile.TemporaryDirectory() as folder:
        write_deltalake(
            folder, pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in numbered], schema)
        )
        sql = f"SELECT {expression.local.format(**names)} AS v FROM held ORDER BY n"
        by_local = [row["v"] for row in asked(sql, held=DeltaTable(folder)).read_all().to_pylist()]
    return by_spark, by_local


@FEW
@given(pairs=st.lists(PAIRS, min_size=1, max_size=300))
def test_a_mean_has_the_same_cents(spark: SparkSession, pairs: list[tuple[Decimal, int]]) -> None:
    columns = [("total", "DECIMAL(28,2)", pa.decimal128(28, 2)), ("count", "BIGINT", pa.int64())]
    always = [(LARGEST, 1), (LARGEST, 3), (Decimal("0.01"), 2), (Decimal("0.00"), 7), (Decimal("0.05"), 20_000_000_001)]
    by_spark, by_local = values(spark, expressions.mean("total", "count"), columns, [*pairs, *always])
    assert by_spark == by_local


@FEW
@given(
    moments=st.lists(MOMENTS, max_size=300),
    zone=st.sampled_from(
        ["UTC", "Europe/Paris", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia", "Africa/Monrovia"]
    ),
)
def test_an_hour_is_the_same_in_every_zone(spark: SparkSession, moments: list[datetime], zone: str) -> None:
    columns = [("timestamp", "TIMESTAMP", pa.timestamp("us", "UTC"))]
    by_spark, by_local = values(spark, expressions.hour(zone), columns, [(each,) for each in (*moments, *EDGES)])
    assert by_spark == by_local


@FEW
@given(amounts=st.lists(st.one_of(TOTALS, SMALL, st.none()), max_size=300), premium=st.decimals(0, 1000, places=3))
def test_a_range_is_the_same(spark: SparkSession, amounts: list[Decimal | None], premium: Decimal) -> None:
    said = expressions.ranges("total", (premium, "Premium"), (premium / 4, "Standard"), below="Economy")
    columns = [("total", "DECIMAL(28,2)", pa.decimal128(28, 2))]
    always = [(premium.quantize(Decimal("0.01")),), (Decimal("0.00"),), (LARGEST,), (None,)]
    by_spark, by_local = values(spark, said, columns, [*((each,) for each in amounts), *always])
    assert by_spark == by_local


@pytest.mark.parametrize("limit", [1, 2**62])
def test_at_least_is_the_same(spark: SparkSession, limit: int) -> None:
    rows = [(limit - 1,), (limit,), (limit + 1,), (None,)]
    by_spark, by_local = values(spark, expressions.at_least("n1", limit), [("n1", "BIGINT", pa.int64())], rows)
    assert by_spark == by_local == [False, True, True, None]
