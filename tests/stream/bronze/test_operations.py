"""Operations on sales through a real broker: each is one row, whatever comes first, again, late or on another partition."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse.contract.sale import JSON_INVALIDE
from lakehouse.contract.tables import OPERATIONS, REJETS, VENTES
from tests.support.harness import Lake
from tests.support.job_lake import sums
from tests.support.kills import killed_at
from tests.support.messages import ago, operation, sale

pytestmark = pytest.mark.timeout(900)

Run = Callable[..., tuple[int, dict[str, Any]]]


def places(lake: Lake) -> dict[str, tuple[int, int]]:
    """Where each operation's row comes from."""
    rows = lake.rows(OPERATIONS)
    found = {row["operation_id"]: (row["kafka_partition"], row["kafka_offset"]) for row in rows}
    assert len(found) == len(rows)
    return found


def test_each_operation_is_one_row_whatever_comes_first_or_again(lake: Lake, run: Run, spark: SparkSession) -> None:
    lake.sales(old := sale(ago(days=40)), sale(), partition=0)
    lake.bronze(spark)
    assert lake.version(OPERATIONS) == -1, "an operation makes the table, and there was none"

    sold = sale()
    early = operation("retour", sold["vente_id"], quantite=7, montant="999.99")  # more than was sold
    late = operation("correction", old["vente_id"], ago(days=39), client_id=2**53 + 1, revision=2**63 - 1)
    lake.operations(early, late, early, partition=1)
    lake.bronze(spark)
    first = places(lake)
    assert first == {early["operation_id"]: (1, 0), late["operation_id"]: (1, 1)}
    assert {row["operation_id"]: row["est_tardif"] for row in lake.rows(OPERATIONS)} == {
        early["operation_id"]: False, late["operation_id"]: True,
    }  # fmt: skip

    # the sale comes now, with copies on the other partition; nothing but copies later
    lake.sales(sold, partition=0)
    lake.operations(early, late, partition=0)
    lake.operations(void := operation("annulation", old["vente_id"]), partition=0)
    lake.bronze(spark)
    lake.operations(void, early, late, partition=1)
    lake.bronze(spark)
    assert places(lake) == {**first, void["operation_id"]: (0, 5)}
    assert lake.rows(REJETS) == [] and lake.differences() == []

    before = lake.state()
    for _ in range(2):  # as if killed just before Spark noted the batch
        lake.forget_commit()
        lake.bronze(spark)
        assert lake.state() == before
    code, record = run("reconcile")
    found = sums(record)
    assert (code, record["found"], found["difference"], found["unread"]) == (0, [], 0, 0)
    assert (found["bronze"], found["operations"], found["duplicates"]) == (3, 3, 6)
    assert record["proofs"]["read again in Kafka: a copy of an operation that Bronze holds"] == 6

    shutil.rmtree(lake.checkpoint())  # a new one reads the topic from its start
    lake.bronze(spark)
    assert lake.state()[0] == before[0]
    code, record = run("reconcile")
    assert (code, record["found"], sums(record)["operations"]) == (0, [], 3)


def test_the_generator_s_operations_stand_in_bronze_as_they_were_sent(
    lake: Lake, run: Run, spark: SparkSession
) -> None:
    mixed = lake.with_settings(
        PRODUCER__RETURN_RATIO="0.1", PRODUCER__CANCEL_RATIO="0.1", PRODUCER__CORRECTION_RATIO="0.1"
    )
    for seed in (1, 2):
        mixed.produce(200, seed)
        mixed.bronze(spark)
    assert mixed.differences() == []
    assert {row["operation"] for row in lake.rows(OPERATIONS)} == {"retour", "annulation", "correction"}
    code, record = run("reconcile")
    assert (code, record["found"], sums(record)["operations"]) == (0, [], len(lake.rows(OPERATIONS)))


def test_sigkill_between_the_appends_of_a_batch_neither_loses_nor_doubles(
    lake: Lake, run: Run, spark: SparkSession
) -> None:
    lake.sales(sold := sale(), sale(ago(days=2)))
    lake.operations(operation("retour", sold["vente_id"]))
    lake.broken((b"one", JSON_INVALIDE))
    lake.bronze(spark)
    versions = [lake.version(spec) for spec in (VENTES, OPERATIONS, REJETS)]

    lake.sales(sale(), same := sale(ago(days=2)), same)
    lake.operations(void := operation("annulation", same["vente_id"]), operation("retour", sold["vente_id"]), void)
    lake.broken((b"two", JSON_INVALIDE))

    def grown() -> Sequence[int]:
        return [lake.version(spec) - then for spec, then in zip((VENTES, OPERATIONS, REJETS), versions, strict=True)]

    # of one batch: its appends are to the sales, the operations and the rejects, in this order
    for when, there in (("before", [1, 0, 0]), ("after", [1, 1, 0])):
        killed_at(
            str(lake.base),
            "lakehouse.lake.spark_tables:append",
            ["--once"],
            number=2,
            when=when,
            script="spark_streaming_delta",
        )
        assert lake.in_a_batch() and grown() == there
    lake.bronze(spark)
    assert grown() == [1, 1, 1]
    assert lake.differences() == []
    code, record = run("reconcile")
    assert (code, record["found"], sums(record)["operations"]) == (0, [], 3)
