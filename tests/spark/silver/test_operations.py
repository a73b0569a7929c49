"""Operations on sales by two engines: equal cells of either, and each goes on where the other stopped, in a step too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse.contract.tables import CORRECTIONS, MEMBRES, SILVER
from lakehouse.errors import LakehouseError
from lakehouse.silver.aggregates import PROCESSING_TIME
from lakehouse.silver.job import SilverJob
from lakehouse.silver.local_sink import LocalSink
from lakehouse.silver.sink import SilverSink
from tests.support import lakes
from tests.support.operations import Shop, back, cancelled, corrected

pytestmark = pytest.mark.timeout(900)  # a step of operations in Spark is two dozen jobs for each table

SALES = lakes.sales(60, days=4)
IDS = [row["vente_id"] for row in SALES]
LATEST = max(SALES[:30], key=lambda row: row["timestamp"])
BATCHES: list[tuple[list[lakes.Row], list[lakes.Row]]] = [
    (SALES[:30], []),
    ([], [
        cancelled(1, IDS[3]), back(2, IDS[4], "3.50"), corrected(3, IDS[5], pays="Chili", client_id=900), cancelled(4, IDS[50]),
        *(cancelled(10 + n, row["vente_id"]) for n, row in enumerate(SALES[:30]) if row["pays"] == "Japon"),
        cancelled(7, LATEST["vente_id"]),
    ]),
    (SALES[30:], [
        back(5, IDS[4], "99999.00", 7), corrected(6, IDS[40], 2, produit_id=999, produit_nom="Île", montant=lakes.CENT),
        corrected(8, IDS[5], 1, pays="Cuba", segment="Entreprise"), corrected(9, IDS[5], 3, pays="Japon"),
    ]),
]  # fmt: skip


def run(shop: Shop, spark: SparkSession, engine: str, *, full: bool = False) -> None:
    assert SilverJob(shop.config).run(full=full, spark=spark if engine == "spark" else None) == 0


def rows(shop: Shop) -> dict[str, list[str]]:
    """Every row of every table, but for what is of its own run."""
    left_out = {PROCESSING_TIME, "date_correction", "generation"}
    return {
        spec.name: sorted(
            repr([(name, row[name]) for name in spec.names if name not in left_out]) for row in shop.contents(spec)
        )
        for spec in (*SILVER, MEMBRES, CORRECTIONS)
    }


def test_each_engine_gives_the_cells_of_the_algebra_and_the_other_agrees(tmp_path: Path, spark: SparkSession) -> None:
    """Public and internal tables, members and corrections too."""
    found = {}
    for engine in ("spark", "local"):
        shop = Shop(tmp_path / engine)
        for sold, done in BATCHES:
            shop.bronze(sold, done)
            run(shop, spark, engine)
            shop.assert_algebra()
        found[engine] = rows(shop)
    assert found["spark"] == found["local"]
    assert SilverJob(shop.config).verify(spark=spark) == []  # what the local engine wrote


@pytest.mark.parametrize(
    ("first", "second", "method", "at"), [("spark", "local", "_shift", 3), ("local", "spark", "_change_members", 1)]
)
def test_a_step_that_one_engine_broke_off_in_is_repeated_by_the_other(
    tmp_path: Path, spark: SparkSession, first: str, second: str, method: str, at: int
) -> None:
    shop = Shop(tmp_path)
    shop.bronze(*BATCHES[0])
    run(shop, spark, "local")
    shop.bronze(*BATCHES[1])
    sink = {"spark": SilverSink, "local": LocalSink}[first]
    real, calls = getattr(sink, method), []

    def step(*args: Any, **options: Any) -> Any:
        calls.append(method)
        made = real(*args, **options)
        if len(calls) == at:
            raise OSError("injected: the machine stopped here")
        return made

    with pytest.MonkeyPatch.context() as patch, pytest.raises(LakehouseError, match="The Silver pass failed"):
        patch.setattr(sink, method, step)
        run(shop, spark, first)
    assert len(calls) == at
    shop.bronze(*BATCHES[2])  # the planned step does not grow by it
    run(shop, spark, second)
    shop.assert_exact()
