"""Gaps: offsets that the Bronze job has not read and that Kafka no longer holds."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pyspark.sql import SparkSession

from lakehouse.config import Config
from lakehouse.contract.tables import PERTES
from lakehouse.errors import DataLoss
from lakehouse.lake.checkpoint_files import Planned


@dataclass(frozen=True)
class Gap:
    """Offsets ``first`` to ``last``, both included, of one partition. ``recreated``: the partition ends before the
    offset that was read up to, so that its offsets count anew."""

    topic: str
    partition: int
    first: int
    last: int
    recreated: bool = False

    def __str__(self) -> str:
        if self.recreated:
            return (
                f"{self.topic}[{self.partition}] ends at {self.last}, before offset {self.first} that was read already"
            )
        return f"{self.topic}[{self.partition}] offsets {self.first} to {self.last} ({self.last - self.first + 1} messages)"


def find(committed: Planned | None, held: Mapping[int, tuple[int, int]], config: Config) -> list[Gap]:
    """Compare where reading stopped with what the broker holds, ``{partition: (begin, end)}``, end exclusive."""
    topic = config.kafka.topic
    ends = committed.kafka_ends(topic) if committed else {}
    found = []
    for partition, next_offset in ends.items():
        begin, end = held.get(partition, (0, 0))
        if end < next_offset:
            found.append(Gap(topic, partition, next_offset, end, recreated=True))
        elif begin > next_offset:
            found.append(Gap(topic, partition, next_offset, begin - 1))
    return found


def topic_changed(config: Config, read: str, now: str) -> DataLoss:
    """The sentence for a topic that has another id than the one that was read."""
    return DataLoss(
        f"The topic was deleted and created anew: {config.kafka.topic} has the id {now}, that which was read had {read}. "
        f"Nothing was written. To read the new topic from its start (Bronze lets no sale in twice), type: "
        f"python ops_utils.py rebuild bronze"
    )


def as_error(found: Sequence[Gap]) -> DataLoss:
    """The sentence that stops the job, with the command that goes on."""
    listing = "; ".join(map(str, found))
    if any(gap.recreated for gap in found):
        return DataLoss(
            f"The topic was deleted and created anew, or lost its end: {listing}. Nothing was written. To read the new topic "
            f"from its start (Bronze lets no sale in twice), type: python ops_utils.py rebuild bronze"
        )
    return DataLoss(
        f"Kafka no longer holds messages that were not read yet: {listing}. Nothing was written. If they cannot be sent "
        f"again, accept the loss, which is then recorded in bronze/{PERTES.name}: "
        f"python spark_streaming_delta.py --accept-data-loss"
    )


def declare(spark: SparkSession, found: Sequence[Gap], config: Config) -> None:
    """Record the gaps in ``pertes_declarees``; those that stand there already are not repeated. Raises ``DataLoss`` for
    a topic that counts its offsets anew: reading on would skip its first messages."""
    if any(gap.recreated for gap in found):
        raise as_error(found)
    now, who = datetime.now(UTC), getpass.getuser()
    rows = [(gap.topic, gap.partition, gap.first, gap.last, now, who) for gap in found]
    path = PERTES.path(config.delta.base_path)
    new = spark.createDataFrame(rows, PERTES.ddl)
    old = spark.read.format("delta").load(path).select(*PERTES.keys)
    new.join(old, list(PERTES.keys), "left_anti").select(*PERTES.names).write.format("delta").mode("append").save(path)
