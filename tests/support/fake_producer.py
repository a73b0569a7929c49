"""A stand-in for ``KafkaProducer`` that makes kafka-python's own futures, and sales to send."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from kafka.errors import KafkaTimeoutError
from kafka.producer.future import FutureProduceResult, FutureRecordMetadata
from kafka.structs import TopicPartition

from lakehouse import config as settings
from lakehouse.config import Config
from lakehouse.producer.generator import Message, Mix, messages


def load(**given: str) -> Config:
    """Settings with overrides such as ``KAFKA__TOPIC="x"``."""
    return settings.load(env={f"VENTES_{name}": text for name, text in given.items()})


PLAIN = Mix()


def sales(n: int, mix: Mix = PLAIN) -> list[Message]:
    ticks = itertools.count(1_700_000_000_000_000, 1_000_000)
    return list(itertools.islice(messages(seed=1, clients=2, clock=lambda: next(ticks), mix=mix), n))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Kafka:
    """A ``KafkaProducer`` that makes kafka-python's own futures and meets the faults it is told."""

    def __init__(self, *, answers: bool = True, errors: list[Exception] | None = None) -> None:
        self.answers = answers
        self.errors = errors or []
        self.results: list[FutureProduceResult] = []
        self.values: list[bytes] = []
        self.closed = False
        self.forced = False
        self._sender = self

    def send(self, topic: str, value: bytes, key: bytes) -> FutureRecordMetadata:
        if self.errors:
            raise self.errors.pop(0)
        result = FutureProduceResult(TopicPartition(topic, 0))
        future = FutureRecordMetadata(result, 0, 0, None, len(key), len(value), -1)
        self.results.append(result)
        self.values.append(value)
        if self.answers:
            result.success((len(self.values) - 1, 1234, None))
        return future

    def flush(self, timeout: float) -> None:
        if not all(result.is_done for result in self.results):
            raise KafkaTimeoutError(f"{timeout} s")

    def force_close(self) -> None:
        self.forced = True

    def join(self, timeout: float) -> None:
        assert timeout > 0

    def close(self, timeout: float) -> None:
        assert timeout > 0
        self.closed = True


FAST = {"PRODUCER__RATE": "max", "PRODUCER__CLIENTS": "2", "KAFKA__REQUEST_TIMEOUT": "1 s"}
