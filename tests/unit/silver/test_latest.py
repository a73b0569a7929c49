"""The sale that names a client: the maximum of one text in DataFusion is the latest sale, whatever its texts hold."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lakehouse.silver import aggregates, expressions, local_sql
from lakehouse.silver.aggregates import Thresholds
from lakehouse.silver.local_sales import asked

TEXTS = st.text(st.sampled_from("\x00\x01\x02aé\U0001f600\u2028\\'"), min_size=1, max_size=4)
MOMENTS = st.sampled_from(
    [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, 0, 0, 0, 1, UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
        datetime(2026, 11, 27, 12, 30, 15, 20, UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
    ]
)
SALES = st.lists(st.tuples(st.integers(0, 3), MOMENTS, TEXTS, TEXTS, TEXTS), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(sales=SALES)
@example(
    sales=[(0, datetime(2026, 1, 1, tzinfo=UTC), each, "\x00", "\x01\x00") for each in ("a", "a\x00", "a\x00\x00b")]
)
@example(sales=[(0, datetime(2026, 1, 1, tzinfo=UTC), each, "x", "y") for each in ("a\x01", "a", "a\x00\x01")])
def test_the_latest_sale_is_that_of_the_greatest_moment_and_id(
    sales: list[tuple[int, datetime, str, str, str]],
) -> None:
    names = ("key", "timestamp", "vente_id", "produit_nom", "categorie")
    schema = pa.schema(
        [("key", pa.int64()), ("timestamp", pa.timestamp("us", "UTC")), *((name, pa.string()) for name in names[2:])]
    )
    expected: dict[int, tuple[object, ...]] = {}
    for key, *sale in sales:
        expected[key] = max(expected.get(key, tuple(sale)), tuple(sale), key=lambda each: [_order(one) for one in each])
    latest = expressions.latest("produit_nom", "categorie").local_max
    assert latest is not None
    with tempfile.TemporaryDirectory() as folder:
        rows = [dict(zip(names, sale, strict=True)) for sale in sales]
        write_deltalake(folder, pa.Table.from_pylist(rows, schema))
        found = asked(f"SELECT key, {latest('')} AS v FROM held GROUP BY key", held=DeltaTable(folder)).read_all()
    assert {row["key"]: tuple(row["v"].values()) for row in found.to_pylist()} == expected


def _order(value: object) -> object:
    """Texts have the order of their bytes."""
    return value.encode() if isinstance(value, str) else value


@pytest.mark.parametrize("table", ["ventes_aggreges", "ventes_par_produit", "profil_clients"])
def test_no_plan_orders_the_sales_of_a_key(table: str) -> None:
    """Ordered aggregates and sets a key took ten times the rest of a build."""
    limits = Thresholds(Decimal(500), Decimal(100), 2, "UTC")
    (entry,) = (each for each in aggregates.aggregates(limits) if each.table.name == table)
    sql = local_sql.rows(entry, None)
    assert "ORDER BY" not in sql and "last_value" not in sql and "array_agg(DISTINCT" not in sql
