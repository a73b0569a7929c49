"""Silver passes that run twice, break off between two tables, or are built anew: always equal to the recompute."""

from __future__ import annotations

from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from lakehouse.contract.tables import GENERATIONS, PAR_PAYS, SILVER
from lakehouse.errors import LakehouseError, TableLocked, TableMissing
from lakehouse.lake import writer_lock
from lakehouse.operations.reconcile import sent_vs_stored
from lakehouse.silver.job import SilverJob
from lakehouse.silver.sink import SilverSink
from tests.support.harness import Lake
from tests.support.messages import ago, sale

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def filled(lake: Lake, spark: SparkSession) -> Lake:
    """Silver built, and Bronze one batch ahead of it: old days and new ones, known clients and new ones."""
    lake.produce(120, 1)
    lake.bronze(spark)
    lake.silver(spark)
    grow(lake, spark, 2)
    return lake


def grow(lake: Lake, spark: SparkSession, seed: int) -> None:
    lake.produce(60, seed)
    lake.sales(sale(ago(days=9_000)), sale(ago(days=1), client_id=1, pays="Japon"), sale(client_id=10**6 + seed))
    lake.bronze(spark)
    assert lake.differences() == []


def exact(lake: Lake, spark: SparkSession) -> bool:
    """Silver equals the recompute of Bronze, and the truth of what was sent."""
    expected = sent_vs_stored.by_country(lake.sent())
    return lake.verify(spark) == [] and sent_vs_stored.compare_countries(expected, lake.rows(PAR_PAYS)) == []


def test_a_silver_batch_whose_commit_record_is_gone_changes_nothing_when_it_runs_again(
    filled: Lake, spark: SparkSession
) -> None:
    filled.silver(spark)
    assert exact(filled, spark)
    before = filled.state()
    for _ in range(2):
        last = filled.forget_commit("silver")
        assert filled.in_a_batch("silver")
        filled.silver(spark)
        assert filled.committed("silver")[-1] == last
        assert filled.state() == before
    grow(filled, spark, 3)
    filled.silver(spark)
    assert exact(filled, spark)


def crash(monkeypatch: pytest.MonkeyPatch, method: str, at: int, *, after: bool) -> list[int]:
    """A fault injected in this process: the ``at``-th call of a ``SilverSink`` method raises, before or after its work."""
    real, calls, fired = getattr(SilverSink, method), [], []

    def step(sink: SilverSink, *args: Any, **options: Any) -> Any:
        calls.append(method)
        number = len(calls)
        if number == at and not after:
            fired.append(number)
            raise OSError("injected: the machine stopped here")
        result = real(sink, *args, **options)
        if number == at:
            fired.append(number)
            raise OSError("injected: the machine stopped here")
        return result

    monkeypatch.setattr(SilverSink, method, step)
    return fired


def test_crashes_between_two_targets_are_made_good_by_the_next_pass(
    filled: Lake, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after another, without a good pass between two: before the first table, inside a table between its members
    and its figures, between two tables, after the last."""
    faults = [("_merge", 1, False), ("_add_members", 1, True), ("_merge", 3, True), ("_merge", len(SILVER), True)]
    for method, at, after in faults:
        with monkeypatch.context() as patch:
            fired = crash(patch, method, at, after=after)
            with pytest.raises(LakehouseError, match=r"The Silver pass failed: .*Nothing is lost"):
                filled.silver(spark)
        assert fired == [at]
        assert filled.in_a_batch("silver")
    filled.silver(spark)
    assert not filled.in_a_batch("silver")
    assert exact(filled, spark)


def test_an_interrupted_build_is_finished_by_the_next_start_and_full_builds_anew(
    lake: Lake, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TableMissing, match="There is no Bronze table"):
        lake.silver(spark)
    lake.produce(100, 1)
    lake.bronze(spark)
    with monkeypatch.context() as patch:
        fired = crash(patch, "_replace", 4, after=True)
        with pytest.raises(OSError, match="injected"):
            lake.silver(spark)
    assert fired == [4]
    assert [row["etat"] for row in lake.rows(GENERATIONS)] == ["debut"]
    with pytest.raises(TableMissing, match="not built yet"):
        lake.verify(spark)

    grow(lake, spark, 2)  # Bronze goes on meanwhile
    lake.silver(spark)
    assert sorted(row["etat"] for row in lake.rows(GENERATIONS)) == ["debut", "fin"]
    assert len({row["generation"] for row in lake.rows(GENERATIONS)}) == 1
    assert exact(lake, spark)

    lake.silver(spark, full=True)
    assert len({row["generation"] for row in lake.rows(GENERATIONS)}) == 2
    assert exact(lake, spark)


def test_verify_names_the_cell_that_differs_and_one_writer_at_a_time(filled: Lake, spark: SparkSession) -> None:
    with (
        writer_lock.writer_lock(filled.config, "silver"),
        pytest.raises(TableLocked, match="Another process writes the silver tables") as refused,
    ):
        SilverJob(filled.config).run(spark=spark)
    assert refused.value.exit_code == 4

    filled.silver(spark)
    assert filled.verify(spark) == []
    table = DeltaTable(PAR_PAYS.path(str(filled.base)))
    table.update(updates={"revenue_total": "revenue_total + 0.01"}, predicate="pays = 'Japon'")
    (cell,) = [cell for cell in filled.verify(spark) if cell.column == "revenue_total"]
    assert cell.table == "ventes_par_pays" and "Japon" in cell.key
    assert sent_vs_stored.compare_countries(sent_vs_stored.by_country(filled.sent()), filled.rows(PAR_PAYS))
