"""``--accept-data-loss`` reads past the gaps that a person saw, and past no other: what retention takes meanwhile stops it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse.bronze.micro_batch import MicroBatch, WritePlan
from lakehouse.bronze.sink import BronzeSink
from lakehouse.contract.tables import PERTES
from lakehouse.errors import DataLoss
from lakehouse.observability import audit_log
from tests.stream.bronze.test_offset_gaps import both, expire
from tests.support.harness import Lake

pytestmark = pytest.mark.timeout(900)


def losses(lake: Lake) -> list[tuple[int, int, int]]:
    return sorted((row["kafka_partition"], row["premier_offset"], row["dernier_offset"]) for row in lake.rows(PERTES))


def expiring(monkeypatch: pytest.MonkeyPatch, lake: Lake, batch: int, **first: int) -> None:
    """Retention takes offsets while the reading is in its batch number ``batch`` (from 1)."""
    choose: Callable[[BronzeSink, MicroBatch], WritePlan] = BronzeSink._choose
    seen = 0

    def with_retention(self: BronzeSink, one: MicroBatch) -> WritePlan:
        nonlocal seen
        seen += 1
        if seen == batch:
            expire(lake, **first)
        return choose(self, one)

    monkeypatch.setattr(BronzeSink, "_choose", with_retention)


@pytest.mark.parametrize("batch", [1, 2])
def test_what_retention_takes_while_a_gap_is_read_past_stops_the_job(
    lake: Lake,
    spark: SparkSession,
    run: Callable[..., tuple[int, dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    batch: int,
) -> None:
    """50 acknowledged sales of the other partition, and more of the first one, in the first or a later batch."""
    streaming = dataclasses.replace(lake.config.streaming, max_offsets_per_trigger=40)
    lake.config = dataclasses.replace(lake.config, streaming=streaming)
    topic = lake.config.kafka.topic
    both(lake, 10)
    lake.bronze(spark)
    both(lake, 60)
    expire(lake, p0=15)
    before = lake.state()
    with monkeypatch.context() as patch:
        expiring(patch, lake, batch, p1=60, p0=61)
        with pytest.raises(DataLoss, match="Kafka no longer holds messages that were not read yet") as stopped:
            lake.bronze(spark, accept_data_loss=True)
    assert stopped.value.exit_code == 3
    assert f"{topic}[1] offsets " in str(stopped.value) and "to 59 (" in str(stopped.value)
    assert losses(lake) == [(0, 10, 14)], "nothing was declared that nobody had seen"
    if batch == 1:
        assert f"{topic}[0] offsets 15 to " in str(stopped.value) and lake.state() == before

    with pytest.raises(DataLoss):
        lake.bronze(spark)
    lake.bronze(spark, accept_data_loss=True)
    declared = losses(lake)
    assert declared[0] == (0, 10, 14) and [last for _, _, last in declared] == [14, 60, 59]
    assert lake.differences() == []
    log = audit_log.AuditLog(audit_log.folder(lake.config))
    audited = {tuple(loss[1:]) for entry in log.entries() for loss in entry.get(audit_log.LOSSES, ())}
    assert audited == set(declared)
    code, record = run("reconcile")
    assert (code, record["found"]) == (0, [])
    assert sum(line["declared"] for line in record["per_partition"]) == sum(
        last - first + 1 for _, first, last in declared
    )
