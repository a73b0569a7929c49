"""The arithmetic of unaccounted offsets at its edges: a gap of a single message, ranges that only touch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.operations.reconcile import offset_balance
from lakehouse.operations.reconcile.offset_balance import COUNTS, Break, Line, OffsetBalance, UnaccountedOffsets

DAY = date(2026, 11, 22)


def row(offset: int, previous: int | None = None, *, last: bool = False) -> Break:
    return Break(0, previous, DAY if previous is not None else None, offset, DAY, last)


def gaps(*breaks: Break, **ranges: tuple[int, int]) -> list[tuple[int, int]]:
    found, _ = offset_balance.unaccounted(breaks, {int(name[1:]): span for name, span in ranges.items()}, DAY)
    return [(gap.first, gap.last) for gap in found]


def test_a_gap_of_one_message_is_found_before_between_and_after_the_rows() -> None:
    assert gaps(row(6, last=True), p0=(5, 7)) == [(5, 5)]
    assert gaps(row(5), row(7, 5, last=True), p0=(5, 8)) == [(6, 6)]
    assert gaps(row(5, last=True), p0=(5, 7)) == [(6, 6)]


def test_a_partition_of_one_message_and_no_row_is_a_gap() -> None:
    assert gaps(p1=(5, 6)) == [(5, 5)]
    assert gaps(p1=(5, 5)) == []


def test_ranges_that_only_touch_a_gap_take_nothing_of_it() -> None:
    gap = UnaccountedOffsets(0, 2, 9, DAY)
    for touching in ([(0, 2)], [(10, 12)], [(0, 2), (10, 12)], [(4, 4)]):
        assert offset_balance.split([gap], {0: touching}) == ([], [gap]), touching
    within, outside = offset_balance.split([gap], {0: [(1, 3), (9, 12)]})
    assert [(one.first, one.last) for one in (*within, *outside)] == [(2, 2), (9, 9), (3, 8)]
    within, outside = offset_balance.split([gap], {0: [(2, 6), (4, 10)]})
    assert [(one.first, one.last) for one in within] == [(2, 5), (6, 9)] and outside == []


# --- every function beside plain sets of offsets --------------------------------------------------------------------

EARLIER = date(2026, 11, 21)
OFFSETS = st.integers(0, 12)
SPANS = st.lists(st.tuples(OFFSETS, OFFSETS).map(sorted), max_size=6)
FEW = settings(max_examples=60, deadline=None)


def offsets(found: Iterable[UnaccountedOffsets]) -> list[tuple[int, int]]:
    """Each offset of each span, in order: a list, so that an offset in two spans is there twice."""
    return [(gap.partition, offset) for gap in found for offset in range(gap.first, gap.last + 1)]


def apart(spans: Iterable[Sequence[int]], partition: int = 0) -> list[UnaccountedOffsets]:
    """The spans as gaps that do not meet; touching ones stay two."""
    made, at = [], 0
    for first, last in sorted(spans):
        if first >= at:
            made.append(UnaccountedOffsets(partition, first, last, DAY))
            at = last + 1
    return made


@FEW
@given(stored=st.lists(OFFSETS, max_size=15), start=OFFSETS, size=st.integers(0, 12))
def test_what_is_not_stored_is_unaccounted_and_what_is_stored_again_is_doubled(
    stored: list[int], start: int, size: int
) -> None:
    rows = sorted(offset for offset in stored if start <= offset < start + size)
    breaks = [
        Break(0, rows[n - 1] if n else None, EARLIER if n else None, offset, DAY, n == len(rows) - 1)
        for n, offset in enumerate(rows)
    ]
    found, doubled = offset_balance.unaccounted(breaks, {0: (start, start + size)}, EARLIER)
    assert offsets(found) == [(0, offset) for offset in range(start, start + size) if offset not in rows]
    assert offsets(doubled) == [(0, offset) for n, offset in enumerate(rows) if n and rows[n - 1] == offset]
    assert all(gap.size > 0 for gap in found)
    for gap in found:
        before = [offset for offset in rows if offset < gap.first]
        assert gap.day == (EARLIER if not rows or (before and gap.last < rows[-1]) else DAY)


def test_a_gap_has_the_day_of_the_row_before_it_or_of_the_row_behind_it() -> None:
    nothing_known = Break(0, 5, None, 7, DAY, last=True)
    (gap,), _ = offset_balance.unaccounted([nothing_known], {0: (5, 8)}, EARLIER)
    assert gap == UnaccountedOffsets(0, 6, 6, DAY)


def test_gaps_of_all_partitions_come_in_order() -> None:
    found, _ = offset_balance.unaccounted([row(1, last=True)], {2: (0, 1), 0: (0, 3), 1: (4, 5)}, DAY)
    assert offsets(found) == [(0, 0), (0, 2), (1, 4), (2, 0)]


@FEW
@given(gaps=SPANS, inside=SPANS)
def test_a_split_divides_the_offsets(gaps: list[list[int]], inside: list[list[int]]) -> None:
    found = apart(gaps)
    within, outside = offset_balance.split(found, {0: [(first, end) for first, end in inside]})
    covered = {offset for first, end in inside for offset in range(first, end)}
    assert offsets(within) == [place for place in offsets(found) if place[1] in covered]
    assert offsets(outside) == [place for place in offsets(found) if place[1] not in covered]
    assert offset_balance.split(found, {1: [(0, 13)]}) == ([], found)


@FEW
@given(gaps=SPANS, places=st.lists(st.tuples(st.integers(0, 1), OFFSETS), max_size=8, unique=True))
def test_single_offsets_are_taken_out(gaps: list[list[int]], places: list[tuple[int, int]]) -> None:
    found = [*apart(gaps), *apart(gaps, partition=1)]
    left = list(offset_balance.without(found, places))
    assert offsets(left) == [place for place in offsets(found) if place not in places]
    assert all(gap.first <= gap.last for gap in left)


@FEW
@given(gaps=SPANS)
def test_adjacent_spans_are_joined_and_the_digest_is_the_same_however_they_are_divided(gaps: list[list[int]]) -> None:
    found = apart(gaps)
    single = [UnaccountedOffsets(p, offset, offset, DAY) for p, offset in offsets(found)]
    joined = offset_balance.joined(single)
    assert offsets(joined) == offsets(found) and joined == offset_balance.joined(found)
    assert all(one.last + 1 < other.first for one, other in pairwise(joined))
    runs = "".join(f"{gap.first}-{gap.last};" for gap in joined)
    assert offset_balance.digest(found) == offset_balance.digest(single) == hashlib.sha256(runs.encode()).hexdigest()


def test_spans_of_another_day_or_partition_are_not_joined() -> None:
    one = UnaccountedOffsets(0, 1, 2, DAY)
    for other in (
        UnaccountedOffsets(0, 3, 4, EARLIER),
        UnaccountedOffsets(1, 3, 4, DAY),
        UnaccountedOffsets(0, 4, 4, DAY),
    ):
        assert offset_balance.joined([one, other]) == [one, other]


def test_how_a_gap_is_said() -> None:
    assert str(UnaccountedOffsets(2, 7, 7, DAY)) == "partition 2 offset 7 (2026-11-22)"
    assert str(UnaccountedOffsets(2, 7, 8, DAY)) == "partition 2 offsets 7 to 8 (2026-11-22)"
    assert [UnaccountedOffsets(0, 5, last, DAY).size for last in (5, 9)] == [1, 5]


def test_every_count_is_subtracted_from_what_was_consumed() -> None:
    assert Line(0, None) == Line(0, None, **dict.fromkeys(COUNTS, 0)) and Line(0, None).difference == 0
    weights = {name: 2**n for n, name in enumerate(COUNTS)}
    assert COUNTS[0] == "consumed" and len(COUNTS) == 11
    assert Line(0, None, **weights).difference == 1 - sum(2**n for n in range(1, 11))


def test_the_balance_adds_up_by_day_and_by_partition() -> None:
    balance = OffsetBalance()
    balance.add(1, DAY, "consumed", 3)
    balance.add(1, DAY, "consumed", 4)
    balance.add_offsets([UnaccountedOffsets(1, 0, 1, EARLIER), UnaccountedOffsets(0, 5, 9, DAY)], "declared")
    assert balance.by_day() == [
        Line(0, DAY, declared=5), Line(1, EARLIER, declared=2), Line(1, DAY, consumed=7),
    ]  # fmt: skip
    assert balance.by_partition() == [Line(0, None, declared=5), Line(1, None, consumed=7, declared=2)]
