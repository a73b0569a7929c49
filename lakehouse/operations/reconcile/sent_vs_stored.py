"""Compares sent messages with Bronze: missing, duplicate, different or unexpected rows.

The rules are those of the one that holds the project together: an acknowledged sale stands in ``ventes_stream`` once,
with every field as it was sent; an acknowledged bad message stands in ``ventes_rejetees`` once, with its reason and its
raw bytes; a message that was intended and never acknowledged may stand there once, or not at all; nothing else is there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any

from lakehouse.config.settings import Streaming
from lakehouse.contract.business_time import local_day
from lakehouse.contract.sale import OPERATION_FIELDS, parse_moment

Row = Mapping[str, Any]
UTC: tzinfo = timezone.utc  # noqa: UP017  # a tzinfo beside ZoneInfo


@dataclass(frozen=True)
class Sent:
    """One message that a producer intended: what it meant, and where Kafka says that it lies (None: not acknowledged)."""

    vente_id: str
    motif: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    value: bytes | None = None
    acknowledged: bool = False
    partition: int | None = None
    offset: int | None = None
    kind: str = "vente"
    operation: Mapping[str, Any] | None = None
    """The fields of an operation, the amount as text."""

    @property
    def place(self) -> tuple[int, int] | None:
        """Partition and offset; None when the acknowledgement did not tell them (a retry that Kafka had stored)."""
        if self.partition is None or self.offset is None or self.offset < 0:
            return None
        return self.partition, self.offset


@dataclass(frozen=True)
class Difference:
    """One difference between what was sent and what is stored; values as text."""

    what: str
    key: str
    column: str = ""
    expected: str = ""
    found: str = ""

    def __str__(self) -> str:
        values = f": expected {self.expected}, found {self.found}" if self.expected or self.found else ""
        return f"{self.what}  {self.key}{'  ' + self.column if self.column else ''}{values}"


# --- comparing -------------------------------------------------------------------------------------------------------


def compare(
    sent: Sequence[Sent],
    sales: Iterable[Row],
    rejects: Iterable[Row],
    *,
    operations: Iterable[Row] = (),
    lost: Collection[tuple[int, int, int]] = (),
    watermark_delay: timedelta = Streaming.watermark_delay,
    timezone: tzinfo = UTC,
) -> list[Difference]:
    """Every difference between what was sent and what Bronze holds. ``lost``: partition, first and last offset of what
    an operator accepted as lost, which counts as never acknowledged."""

    def required(message: Sent) -> bool:
        place = message.place
        gone = place is not None and any(p == place[0] and a <= place[1] <= b for p, a, b in lost)
        return message.acknowledged and not gone

    good = [message for message in sent if message.motif is None and message.operation is None]
    done = [message for message in sent if message.motif is None and message.operation is not None]
    bad = [message for message in sent if message.motif is not None]
    return [
        *_sales(good, sales, required, watermark_delay, timezone),
        *_operations(done, operations, required, watermark_delay, timezone),
        *_rejects(bad, rejects, required, {message.place for message in (*good, *done)} - {None}),
    ]


def _operations(
    sent: Sequence[Sent], rows: Iterable[Row], required: Callable[[Sent], bool], delay: timedelta, zone: tzinfo
) -> Iterator[Difference]:
    copies, found = defaultdict(list), defaultdict(list)
    for message in sent:
        copies[(message.operation or {})["operation_id"]].append(message)
    for row in rows:
        found[row["operation_id"]].append(row)
    for operation_id, messages in copies.items():
        held_rows = found.get(operation_id, [])
        if not held_rows and any(map(required, messages)):
            yield Difference("missing operation", operation_id, expected="1 row", found="none")
        if len(held_rows) > 1:
            yield Difference("doubled operation", operation_id, expected="1 row", found=f"{len(held_rows)} rows")
        for row in held_rows[:1]:
            yield from _operation_cells(operation_id, messages[0].operation or {}, row, delay, zone)
            yield from _position(operation_id, messages, row)
    for operation_id in found.keys() - copies.keys():
        yield Difference("unexpected operation", operation_id)


def _operation_cells(operation_id: str, fields: Row, row: Row, delay: timedelta, zone: tzinfo) -> Iterator[Difference]:
    moment = parse_moment(fields["timestamp"])
    amount = {"montant": Decimal(fields["montant"])} if "montant" in fields else {}
    expected = {
        **dict.fromkeys(OPERATION_FIELDS),
        **fields,
        **amount,
        "timestamp": moment,
        "jour": local_day(moment, zone),
        "est_tardif": moment < row["kafka_timestamp"] - delay,
    }
    for name, value in expected.items():
        if row[name] != value:
            yield Difference("differing cell", operation_id, name, _shown(value), _shown(row[name]))


def _sales(
    sent: Sequence[Sent], rows: Iterable[Row], required: Callable[[Sent], bool], delay: timedelta, zone: tzinfo
) -> Iterator[Difference]:
    copies, found = defaultdict(list), defaultdict(list)
    for message in sent:
        copies[message.vente_id].append(message)
    for row in rows:
        found[row["vente_id"]].append(row)
    for vente_id, messages in copies.items():
        held_rows = found.get(vente_id, [])
        if not held_rows:
            if any(map(required, messages)):
                yield Difference("missing sale", vente_id, expected="1 row", found="none")
        elif len(held_rows) > 1:
            yield Difference("doubled sale", vente_id, expected="1 row", found=f"{len(held_rows)} rows")
        else:
            yield from _cells(vente_id, _source(held_rows[0], messages), held_rows[0], delay, zone)
            yield from _position(vente_id, messages, held_rows[0])
    for vente_id in found.keys() - copies.keys():
        yield Difference("unexpected sale", vente_id)


def _source(row: Row, messages: Sequence[Sent]) -> Sent:
    """The copy that the row came from: the one at its offset, else any, since copies are equal."""
    place = (row["kafka_partition"], row["kafka_offset"])
    return next((message for message in messages if message.place == place), messages[0])


def _cells(vente_id: str, message: Sent, row: Row, delay: timedelta, zone: tzinfo) -> Iterator[Difference]:
    moment = parse_moment(message.fields["timestamp"])
    expected: dict[str, Any] = {
        **message.fields,
        "timestamp": moment,
        "montant": Decimal(message.fields["montant"]),
        "jour": local_day(moment, zone),
        "est_tardif": moment < row["kafka_timestamp"] - delay,
    }
    for name, value in expected.items():
        if type(row[name]) is not type(value) or row[name] != value:
            yield Difference("differing cell", vente_id, name, _shown(value), _shown(row[name]))


def _position(vente_id: str, messages: Sequence[Sent], row: Row) -> Iterator[Difference]:
    """Check that the first copy of a partition won; not possible when the place of one copy is unknown."""
    places = [message.place for message in messages]
    if None in places:
        return
    here = sorted(offset for partition, offset in filter(None, places) if partition == row["kafka_partition"])
    if row["kafka_offset"] not in here[:1]:
        expected = f"offset {here[0]}" if here else f"one of the places {sorted(filter(None, places))}"
        at = f"partition {row['kafka_partition']} offset {row['kafka_offset']}"
        yield Difference("differing cell", vente_id, "kafka_offset", expected, at)


def _rejects(
    sent: Sequence[Sent], rows: Iterable[Row], required: Callable[[Sent], bool], sales: Collection[object]
) -> Iterator[Difference]:
    by_place: dict[tuple[int, int], list[Row]] = defaultdict(list)
    for row in rows:
        by_place[row["kafka_partition"], row["kafka_offset"]].append(row)
    placed = {message.place for message in sent}
    for message in sent:
        place = message.place
        if place is None:
            continue
        found = by_place.get(place, [])
        if not found and required(message):
            yield Difference("missing reject", _at(place), expected=message.motif or "", found="none")
        elif len(found) > 1:
            yield Difference("doubled reject", _at(place), expected="1 row", found=f"{len(found)} rows")
        for row in found[:1]:
            yield from _verdict(message, row)
    rest = [(place, row) for place, found in by_place.items() if place not in placed for row in found]
    yield from _without_place([message for message in sent if message.place is None], rest, required, sales)


def _verdict(message: Sent, row: Row) -> Iterator[Difference]:
    place = (row["kafka_partition"], row["kafka_offset"])
    if row["motif"] != message.motif:
        yield Difference("wrong reason", _at(place), "motif", message.motif or "", row["motif"])
    if row["valeur"] != message.value:
        yield Difference("differing cell", _at(place), "valeur", _shown(message.value), _shown(row["valeur"]))


def _without_place(
    sent: Sequence[Sent],
    rest: Sequence[tuple[tuple[int, int], Row]],
    required: Callable[[Sent], bool],
    sales: Collection[object],
) -> Iterator[Difference]:
    """Messages without a known place are matched by their bytes; what then is left was never sent."""
    wanted: dict[tuple[str | None, bytes | None], list[Sent]] = defaultdict(list)
    for message in sorted(sent, key=required, reverse=True):
        wanted[message.motif, message.value].append(message)
    for place, row in rest:
        matching = wanted[row["motif"], row["valeur"]]
        if matching:
            matching.pop(0)
            continue
        what = "rejected sale" if place in sales else "unexpected reject"
        yield Difference(what, _at(place), found=f"{row['motif']} ({row['explication']})")
    for left in wanted.values():
        for message in filter(required, left):
            yield Difference(
                "missing reject", f"bytes {_shown(message.value)}", expected=message.motif or "", found="none"
            )


def _at(place: tuple[int, int]) -> str:
    return f"partition {place[0]} offset {place[1]}"


def _shown(value: object) -> str:
    text = value.isoformat() if isinstance(value, datetime) else repr(value) if isinstance(value, bytes) else str(value)
    return text if len(text) <= 120 else f"{text[:119]}…"


# --- counting --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Country:
    """The truth file's figures of one country: sales, revenue in EUR, items, clients."""

    total_transactions: int
    revenue_total: Decimal
    items_sold: int
    unique_customers: int


def by_country(sent: Iterable[Sent]) -> dict[str, Country]:
    """The figures of ``ventes_par_pays``, computed from the acknowledged sales alone, each once."""
    sales = {
        message.vente_id: message.fields
        for message in sent
        if message.motif is None and message.operation is None and message.acknowledged
    }
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for fields in sales.values():
        groups[fields["pays"]].append(fields)
    return {
        name: Country(
            len(group),
            sum((Decimal(fields["montant"]) for fields in group), Decimal(0)),
            sum(fields["quantite"] for fields in group),
            len({fields["client_id"] for fields in group}),
        )
        for name, group in groups.items()
    }


def compare_countries(expected: Mapping[str, Country], rows: Iterable[Row]) -> list[Difference]:
    """Compare ``ventes_par_pays`` with ``by_country``."""
    found = {
        row["pays"]: Country(
            *(row[name] for name in ("total_transactions", "revenue_total", "items_sold", "unique_customers"))
        )
        for row in rows
    }
    return [
        Difference("differing country", name, "", _shown(expected.get(name)), _shown(found.get(name)))
        for name in sorted(expected.keys() | found.keys())
        if expected.get(name) != found.get(name)
    ]
