"""The messages of one micro-batch, read from Kafka once more by their offsets.

The stream's own plan carries on-time sales alone, since its deduplication state is for them. A batch with anything else in
it is read a second time, without state: stale sales, of which a stopped job finds millions, and bad messages.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from pyspark.sql import DataFrame, SparkSession

from lakehouse.bronze import offset_gaps
from lakehouse.bronze.offset_gaps import Gap
from lakehouse.config import Config
from lakehouse.kafka import clients
from lakehouse.kafka.options import spark_options
from lakehouse.kafka.users import GROUP_PREFIX
from lakehouse.lake.checkpoint import Checkpoint
from lakehouse.lake.checkpoint_files import Planned

_EARLIEST = -2
"""Spark's word for the start of a partition: a partition that is new in the batch is read from there."""


class BatchSource(Protocol):
    """The stream's source as the sink uses it: the messages between two entries of the offset log."""

    def count(self, before: Planned | None, now: Planned) -> int | None:
        """The messages that the batch holds at most; None when that cannot be told."""

    def messages(self, before: Planned | None, now: Planned) -> DataFrame:
        """The batch's messages, shaped like Spark's Kafka source."""

    def check_losses(self, before: Planned | None, now: Planned) -> None:
        """After the batch was read: raises ``DataLoss`` when Kafka dropped offsets of it that nobody declared as lost."""


def source_options(config: Config, *, fail_on_data_loss: bool) -> dict[str, str]:
    """Options of Spark's Kafka source. They may hold the password: never log them."""
    performance, streaming = config.performance, config.streaming
    return {
        **spark_options(config),
        "subscribe": config.kafka.topic,
        "startingOffsets": streaming.starting_offsets,
        "failOnDataLoss": str(fail_on_data_loss).lower(),
        "maxOffsetsPerTrigger": str(streaming.max_offsets_per_trigger),
        # larger fetches took a backlog from 104k to 140k rows/s; a shorter wait takes its share off each micro-batch
        "kafka.max.partition.fetch.bytes": str(performance.max_partition_fetch_bytes),
        "kafka.fetch.max.bytes": str(performance.fetch_max_bytes),
        "kafka.max.poll.records": "5000",  # of the default's 500, each has a poll's fixed cost to bear
        "kafka.fetch.max.wait.ms": str(round(performance.fetch_max_wait.total_seconds() * 1000)),
        "kafka.request.timeout.ms": str(round(config.kafka.request_timeout.total_seconds() * 1000)),
        "kafka.default.api.timeout.ms": str(round(config.kafka.request_timeout.total_seconds() * 1000)),
    }


def gathering_options(config: Config) -> dict[str, str]:
    """Further options of a query that runs until it is stopped: a few messages wait for more, for a bounded time. A query that
    ends at the topic's end must not have them: Spark would end it with these few unread."""
    streaming = config.streaming
    if not streaming.max_trigger_delay:
        return {}
    return {
        "minOffsetsPerTrigger": str(min(streaming.min_offsets_per_trigger, streaming.max_offsets_per_trigger)),
        "maxTriggerDelay": f"{streaming.max_trigger_delay // timedelta(milliseconds=1)}ms",
    }


class KafkaBatches:
    """Batches of the topic."""

    def __init__(self, spark: SparkSession, config: Config, checkpoint: Checkpoint) -> None:
        self._spark = spark
        self._config = config
        self._checkpoint = checkpoint
        self.accepted: Sequence[Gap] | None = None
        """Gaps that a person accepted, while they are read past: what Spark does not find then is no error to it."""

    @property
    def fail_on_data_loss(self) -> bool:
        return self.accepted is None

    def spans(self, before: Planned | None, now: Planned) -> dict[int, tuple[int, int]]:
        """Partition → first offset (below 0: the partition's start), and the one after the last."""
        topic = self._config.kafka.topic
        starts = before.kafka_ends(topic) if before else self._checkpoint.first_offsets().get(topic, {})
        return {partition: (starts.get(partition, _EARLIEST), end) for partition, end in now.kafka_ends(topic).items()}

    def count(self, before: Planned | None, now: Planned) -> int | None:
        """Offsets, of which some may give no message (aborted, a transaction's marker, compaction): the messages at most."""
        spans = self.spans(before, now).values()
        return None if any(start < 0 for start, _ in spans) else sum(end - start for start, end in spans)

    def check_losses(self, before: Planned | None, now: Planned) -> None:
        """See ``BatchSource``. Spark itself raises for a batch with losses, but for the reading past accepted gaps."""
        if self.accepted is None:
            return
        topic = self._config.kafka.topic
        held = clients.earliest_and_latest_offsets(self._config, log_end=True)
        lost = [
            Gap(topic, partition, start, held[partition][0] - 1)
            for partition, (start, _) in self.spans(before, now).items()
            if 0 <= start < held[partition][0]
        ]
        if undeclared := offset_gaps.undeclared(lost, self.accepted):
            raise offset_gaps.as_error(undeclared)

    def messages(self, before: Planned | None, now: Planned) -> DataFrame:
        spans, topic = self.spans(before, now), self._config.kafka.topic
        options = source_options(self._config, fail_on_data_loss=self.fail_on_data_loss)
        for name in ("subscribe", "maxOffsetsPerTrigger", "groupIdPrefix"):
            options.pop(name, None)
        # One name for all batches: Spark keeps its consumers by it, each with what it has fetched ahead.
        options["kafka.group.id"] = f"{GROUP_PREFIX}-again"
        options["assign"] = json.dumps({topic: list(spans)})
        for name, which in (("startingOffsets", 0), ("endingOffsets", 1)):
            options[name] = json.dumps({topic: {partition: span[which] for partition, span in spans.items()}})
        return self._spark.read.format("kafka").options(**options).load()
