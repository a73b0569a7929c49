"""The declared aggregates: their fingerprint, and the columns that both dialects make."""

from __future__ import annotations

from decimal import Decimal

import pytest

from lakehouse.lake.query import Dialect
from lakehouse.silver import aggregates
from lakehouse.silver.aggregates import Thresholds

DEFAULTS = Thresholds(Decimal(500), Decimal(100), 2, "UTC")


@pytest.mark.parametrize(
    ("thresholds", "noted"),
    [
        (DEFAULTS, "a0c4ebdb8649f74f"),
        (Thresholds(Decimal("500.5"), Decimal("1E+2"), 3, "Europe/Paris"), "57614a9c0d7204f4"),
    ],
)
def test_the_fingerprint_is_the_one_that_existing_lakes_have_noted(thresholds: Thresholds, noted: str) -> None:
    """Another one asks every lake for a full build: it may change with the figures alone, not with how they are written."""
    assert aggregates.definition(aggregates.aggregates(thresholds)) == noted


@pytest.mark.parametrize("dialect", ["spark", "local"])
def test_each_dialect_makes_every_column(dialect: Dialect) -> None:
    for entry in aggregates.aggregates(DEFAULTS):
        assert tuple(aggregates.insert_values(entry, dialect)) == entry.table.names
        merged = aggregates.update_values(entry, dialect)
        assert {*merged, *entry.table.keys} == set(entry.table.names)
        assert not [sql for sql in merged.values() if "{" in sql]


def test_no_local_aggregation_takes_the_max_of_a_struct() -> None:
    """DataFusion would keep gigabytes for it."""
    for entry in aggregates.aggregates(DEFAULTS):
        for sql in aggregates.partial_values(entry, "local").values():
            assert "max(named_struct" not in sql
