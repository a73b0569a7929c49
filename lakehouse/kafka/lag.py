"""Bronze's consumer lag, in messages and seconds, its distance to Kafka's retention, and open transactions that hold it up.

Two clients, one for what is committed and one for all there is, asked every ``sample_interval`` from a thread of their
own; they read one message of each partition that has unread ones, or an open transaction, for its time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lakehouse.config import Config
from lakehouse.errors import LakehouseError
from lakehouse.kafka.clients import describe_topic, watching_consumer
from lakehouse.observability import log, metrics
from lakehouse.observability.registry import Meter

_FETCH_SECONDS = 2.0
HANGING_SECONDS = 900.0
"""An open transaction of this age hangs: longer than any transaction.timeout.ms that Kafka lets a producer ask for, unless
the broker's transaction.max.timeout.ms was raised."""


@dataclass(frozen=True)
class OpenTransaction:
    """The oldest one of a partition: its first offset, the messages from there on, and its age."""

    offset: int
    records: int
    seconds: float


class Offsets:
    """Offsets of the topic, of what is committed or, with ``log_end``, of all there is. A client that failed is replaced by
    the next call."""

    def __init__(self, config: Config, *, log_end: bool = False) -> None:
        self._config = config
        self._log_end = log_end
        self._consumer: Any = None

    def bounds(self) -> dict[int, tuple[int, int]]:
        """Partition → (first offset that Kafka holds, the last stable offset; with ``log_end`` that of the next message to come).
        Raises ``LakehouseError``."""
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
            self._consumer = watching_consumer(self._config, log_end=self._log_end)
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
        self._everything = Offsets(config, log_end=True)
        self._open: dict[int, OpenTransaction] = {}
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
        stable = self._offsets.bounds()
        for partition, (begin, end) in sorted(stable.items()):
            self._set(str(partition), partition, begin, end)
        log_ends = self._everything.bounds()
        self._open = {
            partition: self._at(partition, stable[partition][1], log_ends[partition][1])
            for partition in stable.keys() & log_ends.keys()
        }
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

    def _at(self, partition: int, stable: int, log_end: int) -> OpenTransaction:
        """What is open at the last stable offset. What came in since that was asked for is a moment old."""
        stamp = self._everything.time_of(partition, stable) if log_end > stable else None
        age = 0.0 if stamp is None else max(0.0, time.time() - stamp)
        self._meter.set(metrics.OPEN_TRANSACTION, age, str(partition))
        return OpenTransaction(stable, log_end - stable, age)

    def hanging(self) -> dict[str, str]:
        """The place of each transaction that nobody ends, as of the last look, and a sentence about it."""
        topic = self._config.kafka.topic
        return {
            (place := log.place(topic, partition, found.offset)): (
                f"a transaction has been open for {found.seconds:.0f} s: {found.records} messages from {place} on wait for its "
                "end. Find it with Kafka's kafka-transactions.sh find-hanging, and abort it there"
            )
            for partition, found in sorted(self._open.items())
            if found.seconds > HANGING_SECONDS
        }
