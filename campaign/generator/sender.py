"""Sends a history's messages to a real broker, and notes what became of each."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass

from kafka import KafkaProducer

from campaign.generator.workload import Message


@dataclass(frozen=True)
class Sent:
    """A message and where it lies; ``aborted`` when its transaction was given up."""

    message: Message
    partition: int
    offset: int
    aborted: bool


class Sender:
    """Two senders: a plain one, and one with transactions, of which every other one is given up."""

    def __init__(self, servers: str, topic: str) -> None:
        self._topic = topic
        self._plain = KafkaProducer(bootstrap_servers=servers, acks="all", linger_ms=5)
        self._transactional = KafkaProducer(bootstrap_servers=servers, transactional_id=f"campaign-{uuid.uuid4()}")
        self._transactional.init_transactions()

    def send(self, messages: Iterable[Message]) -> list[Sent]:
        """Returns when each was acknowledged. A transaction that is given up holds one aborted message; its neighbour, sent by
        the same sender, is committed."""
        waiting = []
        done: list[Sent] = []
        for message in messages:
            if message.kind == "aborted":
                done.append(self._give_up(message))
            else:
                waiting.append((message, self._one(self._plain, message)))
        self._plain.flush()
        return done + [Sent(each, (at := future.get(60)).partition, at.offset, False) for each, future in waiting]

    def _one(self, producer: KafkaProducer, message: Message):  # type: ignore[no-untyped-def]
        return producer.send(self._topic, message.value, message.key, partition=message.partition)

    def _give_up(self, message: Message) -> Sent:
        self._transactional.begin_transaction()
        future = self._one(self._transactional, message)
        self._transactional.flush()
        at = future.get(60)
        self._transactional.abort_transaction()
        return Sent(message, at.partition, at.offset, True)

    def close(self) -> None:
        """Both connections."""
        self._plain.close()
        self._transactional.close()
