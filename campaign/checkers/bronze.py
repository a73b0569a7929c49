"""Bronze beside what was acknowledged: claims S1 to S6. Rows are read through Arrow from the files that Delta's log names."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from campaign.checkers.tables import rows
from campaign.checkers.violation import Violation
from campaign.generator.known import Known
from campaign.generator.sender import Sent

Row = dict[str, Any]
Place = tuple[int, int]
"""Partition and offset."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SALES, _REJECTS, _LOSSES = "bronze/ventes_stream", "bronze/ventes_rejetees", "bronze/pertes_declarees"
_OPERATIONS = "bronze/ventes_operations"


def check_always(lake: Path, known: Known | None = None) -> Iterator[Violation]:
    """What holds at every moment, also between a crash and the next start: nothing is doubled."""
    sales, operations, rejects = (rows(lake / name) for name in (_SALES, _OPERATIONS, _REJECTS))
    yield from _doubled(sales, operations, rejects, (known or Known()).corrected)


def _place(row: Row) -> Place:
    return row["kafka_partition"], row["kafka_offset"]


def _doubled(
    sales: list[Row], operations: list[Row], rejects: list[Row], corrected: Mapping[Place, Any]
) -> Iterator[Violation]:
    """A message that was corrected stands in two tables: as the sale that it became, and as it came."""
    places = Counter(map(_place, (*sales, *operations)))
    places += Counter(place for row in rejects if (place := _place(row)) not in corrected)
    for place, times in places.items():
        if times > 1:
            yield Violation("S3", f"partition {place[0]}, offset {place[1]} stands {times} times")
    for sale_id, times in Counter(row["vente_id"] for row in sales).items():
        if times > 1:
            yield Violation("S4", f"sale {sale_id} stands {times} times")
    for operation_id, times in Counter(row["operation_id"] for row in operations).items():
        if times > 1:
            yield Violation("S4", f"operation {operation_id} stands {times} times")


def check(lake: Path, sent: Sequence[Sent], topic: str, known: Known | None = None) -> Iterator[Violation]:
    """The violations of a lake that has read all of ``topic``, and from which all of ``known.erased`` were erased last."""
    known = known or Known()
    sales, operations, rejects = (rows(lake / name) for name in (_SALES, _OPERATIONS, _REJECTS))
    yield from _doubled(sales, operations, rejects, known.corrected)
    places = {_place(row) for row in (*sales, *operations, *rejects)}
    yield from _aborted(sent, places)
    yield from _losses(sent, places, rows(lake / _LOSSES), known)
    held = [each for each in sent if not _is_excused(each, places, known)]
    yield from _sales(held, sales, {(each.partition, each.offset): each for each in sent}, known)
    yield from _operations(held, operations)
    yield from _rejects(held, rejects, topic)


def _is_excused(sent: Sent, places: set[Place], known: Known) -> bool:
    """Whether the message need not be there: its person was erased, or Kafka gave it up before it was read."""
    gone = known.is_lost(sent.partition, sent.offset) and (sent.partition, sent.offset) not in places
    return sent.aborted or gone or sent.message.person in known.erased


def _aborted(sent: Sequence[Sent], places: set[Place]) -> Iterator[Violation]:
    for each in sent:
        if each.aborted and (each.partition, each.offset) in places:
            yield Violation("S2", f"the aborted message {each.partition}:{each.offset} is in a table")


def _losses(sent: Sequence[Sent], places: set[Place], declared: list[Row], known: Known) -> Iterator[Violation]:
    """What Kafka gave up is declared, unless it was read before or is a copy; and nothing else is."""
    spans = [(row["kafka_partition"], row["premier_offset"], row["dernier_offset"]) for row in declared]
    for partition, _, last in spans:
        if not known.is_lost(partition, last):
            yield Violation("S1", f"partition {partition} up to offset {last} is declared lost, and Kafka held it")
    stored = {one.message.sale_id for one in sent if (one.partition, one.offset) in places} - {None}
    for each in sent:
        place = (each.partition, each.offset)
        if each.aborted or not known.is_lost(*place) or place in places or each.message.sale_id in stored:
            continue
        if each.message.person not in known.erased and not any(
            partition == place[0] and first <= place[1] <= last for partition, first, last in spans
        ):
            yield Violation("S1", f"{place[0]}:{place[1]} was lost by Kafka and is not declared")


