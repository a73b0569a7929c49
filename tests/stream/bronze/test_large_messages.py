"""Messages that cannot be fetched: too large once they are inflated, or damaged on the broker's disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from kafka.record.default_records import DefaultRecordBatch
from pyspark.sql import SparkSession

from lakehouse.bronze.attempts import FAILURES
from lakehouse.contract.sale import ILLISIBLE
from lakehouse.contract.unreadable import cut_off
from lakehouse.kafka import clients
from lakehouse.kafka.broker.node import Broker
from lakehouse.operations.reconcile.sent_vs_stored import Sent
from tests.support.harness import Lake, rejected
from tests.support.messages import ago, encoded, sale

pytestmark = pytest.mark.timeout(1800)

MIB = 1 << 20


def send_compressed(lake: Lake, values: list[bytes]) -> list[tuple[int, int]]:
    """One batch of gzip at partition 0, whatever the client thinks of the size."""
    client = clients.connect_producer(lake.config)
    client.config["max_request_size"] = 1 << 30
    try:
        futures = [
            client.send(lake.config.kafka.topic, value, b"7", headers=[("trace", b"abc")], partition=0)
            for value in values
        ]
        client.flush()
        return [(answer.partition, answer.offset) for answer in (future.get(120) for future in futures)]
    finally:
        client.close()


def test_a_record_of_400_mib_in_gzip_is_passed_over_and_its_neighbours_are_ingested(
    make_lake: Callable[..., Lake], servers: str
) -> None:
    """Java's default heap is too small for it: the process ends with each attempt, and the next one knows of it."""
    lake = make_lake(
        servers, PRODUCER__COMPRESSION="gzip", PRODUCER__LINGER="1 second", PRODUCER__BATCH_SIZE="600000000"
    )
    before, after = [sale(), sale(ago(days=2))], [sale(), sale(ago(days=3))]
    lake.sales(*before, partition=0)
    value = b'{"a":"' + b"a" * (400 * MIB) + b'"}'
    places = send_compressed(lake, [*map(encoded, before), value, *map(encoded, after)])
    held = clients.earliest_and_latest_offsets(lake.config)
    assert held[0][1] - held[0][0] == 7
    lake.sales(sale(), partition=1)
    for fields, place in zip([*before, None, *after], places, strict=True):
        if fields:
            lake.by_hand.append(Sent(fields["vente_id"], None, fields, None, True, *place))

    for attempt in range(1, FAILURES + 1):
        job = lake.start("spark_streaming_delta.py", "--once")
        assert job.wait() == 1, job.said()
        assert "OutOfMemoryError" in job.said() or "Java process" in job.said(), (attempt, job.said())
    job = lake.start("spark_streaming_delta.py", "--once")
    assert job.wait() == 0, job.said()
    assert "a message was isolated" in job.said()

    kept = lake.config.kafka.max_message_bytes
    row = rejected(lake)[places[2]]
    assert (row["motif"], row["valeur"], row["cle"]) == (ILLISIBLE, value[:kept], b"7")
    assert cut_off(row["explication"]) == f"the first {kept} of {len(value)} bytes"
    assert "Headers: trace: abc" in row["explication"]
    lake.by_hand.append(Sent("", ILLISIBLE, {}, value[:kept], True, *places[2], "malformee"))
    assert lake.differences() == []
    lake.sales(sale(), after[0], partition=0)
    job = lake.start("spark_streaming_delta.py", "--once")
    assert job.wait() == 0, job.said()
    assert lake.differences() == []
    accounts = lake.start("ops_utils.py", "reconcile")  # reads the copies again, which lie in one batch with it
    assert accounts.wait() == 0, accounts.said()


def damage_last_batch(log: Path) -> tuple[int, int]:
    """Flip a bit in the last record batch of a partition's file; the offsets that it holds, both included."""
    whole, at, last = bytearray(log.read_bytes()), 0, 0
    while at < len(whole):
        last, at = at, at + DefaultRecordBatch(whole[at:]).size_in_bytes
    batch = DefaultRecordBatch(whole[last:])
    whole[-1] ^= 1
    log.write_bytes(whole)
    return batch.base_offset, batch.last_offset


def test_a_batch_that_is_damaged_on_the_brokers_disk_does_not_stop_the_stream(
    own_broker: tuple[Broker, str], tmp_path: Path, make_lake: Callable[..., Lake], spark: SparkSession
) -> None:
    lake = make_lake(own_broker[1], STREAMING__RESTART_DELAY="10 ms", STREAMING__MAX_RESTARTS="4")
    lake.sales(sale(), sale(ago(days=2)), partition=0)
    lake.sales(sale(), partition=1)
    places = send_compressed(lake, [encoded(sale()), encoded(sale())])
    (log,) = (tmp_path / "broker").rglob(f"{lake.config.kafka.topic}-0/*.log")
    assert damage_last_batch(log) == (places[0][1], places[-1][1])
    lake.sales(sale(), partition=0)  # behind it

    lake.bronze(spark)
    rows = [rejected(lake)[place] for place in places]
    assert all(row["motif"] == ILLISIBLE and row["valeur"] is None for row in rows)
    assert all(cut_off(row["explication"]) == "the first 0 of an unknown number of bytes" for row in rows)
    lake.by_hand += [Sent("", ILLISIBLE, {}, None, True, *place, "malformee") for place in places]
    assert lake.differences() == []
    assert len(lake.rows()) == 4
