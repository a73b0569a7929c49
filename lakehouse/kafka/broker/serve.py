"""The embedded broker in the foreground, with its metrics and health: what ``setup_utils.py kafka`` runs."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

from lakehouse.child_processes import interrupt_on_signals
from lakehouse.config import Config
from lakehouse.errors import SetupError
from lakehouse.kafka.broker import security
from lakehouse.kafka.broker.cluster import Brokers
from lakehouse.kafka.broker.properties import answers
from lakehouse.kafka.clients import ensure_topic, grant_rights
from lakehouse.kafka.lag import Offsets
from lakehouse.kafka.options import servers
from lakehouse.observability import metrics, process
from lakehouse.observability.health import Monitor

_BEAT_SECONDS = 5.0


def run(config: Config) -> int:
    """Run the broker until a signal (0). Raises ``SetupError`` when it does not start or ends by itself."""
    interrupt_on_signals()
    stopped = contextlib.suppress(KeyboardInterrupt)  # Ctrl-C and SIGTERM end it
    with stopped, process.serve(config, "kafka") as watched, stopped:
        _run(config, watched)
    print("Kafka has stopped", flush=True)
    return 0


def _run(config: Config, watched: Monitor) -> None:
    watched.phase("the broker has not answered yet")
    with Brokers(config) as brokers:
        created = "was created" if ensure_topic(config) else "is there"
        if security.secured(config):
            grant_rights(config)
        expose(config, watched, brokers)
        watched.started()
        print(f"Kafka answers at {','.join(servers(config))}; the topic {config.kafka.topic} {created}", flush=True)
        while (code := brokers.wait(_BEAT_SECONDS)) is None:
            watched.beat()
        log = brokers.members[0].logs / "kafka.log"
        raise SetupError(
            f"The broker ended by itself with code {code}. Why: {log}. Start it again with the same command."
        )


def expose(config: Config, watched: Monitor, brokers: Brokers) -> None:
    """Expose the brokers' metrics and health."""
    meter, offsets = watched.meter, Offsets(config)

    def not_ready() -> list[str]:
        away = [
            server
            for server, member in zip(servers(config), brokers.members, strict=False)
            if not answers(config, 1.0, node=member.node)
        ]
        meter.set(metrics.BROKER_UP, float(not away))
        return [f"the broker does not answer at {server}" for server in away]

    def look() -> None:
        members = brokers.members
        meter.set(metrics.BROKER_MEMORY, sum(psutil.Process(one.pid).memory_info().rss for one in members))
        meter.set(metrics.BROKER_DISK, sum(_size(one.home / "log") for one in members))
        for partition, (begin, end) in offsets.bounds().items():
            meter.set(metrics.EARLIEST, begin, str(partition))
            meter.set(metrics.LATEST, end, str(partition))

    watched.ready_when(not_ready)
    watched.sample("kafka", look)


def _size(folder: Path) -> int:
    """Bytes that the folder's files hold on the disk: Kafka makes its index files larger than they are."""
    total = 0
    for path in folder.rglob("*"):
        try:
            status = path.stat()
        except OSError:  # Kafka deleted it meanwhile
            continue
        total += getattr(status, "st_blocks", status.st_size // 512) * 512
    return total
