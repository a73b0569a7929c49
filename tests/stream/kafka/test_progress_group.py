"""Bronze's progress as Kafka's own command shows it: equal to the checkpoint when the job has ended, never ahead of it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable

from kafka import KafkaConsumer
from pyspark.sql import SparkSession

from benchmarks import kafka_tools
from lakehouse.config import Config
from lakehouse.kafka.progress_group import ProgressGroup
from lakehouse.lake import job_progress
from lakehouse.observability import metrics
from lakehouse.observability.health import Monitor
from tests.support.harness import Lake

GROUP = "ventes-bronze-progress"


def described(config: Config) -> dict[int, tuple[int, int]]:
    """Partition → (committed offset, lag), as ``kafka-consumer-groups`` prints them."""
    words = kafka_tools.command(config, "consumer.group.ConsumerGroupCommand", "--describe", "--group", GROUP)
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    rows = re.findall(rf"^{GROUP}\s+{config.kafka.topic}\s+(\d+)\s+(\d+)\s+\d+\s+(\d+)", done.stdout, re.MULTILINE)
    return {int(partition): (int(offset), int(lag)) for partition, offset, lag in rows}


def test_kafkas_own_command_shows_what_the_checkpoint_has(
    servers: str, make_lake: Callable[..., Lake], spark: SparkSession
) -> None:
    lake = make_lake(servers, KAFKA__PROGRESS_GROUP=GROUP)
    lake.produce(40, 1)
    lake.bronze(spark)
    position = job_progress.bronze(lake.config)
    assert position is not None
    ends = position.ends
    assert described(lake.config) == {partition: (end, 0) for partition, end in ends.items()}
    lake.produce(30, 2)
    after = described(lake.config)
    assert {partition: offset for partition, (offset, _) in after.items()} == ends
    assert sum(lag for _, lag in after.values()) > 0
    lake.bronze(spark)
    assert sum(lag for _, lag in described(lake.config).values()) == 0


def test_a_group_that_has_members_is_a_metric_and_never_a_stop(
    servers: str, make_lake: Callable[..., Lake], spark: SparkSession
) -> None:
    lake = make_lake(servers, KAFKA__PROGRESS_GROUP="taken-by-others")
    lake.produce(10, 1)
    member = KafkaConsumer(lake.config.kafka.topic, bootstrap_servers=servers, group_id="taken-by-others")
    try:
        while not member.assignment():
            member.poll(timeout_ms=200)
        meter = Monitor(lake.config, "bronze").meter
        group = ProgressGroup(lake.config, meter)
        group.read({0: 3})
        group.mirror()
        assert meter.value(metrics.PROGRESS_GROUP_FAILURES) == 1
        lake.bronze(spark)  # the job itself goes on
        assert lake.differences() == []
    finally:
        member.close()
