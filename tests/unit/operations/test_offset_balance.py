"""The arithmetic of unaccounted offsets at its edges: a gap of a single message, ranges that only touch."""

from __future__ import annotations

from datetime import date

from lakehouse.operations.reconcile import offset_balance
from lakehouse.operations.reconcile.offset_balance import Break, UnaccountedOffsets

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
