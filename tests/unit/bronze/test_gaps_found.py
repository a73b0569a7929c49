"""Where reading stopped beside what Kafka still holds: a gap of a single message is one."""

from __future__ import annotations

import pytest

from lakehouse import config
from lakehouse.bronze import offset_gaps
from lakehouse.lake.checkpoint_files import Planned

TOPIC = config.load(env={}).kafka.topic


def found(read_to: int, held: tuple[int, int] | None) -> list[str]:
    committed = Planned(3, 1, ({TOPIC: {"2": read_to}},))
    gaps = offset_gaps.find(committed, {} if held is None else {2: held}, config.load(env={}))
    return [str(gap) for gap in gaps]


@pytest.mark.parametrize("held", [(0, 10), (0, 11), (10, 10), (10, 30), (9, 30)])
def test_nothing_is_missing(held: tuple[int, int]) -> None:
    assert found(10, held) == []


def test_one_message_is_missing() -> None:
    assert found(10, (11, 30)) == [f"{TOPIC}[2] offsets 10 to 10 (1 message)"]
    assert found(10, (11, 11)) == [f"{TOPIC}[2] offsets 10 to 10 (1 message)"]


def test_more_are_missing() -> None:
    assert found(10, (15, 30)) == [f"{TOPIC}[2] offsets 10 to 14 (5 messages)"]


@pytest.mark.parametrize("held", [(0, 9), None])
def test_a_partition_that_ends_before_what_was_read_counts_anew(held: tuple[int, int] | None) -> None:
    end = held[1] if held else 0
    assert found(10, held) == [f"{TOPIC}[2] ends at {end}, before offset 10 that was read already"]


def test_nothing_was_read_yet() -> None:
    assert offset_gaps.find(None, {0: (5, 9)}, config.load(env={})) == []
