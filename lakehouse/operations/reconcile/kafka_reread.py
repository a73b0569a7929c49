"""Reads given offsets of the topic again, as far as Kafka still holds them. No JVM."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from kafka import TopicPartition
from kafka.errors import OffsetOutOfRangeError

from lakehouse.config import Config
from lakehouse.contract import sale
from lakehouse.contract.tables import OPERATIONS, VENTES
from lakehouse.errors import LakehouseError
from lakehouse.kafka import bounded_reading, clients
from lakehouse.operations.reconcile.offset_balance import UnaccountedOffsets

_AT_ONCE = 500
_NEAR = 5_000
"""Offsets that are no farther apart are read without a seek, which would cost a request."""


@dataclass(frozen=True)
class TopicMessage:
    """One message as Kafka holds it now. ``moment`` is the broker's time. Not ``whole``: it is too large to be read, or
    damaged."""

    partition: int
    offset: int
    value: bytes | None
    key: bytes | None
    moment: datetime
    gap: UnaccountedOffsets
    whole: bool = True


class Valid(NamedTuple):
    """A valid message: the column that names it, its id, and the sale that it is or is about."""

    column: str
    id: str
    vente_id: str


def read(
    config: Config, gaps: Sequence[UnaccountedOffsets], advance: Callable[[int], None], **options: Any
) -> Iterator[TopicMessage]:
    """The messages at the unaccounted offsets, by partition and offset; ``options`` are the consumer's.

    An offset without a message is a transaction marker, was removed by compaction, or belongs to an aborted transaction
    (``aborted``). Raises ``BrokerUnavailable`` when the broker stops answering.
    """
    if not gaps:
        return
    with clients.consumer(config, **{"max_poll_records": _AT_ONCE, **options}) as consumer:
        for span in _spans(gaps):
            yield from _read_span(consumer, config, span)
            advance(sum(gap.size for gap in span))


def _spans(gaps: Sequence[UnaccountedOffsets]) -> Iterator[list[UnaccountedOffsets]]:
    span: list[UnaccountedOffsets] = []
    for gap in gaps:
        if span and (gap.partition != span[-1].partition or gap.first - span[-1].last > _NEAR):
            yield span
            span = []
        span.append(gap)
    yield span


def _read_span(consumer: Any, config: Config, span: list[UnaccountedOffsets]) -> Iterator[TopicMessage]:
    place = TopicPartition(config.kafka.topic, span[0].partition)
    start, end = span[0].first, span[-1].last + 1
    ahead = iter(span)
    gap = next(ahead)
    while start < end:
        try:
            for message in bounded_reading.read_span(consumer, config, place, start, end):
                start = message.offset + 1
                while message.offset > gap.last:
                    gap = next(ahead)
                if message.offset >= gap.first:
                    whole = message.unreadable is None
                    yield TopicMessage(
                        place.partition, message.offset, message.value, message.key, message.moment, gap, whole
                    )
            return
        except OffsetOutOfRangeError:  # retention took some meanwhile: on with the first that is left
            left = consumer.beginning_offsets([place])[place]
            start = left if left > start else end  # end: the log was cut off. The caller asks again what Kafka holds


def validated(
    config: Config, gaps: Sequence[UnaccountedOffsets], advance: Callable[[int], None]
) -> Iterator[tuple[int, int, date, Valid | None, str]]:
    """(partition, offset, its day, what a valid message is or None, reason of a bad one) of each message: a sale by its vente_id, an
    operation by its operation_id."""
    tolerance = config.streaming.future_tolerance
    for message in read(config, gaps, advance):
        if not message.whole:
            yield message.partition, message.offset, message.gap.day, None, sale.ILLISIBLE
            continue
        verdict = sale.validate(message.value)
        valid, reason = None, verdict.motif or ""
        if verdict.canonique is not None:
            fields = sale.fields_of(verdict.canonique)
            early = fields["timestamp"] > message.moment + tolerance
            named = VENTES.keys[0] if verdict.operation is None else OPERATIONS.keys[0]
            valid, reason = (None, sale.FUTUR) if early else (Valid(named, fields[named], fields["vente_id"]), "")
        yield message.partition, message.offset, message.gap.day, valid, reason


def aborted(config: Config, empty: Sequence[UnaccountedOffsets]) -> list[TopicMessage]:
    """The messages of aborted transactions at offsets below the last stable one that hold no committed message."""
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
