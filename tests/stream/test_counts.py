"""What must not grow, whatever the machine's mood: Spark jobs of a micro-batch, files and rows that a Silver pass reads.

Each limit is what was counted when it was set. A change that lowers a count lowers its limit; one that raises it has a reason.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from benchmarks import big_lake, silver
from benchmarks.spark_counts import Counts, Meter
from lakehouse.config import Config
from lakehouse.silver.job import SilverJob
from tests.support.harness import Lake, config_of
from tests.support.messages import ago, sale

pytestmark = pytest.mark.timeout(900)

JOBS_OF_A_BATCH = {"on time": 2, "old": 7, "backlog": 4}
BACKLOG = {"PERFORMANCE__SMALL_BATCH_ROWS": "0", "PERFORMANCE__BROADCAST_ROWS": "0"}
CLIENTS, NEW = 40, 20


@pytest.mark.parametrize("kind", JOBS_OF_A_BATCH)
def test_a_micro_batch_takes_no_more_spark_jobs_than_it_did(
    kind: str, make_lake: Callable[..., Lake], servers: str, spark: SparkSession
) -> None:
    """Three more batches in one run, less none: what a run costs at its start drops out."""
    settings = BACKLOG if kind == "backlog" else {}
    lake = make_lake(servers, STREAMING__MAX_OFFSETS_PER_TRIGGER="20", **settings)
    meter, jobs, batches = Meter(spark), [], []
    for count in (20, 20, 80):
        age = 1.0 if kind == "on time" else 3600.0
        lake.sales(*(sale(ago(seconds=age)) for _ in range(count)), partition=0)
        meter.reset()
        before = len(lake.committed()) if lake.checkpoint().exists() else 0
        lake.bronze(spark)
        jobs.append(meter.counts().jobs)
        batches.append(len(lake.committed()) - before)
    assert batches == [1, 1, 4]
    assert lake.differences() == []
    assert 0 < (jobs[2] - jobs[1]) / 3 <= JOBS_OF_A_BATCH[kind], jobs
    if kind == "on time":  # the start over a lake without a file asks Spark nothing: its first query takes seconds
        assert jobs[0] == JOBS_OF_A_BATCH[kind], jobs


def pass_over(days: int, config: Config, spark: SparkSession) -> Counts:
    """What a pass over the same new sales reads, over so many days of history with the same clients."""
    base, last = config.delta.base_path, datetime.now(UTC).date()
    first = last - timedelta(days=days - 1)
    day = big_lake.one_day(CLIENTS, first, clients=CLIENTS)
    for number in range(days):
        big_lake.append(base, big_lake.moved(day, number, first + timedelta(days=number)))
    SilverJob(config).run(spark=spark)
    big_lake.append(base, silver.over(big_lake.one_day(NEW, last, clients=NEW, seed=12), 1, last, 5_000))
    meter = Meter(spark)
    SilverJob(config).run(spark=spark)
    found = meter.counts()
    assert SilverJob(config).verify(spark=spark) == []
    return found


def test_a_silver_pass_reads_no_more_over_a_long_history(tmp_path: Path, spark: SparkSession) -> None:
    short, long = (pass_over(days, config_of(tmp_path / str(days), "localhost:1", "unused"), spark) for days in (2, 10))
    assert long.files == short.files
    assert long.rows == short.rows
    assert long.jobs <= short.jobs + 4  # Delta reads a log that is longer by eight commits
