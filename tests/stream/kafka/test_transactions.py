"""Transactional producers: what they abort is never a sale, what they have not committed yet is waited for, and every offset
that thereby gives no message is accounted for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from deltalake import DeltaTable
from kafka import KafkaProducer
from pyspark.sql import SparkSession

from lakehouse.contract.sale import JSON_INVALIDE
from lakehouse.contract.tables import VENTES
from lakehouse.kafka import clients, lag
from lakehouse.kafka import options as kafka_options
from lakehouse.lake import job_progress
from tests.support.harness import Lake
from tests.support.job_lake import sums
from tests.support.messages import ago, encoded, sale

pytestmark = pytest.mark.timeout(900)

Run = Callable[..., tuple[int, dict[str, Any]]]
Place = tuple[int, int]

MILLION = "1000000.00"


@contextmanager
def transactional(lake: Lake, name: str = "shop") -> Iterator[Any]:
    clients.ensure_topic(lake.config)
    given = {"transactional_id": f"{name}-{lake.config.kafka.topic}", "transaction_timeout_ms": 900_000}
    producer = KafkaProducer(**kafka_options.producer_options(lake.config) | given)
    try:
        producer.init_transactions()
        yield producer
    finally:
        producer.close(timeout=5)


def send(lake: Lake, producer: Any, *sold: dict[str, Any], partition: int = 0) -> list[Place]:
    futures = [producer.send(lake.config.kafka.topic, encoded(one), b"7", partition=partition) for one in sold]
    producer.flush()
    return [(answer.partition, answer.offset) for answer in (future.get(60) for future in futures)]


def millions(count: int = 2) -> list[dict[str, Any]]:
    return [sale(montant=MILLION) for _ in range(count)]


def places(lake: Lake) -> dict[str, Place]:
    return {row["vente_id"]: (row["kafka_partition"], row["kafka_offset"]) for row in lake.rows()}


def consumed(lake: Lake) -> dict[int, int]:
    position = job_progress.bronze(lake.config)
    assert position is not None
    return dict(position.ends)


@pytest.fixture
def lake(make_lake: Callable[..., Lake], servers: str) -> Lake:
    """Its batches are so small that some hold nothing but what was aborted, and some begin or end within."""
    return make_lake(servers, STREAMING__MAX_OFFSETS_PER_TRIGGER="6")


def test_aborted_sales_are_no_revenue_and_their_offsets_are_accounted_for(
    lake: Lake, run: Run, spark: SparkSession
) -> None:
    kept, aborted = {}, set()
    with transactional(lake) as shop:
        for _ in range(2):
            shop.begin_transaction()
            committed = [sale(), sale(ago(hours=1))]  # the old one takes the batch's second reading
            found = send(lake, shop, *committed)
            kept |= dict(zip((one["vente_id"] for one in committed), found, strict=True))
            shop.commit_transaction()

            shop.begin_transaction()
            aborted |= set(send(lake, shop, *millions()))
            (plain,) = lake.sales(sale(), partition=0)  # no transaction's, between the messages of one that is aborted
            lake.broken((b"no sale", JSON_INVALIDE), partition=0)
            assert plain.place
            kept[plain.vente_id] = plain.place
            aborted |= set(send(lake, shop, *millions()))
            aborted |= set(send(lake, shop, *millions(), partition=1))  # nothing else lies there, up to the end
            shop.abort_transaction()
    lake.bronze(spark)

    assert places(lake) == kept
    assert len(lake.committed()) > 2
    assert lake.all_read()
    code, record = run("reconcile")
    found = sums(record)
    assert (code, record["found"], found["difference"], found["unread"]) == (0, [], 0, 0)
    assert (found["bronze"], found["rejected"], found["aborted"], found["markers"]) == (6, 2, 12, 6)
    assert found["consumed"] == sum(consumed(lake).values())
    (note,) = [note for note in record["notes"] if "aborted" in note]
    for partition in (0, 1):
        for first, last in _ranges(offset for p, offset in aborted if p == partition):
            assert f"partition {partition} offsets {first} to {last} (" in note
    code, record = run("reconcile")  # built upon the signed record, the same figures
    assert (code, sums(record)) == (0, found)

    victim = next(iter(kept))
    DeltaTable(VENTES.path(str(lake.base))).delete(f"vente_id = '{victim}'")
    code, record = run("reconcile")
    assert code == 1
    assert any(text.endswith(f"was consumed, and the sale {victim} is not in Bronze") for text in record["found"])
    assert sums(record)["aborted"] == 12 and sums(record)["difference"] == 1


def _ranges(offsets: Iterator[int]) -> list[Place]:
    found: list[Place] = []
    for offset in sorted(offsets):
        if found and offset == found[-1][1] + 1:
            found[-1] = (found[-1][0], offset)
        else:
            found.append((offset, offset))
    return found


def test_reading_ends_at_an_open_transaction_and_goes_on_when_it_ends(
    lake: Lake, run: Run, spark: SparkSession
) -> None:
    (before,) = lake.sales(sale(), partition=0)
    with transactional(lake) as shop:
        shop.begin_transaction()
        within = sale()
        ((_, stable),) = send(lake, shop, within)
        (behind,) = lake.sales(sale(), partition=0)
        lake.bronze(spark)

        assert set(places(lake)) == {before.vente_id}
        assert consumed(lake)[0] == stable == clients.earliest_and_latest_offsets(lake.config)[0][1]
        assert clients.earliest_and_latest_offsets(lake.config, log_end=True)[0][1] == stable + 2
        offsets = lag.Offsets(lake.config)
        assert offsets.bounds()[0] == (0, stable)
        offsets.close()
        lake.bronze(spark)  # nothing to read, and nothing was lost
        code, record = run("reconcile")
        assert (code, sums(record)["consumed"]) == (0, 1)

        shop.commit_transaction()
    lake.bronze(spark)
    assert set(places(lake)) == {before.vente_id, within["vente_id"], behind.vente_id}
    code, record = run("reconcile")
    assert (code, sums(record)["markers"], sums(record)["aborted"]) == (0, 1, 0)
