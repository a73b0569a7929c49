"""The partition of a message's key, as Java's producer chooses it, remembered: kafka-python hashes each key anew, in Python."""

from __future__ import annotations

from typing import Any

from kafka.partitioner import DefaultPartitioner

_KEPT = 100_000
"""Keys that are remembered; beyond them all are forgotten, and hashed again as they come."""


class KeyPartitioner(DefaultPartitioner):  # type: ignore[misc]
    """kafka-python's own partitioner, asked once for each key of a topic, as long as its partitions stay the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes], int] = {}
        self._partitions: dict[str, set[int] | None] = {}

    def partition(
        self, topic: str, key: Any, serialized_key: bytes | None, value: Any, serialized_value: Any, cluster: Any
    ) -> int:
        partitions = cluster.partitions_for_topic(topic)
        if self._partitions.get(topic) != partitions or len(self._known) >= _KEPT:
            self._known.clear()
            self._partitions[topic] = partitions
        if serialized_key is not None and (found := self._known.get((topic, serialized_key))) is not None:
            return found
        chosen: int = super().partition(topic, key, serialized_key, value, serialized_value, cluster)
        if serialized_key is not None:
            self._known[topic, serialized_key] = chosen
        return chosen
