"""Configuration of an embedded broker: its properties files, address and ports."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

from lakehouse.config import Config
from lakehouse.config import paths as places
from lakehouse.jvm import log4j_names
from lakehouse.kafka import users
from lakehouse.kafka.broker import security
from lakehouse.kafka.options import LOCAL, host_and_port, servers

_LOG4J = """\
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = file
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {file}
appender.file.filePattern = {pattern}.%i
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
    return host_and_port(servers(config)[0])


def is_local(config: Config) -> bool:
    """Whether the first bootstrap server is this machine, where the embedded broker can serve it."""
    return address(config)[0] in LOCAL


@dataclass(frozen=True)
class Node:
    """One embedded broker, which is a controller as well."""

    number: int
    host: str
    port: int
    controller_port: int
    home: Path

    @property
    def shown(self) -> str:
        """The host as written in an address: IPv6 in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host


def embeddable(config: Config) -> bool:
    """Whether the settings are those of an embedded broker: on this machine, PLAINTEXT or with certificates of ours."""
    own = (users.folder(config) / "broker.pem").is_file()
    return is_local(config) and (config.kafka.security_protocol == "PLAINTEXT" or (security.secured(config) and own))


def nodes(config: Config) -> list[Node]:
    """The embedded brokers. A single one has the folder ``kafka`` of ``paths.state``, several have numbered folders below it."""
    kafka, home = config.kafka, places.state(config) / "kafka"
    at = [host_and_port(server) for server in servers(config)[: kafka.brokers]]
    first = kafka.controller_port or max(port for _, port in at) + 1
    return [
        Node(number, host, port, first + number - 1, home if kafka.brokers == 1 else home / str(number))
        for number, (host, port) in enumerate(at, start=1)
    ]


_QUIET_PORTS = range(15_000, 32_000)
"""Below those that systems give to the near end of a connection (from 32768 on Linux, from 49152 elsewhere): a port that
is free among these may be some client's a moment later, before the server that it was looked up for listens there."""


def free_port(brokers: int = 1) -> int:
    """A port that is free now on localhost, as are the next ones, which so many brokers and their controllers take.
    For tests and demo. Chosen at random, so that two concurrent callers get different ones."""
    draw = random.SystemRandom()
    while True:
        port = draw.randrange(_QUIET_PORTS.start, _QUIET_PORTS.stop - 2 * brokers)
        if all(port_is_free("127.0.0.1", number) for number in range(port, port + 2 * brokers)):
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


def answers(config: Config, timeout: float = 2.0, *, node: Node | None = None, brokers: int = 1) -> bool:
    """Whether a broker (``node``, or any of the bootstrap servers: one of several may be away) answers within seconds.

    A PLAINTEXT one has to see so many ``brokers`` in its cluster, itself among them: one Metadata request (version 1, no
    topic) by hand, since a client object would keep threads and retry in the background, and this is asked several times
    a second while a broker starts. A locked-down one tells strangers its versions only.
    """
    places = [(node.host, node.port)] if node else map(host_and_port, servers(config))
    return any(_answers(config, place, timeout, brokers) for place in places)


def _answers(config: Config, place: tuple[str, int], timeout: float, brokers: int) -> bool:
    tls = config.kafka.security_protocol.endswith("SSL")
    open_ = config.kafka.security_protocol == "PLAINTEXT"
    body = struct.pack(">hhih4si", 3, 1, 1, 4, b"make", 0) if open_ else struct.pack(">hhih4s", 18, 0, 1, 4, b"make")
    try:
        with socket.create_connection(place, timeout) as plain, contextlib.ExitStack() as stack:
            link = plain
            if tls:
                link = stack.enter_context(security.context(config).wrap_socket(plain, server_hostname=place[0]))
            stream = stack.enter_context(link.makefile("rb"))
            link.settimeout(timeout)
            link.sendall(struct.pack(">i", len(body)) + body)
            header = stream.read(12)
    except OSError:
        return False
    if len(header) < 12:
        return False
    _, correlation, seen = struct.unpack(">iii", header)
    return bool(correlation == 1 and (not open_ or brokers <= seen < 10_000))


def escaped(value: str) -> str:
    """A value as a Java properties file has it: that is read as Latin-1, with backslashes as escapes and without the blanks
    in front."""
    units = value.encode("utf-16-be")
    codes = [int.from_bytes(units[place : place + 2], "big") for place in range(0, len(units), 2)]
    text = "".join(chr(code) if 0x20 <= code < 0x7F and code != 0x5C else f"\\u{code:04x}" for code in codes)
    return f"\\{text}" if text.startswith(" ") else text


def log4j_properties(file: Path) -> str:
    """A rolling log of at most 40 MB."""
    name, pattern = log4j_names.plain(file.as_posix()), log4j_names.plain(log4j_names.pattern(file))
    return _LOG4J.format(file=escaped(name), pattern=escaped(pattern))


def server_properties(config: Config, node: Node) -> str:
    """The broker's settings. ``localhost`` stays as given, so that clients and listener agree on IPv4 or IPv6.

    Three brokers or more keep three copies of everything, two of which must have a message before it is acknowledged:
    any one of them may be away, and none of what was acknowledged is lost with it.
    """
    kafka, members = config.kafka, nodes(config)
    copies, in_sync = min(3, len(members)), 2 if len(members) > 2 else 1
    settings: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": node.number,
        "controller.quorum.voters": ",".join(f"{one.number}@{one.shown}:{one.controller_port}" for one in members),
        "controller.listener.names": "CONTROLLER",
        "listeners": f"{kafka.security_protocol}://{node.shown}:{node.port},CONTROLLER://{node.shown}:{node.controller_port}",
        "advertised.listeners": f"{kafka.security_protocol}://{node.shown}:{node.port}",
        "log.dirs": (node.home / "log").as_posix(),
        "auto.create.topics.enable": "false",  # a mistyped topic is an error, not a new topic
        "num.partitions": kafka.partitions,
        "log.retention.ms": round(kafka.retention.total_seconds() * 1000),
        "log.message.timestamp.type": "LogAppendTime",  # lateness is measured with the broker's clock
        "message.max.bytes": kafka.max_message_bytes,
        "replica.fetch.max.bytes": kafka.max_message_bytes,
        "default.replication.factor": copies,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": 1,  # each of the 50 by default costs files and start-up time
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": in_sync,
        "group.initial.rebalance.delay.ms": 0,
        # A killed broker comes back only when its old session has run out: 12 s until it answers by default, 7 s so.
        "broker.session.timeout.ms": 4000,
        "broker.heartbeat.interval.ms": 1000,
        "log.cleaner.dedupe.buffer.size": 8
        * 1024
        * 1024,  # 128 MB by default, all of it resident, for compacted topics
    }
    if security.secured(config):
        settings |= security.properties(config)
    return "".join(f"{key}={escaped(str(value))}\n" for key, value in settings.items())
