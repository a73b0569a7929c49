"""Reading given offsets of the topic again: what lies there, and what is not there any more. No JVM."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from kafka import TopicPartition
from kafka.errors import OffsetOutOfRangeError

from lakehouse.config import Config
from lakehouse.contract import sale
from lakehouse.errors import LakehouseError
from lakehouse.kafka import clients
from lakehouse.operations.reconcile.offset_balance import Hole

_NEAR = 5_000
"""Holes that lie no farther apart are read in one go: seeking costs a request, reading on costs less."""


@dataclass(frozen=True)
class Message:
    """One message as Kafka holds it now. ``moment`` is the broker's time."""

    partition: int
    offset: int
    value: bytes | None
    moment: datetime
    hole: Hole


def read(config: Config, holes: Sequence[Hole], advance: Callable[[int], None], **options: Any) -> Iterator[Message]:
    """The messages that lie in the holes (by partition and offset), with ``options`` of the consumer. An offset that nothing
    is yielded for holds none, or one of an aborted transaction (``aborted``): a transaction's marker, or one that
    compaction took. Raises ``BrokerUnavailable`` when the broker stops answering."""
    if not holes:
        return
    with clients.consumer(config, **options) as consumer:
        for stretch in _stretches(holes):
            yield from _stretch(consumer, config, stretch)
            advance(sum(hole.size for hole in stretch))


def _stretches(holes: Sequence[Hole]) -> Iterator[list[Hole]]:
    stretch: list[Hole] = []
    for hole in holes:
        if stretch and (hole.partition != stretch[-1].partition or hole.first - stretch[-1].last > _NEAR):
            yield stretch
            stretch = []
        stretch.append(hole)
    yield stretch


def _stretch(consumer: Any, config: Config, stretch: list[Hole]) -> Iterator[Message]:
    place = TopicPartition(config.kafka.topic, stretch[0].partition)
    consumer.assign([place])
    consumer.seek(place, stretch[0].first)
    ahead = iter(stretch)
    hole, end = next(ahead), stretch[-1].last + 1
    patience = config.kafka.request_timeout.total_seconds()
    heard = time.monotonic()
    while (position := consumer.position(place)) < end:
        try:
            records = consumer.poll(timeout_ms=200, max_records=10_000).get(place, [])
        except OffsetOutOfRangeError:  # retention was quicker: the caller asks again what Kafka holds
            return
        if records or consumer.position(place) > position:
            heard = time.monotonic()
        elif time.monotonic() - heard > patience:
            raise clients.unavailable(config, f"no messages of {place.topic}[{place.partition}] for {patience:g} s")
        for record in records:
            while record.offset > hole.last:
                following = next(ahead, None)
                if following is None:
                    return
                hole = following
            if record.offset >= hole.first:
                moment = datetime.fromtimestamp(record.timestamp / 1000, UTC)
                yield Message(place.partition, record.offset, record.value, moment, hole)


def judged(
    config: Config, holes: Sequence[Hole], advance: Callable[[int], None]
) -> Iterator[tuple[int, int, date, str | None, str]]:
    """(partition, offset, the hole's day, vente_id of a valid sale or None, reason of a bad one) of each message."""
    tolerance = config.streaming.future_tolerance
    for message in read(config, holes, advance):
        verdict = sale.judge(message.value)
        vente_id, reason = None, verdict.motif or ""
        if verdict.canonique is not None:
            fields = sale.fields_of(verdict.canonique)
            early = fields["timestamp"] > message.moment + tolerance
            vente_id, reason = (None, sale.FUTUR) if early else (fields["vente_id"], "")
        yield message.partition, message.offset, message.hole.day, vente_id, reason


def aborted(config: Config, empty: Sequence[Hole]) -> list[Message]:
    """Of offsets below the last stable one at which nothing committed lies: the messages that lie there all the same, of
    transactions that were aborted."""
    return list(read(config, empty, lambda _: None, isolation_level="read_uncommitted"))


def held(config: Config, topic_id: str | None) -> dict[int, tuple[int, int]] | str:
    """What Kafka still holds of the topic that was read, ``{partition: (first, last stable offset)}``; a sentence when it
    cannot say."""
    try:
        now = clients.topic_id(config)
        if topic_id is not None and now != topic_id:
            return f"the topic {config.kafka.topic} was created anew since it was read"
        return clients.earliest_and_latest_offsets(config)
    except LakehouseError as error:
        return str(error)
