"""The embedded broker for real: durable against SIGKILL, LogAppendTime, one keeper, no orphan, a clean end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from kafka import KafkaConsumer, KafkaProducer

from lakehouse import config as settings
from lakehouse.config import PROJECT, Config
from lakehouse.errors import SetupError
from lakehouse.kafka import clients
from lakehouse.kafka.broker.node import Broker, running_pid
from lakehouse.kafka.broker.properties import answers, free_port


@pytest.fixture
def config(tmp_path: Path) -> Config:
    env = {"VENTES_DELTA__BASE_PATH": str(tmp_path), "VENTES_KAFKA__BOOTSTRAP_SERVERS": f"localhost:{free_port()}"}
    return settings.load(env=env)


@pytest.fixture
def broker(config: Config) -> Iterator[Broker]:
    with Broker(config) as running:
        yield running


def send(config: Config, messages: list[bytes]) -> None:
    producer = KafkaProducer(bootstrap_servers=config.kafka.bootstrap_servers, acks="all")
    for sent in [producer.send(config.kafka.topic, message, timestamp_ms=1) for message in messages]:
        sent.get(timeout=30)
    producer.close()


def receive(config: Config, count: int) -> list[tuple[bytes, int]]:
    """(value, broker's timestamp in ms) of the first ``count`` messages, within 30 s."""
    consumer = KafkaConsumer(
        config.kafka.topic, bootstrap_servers=config.kafka.bootstrap_servers, auto_offset_reset="earliest"
    )
    got: list[tuple[bytes, int]] = []
    deadline = time.monotonic() + 30
    while len(got) < count and time.monotonic() < deadline:
        for records in consumer.poll(timeout_ms=500).values():
            got += [(record.value, record.timestamp) for record in records]
    consumer.close()
    return got


def test_what_was_acknowledged_survives_sigkill_of_the_broker(config: Config, broker: Broker) -> None:
    assert clients.ensure_topic(config)
    messages = [b"%d" % number for number in range(500)]
    before = time.time() * 1000 - 1000
    send(config, messages)
    killed = broker.pid
    broker.kill()
    assert not psutil.pid_exists(killed) and not answers(config)
    broker.start()
    assert broker.pid != killed
    got = receive(config, 500)
    assert sorted(value for value, _ in got) == sorted(messages)
    assert all(stamp > before for _, stamp in got), "the broker's clock stamps, not the sender's"


def test_a_topic_that_nobody_created_is_not_made_by_asking(config: Config, broker: Broker) -> None:  # noqa: ARG001
    consumer = KafkaConsumer(bootstrap_servers=config.kafka.bootstrap_servers)
    consumer.partitions_for_topic("faute_de_frappe")
    assert "faute_de_frappe" not in consumer.topics()
    consumer.close()


def test_stop_and_start_keep_the_cluster_and_a_second_keeper_is_refused(config: Config, broker: Broker) -> None:
    name = broker.home / "cluster.id"
    first = name.read_text(encoding="ascii")
    with pytest.raises(SetupError, match="Another process keeps the broker"):
        Broker(config).start()
    broker.stop()
    assert not answers(config) and running_pid(config) is None
    broker.start()
    assert name.read_text(encoding="ascii") == first
    assert f"cluster.id={first}" in (broker.home / "log" / "meta.properties").read_text(encoding="utf-8")
    assert (broker.logs / "kafka.log").stat().st_size > 0


def command_line_broker(config: Config) -> subprocess.Popen[str]:
    env = {**os.environ, **settings.as_environment(config), "PYTHONUNBUFFERED": "1"}
    keeper = subprocess.Popen(
        [sys.executable, "setup_utils.py", "kafka"], cwd=PROJECT, env=env, text=True, stdout=subprocess.PIPE
    )
    assert keeper.stdout is not None
    assert "Kafka answers at" in keeper.stdout.readline()
    return keeper


def test_the_command_creates_the_topic_and_ends_cleanly_on_sigterm(config: Config) -> None:
    keeper = command_line_broker(config)
    assert clients.describe_topic(config).partitions == config.kafka.partitions
    pid = running_pid(config)
    assert pid is not None
    keeper.send_signal(signal.SIGTERM)
    rest, _ = keeper.communicate(timeout=40)
    assert (keeper.returncode, rest) == (0, "Kafka has stopped\n")
    assert not psutil.pid_exists(pid)


def test_a_killed_keeper_leaves_no_broker_that_stands_in_the_way(config: Config) -> None:
    keeper = command_line_broker(config)
    orphan = running_pid(config)
    assert orphan is not None
    keeper.kill()
    keeper.communicate()
    with Broker(config) as following:  # whether the kernel was quicker or not, this start is not in its way
        assert following.pid != orphan
        assert not psutil.pid_exists(orphan)


def test_a_broker_without_its_keeper_is_ended_by_the_next_start(config: Config, broker: Broker) -> None:
    orphan = broker.pid
    broker._keeper.release(force=True)  # as if its keeper had died on a system without a death signal
    with Broker(config) as following:
        assert following.pid != orphan and not psutil.pid_exists(orphan)
    assert "Controller 1] shut down completely" in (broker.logs / "kafka.log").read_text(encoding="utf-8")
