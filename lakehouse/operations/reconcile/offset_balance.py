"""Offset balance: every consumed Kafka offset is in a table or explained; one line per partition and day.

    consumed = Bronze + operations + rejected + duplicates + declared gaps + erased + markers + aborted + unread + removed

A consumed offset that is in no table is *unaccounted*. It is explained when it is a duplicate of a sale or of an operation in Bronze, when
Kafka has no message there (a transaction marker, or removed by compaction), when its message belongs to an aborted
transaction, when an operator declared it lost, when the row was deleted by an erasure, or when retention removed the row
(``removed``); otherwise it is a difference. ``unread``: Kafka no longer holds the offset, so that it cannot be checked.
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
    """A position at which the sorted offsets of a partition are not consecutive. ``previous`` is None at the first row;
    ``last`` marks the last. Days are the broker's, in the business time zone."""

    partition: int
    previous: int | None
    previous_day: date | None
    offset: int
    day: date
    last: bool


@dataclass(frozen=True)
class UnaccountedOffsets:
    """Offsets ``first`` to ``last``, both included, that are in no table; the day of the row before them."""

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
    operations: int = 0
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
        """Above 0: consumed but not accounted for. Below 0: stored more than once."""
        accounted = (
            self.bronze + self.operations + self.rejected + self.duplicates + self.declared + self.erased + self.removed
        )
        return self.consumed - accounted - self.markers - self.aborted - self.unread


COUNTS = tuple(field.name for field in fields(Line))[2:]


def unaccounted(
    breaks: Iterable[Break], ranges: Ranges, no_rows: date
) -> tuple[list[UnaccountedOffsets], list[UnaccountedOffsets]]:
    """(unaccounted offsets within ``ranges``, offsets stored more than once: one entry per surplus row).

    ``breaks`` by partition and offset, rows within ``ranges`` only. ``no_rows``: the day for a partition without a row.
    """
    found: list[UnaccountedOffsets] = []
    doubled: list[UnaccountedOffsets] = []
    seen: set[int] = set()
    for one in breaks:
        first, end = ranges[one.partition]
        seen.add(one.partition)
        if one.previous is None:
            if one.offset > first:
                found.append(UnaccountedOffsets(one.partition, first, one.offset - 1, one.day))
        elif one.offset == one.previous:
            doubled.append(UnaccountedOffsets(one.partition, one.offset, one.offset, one.day))
        elif one.offset > one.previous + 1:
            found.append(
                UnaccountedOffsets(one.partition, one.previous + 1, one.offset - 1, one.previous_day or one.day)
            )
        if one.last and one.offset < end - 1:
            found.append(UnaccountedOffsets(one.partition, one.offset + 1, end - 1, one.day))
    for partition, (first, end) in ranges.items():
        if partition not in seen and end > first:
            found.append(UnaccountedOffsets(partition, first, end - 1, no_rows))
    return sorted(found, key=lambda gap: (gap.partition, gap.first)), doubled


def split(
    found: Iterable[UnaccountedOffsets], inside: Mapping[int, Sequence[tuple[int, int]]]
) -> tuple[list[UnaccountedOffsets], list[UnaccountedOffsets]]:
    """Split offsets at ``inside`` (partition → ranges, first and end): (the parts within, the parts outside)."""
    within: list[UnaccountedOffsets] = []
    outside: list[UnaccountedOffsets] = []
    for gap in found:
        at = gap.first
        for first, end in sorted(inside.get(gap.partition, ())):
            first, end = max(first, at), min(end, gap.last + 1)
            if first >= end:
                continue
            if at < first:
                outside.append(UnaccountedOffsets(gap.partition, at, first - 1, gap.day))
            within.append(UnaccountedOffsets(gap.partition, first, end - 1, gap.day))
            at = end
        if at <= gap.last:
            outside.append(UnaccountedOffsets(gap.partition, at, gap.last, gap.day))
    return within, outside


def without(found: Iterable[UnaccountedOffsets], places: Iterable[tuple[int, int]]) -> Iterator[UnaccountedOffsets]:
    """The unaccounted offsets without some single offsets (partition, offset)."""
    taken: dict[int, list[int]] = defaultdict(list)
    for partition, offset in sorted(places):
        taken[partition].append(offset)
    for gap in found:
        mine, at = taken[gap.partition], gap.first
        for offset in mine[bisect_left(mine, gap.first) : bisect_right(mine, gap.last)]:
            if at < offset:
                yield UnaccountedOffsets(gap.partition, at, offset - 1, gap.day)
            at = offset + 1
        if at <= gap.last:
            yield UnaccountedOffsets(gap.partition, at, gap.last, gap.day)


def joined(found: Iterable[UnaccountedOffsets]) -> list[UnaccountedOffsets]:
    """Merge adjacent spans of the same partition and day."""
    spans: list[UnaccountedOffsets] = []
    for gap in found:
        last = spans[-1] if spans else None
        if last and (last.partition, last.last + 1, last.day) == (gap.partition, gap.first, gap.day):
            spans[-1] = UnaccountedOffsets(last.partition, last.first, gap.last, last.day)
        else:
            spans.append(gap)
    return spans


def digest(found: Iterable[UnaccountedOffsets]) -> str:
    """A fingerprint of exactly these offsets, however they are divided into spans."""
    seen = hashlib.sha256()
    first: int | None = None
    last = -2
    for gap in found:
        if gap.first != last + 1:
            if first is not None:
                seen.update(f"{first}-{last};".encode())
            first = gap.first
        last = gap.last
    if first is not None:
        seen.update(f"{first}-{last};".encode())
    return seen.hexdigest()


class OffsetBalance:
    """Counts by partition and day, to which the checks add."""

    def __init__(self) -> None:
        self._counts: dict[tuple[int, date], dict[str, int]] = defaultdict(lambda: dict.fromkeys(COUNTS, 0))

    def add(self, partition: int, day: date, count: str, n: int) -> None:
        self._counts[partition, day][count] += n

    def add_offsets(self, found: Iterable[UnaccountedOffsets], count: str) -> None:
        for gap in found:
            self.add(gap.partition, gap.day, count, gap.size)

    def by_day(self) -> list[Line]:
        return [Line(partition, day, **counts) for (partition, day), counts in sorted(self._counts.items())]

    def by_partition(self) -> list[Line]:
        sums: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COUNTS, 0))
        for (partition, _), counts in self._counts.items():
            for name, n in counts.items():
                sums[partition][name] += n
        return [Line(partition, None, **counts) for partition, counts in sorted(sums.items())]
