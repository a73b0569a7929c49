"""What Kafka no longer holds, and a clock that goes back: the job stops before it writes, and says how to go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from kafka import KafkaAdminClient, TopicPartition
from pyspark.sql import SparkSession

from lakehouse.contract.sale import JSON_INVALIDE
from lakehouse.contract.tables import PERTES
from lakehouse.errors import ClockWentBack, DataLoss
from lakehouse.kafka import clients
from lakehouse.operations.recovery import rebuild
from tests.support.children import eventually
from tests.support.harness import Lake
from tests.support.messages import ago, sale

pytestmark = pytest.mark.timeout(900)


@contextmanager
def admin(lake: Lake) -> Iterator[Any]:
    client = KafkaAdminClient(bootstrap_servers=lake.config.kafka.bootstrap_servers)
    try:
        yield client
    finally:
        client.close()


def held(lake: Lake) -> dict[int, tuple[int, int]]:
    return clients.earliest_and_latest_offsets(lake.config)


def expire(lake: Lake, **first: int) -> None:
    """Let Kafka forget all before an offset of each partition, as retention would: ``expire(lake, p0=15)``."""
    wanted = {int(name[1:]): offset for name, offset in first.items()}
    with admin(lake) as client:
        client.delete_records({TopicPartition(lake.config.kafka.topic, p): offset for p, offset in wanted.items()})
    assert {p: held(lake)[p][0] for p in wanted} == wanted


def both(lake: Lake, count: int) -> None:
    for partition in (0, 1):
        lake.sales(*(sale() for _ in range(count)), partition=partition)


def test_offsets_that_retention_took_stop_the_job_until_a_person_accepts_the_loss(
    lake: Lake, spark: SparkSession
) -> None:
    topic = lake.config.kafka.topic
    both(lake, 10)
    lake.bronze(spark)
    before = lake.state()
    both(lake, 10)
    lake.broken((b"lost too", JSON_INVALIDE), partition=1)
    expire(lake, p0=15, p1=21)

    for _ in range(2):  # it stops as often as it is asked
        with pytest.raises(DataLoss) as stopped:
            lake.bronze(spark)
        assert stopped.value.exit_code == 3
        assert str(stopped.value) == (
            f"Kafka no longer holds messages that were not read yet: {topic}[0] offsets 10 to 14 (5 messages); "
            f"{topic}[1] offsets 10 to 20 (11 messages). Nothing was written. If they cannot be sent again, accept the "
            f"loss, which is then recorded in bronze/pertes_declarees: python spark_streaming_delta.py --accept-data-loss"
        )
        assert lake.state() == before

    lake.bronze(spark, accept_data_loss=True)
    losses = lake.rows(PERTES)
    assert sorted((row["kafka_partition"], row["premier_offset"], row["dernier_offset"]) for row in losses) == [
        (0, 10, 14), (1, 10, 20),
    ]  # fmt: skip
    assert all(row["topic"] == topic and row["operateur"] for row in losses)
    assert len(lake.rows()) == 20 + 5
    assert lake.differences() == []

    both(lake, 3)  # the loss is on record: later runs need no flag
    lake.bronze(spark)
    assert len(lake.rows()) == 20 + 5 + 6
    assert lake.differences() == []
    assert len(lake.rows(PERTES)) == 2


def test_a_batch_that_was_planned_and_not_written_before_retention_took_it(lake: Lake, spark: SparkSession) -> None:
    """Killed between the offset log and the first append, then left alone for longer than Kafka keeps messages."""
    both(lake, 4)
    lake.bronze(spark)
    both(lake, 4)
    lake.bronze(spark)
    lake.forget_commit()
    both(lake, 4)
    expire(lake, p0=7)
    with pytest.raises(DataLoss, match=r"\[0\] offsets 4 to 6 \(3 messages\)\. Nothing was written"):
        lake.bronze(spark)
    lake.bronze(spark, accept_data_loss=True)
    lake.bronze(spark)
    assert lake.differences() == []
    assert len(lake.rows()) == 24  # the batch had been written: what was declared as lost stands in Bronze, once


def recreate(lake: Lake) -> None:
    topic = lake.config.kafka.topic
    with admin(lake) as client:
        client.delete_topics([topic])
        eventually(lambda: topic not in client.list_topics(), what="the topic's end")
    assert eventually(lambda: clients.ensure_topic(lake.config))


@pytest.mark.parametrize("count", [0, 14], ids=["shorter", "longer"])
def test_a_topic_that_was_created_anew_stops_the_job(lake: Lake, spark: SparkSession, count: int) -> None:
    both(lake, 10)
    lake.bronze(spark)
    before = lake.state()
    recreate(lake)
    if count:
        both(lake, count)
    with pytest.raises(DataLoss, match="The topic was deleted and created anew") as stopped:
        lake.bronze(spark)
    assert stopped.value.exit_code == 3
    assert str(stopped.value).endswith("type: python ops_utils.py rebuild bronze")
    with pytest.raises(DataLoss, match="The topic was deleted and created anew"):
        lake.bronze(spark, accept_data_loss=True)
    assert lake.state() == before

    found = rebuild.plan(lake.config, "bronze")
    assert found.fault == "the topic was created anew since it was read"
    rebuild.rebuild(lake.config, found)  # what the message says
    lake.broken((b"in the new topic", JSON_INVALIDE), partition=0)
    lake.bronze(spark)
    assert lake.differences() == []
    assert len(lake.rows()) == 20 + 2 * count


def forge_clock(lake: Lake, seconds: int) -> int:
    """Give the first batch's entry of the offset log a time so far ahead of this machine's clock; in ms since 1970."""
    entry = lake.checkpoint() / "offsets" / "0"
    version, header, *ends = entry.read_text(encoding="utf-8").splitlines()
    ahead = int((datetime.now(UTC).timestamp() + seconds) * 1000)
    forged = {**json.loads(header), "batchTimestampMs": ahead}
    entry.write_text("\n".join([version, json.dumps(forged), *ends]), encoding="utf-8")
    (entry.parent / ".0.crc").unlink(missing_ok=True)
    return ahead


def test_a_clock_that_goes_back_stops_the_job_before_it_writes(lake: Lake, spark: SparkSession) -> None:
    """Forged: the last committed batch's entry of the offset log gets a time a few seconds ahead of this machine's
    clock, as if the clock had been set back since."""
    lake.sales(sale(), sale(ago(days=1)))
    lake.bronze(spark)
    ahead = forge_clock(lake, seconds=20)
    before = lake.state()

    lake.sales(sale(), sale(ago(days=1)))
    lake.broken((b"x", JSON_INVALIDE))
    with pytest.raises(ClockWentBack, match=r"behind the last committed batch \(batch 1 after 0\)") as stopped:
        lake.bronze(spark)
    assert stopped.value.exit_code == 3
    assert lake.planned() == [0, 1] and lake.committed() == [0]
    assert lake.state() == before

    eventually(lambda: datetime.now(UTC).timestamp() * 1000 > ahead, what="the clock to be right again")
    lake.bronze(spark)  # "wait … and start again"
    assert lake.differences() == []
    assert len(lake.rows()) == 4


def test_a_clock_that_was_ahead_for_a_day_is_left_behind_by_the_named_command(lake: Lake, spark: SparkSession) -> None:
    lake.sales(sale(), sale(ago(days=1)))
    lake.bronze(spark)
    forge_clock(lake, seconds=86_400)
    first = lake.rows()
    lake.sales(sale(), sale(ago(days=1)))
    with pytest.raises(ClockWentBack, match=r"was ahead then, type: python ops_utils.py rebuild bronze --anyway$"):
        lake.bronze(spark)
    rebuild.rebuild(lake.config, rebuild.plan(lake.config, "bronze"))
    lake.bronze(spark)
    assert lake.differences() == [] and len(lake.rows()) == len(first) + 2
