"""Messages of given offsets, read without Spark: one after the other, each with bounded memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kafka import TopicPartition

from lakehouse.config import Config
from lakehouse.kafka import clients
from lakehouse.kafka.bounded_records import CutBytes, UnreadableBatch, size_of

_AT_ONCE = 16
"""Messages that one poll takes into memory, at most: each may be as large as ``clients.readable_bytes``."""


@dataclass(frozen=True)
class KafkaMessage:
    """One offset of the topic. ``size``: the bytes of its value, None when they could not be read; ``value`` may be the
    first of them. ``unreadable``: why this is not the whole message; None when it is."""

    partition: int
    offset: int
    moment: datetime
    key: bytes | None
    value: bytes | None
    size: int | None
    headers: list[tuple[str, bytes | None]]
    unreadable: str | None = None

    @property
    def place(self) -> tuple[int, int]:
        return self.partition, self.offset


def read(config: Config, spans: Mapping[int, tuple[int, int]]) -> Iterator[KafkaMessage]:
    """What lies at the offsets of ``spans`` (partition → first, and the one after the last), by partition and offset. Raises
    ``BrokerUnavailable`` when the broker stops answering, ``LakehouseError`` when it no longer holds them."""
    with clients.consumer(config, max_poll_records=_AT_ONCE) as consumer:
        for partition, (start, end) in sorted(spans.items()):
            if start < end:
                yield from read_span(consumer, config, TopicPartition(config.kafka.topic, partition), start, end)


def read_span(consumer: Any, config: Config, place: TopicPartition, start: int, end: int) -> Iterator[KafkaMessage]:
    """What lies at the offsets ``start`` to ``end``, exclusive, of one partition, through a consumer of ``clients``."""
    consumer.assign([place])
    consumer.seek(place, start)
    patience = config.kafka.request_timeout.total_seconds()
    last_progress, limit = time.monotonic(), clients.readable_bytes(config)
    while (position := consumer.position(place)) < end:
        try:
            records = consumer.poll(timeout_ms=200).get(place, [])
        except UnreadableBatch as damaged:
            for offset in range(max(damaged.first, position), min(damaged.last + 1, end)):
                yield KafkaMessage(
                    place.partition, offset, _moment(damaged.timestamp), None, None, None, [], str(damaged)
                )
            consumer.seek(place, damaged.last + 1)
            continue
        for record in records:
            if record.offset < end:
                yield _message(place.partition, record, limit)
        if records or consumer.position(place) > position:
            last_progress = time.monotonic()
        elif time.monotonic() - last_progress > patience:
            raise clients.unavailable(config, f"no messages of {place.topic}[{place.partition}] for {patience:g} s")


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _message(partition: int, record: Any, limit: int) -> KafkaMessage:
    long = isinstance(record.value, CutBytes) or isinstance(record.key, CutBytes)
    long = long or sum(size_of(value) for _, value in record.headers) > limit
    why = f"it is larger than the {limit} bytes that a message may have uncompressed" if long else None
    size = size_of(record.value)
    return KafkaMessage(
        partition, record.offset, _moment(record.timestamp), record.key, record.value, size, record.headers, why
    )
