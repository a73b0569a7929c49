"""The producer with a stand-in for Kafka."""

from __future__ import annotations

import pytest

from lakehouse.kafka import clients
from lakehouse.producer import producer
from tests.support.fake_producer import Kafka


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    fake = Kafka()
    monkeypatch.setattr(clients, "ensure_topic", lambda _config: False)
    monkeypatch.setattr(clients, "connect_producer", lambda _config, **_options: fake)
    monkeypatch.setattr(producer, "_TICK", 0.001)
    return fake
