"""The partition of a key: kafka-python's own choice, asked for once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.partitioner import DefaultPartitioner

from lakehouse.kafka import key_partitioner
from lakehouse.kafka.key_partitioner import KeyPartitioner


class Cluster:
    """A stand-in for kafka-python's metadata of one topic."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions

    def topics(self) -> set[str]:
        return {"ventes"}

    def partitions_for_topic(self, _topic: str) -> set[int]:
        return set(range(self.partitions))

    def available_partitions_for_topic(self, topic: str) -> set[int]:
        return self.partitions_for_topic(topic)


def chosen(partitioner: Any, key: bytes | None, cluster: Cluster) -> int:
    found: int = partitioner.partition("ventes", key, key, b"", b"", cluster)
    return found


@given(keys=st.lists(st.binary(max_size=9), max_size=20), counts=st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_every_key_goes_where_kafkas_own_client_puts_it_also_after_partitions_were_added(
    keys: list[bytes], counts: list[int]
) -> None:
    remembering, plain = KeyPartitioner(), DefaultPartitioner()
    for count in counts:
        for key in (*keys, *keys):
            assert chosen(remembering, key, Cluster(count)) == chosen(plain, key, Cluster(count))


def test_a_key_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    own = DefaultPartitioner.partition
    monkeypatch.setattr(DefaultPartitioner, "partition", lambda *given: (hashed.append(given[2]), own(*given))[1])
    partitioner, cluster = KeyPartitioner(), Cluster(4)
    for key in (b"1", b"2", b"1", b"1"):
        chosen(partitioner, key, cluster)
    assert hashed == [b"1", b"2"]


def test_a_message_without_a_key_goes_to_any_partition() -> None:
    partitioner, cluster = KeyPartitioner(), Cluster(4)
    assert {chosen(partitioner, None, cluster) for _ in range(200)} == {0, 1, 2, 3}


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_partitioner, "_KEPT", 10)
    partitioner, cluster = KeyPartitioner(), Cluster(4)
    for number in range(100):
        chosen(partitioner, str(number).encode(), cluster)
    assert len(partitioner._known) <= 10
