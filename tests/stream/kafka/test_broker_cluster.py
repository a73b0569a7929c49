"""A cluster of three real brokers: any one may be killed at any time; without two, the producer waits and says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from lakehouse.contract.tables import VENTES
from lakehouse.errors import LakehouseError
from lakehouse.kafka import clients
from lakehouse.kafka.broker.cluster import Brokers
from lakehouse.kafka.broker.properties import free_port
from lakehouse.kafka.options import servers
from lakehouse.setup import checks
from tests.support.children import eventually
from tests.support.harness import SHORT_LIVED, Lake, config_of
from tests.support.messages import sale

CLUSTER = {"KAFKA__BROKERS": "3", "KAFKA__HEAP": "256m"}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Brokers, str]]:
    monkeypatch.setenv("JDK_JAVA_OPTIONS", SHORT_LIVED)
    config = config_of(tmp_path / "cluster", f"localhost:{free_port(3)}", "unused", **CLUSTER)
    with Brokers(config) as brokers:
        yield brokers, ",".join(servers(config))


def in_step(lake: Lake) -> bool:
    """Whether every partition has its three copies again."""
    try:
        return clients.describe_topic(lake.config).in_sync == 3
    except LakehouseError:
        return False


def broker_check(lake: Lake) -> str:
    """What ``setup_utils.py check`` says of the brokers."""
    (line,) = (line for line in checks.broker(lake.config) if line.name == "Broker")
    return f"{line.status}: {line.detail}"


def stored(lake: Lake) -> int:
    """Sales in Bronze, as its log counts them."""
    if lake.version(VENTES) < 0:
        return 0
    actions = DeltaTable(VENTES.path(str(lake.base))).get_add_actions(flatten=True)
    return sum(actions.column("num_records").to_pylist())


def test_any_broker_may_be_killed_and_partitions_added_and_nothing_is_lost_or_doubled(
    cluster: tuple[Brokers, str], make_lake: Callable[..., Lake], spark: SparkSession
) -> None:
    brokers, addresses = cluster
    lake = make_lake(addresses, **CLUSTER)
    clients.ensure_topic(lake.config)
    topic = clients.describe_topic(lake.config)
    assert (topic.replication_factor, topic.settings["min.insync.replicas"]) == (3, "2")
    producer = lake.start("producer_ventes.py", "--rate", "50", "--seed", "9", "--truth", str(lake.truth_file))

    def arrived(more: int) -> None:
        """So many sales more are in Bronze: the producer sends, a leader acknowledges, Bronze drains."""
        wanted = stored(lake) + more
        eventually(lambda: stored(lake) >= wanted, what=f"{wanted} sales in Bronze")

    with lake.streaming(spark):
        for member in brokers.members:
            arrived(20)
            killed = member.pid
            member.kill()
            assert not psutil.pid_exists(killed)
            arrived(40)
            eventually(lambda: broker_check(lake).startswith("info: answers"), what="the check misses a copy")
            assert "2 of 3 copies in step" in broker_check(lake)
            assert member.wait(0) is not None, "it was away all the while"
            member.launch()
            eventually(lambda: in_step(lake), what="three copies in step")
        assert broker_check(lake).startswith("ok") and "3 of 3 copies in step" in broker_check(lake)

        clients.add_partitions(lake.config, 4)
        (late,) = lake.sales(sale(), partition=3)
        eventually(lambda: any(row["kafka_partition"] == 3 for row in lake.rows()), what="the new partition's sale")
        with pytest.raises(LakehouseError, match="has 4 partitions, and Kafka takes none away"):
            clients.add_partitions(lake.config, 3)
        assert not clients.add_partitions(lake.config, 4)

        for member in brokers.members[:2]:
            member.kill()
        before = len(producer.said())
        eventually(lambda: "no acknowledgement for" in producer.said()[before:], what="the producer says that it waits")
        for member in brokers.members[:2]:
            member.launch()
        eventually(lambda: "acknowledgements are back after" in producer.said()[before:], what="the producer goes on")
        arrived(40)
        producer.process.terminate()
        assert producer.wait() == 0, producer.said()
        eventually(lambda: stored(lake) == len(lake.sent()), what="Bronze holds what was sent")
    assert late.vente_id in {row["vente_id"] for row in lake.rows()}
    assert lake.differences() == []
