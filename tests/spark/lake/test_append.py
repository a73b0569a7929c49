"""The append that happens once, by either way: what Delta's options txnAppId and txnVersion promise, checksums or not."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from delta.exceptions import ConcurrentTransactionException
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import LongType

from benchmarks.spark_counts import Meter
from lakehouse.config import Config
from lakehouse.contract.tables import PERTES, REJETS, VENTES, TableSpec
from lakehouse.lake import append as append_steps
from lakehouse.lake import delta_tables, spark_tables, table_settings
from lakehouse.lake.append import DocumentedAppend, InternalAppend, Target
from tests.support.children import eventually
from tests.support.harness import config_of

SPEC = TableSpec(name="essai", layer="bronze", grain="a number", columns=(("n", "BIGINT"),), keys=("n",))


@pytest.fixture(params=["internal", "documented"])
def table(spark: SparkSession, tmp_path: Path, request: pytest.FixtureRequest) -> Config:
    made = config_of(tmp_path, "localhost:1", "unused", PERFORMANCE__DELTA_APPEND=request.param)
    spark_tables.ensure(spark, SPEC, made)
    return made


def append(spark: SparkSession, table: Config, number: int, *, app: str = "one", rows: DataFrame | None = None) -> None:
    given = spark.range(number, number + 1).toDF("n") if rows is None else rows
    spark_tables.append(given, SPEC, table, app_id=app, batch_id=number)


def held(table: Config) -> list[int]:
    return sorted(DeltaTable(SPEC.path(table.delta.base_path)).to_pyarrow_table()["n"].to_pylist())


def checksums(table: Config) -> list[Path]:
    return list((Path(SPEC.path(table.delta.base_path)) / "_delta_log").glob("*.crc"))


def test_a_number_is_written_once_and_an_earlier_one_never_after_it(spark: SparkSession, table: Config) -> None:
    for number in (3, 3, 2, 4, 4):
        append(spark, table, number)
    append(spark, table, 3, app="other")
    assert held(table) == [3, 3, 4]
    state = spark_tables._snapshot(spark, SPEC, table).setTransactions()
    assert {state.apply(i).appId(): state.apply(i).version() for i in range(state.size())} == {"one": 4, "other": 3}


def test_the_setting_chooses_the_way(spark: SparkSession, table: Config) -> None:
    begun = append_steps.begin(Target(spark, SPEC, table, "one", 1))
    ways = {"internal": InternalAppend, "documented": DocumentedAppend}
    assert type(begun) is ways[table.performance.delta_append]


def test_rows_can_be_read_where_they_lie_and_are_no_part_of_the_table_until_they_are_committed(
    spark: SparkSession, table: Config
) -> None:
    for number, kept in ((1, False), (2, True)):
        begun = append_steps.begin(Target(spark, SPEC, table, "one", number))
        assert begun is not None
        begun.write(spark.range(5).toDF("n"))
        assert (sorted(row.n for row in begun.written().collect()), held(table)) == ([*range(5)], [])
        begun.commit({"entered": 5}) if kept else begun.discard()
    assert held(table) == [*range(5)]
    (commit,) = [one for one in DeltaTable(SPEC.path(table.delta.base_path)).history() if one["operation"] == "WRITE"]
    origin = json.loads(commit["userMetadata"])
    assert (origin["batch"], origin["entered"]) == (2, 5)
    assert append_steps.begin(Target(spark, SPEC, table, "one", 2)) is None


@pytest.mark.parametrize("table", ["internal"], indirect=True)
def test_what_was_written_is_known_without_a_spark_job(spark: SparkSession, table: Config) -> None:
    append(spark, table, 1)
    meter = Meter(spark)
    append(spark, table, 2)
    assert checksums(table)
    assert meter.counts().jobs == 1  # the rows themselves


def test_a_writer_that_keeps_no_checksum_hides_nothing(spark: SparkSession, table: Config) -> None:
    append(spark, table, 1)
    path = SPEC.path(table.delta.base_path)
    write_deltalake(path, DeltaTable(path).to_pyarrow_table(), mode="append")
    append(spark, table, 1)
    assert held(table) == [1, 1]
    assert DeltaTable(path).version() == 2


def test_a_checksum_without_the_transactions_hides_nothing(spark: SparkSession, table: Config) -> None:
    limit = "spark.databricks.delta.setTransactionsInCrc.maxAllowed"  # Delta's own is 100 applications
    spark.conf.set(limit, "0")
    try:
        append(spark, table, 1)
    finally:
        spark.conf.unset(limit)
    assert "setTransactions" not in json.loads(max(checksums(table)).read_text(encoding="utf-8")), (
        "nothing was left out"
    )
    delta_tables.set_properties(SPEC, table, {"ventes.essai": "1"}, what="test")
    after = json.loads(max(checksums(table)).read_text(encoding="utf-8"))
    assert max(checksums(table)).stem == f"{2:020}" and "setTransactions" not in after
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()  # type: ignore[union-attr]
    append(spark, table, 1)
    assert held(table) == [1]


def test_of_two_that_write_one_number_at_once_one_is_refused(
    spark: SparkSession, table: Config, tmp_path: Path
) -> None:
    append(spark, table, 1)
    reached, go_on = tmp_path / "reached", tmp_path / "go-on"

    @F.udf(LongType())
    def slow(n: int) -> int:
        import time

        reached.touch()
        while not go_on.exists():
            time.sleep(0.05)
        return n

    refused: list[BaseException] = []

    def work() -> None:
        try:
            append(spark, table, 2, rows=spark.range(2, 3).select(slow("id").alias("n")))
        except ConcurrentTransactionException as error:
            refused.append(error)

    first = threading.Thread(target=work)
    first.start()
    eventually(reached.exists)  # it has looked, and writes
    append(spark, table, 2)
    go_on.touch()
    first.join(60)
    assert len(refused) == 1
    assert held(table) == [1, 2]


def test_a_table_that_was_created_with_rows_is_not_empty(spark: SparkSession, table: Config, tmp_path: Path) -> None:
    assert spark_tables.is_empty(spark, SPEC, table)
    append(spark, table, 1)
    assert not spark_tables.is_empty(spark, SPEC, table)
    other = config_of(tmp_path / "other", "localhost:1", "unused")
    write_deltalake(SPEC.path(other.delta.base_path), pa.table({"n": pa.array([1], pa.int64())}))
    assert DeltaTable(SPEC.path(other.delta.base_path)).version() == 0
    assert not spark_tables.is_empty(spark, SPEC, other)


@pytest.mark.parametrize("spec", [VENTES, REJETS, PERTES], ids=lambda spec: spec.name)
def test_a_table_made_without_spark_is_the_one_that_spark_makes(
    spec: TableSpec, spark: SparkSession, tmp_path: Path
) -> None:
    ours, sparks = (config_of(tmp_path / name, "localhost:1", "unused") for name in ("ours", "spark"))
    spark_tables.ensure(spark, spec, ours)
    spark_tables._create(spark, spec, sparks, table_settings.wanted_properties(spec, sparks))
    seen = []
    for made in (ours, sparks):
        (entry,) = Path(spec.path(made.delta.base_path), "_delta_log").glob("0*.json")
        actions = [json.loads(line) for line in entry.read_text(encoding="utf-8").splitlines()]
        merged = {name: action for one in actions for name, action in one.items()}
        meta = merged["metaData"]
        fields = json.loads(meta["schemaString"])["fields"]
        seen.append((fields, meta["partitionColumns"], meta["configuration"], merged["protocol"], len(actions)))
    assert seen[0] == seen[1]
