"""The Bronze job sees to the small files and the log that it writes: the same rows in fewer files, and its next batches see them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from lakehouse.contract.tables import REJETS, VENTES
from tests.support.harness import Lake
from tests.support.messages import ago, sale

pytestmark = pytest.mark.timeout(600)


def test_small_files_are_merged_between_batches(
    make_lake: Callable[..., Lake], servers: str, spark: SparkSession
) -> None:
    lake = make_lake(servers, STREAMING__MAX_OFFSETS_PER_TRIGGER="2", DELTA__AUTO_COMPACT_MIN_FILES="4")
    for _ in range(9):
        lake.sales(sale(ago(seconds=1)), partition=0)
        lake.broken((b"{", "json_invalide"), partition=0)
    lake.bronze(spark)
    assert lake.differences() == []
    base = lake.config.delta.base_path
    for spec in (VENTES, REJETS):
        table = DeltaTable(spec.path(base))
        merges = [one for one in table.history() if one["operation"] == "OPTIMIZE"]
        assert [one["operationMetrics"]["numFilesRemoved"] for one in reversed(merges)] == [4, 5]  # the first, and four
        assert len(table.file_uris()) == 2
        assert table.metadata().configuration["delta.autoOptimize.autoCompact"] == "false"


def test_each_version_has_its_checksum_and_the_log_its_checkpoints(
    make_lake: Callable[..., Lake], servers: str, spark: SparkSession
) -> None:
    lake = make_lake(
        servers,
        STREAMING__MAX_OFFSETS_PER_TRIGGER="1",
        DELTA__AUTO_COMPACT_MIN_FILES="4",
        DELTA__CHECKPOINT_INTERVAL="5",
    )
    for _ in range(12):
        lake.sales(sale(ago(seconds=1)), partition=0)
    lake.bronze(spark)
    assert lake.differences() == []
    path = VENTES.path(lake.config.delta.base_path)
    log, last = Path(path, "_delta_log"), DeltaTable(path).version()
    merged = [one["version"] for one in DeltaTable(path).history() if one["operation"] == "OPTIMIZE"]
    assert len(merged) >= 2
    for version in range(last + 1):
        table = DeltaTable(path, version=version)
        told = json.loads((log / f"{version:020}.crc").read_text(encoding="utf-8"))
        sizes = table.get_add_actions(flatten=True)["size_bytes"].to_pylist()
        assert (told["numFiles"], told["tableSizeBytes"]) == (len(sizes), sum(sizes)), version
        assert {one["path"] for one in told["allFiles"]} == set(table.get_add_actions(flatten=True)["path"].to_pylist())
        writers = {one["appId"]: one["version"] for one in told["setTransactions"]}
        assert writers == {name: table.transaction_version(name) for name in writers}
        assert json.loads(told["metadata"]["schemaString"])["fields"], version
    made = [int(file.name.split(".")[0]) for file in sorted(log.glob("*.checkpoint.parquet"))]
    assert [version // 5 for version in made] == list(range(1, last // 5 + 1)), "one after each fifth version"

    # Spark goes on from what it did not write
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()  # type: ignore[union-attr]
    known = spark._jvm.org.apache.spark.sql.delta.DeltaLog.forTable(spark._jsparkSession, path).snapshot()  # type: ignore[union-attr]
    assert known.logSegment().checkpointProvider().version() == made[-1]
    assert known.validateChecksum(getattr(known, "validateChecksum$default$1")())
    assert spark.read.format("delta").load(path).count() == 12
    lake.sales(sale(ago(seconds=1)), partition=0)
    lake.bronze(spark)
    assert lake.differences() == []
