"""A topic that the broker compresses, by each of Kafka's ways: the job and the re-reader see the same messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType
from pyspark.sql import SparkSession

from lakehouse.contract.sale import JSON_INVALIDE, VIDE
from lakehouse.kafka import clients
from tests.stream.bronze.test_offset_gaps import admin
from tests.support.harness import Lake
from tests.support.messages import ago, sale

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("way", ["zstd", "snappy", "lz4", "gzip"])
def test_compressed_batches_are_ingested_and_read_again(
    lake: Lake, spark: SparkSession, run: Callable[..., tuple[int, dict[str, Any]]], way: str
) -> None:
    clients.ensure_topic(lake.config)
    with admin(lake) as client:
        topic = ConfigResource(ConfigResourceType.TOPIC, lake.config.kafka.topic, configs={"compression.type": way})
        client.alter_configs([topic])
    assert clients.describe_topic(lake.config).settings["compression.type"] == way
    sold = [*(sale() for _ in range(20)), *(sale(ago(days=2)) for _ in range(20))]
    lake.sales(*sold, *sold[:5], partition=0)  # the copies are read again by reconcile
    lake.broken((b"{", JSON_INVALIDE), (None, VIDE), partition=0)
    lake.bronze(spark)
    assert lake.differences() == []
    code, said = run("reconcile")
    assert (code, said["found"]) == (0, []) and sum(line["duplicates"] for line in said["per_partition"]) == 5
