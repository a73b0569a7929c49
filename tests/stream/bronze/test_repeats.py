"""Copies of sales, and batches that run twice: Bronze holds each sale once, whatever comes again."""

from __future__ import annotations

import random
import shutil
from datetime import timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from lakehouse.contract.sale import JSON_INVALIDE
from lakehouse.contract.table_properties import EXACT_DEDUP_UNTIL
from lakehouse.contract.tables import OPERATIONS, REJETS, VENTES, TableSpec
from lakehouse.errors import LakehouseError
from lakehouse.lake import spark_tables
from tests.support.harness import Lake, rejected
from tests.support.messages import ago, operation, sale

pytestmark = pytest.mark.timeout(900)

AGES = (
    timedelta(0), timedelta(seconds=2), timedelta(minutes=3), timedelta(minutes=9), timedelta(minutes=11),
    timedelta(hours=5), timedelta(days=2), timedelta(days=40), timedelta(days=10_000),
)  # fmt: skip


def test_copies_in_one_batch_across_batches_and_across_restarts_are_left_out(lake: Lake, spark: SparkSession) -> None:
    first = [sale(ago(seconds=age.total_seconds())) for age in AGES]
    lake.sales(*first, *first, partition=0)
    lake.sales(*first, partition=1)
    lake.bronze(spark)
    assert len(lake.rows()) == len(first)

    again = random.Random(3).sample(first, len(first))
    lake.sales(*again, *(sale(ago(seconds=age.total_seconds())) for age in AGES), partition=1)
    lake.bronze(spark)
    lake.sales(*again, partition=0)  # a batch of nothing but copies
    lake.bronze(spark)

    assert lake.committed() == [0, 1, 2]
    assert len(lake.rows()) == 2 * len(AGES)
    assert lake.differences() == []


def test_at_the_ten_minute_line_no_sale_is_doubled_or_lost(lake: Lake, spark: SparkSession) -> None:
    """A sale each millisecond over half a minute around the line: one lies on it exactly, the others on its two sides.
    Their copies come when more of them have crossed it."""
    delay = lake.config.streaming.watermark_delay
    lake.sales(sale())  # what takes long happens before the clock matters: the topic, the tables
    lake.bronze(spark)
    start = ago(seconds=delay.total_seconds() + 1)
    sold = [sale(start + timedelta(milliseconds=step)) for step in range(30_000)]
    lake.sales(*sold, partition=0)
    lake.bronze(spark)
    line = max(row["date_ingestion"] for row in lake.rows()) - delay
    lake.sales(*sold, partition=1)
    lake.bronze(spark)

    assert lake.differences() == []
    assert len(lake.rows()) == len(sold) + 1
    on_line = [row for row in lake.rows() if row["timestamp"] == line]
    old = [row for row in lake.rows() if row["timestamp"] < line]
    assert len(on_line) == 1 and 0 < len(old) < len(sold) - 1, "the line did not cross the sales"


@pytest.fixture
def filled(lake: Lake, spark: SparkSession) -> Lake:
    """Two committed batches of the generator's mix."""
    for seed in (1, 2):
        lake.produce(150, seed)
        lake.bronze(spark)
    assert lake.rows() and rejected(lake) and lake.differences() == []
    return lake


def test_a_batch_whose_commit_record_is_gone_changes_nothing_when_it_runs_again(
    filled: Lake, spark: SparkSession
) -> None:
    before = filled.state()
    for _ in range(2):
        last = filled.forget_commit()
        assert filled.in_a_batch()
        filled.bronze(spark)
        assert filled.committed()[-1] == last
        assert filled.state() == before
    filled.produce(50, 3)
    filled.bronze(spark)
    assert filled.differences() == []


def test_a_rebuilt_checkpoint_lets_nothing_in_twice(filled: Lake, spark: SparkSession) -> None:
    before = filled.state()
    filled.checkpoint().rename(filled.base / "lost-checkpoint")
    fresh = sale()
    filled.sales(fresh)
    filled.bronze(spark)

    assert filled.committed() == [0], "the new checkpoint did not read the topic from its start"
    assert EXACT_DEDUP_UNTIL in spark_tables.properties(spark, VENTES, filled.config)
    assert filled.differences() == []
    assert len(filled.rows()) == len(before[0][0]) + 1
    assert len(rejected(filled)) == len(before[0][1])

    filled.sales(fresh)  # the state of the old checkpoint is gone: only exact deduplication knows
    filled.produce(50, 3)
    filled.bronze(spark)
    shutil.rmtree(filled.checkpoint())
    filled.bronze(spark)
    assert filled.differences() == []


def crash_at(table: TableSpec, monkeypatch: pytest.MonkeyPatch, *, after: bool) -> list[int]:
    """A fault injected in this process: the append to ``table`` raises, before or after it has committed."""
    real, fired = spark_tables.append, []

    def append(rows: DataFrame, spec: TableSpec, *args: Any, **options: Any) -> None:
        if spec is not table:
            return real(rows, spec, *args, **options)
        if after:
            real(rows, spec, *args, **options)
        fired.append(options["batch_id"])
        raise OSError("injected: the machine stopped here")

    monkeypatch.setattr(spark_tables, "append", append)
    return fired


@pytest.mark.parametrize(
    ("table", "after", "grown"),
    [
        (VENTES, False, [0, 0, 0]),
        (VENTES, True, [1, 0, 0]),
        (OPERATIONS, False, [1, 0, 0]),
        (OPERATIONS, True, [1, 1, 0]),
        (REJETS, False, [1, 1, 0]),
        (REJETS, True, [1, 1, 1]),
    ],
    ids=["before-all", "after-sales", "before-operations", "after-operations", "before-rejects", "after-all"],
)
def test_a_crash_around_the_appends_of_a_batch_is_made_good(
    lake: Lake, spark: SparkSession, monkeypatch: pytest.MonkeyPatch, table: TableSpec, after: bool, grown: list[int]
) -> None:
    careful = lake.with_settings(STREAMING__MAX_RESTARTS="0")
    first = lake.sales(sale(), sale(ago(days=2)))
    lake.operations(back := operation("retour", first[0].vente_id))
    lake.broken((b"one", JSON_INVALIDE))
    careful.bronze(spark)
    versions = lake.bronze_versions()

    lake.sales(sale(), same := sale(ago(days=2)), same)
    lake.operations(back, void := operation("annulation", same["vente_id"]), void)
    lake.broken((b"two", JSON_INVALIDE))
    with monkeypatch.context() as patch:
        fired = crash_at(table, patch, after=after)
        with pytest.raises(LakehouseError, match="The Bronze query failed 1 times in a row; the last fault: injected"):
            careful.bronze(spark)
    assert fired == [1]
    assert lake.in_a_batch()
    assert [now - then for now, then in zip(lake.bronze_versions(), versions, strict=True)] == grown

    careful.bronze(spark)
    assert lake.differences() == []
    assert lake.bronze_versions() == [version + 1 for version in versions]


def test_the_job_starts_its_query_again_by_itself_after_a_passing_fault(
    lake: Lake, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, fired = spark_tables.append, []

    def append(*args: Any, **options: Any) -> None:
        real(*args, **options)
        if len(fired) < 2:
            fired.append(options["batch_id"])
            raise OSError("injected: a passing fault")

    monkeypatch.setattr(spark_tables, "append", append)
    lake.sales(sale(), sale(ago(days=2)))
    lake.broken((b"one", JSON_INVALIDE))
    lake.bronze(spark)
    assert fired == [0, 0]
    assert lake.differences() == []
