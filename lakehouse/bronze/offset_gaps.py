"""Gaps: offsets that the Bronze job has not read and that Kafka no longer holds."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakehouse.config import Config
from lakehouse.contract.table_properties import TOPIC_SINCE
from lakehouse.contract.tables import PERTES, VENTES
from lakehouse.errors import DataLoss
from lakehouse.lake import spark_tables
from lakehouse.lake.checkpoint_files import Planned
from lakehouse.observability import audit_log, provenance
from lakehouse.wording import counted


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
        return f"{self.topic}[{self.partition}] offsets {self.first} to {self.last} ({counted(self.last - self.first + 1, 'message')})"


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


def declare(spark: SparkSession, found: Sequence[Gap], config: Config) -> list[Gap]:
    """Record in ``pertes_declarees``, and before in the audit log, what of the gaps does not stand there already; return that.
    Raises ``DataLoss`` for a topic that counts its offsets anew: reading on would skip its first messages."""
    if any(gap.recreated for gap in found):
        raise as_error(found)
    path, since = PERTES.path(config.delta.base_path), _counts_since(spark, config)
    rows = spark.read.format("delta").load(path).where(F.col("topic") == config.kafka.topic).collect()
    known = [Gap(row.topic, row.kafka_partition, row.premier_offset, row.dernier_offset) for row in rows if row.date_declaration.astimezone(UTC) >= since]  # fmt: skip
    new = undeclared(found, known)
    if new:
        places = [(gap.topic, gap.partition, gap.first, gap.last) for gap in new]
        audit_log.declare_losses(config, "accept-data-loss", places)
        now, who = datetime.now(UTC), getpass.getuser()
        frame = spark.createDataFrame([(*place, now, who) for place in places], PERTES.ddl)
        origin = provenance.commit_metadata("bronze job")
        frame.write.format("delta").mode("append").option("userMetadata", origin).save(path)
    return new


def undeclared(found: Sequence[Gap], declared: Sequence[Gap]) -> list[Gap]:
    """The parts of gaps that no declared gap covers."""
    left = list(found)
    for known in declared:
        left = [part for gap in left for part in _without(gap, known)]
    return left


def _without(gap: Gap, known: Gap) -> Iterator[Gap]:
    if (gap.topic, gap.partition) != (known.topic, known.partition) or gap.last < known.first or known.last < gap.first:
        yield gap
        return
    if gap.first < known.first:
        yield replace(gap, last=known.first - 1)
    if known.last < gap.last:
        yield replace(gap, first=known.last + 1)


def _counts_since(spark: SparkSession, config: Config) -> datetime:
    """From when on the topic counts its offsets: a gap that was declared before is one of an earlier topic."""
    _, _, since = spark_tables.properties(spark, VENTES, config).get(TOPIC_SINCE, "").partition(" ")
    return datetime.fromisoformat(since) if since else datetime.fromtimestamp(0, UTC)
