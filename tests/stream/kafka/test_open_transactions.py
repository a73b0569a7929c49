"""A transaction that nobody ends, on a real broker: its age is a metric, and Bronze's health says what waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from kafka import KafkaProducer

from lakehouse.kafka import clients, lag
from lakehouse.kafka import options as kafka_options
from lakehouse.observability import metrics
from lakehouse.observability.health import Monitor
from tests.support.children import eventually
from tests.support.harness import Lake
from tests.support.messages import encoded, sale


def test_what_waits_behind_an_open_transaction_is_seen_until_it_ends(
    make_lake: Callable[..., Lake], servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lag, "HANGING_SECONDS", 0.0)
    lake = make_lake(servers)
    config, topic = lake.config, lake.config.kafka.topic
    clients.ensure_topic(config)
    lake.sales(sale(), partition=0)
    watched = Monitor(config, "bronze")
    made = lag.Lag(config, watched.meter)
    made.look()
    assert made.hanging() == {} and watched.meter.value(metrics.OPEN_TRANSACTION, "0") == 0

    given = {"transactional_id": f"hangs-{topic}", "transaction_timeout_ms": 900_000}
    shop = KafkaProducer(**kafka_options.producer_options(config) | given)
    try:
        shop.init_transactions()
        shop.begin_transaction()
        first = shop.send(topic, encoded(sale()), b"7", partition=0)
        shop.flush()
        began = first.get(60).timestamp / 1000
        lake.sales(sale(), sale(), partition=0)
        made.look()
        assert watched.meter.value(metrics.LAG_RECORDS, "0") == 1, "what cannot be read yet is no lag"
        age = watched.meter.value(metrics.OPEN_TRANSACTION, "0")
        assert age is not None and 0 < age <= time.time() - began
        assert watched.meter.value(metrics.OPEN_TRANSACTION, "1") == 0
        (sentence,) = made.hanging().values()
        assert f"3 messages from {topic}[0]@1 on wait for its end" in sentence

        shop.abort_transaction()
        eventually(lambda: made.look() or not made.hanging(), 60)
        assert watched.meter.value(metrics.OPEN_TRANSACTION, "0") == 0
        assert watched.meter.value(metrics.LAG_RECORDS, "0") == 5, "the marker counts: it is an offset to read past"
    finally:
        shop.close(timeout=5)
        made._offsets.close()
        made._everything.close()