def _sales(held: Sequence[Sent], sales: list[Row], by_place: dict[Place, Sent], known: Known) -> Iterator[Violation]:
    copies: dict[str, list[Sent]] = defaultdict(list)
    for each in held:
        if each.message.sale_id:
            copies[each.message.sale_id].append(each)
    found = {row["vente_id"]: row for row in sales}
    for sale_id in sorted(copies.keys() - found.keys()):
        yield Violation("S1", f"sale {sale_id} was acknowledged and is not in Bronze")
    for place in sorted(known.corrected.keys() - {_place(row) for row in sales}):
        yield Violation("S1", f"the message {place[0]}:{place[1]} was replayed and is not in Bronze")
    for sale_id, row in found.items():
        place = _place(row)
        origin = by_place.get(place)
        fields = json.loads(origin.message.value, parse_float=Decimal) if origin and _is_sale(origin, known) else None
        if origin is None or fields is None or fields["vente_id"] != sale_id:
            yield Violation("S1", f"sale {sale_id} names {place}, where it does not lie")
            continue
        if any(other.partition == place[0] and other.offset < place[1] for other in copies[sale_id]):
            yield Violation("S6", f"of the copies of {sale_id} in partition {place[0]}, {place[1]} is not the first")
        if wrong := _differing({**fields, **known.corrected.get(place, {})}, row):
            yield Violation("S1", f"sale {sale_id}: {wrong} differs from its message")


def _is_sale(sent: Sent, known: Known) -> bool:
    return bool(sent.message.sale_id) or (sent.partition, sent.offset) in known.corrected


def _differing(fields: dict[str, Any], row: Row) -> str | None:
    moment = fields["timestamp"].removesuffix("Z")
    sold = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    expected = {
        **fields,
        "timestamp": sold,
        "jour": sold.date().isoformat(),
        "montant": Decimal(fields["montant"]).quantize(Decimal("0.01")),
    }
    held = {**row, "timestamp": _EPOCH + timedelta(microseconds=row["timestamp"])}
    return next((name for name, value in expected.items() if held[name] != value), None)


def _operations(sent: Sequence[Sent], operations: list[Row]) -> Iterator[Violation]:
    """Each operation stands once, at its place, with its fields."""
    expected = {(each.partition, each.offset): each.message for each in sent if each.message.operation_id}
    held = {_place(row): row for row in operations}
    for place in sorted(expected.keys() - held.keys()):
        yield Violation("S1", f"the operation {place[0]}:{place[1]} was acknowledged and is not in Bronze")
    for place in sorted(held.keys() - expected.keys()):
        yield Violation("S1", f"the operation {place[0]}:{place[1]} was not sent")
    for place in sorted(held.keys() & expected.keys()):
        fields = json.loads(expected[place].value, parse_float=Decimal)
        told = {name: value for name, value in fields.items() if name != "timestamp"}
        wrong = next((name for name, value in told.items() if held[place][name] != value), None)
        if wrong:
            yield Violation("S1", f"operation {fields['operation_id']}: {wrong} differs from its message")


def _rejects(sent: Sequence[Sent], rejects: list[Row], topic: str) -> Iterator[Violation]:
    bad = (each for each in sent if each.message.sale_id is None and each.message.operation_id is None)
    expected = {(each.partition, each.offset): each.message for each in bad}
    held = {_place(row): row for row in rejects}
    for place in sorted(expected.keys() - held.keys()):
        yield Violation("S1", f"the bad message {place[0]}:{place[1]} is in no table")
    for place in sorted(held.keys() - expected.keys()):
        yield Violation("S1", f"the reject {place[0]}:{place[1]} is no bad message")
    for place in sorted(held.keys() & expected.keys()):
        row, message = held[place], expected[place]
        if row["valeur"] != message.value or row["cle"] != message.key or row["topic"] != topic:
            yield Violation("S5", f"the reject {place[0]}:{place[1]} is not what Kafka holds")
