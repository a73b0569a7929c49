"""A message that makes its batch fail, whatever fails: it ends as a reject, all others as ever, and the job goes on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.bronze import exact_dedup, rejects, transforms
from lakehouse.bronze.attempts import FAILURES
from lakehouse.bronze.job import BronzeJob
from lakehouse.contract.sale import ILLISIBLE, JSON_INVALIDE
from lakehouse.contract.tables import VENTES, TableSpec
from lakehouse.errors import LakehouseError
from lakehouse.lake import spark_tables
from lakehouse.observability import log, metrics
from lakehouse.observability.health import Monitor
from lakehouse.operations.reconcile.sent_vs_stored import Sent
from tests.support.harness import Lake, rejected
from tests.support.messages import ago, encoded, sale

pytestmark = pytest.mark.timeout(900)

POISON = "poisoned"
PLANTED = "planted: this message cannot be processed"


@pytest.fixture
def quick(lake: Lake) -> Lake:
    return lake.with_settings(STREAMING__RESTART_DELAY="10 ms", STREAMING__MAX_RESTARTS="4")


def raising_at(column: str) -> Any:
    """``column``, at whose value Java raises when it is the poisoned message's."""
    planted = F.raise_error(F.lit(PLANTED)).cast("binary")
    return F.when(F.col(column).contains(F.lit(POISON.encode())), planted).otherwise(F.col(column))


def in_decoding(patch: pytest.MonkeyPatch) -> None:
    real = transforms.decoded

    def decoded(messages: DataFrame, **options: Any) -> DataFrame:
        return real(messages.withColumn("value", raising_at("value")), **options)

    patch.setattr(transforms, "decoded", decoded)


def in_validation(patch: pytest.MonkeyPatch) -> None:
    """Of a bad message, when the batch's sales are appended already."""
    real = transforms.explained

    def explained(rows: DataFrame, tolerance: timedelta) -> DataFrame:
        return real(rows.withColumn("valeur", raising_at("valeur")), tolerance)

    patch.setattr(transforms, "explained", explained)


def raise_if_poisoned(rows: DataFrame) -> None:
    if not rows.where(F.col("vente_id") == POISON).isEmpty():
        raise OSError(PLANTED)


def in_exact_deduplication(patch: pytest.MonkeyPatch) -> None:
    real = exact_dedup.without_copies

    def without_copies(to_compare: DataFrame, *args: Any) -> DataFrame | None:
        raise_if_poisoned(to_compare)
        return real(to_compare, *args)

    patch.setattr(exact_dedup, "without_copies", without_copies)


def in_append(patch: pytest.MonkeyPatch) -> None:
    real = spark_tables.append

    def append(rows: DataFrame, spec: TableSpec, *args: Any, **options: Any) -> None:
        if spec is VENTES:
            raise_if_poisoned(rows)
        real(rows, spec, *args, **options)

    patch.setattr(spark_tables, "append", append)


def after_the_sales(patch: pytest.MonkeyPatch) -> None:
    """The batch's sales are in Bronze, the poisoned message's own among them, when it fails."""
    real = rejects.write

    def write(batch: Any, plan: Any, *args: Any) -> Any:
        raise_if_poisoned(plan.rows)
        return real(batch, plan, *args)

    patch.setattr(rejects, "write", write)


def ingest(lake: Lake, spark: SparkSession) -> Monitor:
    monitor = Monitor(lake.config, "bronze")
    assert BronzeJob(lake.config, once=True, monitor=monitor).run(spark) == 0
    return monitor


def mix(lake: Lake) -> list[dict[str, Any]]:
    """On time and stale sales, copies and bad messages, on both partitions."""
    sold = [*(sale() for _ in range(5)), *(sale(ago(days=2)) for _ in range(5))]
    for partition in (0, 1):
        lake.sales(*sold, partition=partition)
        lake.broken((b"bad", JSON_INVALIDE), (b"{}}", JSON_INVALIDE), partition=partition)
    return sold


@pytest.mark.parametrize(
    ("plant", "poison", "stored"),
    [
        (in_decoding, encoded(sale(vente_id=POISON)), False),
        (in_validation, POISON.encode(), False),
        (in_exact_deduplication, encoded(sale(ago(days=2), vente_id=POISON)), False),
        (in_append, encoded(sale(vente_id=POISON)), False),
        (after_the_sales, encoded(sale(vente_id=POISON)), True),
    ],
    ids=["decode", "validate", "exact-deduplication", "append", "after-the-sales"],
)
def test_a_message_that_fails_its_batch_is_isolated_and_nothing_else_is_lost_or_doubled(
    quick: Lake,
    spark: SparkSession,
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[..., tuple[int, dict[str, Any]]],
    plant: Callable[[pytest.MonkeyPatch], None],
    poison: bytes,
    stored: bool,
) -> None:
    lake = quick
    first = mix(lake)
    ingest(lake, spark)
    again = mix(lake)
    if stored:
        lake.sales(sale(vente_id=POISON), partition=1)
        expected = []
    else:
        (place,) = lake.send([poison], partition=1)
        lake.by_hand.append(Sent("", ILLISIBLE, {}, poison, True, *place, "malformee"))
        expected = [place]
    lake.sales(*first[:3], sale(), partition=1)

    with monkeypatch.context() as patch, log.to_file(lake.config, "isolation") as lines:
        plant(patch)
        monitor = ingest(lake, spark)
    in_java = plant in (in_decoding, in_validation)
    assert (PLANTED in lines.read_text(encoding="utf-8")) is not in_java, "Java's texts may quote the message"
    meter = monitor.meter
    assert meter.value(metrics.RESTARTS) == FAILURES, "the fault did not fire, or was not taken for one message's"
    assert meter.value(metrics.ISOLATED) == (0 if stored else 1)
    assert [place for place, row in rejected(lake).items() if row["motif"] == ILLISIBLE] == expected
    for place in expected:
        row = rejected(lake)[place]
        assert PLANTED in row["explication"] and f"The message has {len(poison)} bytes" in row["explication"]
    assert lake.differences() == []
    assert lake.planned() == lake.committed() == [0, 1]

    # copies of what was ingested in parts, which the state does not know, and a batch that is repeated
    lake.sales(*again, *first, sale(), partition=0)
    ingest(lake, spark)
    assert lake.differences() == []
    before = lake.state()
    lake.forget_commit()
    ingest(lake, spark)
    assert lake.state() == before
    code, said = run("reconcile")
    assert (code, said["differences"]) == (0, 0)


def test_of_a_table_that_cannot_be_written_no_message_is_to_blame(
    quick: Lake, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, tried = quick, []
    mix(lake)

    def append(*_: Any, **options: Any) -> None:
        tried.append(options["app_id"])
        raise OSError("planted: no space is left")

    with monkeypatch.context() as patch:
        patch.setattr(spark_tables, "append", append)
        with pytest.raises(LakehouseError, match="failed 5 times in a row; the last fault: planted: no space is left"):
            ingest(lake, spark)
    assert any("-parts-" in name for name in tried), "the batch was not ingested in parts"
    assert lake.rows() == [] and rejected(lake) == {}

    ingest(lake, spark)
    assert lake.differences() == []
    assert lake.committed() == [0]
