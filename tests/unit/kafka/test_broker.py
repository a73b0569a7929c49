"""The broker's settings, address and refusals; no JVM."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from lakehouse import config as settings
from lakehouse.config import Config
from lakehouse.errors import SetupError
from lakehouse.kafka import clients, options
from lakehouse.kafka.broker import node as broker_node
from lakehouse.kafka.broker import properties
from lakehouse.kafka.broker.cluster import Brokers


def configured(tmp_path: Path, **kafka: str) -> Config:
    env = {f"VENTES_KAFKA__{key.upper()}": value for key, value in kafka.items()}
    return settings.load(env={"VENTES_DELTA__BASE_PATH": str(tmp_path / "data"), **env})


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def port_of(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def test_every_kafka_setting_reaches_the_broker(tmp_path: Path) -> None:
    config = configured(
        tmp_path, bootstrap_servers="127.0.0.1:19092,127.0.0.1:1", controller_port="19999", partitions="7",
        retention="2 hours", max_message_bytes="2000000",
    )  # fmt: skip
    (node,) = properties.nodes(config)
    lines = properties.server_properties(config, node).splitlines()
    for line in (
        "listeners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:19999",
        "advertised.listeners=PLAINTEXT://127.0.0.1:19092",
        "controller.quorum.voters=1@127.0.0.1:19999",
        "num.partitions=7",
        "log.retention.ms=7200000",
        "message.max.bytes=2000000",
        "auto.create.topics.enable=false",
        "log.message.timestamp.type=LogAppendTime",
    ):
        assert line in lines


def test_the_controller_takes_the_next_port_by_default(tmp_path: Path) -> None:
    (node,) = properties.nodes(configured(tmp_path, bootstrap_servers="localhost:20000"))
    assert (node.port, node.controller_port, node.home) == (20000, 20001, tmp_path / "data" / "kafka")


def test_three_brokers_take_the_ports_after_the_first_or_those_that_are_named(tmp_path: Path) -> None:
    config = configured(tmp_path, bootstrap_servers="localhost:20000", brokers="3")
    assert options.servers(config) == ["localhost:20000", "localhost:20001", "localhost:20002"]
    nodes = properties.nodes(config)
    assert [(node.port, node.controller_port) for node in nodes] == [(20000, 20003), (20001, 20004), (20002, 20005)]
    assert nodes[2].home == tmp_path / "data" / "kafka" / "3"
    named = configured(tmp_path, bootstrap_servers="localhost:1,localhost:9,localhost:5", brokers="3")
    assert [(node.port, node.controller_port) for node in properties.nodes(named)] == [(1, 10), (9, 11), (5, 12)]


def test_three_brokers_keep_three_copies_and_ask_for_two(tmp_path: Path) -> None:
    config = configured(tmp_path, bootstrap_servers="localhost:20000", brokers="3")
    lines = properties.server_properties(config, properties.nodes(config)[1]).splitlines()
    for line in (
        "node.id=2",
        "controller.quorum.voters=1@localhost:20003,2@localhost:20004,3@localhost:20005",
        "listeners=PLAINTEXT://localhost:20001,CONTROLLER://localhost:20004",
        "default.replication.factor=3",
        "min.insync.replicas=2",
        "offsets.topic.replication.factor=3",
        "transaction.state.log.min.isr=2",
    ):
        assert line in lines
    assert clients.topic_settings(config)["replication_factor"] == -1, "as the brokers are set"


@pytest.mark.usefixtures("no_tools")
@pytest.mark.parametrize(("held", "brokers"), [(("log",), "3"), (("1", "2", "3"), "1"), (("1", "2", "3"), "5")])
def test_a_cluster_keeps_its_number_of_brokers(tmp_path: Path, held: tuple[str, ...], brokers: str) -> None:
    config = configured(tmp_path, brokers=brokers)
    for name in held:
        (Path(config.delta.base_path) / "kafka" / name).mkdir(parents=True)
    with pytest.raises(
        SetupError, match=rf"holds the data of {len(held)} brokers, not {brokers}: .*brokers = {len(held)}"
    ):
        Brokers(config).start()


def test_an_ipv6_address_keeps_its_brackets_in_the_listener(tmp_path: Path) -> None:
    config = configured(tmp_path, bootstrap_servers="[::1]:9092")
    assert properties.address(config) == ("::1", 9092)
    assert "listeners=PLAINTEXT://[::1]:9092,CONTROLLER://[::1]:9093" in properties.server_properties(
        config, properties.nodes(config)[0]
    )


@pytest.mark.parametrize(
    ("kafka", "message"),
    [
        ({"bootstrap_servers": "kafka.example:9092"}, "serves this machine only, but .* starts with kafka.example"),
        ({"security_protocol": "SSL"}, "speaks PLAINTEXT or SASL_SSL, not .* = SSL"),
    ],
)
def test_what_the_embedded_broker_cannot_do_is_refused(tmp_path: Path, kafka: dict[str, str], message: str) -> None:
    with pytest.raises(SetupError, match=message):
        broker_node.Broker(configured(tmp_path, **kafka))


def test_the_brokers_data_of_a_lake_on_s3_lies_on_this_machine(tmp_path: Path) -> None:
    env = {
        "VENTES_DELTA__BASE_PATH": "s3a://lake",
        "VENTES_S3__REGION": "us-east-1",
        "VENTES_DELTA__STATE_PATH": str(tmp_path),
    }
    assert broker_node.Broker(settings.load(env=env)).home == tmp_path / "kafka"


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_node.jars, "resolve", lambda _config, _which: [])
    monkeypatch.setattr(broker_node.java, "find", lambda _config: None)


@pytest.mark.usefixtures("no_tools")
def test_a_taken_port_is_named_with_what_to_type(tmp_path: Path, listener: socket.socket) -> None:
    port = port_of(listener)
    config = configured(tmp_path, bootstrap_servers=f"127.0.0.1:{port}")
    with pytest.raises(
        SetupError, match=rf"Port {port} \(\[KAFKA\] bootstrap_servers\) is taken.*VENTES_KAFKA__BOOTSTRAP"
    ):
        broker_node.Broker(config).start()
    with pytest.raises(SetupError, match=rf"Port {port} "):  # the first refusal has let go of the folder
        broker_node.Broker(config).start()


@pytest.mark.usefixtures("no_tools")
def test_one_keeper_a_folder(tmp_path: Path) -> None:
    config = configured(tmp_path)
    first = broker_node.Broker(config)
    first._take_folder()
    with pytest.raises(SetupError, match=r"Another process keeps the broker of .*VENTES_DELTA__BASE_PATH"):
        broker_node.Broker(config).start()
    first.stop()


class Faulty:
    """A broker of three that ends at once, each time that it is started."""

    def __init__(self, number: int, *, faulty: bool) -> None:
        self.node, self.starts, self._faulty = SimpleNamespace(number=number), 0, faulty

    def wait(self, timeout: float) -> int | None:
        return 1 if self._faulty else time.sleep(timeout)

    def launch(self) -> None:
        self.starts += 1


def test_one_of_three_that_ends_by_itself_is_started_again_but_not_all_the_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    brokers = Brokers(configured(tmp_path, brokers="3"))
    members = [Faulty(number, faulty=number == 2) for number in (1, 2, 3)]
    brokers.members = members  # type: ignore[assignment]
    assert brokers.wait(0.8) is None
    assert [member.starts for member in members] == [0, 1, 0]
    assert "broker 2 ended by itself with code 1; starting it again" in capsys.readouterr().err
    brokers.members = members[1:2]  # type: ignore[assignment]
    assert brokers.wait(0.8) == 1, "a single one is the caller's to mend"


@pytest.mark.parametrize("content", ["own pid", "999999999", "", "no number"])
def test_a_pid_file_that_names_no_broker_of_ours_is_not_believed(tmp_path: Path, content: str) -> None:
    config = configured(tmp_path)
    assert broker_node.running_pid(config) is None
    home = Path(config.delta.base_path) / "kafka"
    home.mkdir(parents=True)
    (home / "broker.pid").write_text(content.replace("own pid", str(os.getpid())), encoding="ascii")
    assert broker_node.running_pid(config) is None


def test_free_port_leaves_room_for_the_controller() -> None:
    port = properties.free_port(3)
    assert all(properties.port_is_free("127.0.0.1", port + n) for n in range(6))


def test_a_port_that_someone_listens_on_is_not_free(listener: socket.socket) -> None:
    assert not properties.port_is_free("127.0.0.1", port_of(listener))


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (struct.pack(">iii", 40, 1, 1), True),
        (struct.pack(">iii", 40, 1, 3), True),
        (struct.pack(">iii", 40, 1, 0), False),  # it answers, but no broker has joined yet
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", False),
        (b"", False),
    ],
)
@pytest.mark.parametrize("away", ["", "127.0.0.1:1,"], ids=["alone", "behind one that is away"])
def test_only_a_broker_that_has_joined_answers(
    tmp_path: Path, listener: socket.socket, reply: bytes, expected: bool, away: str
) -> None:
    def serve() -> None:
        link, _ = listener.accept()
        with link:
            link.recv(1024)
            link.sendall(reply)

    thread = threading.Thread(target=serve)
    thread.start()
    config = configured(tmp_path, bootstrap_servers=f"{away}127.0.0.1:{port_of(listener)}")
    assert properties.answers(config) is expected
    thread.join()


def test_nobody_there_is_no_answer(tmp_path: Path) -> None:
    config = configured(tmp_path, bootstrap_servers=f"127.0.0.1:{properties.free_port()}")
    assert not properties.answers(config)
