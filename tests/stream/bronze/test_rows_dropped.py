"""When Spark says that the watermark has dropped rows, the job stops, and no later start passes over it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse.bronze import health
from lakehouse.errors import CheckpointInvalid, RowsDropped
from tests.support.harness import Lake
from tests.support.messages import sale

pytestmark = pytest.mark.timeout(600)


def test_the_job_stops_and_its_checkpoint_is_refused_until_it_is_rebuilt(
    lake: Lake, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report is forged: the design excludes what it says."""
    real = health.parse

    def parse(report: Mapping[str, Any]) -> health.Progress:
        return dataclasses.replace(real(report), dropped=3)

    lake.sales(sale())
    with monkeypatch.context() as patch:
        patch.setattr(health, "parse", parse)
        with pytest.raises(RowsDropped, match=r"dropped rows \(batch 0: 3\).*type: python ops_utils.py rebuild bronze"):
            lake.bronze(spark)
    assert RowsDropped.exit_code == CheckpointInvalid.exit_code == 3
    with pytest.raises(CheckpointInvalid, match=r"missing from Bronze \(batch 0: 3\).*ops_utils.py rebuild bronze"):
        lake.bronze(spark)

    lake.checkpoint().rename(lake.base / "aside")  # what the command does
    lake.sales(sale())
    lake.bronze(spark)
    assert lake.differences() == [] and len(lake.rows()) == 2
