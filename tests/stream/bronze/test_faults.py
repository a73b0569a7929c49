"""The broker goes and comes back; a second job; SIGTERM: the Bronze job goes on, refuses, or ends at a batch boundary."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from pyspark.sql import SparkSession

from lakehouse.contract.sale import JSON_INVALIDE
from lakehouse.errors import TableLocked
from lakehouse.kafka.broker.node import Broker
from lakehouse.kafka.broker.properties import answers
from tests.support.children import eventually
from tests.support.harness import Lake, rejected
from tests.support.messages import ago, sale

pytestmark = pytest.mark.timeout(900)


def test_broker_killed_and_back_while_producer_and_bronze_run(
    own_broker: tuple[Broker, str], make_lake: Callable[..., Lake], spark: SparkSession
) -> None:
    broker, servers = own_broker
    lake = make_lake(servers, STREAMING__MAX_RESTARTS="1000", KAFKA__REQUEST_TIMEOUT="3 seconds")
    options = [
        "--rate=50",
        "--seed=5",
        "--duplicate-ratio=0.1",
        "--late-ratio=0.1",
        "--malformed-ratio=0.1",
    ]
    with lake.streaming(spark) as job:
        producer = lake.start("producer_ventes.py", *options, f"--truth={lake.truth_file}")
        eventually(lake.rows, what="the first sales in Bronze")
        before = {row["vente_id"] for row in lake.rows()}

        broker.kill()
        assert not answers(lake.config)
        # the producer notices, and both live on
        eventually(lambda: "no acknowledgement for" in producer.said(), what="the producer's complaint")
        assert producer.alive and job.is_alive()
        unsent = sum(not message.acknowledged for message in lake.sent())
        assert unsent > 0, "nothing was in flight: the fault did not reach the producer"
        broker.start()

        eventually(lambda: "acknowledgements are back" in producer.said(), what="the producer's relief")
        os.kill(producer.process.pid, signal.SIGTERM)
        assert producer.wait() == 0, producer.said()
        assert all(message.acknowledged for message in lake.sent())
        eventually(lambda: not lake.differences(), what="all that was acknowledged in Bronze")
        # a batch of nothing but copies shows no difference, and would meet the stop
        eventually(lake.all_read, what="the topic's end in the checkpoint")
        assert before < {row["vente_id"] for row in lake.rows()}
    assert lake.differences() == []
    assert lake.planned()[-1:] == lake.committed()[-1:]  # stopped at a batch boundary


def test_second_bronze_job_refuses_and_sigterm_ends_the_first_at_a_batch_boundary(
    lake: Lake, spark: SparkSession
) -> None:
    small = lake.with_settings(STREAMING__MAX_OFFSETS_PER_TRIGGER="25")  # many batches: SIGTERM finds work in hand
    lake.produce(1000, 4)
    first = small.start("spark_streaming_delta.py")
    eventually(lambda: len(lake.committed()) > 1 or not first.alive, what="two batches of the first job")
    assert first.alive, first.said()

    second = lake.start("spark_streaming_delta.py", "--once")
    assert second.wait() == 4
    assert (
        f"Another process writes the bronze tables under {lake.base} (process {first.process.pid} on " in second.said()
    )
    assert "Stop it first, or wait for it with VENTES_DELTA__LOCK_TIMEOUT=" in second.said()
    with pytest.raises(TableLocked):
        lake.bronze(spark)

    assert first.alive, first.said()
    os.kill(first.process.pid, signal.SIGTERM)
    assert first.wait() == 0, first.said()
    assert "stopping at the end of the batch" in first.said() and "job=bronze" in first.said().splitlines()[-1]
    done, held = lake.committed()[-1], len(lake.rows()) + len(rejected(lake))
    assert held < 900, "the job had read everything: SIGTERM met no work"
    # a batch may have been planned, but of one that is not committed nothing is written
    assert {row["kafka_offset"] for row in lake.rows()} and lake.planned()[-1] - done in (0, 1)

    lake.sales(sale(), sale(ago(days=2)))
    lake.broken((b"after the stop", JSON_INVALIDE))
    lake.bronze(spark)
    assert lake.differences() == []
