"""The Bronze job merges the small files that it writes: the same rows in fewer files, and its next batches see them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from lakehouse.tables import REJETS, VENTES
from tests.harness import Lake
from tests.messages import ago, sale

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
