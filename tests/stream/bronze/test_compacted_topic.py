"""A topic that Kafka compacts: offsets that are gone from its middle are no loss, before the job reads and behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType
from pyspark.sql import SparkSession

from lakehouse.contract.tables import PERTES
from lakehouse.kafka import bounded_reading, clients
from tests.stream.bronze.test_offset_gaps import admin
from tests.support.children import eventually
from tests.support.harness import Lake, rejected
from tests.support.messages import encoded, sale

pytestmark = pytest.mark.timeout(900)

COMPACTED = {
    "cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0",
    "max.compaction.lag.ms": "100",
}  # fmt: skip


def compact(lake: Lake) -> None:
    clients.ensure_topic(lake.config)
    with admin(lake) as client:
        client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, lake.config.kafka.topic, configs=COMPACTED)])


def sales(lake: Lake, count: int) -> dict[int, str]:
    """Sales on partition 0, all with one key: Kafka keeps the last one, and those of its newest segment. By offset."""
    made = [sale() for _ in range(count)]
    places = lake.send([encoded(one) for one in made], partition=0)
    return {offset: one["vente_id"] for (_, offset), one in zip(places, made, strict=True)}


def visible(lake: Lake) -> set[int]:
    """The offsets of partition 0 at which Kafka still has a message."""
    spans = {0: clients.earliest_and_latest_offsets(lake.config)[0]}
    return {message.offset for message in bounded_reading.read(lake.config, spans)}


def await_compaction(lake: Lake, sent: dict[int, str]) -> set[int]:
    """Send on until Kafka has removed some of what was ``sent``, none of it from the start on. What is left of all."""

    def removed() -> bool:
        sent.update(sales(lake, 1))  # a message begins the next segment, and what is before it may be compacted
        return len(visible(lake)) < len(sent)

    eventually(removed, 300, "the log cleaner's round")
    return visible(lake)


def test_what_compaction_removed_is_no_loss_and_the_rest_is_ingested(
    lake: Lake, spark: SparkSession, run: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    compact(lake)
    sent = sales(lake, 10)
    left = await_compaction(lake, sent)
    gone = set(sent) - left
    assert gone and 0 in gone, "offsets are missing in front and in the middle"
    lake.bronze(spark)
    read = {row["kafka_offset"]: row["vente_id"] for row in lake.rows()}
    assert set(read) >= visible(lake) and {offset: sent[offset] for offset in read} == read
    assert rejected(lake) == {} and (lake.version(PERTES) < 0 or lake.rows(PERTES) == [])
    code, said = run("reconcile")
    assert (code, said["found"]) == (0, [])
    assert sum(line["markers"] for line in said["per_partition"]) == len(sent) - len(read)

    # what is in Bronze may be compacted away behind it, and what the job has not read yet before it
    sent.update(sales(lake, 10))
    await_compaction(lake, sent)
    lake.bronze(spark)
    rows = {row["kafka_offset"]: row["vente_id"] for row in lake.rows()}
    assert rows.items() >= read.items() and set(rows) >= visible(lake)
    assert {offset: sent[offset] for offset in rows} == rows
    code, said = run("reconcile")
    assert (code, said["found"]) == (0, [])
