"""Consumed offsets that nobody can look at: each is a difference until a person accepts it, and only as many as were accepted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest

from lakehouse.operations.reconcile.audit_evidence import TYPE, Evidence, Finding
from lakehouse.operations.reconcile.offset_balance import UnaccountedOffsets
from lakehouse.operations.reconcile.unread_offsets import UNREAD, findings

DAY = date(2026, 11, 22)


def gap(first: int, last: int, partition: int = 0) -> UnaccountedOffsets:
    return UnaccountedOffsets(partition, first, last, DAY)


def found(
    unread: Sequence[UnaccountedOffsets], *accepted: tuple[Any, ...], changed: dict[int, tuple[int, int]] | None = None
) -> list[Finding]:
    return findings(unread, "t", Evidence(accepted=frozenset(accepted)), "Kafka was not asked", changed or {})


def test_one_finding_for_each_partition_names_its_ranges_and_its_key() -> None:
    first, second = found([gap(7, 7, 1), gap(3, 4), gap(6, 9)])
    assert (first.key, second.key) == ((UNREAD, "t", 0, 3, 10, 6), (UNREAD, "t", 1, 7, 8, 1))
    assert first.text == (
        "partition 0: 6 consumed offsets are in no table, and whether sales lay there cannot be told, since Kafka was not asked: "
        f"3 to 4, 6 to 9. Reconcile while Kafka answers and holds them; what it no longer holds a person can only accept: {TYPE}"
    )
    assert second.text.startswith("partition 1: 1 consumed") and ": 7. Reconcile" in second.text
    assert found([]) == []


def test_ten_ranges_are_named_and_the_others_counted() -> None:
    ten, twelve = (found([gap(2 * n, 2 * n) for n in range(count)])[0].text for count in (10, 12))
    assert ": 0, 2, 4, 6, 8, 10, 12, 14, 16, 18. Reconcile" in ten
    assert ", 16, 18 and 2 more ranges. Reconcile" in twelve


@pytest.mark.parametrize(
    ("accepted", "left"),
    [
        ((UNREAD, "t", 0, 3, 10, 6), False),
        ((UNREAD, "t", 0, 3, 10, 7), False),  # some were explained since
        ((UNREAD, "t", 0, 0, 99, 6), False),
        ((UNREAD, "t", 0, 3, 10, 5), True),  # one more than was accepted
        ((UNREAD, "t", 0, 4, 10, 6), True),
        ((UNREAD, "t", 0, 3, 9, 6), True),
        ((UNREAD, "t", 1, 3, 10, 6), True),
        ((UNREAD, "u", 0, 3, 10, 6), True),
        (("loss", "t", 0, 3, 10, 6), True),
    ],
)
def test_what_a_person_accepted_is_no_difference_and_nothing_beyond_it(accepted: tuple[Any, ...], left: bool) -> None:
    assert bool(found([gap(3, 4), gap(6, 9)], accepted)) is left


def test_two_acceptances_cover_what_lies_in_either() -> None:
    both = [(UNREAD, "t", 0, 3, 5, 2), (UNREAD, "t", 0, 6, 10, 4)]
    assert found([gap(3, 4), gap(6, 9)], *both) == []
    for one in both:
        (finding,) = found([gap(3, 4), gap(6, 9)], one)
        assert finding.key == (UNREAD, "t", 0, 3, 10, 6), "the whole, so that a person sees what is asked"
    assert [each.key[2] for each in found([gap(3, 4), gap(3, 4, 1)], both[0])] == [1]


def test_offsets_that_changed_since_the_last_record_are_said_so() -> None:
    kept, changed = found([gap(3, 4), gap(6, 9, 1)], changed={1: (0, 12)})
    assert kept.text.startswith("partition 0: 2 consumed offsets")
    assert changed.key == (UNREAD, "t", 1, 6, 10, 4)
    assert changed.text == (
        "partition 1: the offsets up to 11 that are in no table are not those of the last signed record, and Kafka was not asked or "
        "no longer holds them"
    )


def test_an_acceptance_counts_what_lies_in_its_own_range() -> None:
    """Also one that comes first by its text, and whatever else was accepted before it."""
    gaps = [gap(3, 4), gap(5, 5), gap(9, 9), gap(10, 11)]
    each = [(UNREAD, "t", 0, one.first, one.last + 1, one.size) for one in gaps]
    assert found(gaps, *each) == []
    assert found(gaps, (UNREAD, "t", 0, 0, 1, 9), ("loss", "t", 0, 3, 12), *each) == []


def test_partitions_are_named_in_their_order() -> None:
    assert [each.key[2] for each in found([gap(0, 0, 8), gap(0, 0, 1)])] == [1, 8]
