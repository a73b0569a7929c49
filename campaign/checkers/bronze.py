"""Bronze beside what was acknowledged: claims S1 to S6. Rows are read through Arrow from the files that Delta's log names."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from campaign.checkers.tables import rows
from campaign.checkers.violation import Violation
from campaign.generator.sender import Sent

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SALES, _REJECTS = "bronze/ventes_stream", "bronze/ventes_rejetees"


def check_always(lake: Path) -> Iterator[Violation]:
    """What holds at every moment, also between a crash and the next start: nothing is doubled."""
    yield from _doubled(rows(lake / _SALES), rows(lake / _REJECTS))


def _doubled(sales: list[dict[str, Any]], rejects: list[dict[str, Any]]) -> Iterator[Violation]:
    places = Counter((row["kafka_partition"], row["kafka_offset"]) for row in (*sales, *rejects))
    for place, times in places.items():
        if times > 1:
            yield Violation("S3", f"partition {place[0]}, offset {place[1]} stands {times} times")
    for sale_id, times in Counter(row["vente_id"] for row in sales).items():
        if times > 1:
            yield Violation("S4", f"sale {sale_id} stands {times} times")


def check(lake: Path, sent: Sequence[Sent], topic: str) -> Iterator[Violation]:
    """The violations of a lake that has read all of ``topic``."""
    sales, rejects = rows(lake / _SALES), rows(lake / _REJECTS)
    yield from _doubled(sales, rejects)
    places = {(row["kafka_partition"], row["kafka_offset"]) for row in (*sales, *rejects)}
    by_place = {(each.partition, each.offset): each for each in sent}
    yield from _aborted(sent, places)
    yield from _sales(sent, sales, by_place)
    yield from _rejects(sent, rejects, topic)


def _aborted(sent: Sequence[Sent], places: set[tuple[int, int]]) -> Iterator[Violation]:
    for each in sent:
        if each.aborted and (each.partition, each.offset) in places:
            yield Violation("S2", f"the aborted message {each.partition}:{each.offset} is in a table")


def _sales(sent: Sequence[Sent], sales: list[dict[str, Any]], by_place: dict[Any, Sent]) -> Iterator[Violation]:
    copies: dict[str, list[Sent]] = defaultdict(list)
    for each in sent:
        if each.message.sale_id and not each.aborted:
            copies[each.message.sale_id].append(each)
    held = {row["vente_id"]: row for row in sales}
    for sale_id in sorted(copies.keys() - held.keys()):
        yield Violation("S1", f"sale {sale_id} was acknowledged and is not in Bronze")
    for sale_id, row in held.items():
        place = (row["kafka_partition"], row["kafka_offset"])
        origin = by_place.get(place)
        if origin is None or origin.message.sale_id != sale_id:
            yield Violation("S1", f"sale {sale_id} names {place}, where it does not lie")
            continue
        if any(other.partition == place[0] and other.offset < place[1] for other in copies[sale_id]):
            yield Violation("S6", f"of the copies of {sale_id} in partition {place[0]}, {place[1]} is not the first")
        if wrong := _differing(json.loads(origin.message.value, parse_float=Decimal), row):
            yield Violation("S1", f"sale {sale_id}: {wrong} differs from its message")


def _differing(fields: dict[str, Any], row: dict[str, Any]) -> str | None:
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


def _rejects(sent: Sequence[Sent], rejects: list[dict[str, Any]], topic: str) -> Iterator[Violation]:
    expected = {
        (each.partition, each.offset): each.message
        for each in sent
        if each.message.sale_id is None and not each.aborted
    }
    held = {(row["kafka_partition"], row["kafka_offset"]): row for row in rejects}
    for place in sorted(expected.keys() - held.keys()):
        yield Violation("S1", f"the bad message {place[0]}:{place[1]} is in no table")
    for place in sorted(held.keys() - expected.keys()):
        yield Violation("S1", f"the reject {place[0]}:{place[1]} is no bad message")
    for place in sorted(held.keys() & expected.keys()):
        row, message = held[place], expected[place]
        if row["valeur"] != message.value or row["cle"] != message.key or row["topic"] != topic:
            yield Violation("S5", f"the reject {place[0]}:{place[1]} is not what Kafka holds")
