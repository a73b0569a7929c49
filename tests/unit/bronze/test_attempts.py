"""How often a plan was begun, across ends of the process; and the parts in which a failed batch is tried."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from lakehouse.bronze import isolation
from lakehouse.bronze.attempts import FAILURES, Attempts, Trial
from lakehouse.contract import unreadable
from lakehouse.kafka.bounded_reading import KafkaMessage
from lakehouse.lake.checkpoint_files import Planned


class Folder:
    """A checkpoint's plan and files, as they outlive the process."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.plan: Planned | None = Planned(7, 1000, ({"t": {"0": 9}},))

    def uncommitted(self) -> Planned | None:
        return self.plan

    def text(self, name: str) -> str | None:
        return self.files.get(name)

    def write_text(self, name: str, text: str) -> None:
        self.files[name] = text


@pytest.fixture
def folder() -> Folder:
    return Folder()


def start(folder: Any) -> Attempts:
    """A new process over the same folder."""
    return Attempts(folder)


def test_a_plan_that_fails_three_times_is_not_begun_again(folder: Folder) -> None:
    counted = [start(folder).begin() for _ in range(FAILURES)]
    assert [(one.failures, one.exhausted) for one in counted if one] == [(1, False), (2, False), (3, True)]


@pytest.mark.parametrize("other", [Planned(8, 1000, ()), Planned(7, 2000, ())], ids=["batch", "plan"])
def test_another_batch_and_a_plan_made_anew_begin_at_one(folder: Folder, other: Planned) -> None:
    start(folder).begin()
    start(folder).begin()
    folder.plan = other
    attempt = start(folder).begin()
    assert attempt and attempt.failures == 1


def test_without_a_planned_batch_nothing_is_written(folder: Folder) -> None:
    folder.plan = None
    attempts = start(folder)
    assert attempts.begin() is None
    attempts.excuse()
    assert folder.files == {}


def test_a_batch_that_a_stop_put_off_has_not_failed(folder: Folder) -> None:
    for _ in range(5):
        attempts = start(folder)
        attempt = attempts.begin()
        assert attempt and attempt.failures == 1
        attempts.excuse()
    attempts.begin()
    attempts.settle()
    attempts.excuse()  # a stop before the stream has passed the settled batch
    again = start(folder).begin()
    assert again and again.settled and again.exhausted


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"batch_id": 7}', '{"batch_id": 7, "clock_ms": 1000, "trial": {}}', "null"]
)
def test_a_record_that_was_cut_off_counts_as_none(folder: Folder, text: str) -> None:
    folder.files["attempts"] = text
    attempt = start(folder).begin()
    assert attempt and (attempt.failures, attempt.trial) == (1, None)


def test_failures_that_had_another_cause_do_not_count(folder: Folder) -> None:
    for _ in range(FAILURES):
        attempts = start(folder)
        attempts.begin()
    attempts.forgive()
    again = start(folder).begin()
    assert again and again.failures == 1


def test_what_the_process_ended_with_is_known_to_the_next(folder: Folder) -> None:
    attempts = start(folder)
    attempts.begin()
    attempts.trying(trial := Trial((0, 5), (1, 3), 900))
    again = start(folder).begin()
    assert again and again.trial == trial and trial.times == 1
    assert [trial.holds(*place) for place in [(0, 4), (0, 5), (0, 99), (1, 3), (1, 4)]] == [
        False,
        True,
        True,
        True,
        False,
    ]
    attempts.settle()
    settled = start(folder).begin()
    assert settled and settled.settled and settled.trial is None


def message(offset: int, size: int = 10, unreadable: str | None = None) -> KafkaMessage:
    return KafkaMessage(0, offset, datetime.now(UTC), None, b"x" * size, size, [], unreadable)


def offsets(messages: Iterator[KafkaMessage], ended_with: Trial | None = None) -> list[list[int]]:
    return [[one.offset for one in part] for part in isolation.parts(messages, ended_with)]


def test_parts_are_bounded_in_messages_and_bytes_and_what_cannot_be_read_stands_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(isolation, "PART_MESSAGES", 4)
    monkeypatch.setattr(isolation, "_PART_BYTES", 100)
    assert offsets(iter([])) == []
    assert offsets(map(message, range(9))) == [[0, 1, 2, 3], [4, 5, 6, 7], [8]]
    sizes = [message(n, size) for n, size in enumerate((60, 60, 500, 10, 90, 1))]
    assert offsets(iter(sizes)) == [[0], [1], [2], [3, 4], [5]]
    large = [message(n, 10, "too large" if n in (2, 3) else None) for n in range(6)]
    assert offsets(iter(large)) == [[0, 1], [2], [3], [4, 5]]


def test_parts_that_the_process_ended_with_are_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "PART_MESSAGES", 6)
    found = offsets(map(message, range(14)), Trial((0, 3), (0, 8), 2 * isolation._SMALLER))
    assert found == [[0, 1, 2], [3, 4], [5, 6], [7, 8], [9, 10, 11, 12, 13]]
    assert offsets(map(message, range(4)), Trial((0, 1), (0, 2), 2)) == [[0], [1], [2], [3]]


@pytest.mark.parametrize(("size", "kept", "said"), [
    (10, 10, None), (0, 0, None), (10, 4, "the first 4 of 10 bytes"),
    (None, 0, "the first 0 of an unknown number of bytes"),
])  # fmt: skip
def test_what_was_cut_off_can_be_told_from_the_explanation(size: int | None, kept: int, said: str | None) -> None:
    forged = "The message has 9 bytes, of which valeur holds the first 1."
    headers = [("h", forged.encode()), ("null", None), ("bytes", b"\xff")]
    text = unreadable.explanation(f"It failed: {forged}", size=size, kept=kept, headers=headers)
    assert unreadable.cut_off(text) == said
    assert text.endswith(f"Headers: h: {forged}, null: null, bytes: \\xff")
    assert unreadable.cut_off(f"The field pays is {forged}") is None
    long = unreadable.explanation("It failed.", size=1, kept=1, headers=cast(Any, [("h", b"x" * 10_000)]))
    assert len(long) < 2200 and long.endswith("x…")
