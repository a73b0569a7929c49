"""The topic at a real broker: created as the settings say, never changed, and an error where it may not be created."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lakehouse.errors import LakehouseError
from lakehouse.kafka import clients
from tests.support.harness import Lake


def test_a_missing_topic_is_an_error_when_it_may_not_be_created(servers: str, make_lake: Callable[..., Lake]) -> None:
    lake = make_lake(servers, KAFKA__CREATE_TOPIC="false")
    with pytest.raises(LakehouseError, match="create_topic is false"):
        clients.ensure_topic(lake.config)


def test_a_topic_is_created_once_with_the_brokers_clock(servers: str, make_lake: Callable[..., Lake]) -> None:
    lake = make_lake(servers, KAFKA__PARTITIONS="3", KAFKA__RETENTION="1 hour")
    assert [clients.ensure_topic(lake.config) for _ in range(2)] == [True, False]
    topic = clients.describe_topic(lake.config)
    assert (topic.partitions, topic.replication_factor) == (3, 1)
    assert topic.settings["message.timestamp.type"] == "LogAppendTime"
    assert topic.settings["retention.ms"] == "3600000"
