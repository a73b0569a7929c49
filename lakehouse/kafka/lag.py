"""Bronze's consumer lag, in messages and seconds, and its distance to Kafka's retention.

One client, asked every ``sample_interval`` from a thread of its own; it reads one message of each partition that has
unread ones, for its time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any

from lakehouse.config import Config
from lakehouse.errors import LakehouseError
from lakehouse.kafka.clients import describe_topic, watching_consumer
from lakehouse.observability import metrics
from lakehouse.observability.registry import Meter

_FETCH_SECONDS = 2.0


class Offsets:
    """Offsets of the topic. A client that failed is replaced by the next call."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._consumer: Any = None

    def bounds(self) -> dict[int, tuple[int, int]]:
        """Partition → (first offset that Kafka holds, the last stable offset). Raises ``LakehouseError``."""
        from kafka import TopicPartition

        topic = self._config.kafka.topic
        with self._client() as consumer:
            places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
            begins, ends = consumer.beginning_offsets(places), consumer.end_offsets(places)
            return {place.partition: (begins[place], ends[place]) for place in places}

    def time_of(self, partition: int, offset: int) -> float | None:
        """The broker's time, in seconds since 1970, of the first message at or after ``offset``."""
        from kafka import TopicPartition

        place = TopicPartition(self._config.kafka.topic, partition)
        with self._client() as consumer:
            consumer.assign([place])
            try:
                consumer.seek(place, offset)
                give_up = time.monotonic() + _FETCH_SECONDS
                while time.monotonic() < give_up:
                    for record in consumer.poll(timeout_ms=500, max_records=1).get(place, ()):
                        return float(record.timestamp) / 1000
                return None
            finally:
                consumer.assign([])

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    @contextlib.contextmanager
    def _client(self) -> Any:
        from kafka.errors import KafkaError

        if self._consumer is None:
            self._consumer = watching_consumer(self._config)
        try:
            yield self._consumer
        except (KafkaError, OSError) as error:
            with contextlib.suppress(KafkaError, OSError):
                self.close()
            self._consumer = None
            raise LakehouseError(f"Kafka does not tell its offsets: {error}") from None


class Lag:
    """Bronze's distance to both ends of the topic. ``read`` takes its committed offsets: partition → next offset."""

    def __init__(self, config: Config, meter: Meter) -> None:
        self._meter = meter
        self._config = config
        self._offsets = Offsets(config)
        self._next: dict[int, int] = {}
        self._retention: float | None = None
        self._asked_settings = False

    def read(self, ends: Mapping[int, int]) -> None:
        self._next.update(ends)

    def look(self) -> None:
        """Ask Kafka and set the metrics. Raises ``LakehouseError`` when it does not answer."""
        if not self._asked_settings:
            milliseconds = int(describe_topic(self._config).settings.get("retention.ms", "-1"))
            self._retention = milliseconds / 1000 if milliseconds >= 0 else None
            self._asked_settings = True
        for partition, (begin, end) in sorted(self._offsets.bounds().items()):
            self._set(str(partition), partition, begin, end)
        self._meter.set(metrics.KAFKA_SEEN, time.time())

    def _set(self, label: str, partition: int, begin: int, end: int) -> None:
        following = self._next.get(partition, begin)
        lag = max(0, end - following)
        # the first message that Kafka still holds
        stamp = self._offsets.time_of(partition, max(following, begin)) if lag else None
        age = 0.0 if stamp is None else max(0.0, time.time() - stamp)
        self._meter.set(metrics.LAG_RECORDS, lag, label)
        self._meter.set(metrics.LAG_SECONDS, age, label)
        self._meter.set(metrics.HEADROOM_RECORDS, following - begin, label)
        self._meter.set(metrics.HEADROOM_SECONDS, None if self._retention is None else self._retention - age, label)
