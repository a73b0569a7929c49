"""The accounting identity over Kafka's offsets: ranges, holes, and one line a partition and day.

    consumed = Bronze + rejected + duplicates + declared gaps + erased + markers + aborted + unread + removed

An offset that was consumed and stands in no table is a *hole*. It is legitimate when it is a copy of a sale that Bronze
holds, when Kafka keeps no message there (the marker of a transaction, or what compaction took away), when its message
belongs to an aborted transaction, when an operator declared it lost, when it was erased for a person's sake, or when retention took its row away (``removed``); otherwise it
is a difference. ``unread``: Kafka no longer holds it, so that nobody can look.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date

Ranges = Mapping[int, tuple[int, int]]
"""Partition → first offset, and the offset after the last."""


@dataclass(frozen=True)
class Break:
    """A place at which a partition's offsets, in order, do not go on by one. ``previous`` is None at the first row;
    ``last`` marks the last. Days are the broker's, in the business time zone."""

    partition: int
    previous: int | None
    previous_day: date | None
    offset: int
    day: date
    last: bool


@dataclass(frozen=True)
class Hole:
    """Offsets ``first`` to ``last``, both included, that stand in no table; the day of the row before them."""

    partition: int
    first: int
    last: int
    day: date

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        span = f"offset {self.first}" if self.size == 1 else f"offsets {self.first} to {self.last}"
        return f"partition {self.partition} {span} ({self.day})"


@dataclass(frozen=True)
class Line:
    """Messages of one partition and day (or of all days: ``day`` is None)."""

    partition: int
    day: date | None
    consumed: int = 0
    bronze: int = 0
    rejected: int = 0
    duplicates: int = 0
    declared: int = 0
    erased: int = 0
    markers: int = 0
    aborted: int = 0
    unread: int = 0
    removed: int = 0

    @property
    def difference(self) -> int:
        """Consumed and nowhere, if above 0; in the tables too often, if below."""
        accounted = self.bronze + self.rejected + self.duplicates + self.declared + self.erased + self.removed
        return self.consumed - accounted - self.markers - self.aborted - self.unread


COUNTS = tuple(field.name for field in fields(Line))[2:]


def holes(breaks: Iterable[Break], ranges: Ranges, no_rows: date) -> tuple[list[Hole], list[Hole]]:
    """(holes within ``ranges``, offsets that stand more than once: one entry for each row too many).

    ``breaks`` by partition and offset, rows within ``ranges`` only. ``no_rows``: the day for a partition without a row.
    """
    found: list[Hole] = []
    doubled: list[Hole] = []
    seen: set[int] = set()
    for one in breaks:
        first, end = ranges[one.partition]
        seen.add(one.partition)
        if one.previous is None:
            if one.offset > first:
                found.append(Hole(one.partition, first, one.offset - 1, one.day))
        elif one.offset == one.previous:
            doubled.append(Hole(one.partition, one.offset, one.offset, one.day))
        elif one.offset > one.previous + 1:
            found.append(Hole(one.partition, one.previous + 1, one.offset - 1, one.previous_day or one.day))
        if one.last and one.offset < end - 1:
            found.append(Hole(one.partition, one.offset + 1, end - 1, one.day))
    for partition, (first, end) in ranges.items():
        if partition not in seen and end > first:
            found.append(Hole(partition, first, end - 1, no_rows))
    return sorted(found, key=lambda hole: (hole.partition, hole.first)), doubled


def split(found: Iterable[Hole], inside: Mapping[int, Sequence[tuple[int, int]]]) -> tuple[list[Hole], list[Hole]]:
    """Cut holes along ``inside`` (partition → ranges, first and end): (the parts within, the parts outside)."""
    within: list[Hole] = []
    outside: list[Hole] = []
    for hole in found:
        at = hole.first
        for first, end in sorted(inside.get(hole.partition, ())):
            first, end = max(first, at), min(end, hole.last + 1)
            if first >= end:
                continue
            if at < first:
                outside.append(Hole(hole.partition, at, first - 1, hole.day))
            within.append(Hole(hole.partition, first, end - 1, hole.day))
            at = end
        if at <= hole.last:
            outside.append(Hole(hole.partition, at, hole.last, hole.day))
    return within, outside


def without(found: Iterable[Hole], places: Iterable[tuple[int, int]]) -> Iterator[Hole]:
    """Holes less single offsets (partition, offset)."""
    taken: dict[int, list[int]] = defaultdict(list)
    for partition, offset in sorted(places):
        taken[partition].append(offset)
    for hole in found:
        mine, at = taken[hole.partition], hole.first
        for offset in mine[bisect_left(mine, hole.first) : bisect_right(mine, hole.last)]:
            if at < offset:
                yield Hole(hole.partition, at, offset - 1, hole.day)
            at = offset + 1
        if at <= hole.last:
            yield Hole(hole.partition, at, hole.last, hole.day)


def joined(found: Iterable[Hole]) -> list[Hole]:
    """Holes of one partition and day that follow on each other, as one."""
    spans: list[Hole] = []
    for hole in found:
        last = spans[-1] if spans else None
        if last and (last.partition, last.last + 1, last.day) == (hole.partition, hole.first, hole.day):
            spans[-1] = Hole(last.partition, last.first, hole.last, last.day)
        else:
            spans.append(hole)
    return spans


def digest(found: Iterable[Hole]) -> str:
    """A fingerprint of exactly these offsets, however they are cut into holes."""
    seen = hashlib.sha256()
    first: int | None = None
    last = -2
    for hole in found:
        if hole.first != last + 1:
            if first is not None:
                seen.update(f"{first}-{last};".encode())
            first = hole.first
        last = hole.last
    if first is not None:
        seen.update(f"{first}-{last};".encode())
    return seen.hexdigest()


class Book:
    """The lines while they are being filled."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, date], dict[str, int]] = defaultdict(lambda: dict.fromkeys(COUNTS, 0))

    def add(self, partition: int, day: date, count: str, n: int) -> None:
        self._counts[partition, day][count] += n

    def holes(self, found: Iterable[Hole], count: str) -> None:
        for hole in found:
            self.add(hole.partition, hole.day, count, hole.size)

    def by_day(self) -> list[Line]:
        return [Line(partition, day, **counts) for (partition, day), counts in sorted(self._counts.items())]

    def by_partition(self) -> list[Line]:
        sums: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COUNTS, 0))
        for (partition, _), counts in self._counts.items():
            for name, n in counts.items():
                sums[partition][name] += n
        return [Line(partition, None, **counts) for partition, counts in sorted(sums.items())]
