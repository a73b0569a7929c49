"""EDGE. What an embedded broker is told, and where it listens: its settings files, its address, its ports."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

from lakehouse.config import Config

LOCAL = ("localhost", "127.0.0.1", "::1")

_LOG4J = """\
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = file
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {file}
appender.file.filePattern = {file}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}} %p %m (%c{{1}})%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 3
"""


def address(config: Config) -> tuple[str, int]:
    """Host and port of the first bootstrap server."""
    host, _, port = config.kafka.bootstrap_servers.split(",")[0].strip().rpartition(":")
    return host.strip("[]"), int(port)


def is_local(config: Config) -> bool:
    """Whether the first bootstrap server is this machine, where the embedded broker can serve it."""
    return address(config)[0] in LOCAL


def controller_port(config: Config) -> int:
    """Port of the embedded broker's controller."""
    return config.kafka.controller_port or address(config)[1] + 1


def free_port() -> int:
    """A port that is free now on localhost, as is the next one (the controller's). For tests and demo."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port < 65535 and port_is_free("127.0.0.1", port + 1):
            return port


def port_is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        if os.name != "nt":  # there, the option means that two servers may share the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def answers(config: Config, timeout: float = 2.0) -> bool:
    """Whether a PLAINTEXT broker at the first bootstrap server answers and sees itself in its cluster, within seconds.

    One Metadata request (version 1, no topic) by hand: a client object would keep threads and retry in the background,
    and this is asked several times a second while a broker starts.
    """
    body = struct.pack(">hhih4si", 3, 1, 1, 4, b"make", 0)
    try:
        with socket.create_connection(address(config), timeout) as link, link.makefile("rb") as stream:
            link.settimeout(timeout)
            link.sendall(struct.pack(">i", len(body)) + body)
            header = stream.read(12)
    except OSError:
        return False
    if len(header) < 12:
        return False
    _, correlation, brokers = struct.unpack(">iii", header)
    return bool(correlation == 1 and 0 < brokers < 10_000)


def log4j_properties(file: Path) -> str:
    """A rolling log of at most 40 MB."""
    return _LOG4J.format(file=file.as_posix())


def server_properties(config: Config, home: Path) -> str:
    """The broker's settings. ``localhost`` stays as given, so that clients and listener agree on IPv4 or IPv6."""
    kafka = config.kafka
    host, port = address(config)
    shown = f"[{host}]" if ":" in host else host
    controller = f"{shown}:{controller_port(config)}"
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{shown}:{port},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{shown}:{port}",
        "log.dirs": (home / "log").as_posix(),
        "auto.create.topics.enable": "false",  # a mistyped topic is an error, not a new topic
        "num.partitions": kafka.partitions,
        "log.retention.ms": round(kafka.retention.total_seconds() * 1000),
        "log.message.timestamp.type": "LogAppendTime",  # lateness is judged by the broker's clock
        "message.max.bytes": kafka.max_message_bytes,
        "replica.fetch.max.bytes": kafka.max_message_bytes,
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 1,  # each of the 50 by default costs files and start-up time
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
        # A killed broker comes back only when its old session has run out: 12 s until it answers by default, 7 s so.
        "broker.session.timeout.ms": 4000,
        "broker.heartbeat.interval.ms": 1000,
        "log.cleaner.dedupe.buffer.size": 8
        * 1024
        * 1024,  # 128 MB by default, all of it resident, for compacted topics
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())
