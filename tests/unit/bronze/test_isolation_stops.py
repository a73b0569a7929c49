"""A stop within an isolation: the batch is settled only when each of its messages was tried."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from lakehouse.bronze import isolation
from lakehouse.bronze.isolation import Isolation
from lakehouse.kafka.bounded_reading import KafkaMessage


def message(offset: int) -> KafkaMessage:
    return KafkaMessage(0, offset, datetime.now(UTC), None, b"x", 1, [])


@pytest.mark.parametrize("stop_at", [None, 0, 2, 3])
def test_a_batch_is_not_settled_when_a_stop_meets_one_of_its_parts(
    monkeypatch: pytest.MonkeyPatch, stop_at: int | None
) -> None:
    """Offset 3 is in the last part: a stop that meets it leaves it untried."""

    def read(*_: Any) -> Iterator[KafkaMessage]:
        return map(message, range(4))

    monkeypatch.setattr(isolation, "PART_MESSAGES", 1)
    monkeypatch.setattr("lakehouse.kafka.bounded_reading.read", read)
    made = object.__new__(Isolation)
    tried: list[int] = []

    def attempt(part: list[KafkaMessage], _: Any) -> Exception | None:
        if part[0].offset == stop_at:
            made._stop.set()
            return OSError("the first of three tries")
        tried.append(part[0].offset)
        return None

    made._stop, made._failing = threading.Event(), 0
    monkeypatch.setattr(made, "_try", attempt)
    monkeypatch.setattr(made, "_isolated_before", lambda _: set())
    monkeypatch.setattr(isolation.log, "place", lambda *_: "")
    made._config = type("Config", (), {"kafka": type("Kafka", (), {"topic": "t"})})  # type: ignore[assignment]
    found = made._ingest_all({0: (0, 4)}, None)
    assert found == (0 if stop_at is None else None)
    assert tried == list(range(4 if stop_at is None else stop_at))
