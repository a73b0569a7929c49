"""What of a gap nobody has declared as lost yet."""

from __future__ import annotations

import pytest

from lakehouse import config
from lakehouse.bronze.offset_gaps import Gap, as_error, declare, undeclared
from lakehouse.errors import DataLoss


def gap(first: int, last: int, partition: int = 1, topic: str = "t") -> Gap:
    return Gap(topic, partition, first, last)


@pytest.mark.parametrize(
    ("known", "left"),
    [
        ([], [(10, 19)]),
        ([gap(10, 19)], []),
        ([gap(0, 99)], []),
        ([gap(10, 14)], [(15, 19)]),
        ([gap(15, 19)], [(10, 14)]),
        ([gap(12, 13)], [(10, 11), (14, 19)]),
        ([gap(0, 9), gap(20, 30)], [(10, 19)]),
        ([gap(0, 5), gap(25, 30)], [(10, 19)]),
        ([gap(0, 10), gap(19, 30)], [(11, 18)]),
        ([gap(10, 14), gap(15, 19)], []),
        ([gap(10, 10), gap(12, 12)], [(11, 11), (13, 19)]),
        ([gap(10, 19, partition=2), gap(10, 19, topic="u")], [(10, 19)]),
    ],
)
def test_only_what_no_declared_gap_covers_is_left(known: list[Gap], left: list[tuple[int, int]]) -> None:
    assert [(one.first, one.last) for one in undeclared([gap(10, 19)], known)] == left


def test_each_gap_is_looked_at() -> None:
    assert undeclared([gap(1, 2), gap(5, 6, partition=3)], [gap(2, 5)]) == [gap(1, 1), gap(5, 6, partition=3)]


RECREATED = Gap("t", 2, 9, 4, recreated=True)


def test_a_topic_that_counts_anew_is_told_however_many_other_gaps_there_are() -> None:
    """To read past these would skip the new topic's first messages: no loss of any partition is declared then."""
    assert "--accept-data-loss" in str(as_error([gap(1, 2)])) and "rebuild bronze" not in str(as_error([gap(1, 2)]))
    for found in ([RECREATED], [gap(1, 2), RECREATED]):
        assert "rebuild bronze" in str(as_error(found)) and "--accept-data-loss" not in str(as_error(found))
        with pytest.raises(DataLoss, match=r"t\[2\] ends at 4, before offset 9 .*rebuild bronze"):
            declare(None, found, config.load(env={}))  # type: ignore[arg-type]  # Spark is not asked
