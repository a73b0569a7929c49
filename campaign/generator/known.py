"""What the campaign's operators and faults did to messages: the checkers have to know it, and nothing else of a history."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Known:
    """``lost``: partition → the first offset that Kafka still holds, where messages were deleted before they were read.
    ``erased``: clients who were erased, each with the word that stands in their name alone. ``corrected``: place → the fields
    with which a bad message was replayed. ``partitions``: how many the topic has. ``kept_from``: table → its first version that a
    restored backup holds."""

    lost: dict[int, int] = field(default_factory=dict)
    erased: dict[int, str] = field(default_factory=dict)
    corrected: dict[tuple[int, int], dict[str, str]] = field(default_factory=dict)
    partitions: int = 3
    kept_from: dict[str, int] = field(default_factory=dict)

    def is_lost(self, partition: int, offset: int) -> bool:
        """Whether Kafka gave the message up."""
        return offset < self.lost.get(partition, 0)
