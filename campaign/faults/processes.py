"""The product's scripts as processes of one lake, started as a user starts them, that can be killed and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

PATIENCE = 300
"""Seconds after which a process that has not ended is a finding."""


class Stuck(Exception):
    """A process did not do within ``PATIENCE`` what it had to."""


@dataclass
class Place:
    """Where one history happens: the tree whose scripts run, the lake's folder, the broker's address and the topic."""

    tree: Path
    folder: Path
    servers: str
    topic: str
    engine: str = "local"
    """Silver's."""

    @property
    def lake(self) -> Path:
        """The folder with the tables."""
        return self.folder / "data"

    def environment(self, **more: str) -> dict[str, str]:
        """Of a process over this lake. Metrics have no ports: histories run beside whatever else is on the machine."""
        clean = {name: text for name, text in os.environ.items() if not name.startswith("VENTES_")}
        own = {
            "VENTES_DELTA__BASE_PATH": str(self.lake),
            "VENTES_KAFKA__BOOTSTRAP_SERVERS": self.servers,
            "VENTES_KAFKA__TOPIC": self.topic,
            "VENTES_KAFKA__PARTITIONS": "3",
            "VENTES_STREAMING__MAX_OFFSETS_PER_TRIGGER": "40",
            "VENTES_ANALYTICS__ENGINE": self.engine,
            "VENTES_STREAMING__RESTART_DELAY": "200 ms",
            "VENTES_SPARK__JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m",
            **{
                f"VENTES_MONITORING__{job}_METRICS_PORT": "0"
                for job in ("PRODUCER", "BRONZE", "SILVER", "KAFKA", "DASHBOARD")
            },
        }
        return {**clean, **own, **more}

    def start(self, name: str, *words: str, **environment: str) -> Job:
        """A script of the tree, in a session of its own; what it says goes to ``NAME.log``."""
        log = self.folder / f"{name}.log"
        with log.open("ab") as sink:
            process = subprocess.Popen(
                [sys.executable, *words],
                cwd=self.tree,
                env=self.environment(**environment),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return Job(name, process, log)


class Job:
    """One running script."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self._log = log

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def said(self, characters: int = 600) -> str:
        """The end of its log."""
        return self._log.read_text(encoding="utf-8", errors="replace")[-characters:]

    def wait(self) -> int:
        """Its exit code, negative for a signal. Raises ``Stuck``."""
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Stuck(f"{self.name} did not end within {PATIENCE} s: {self.said()}") from None

    def family(self) -> list[psutil.Process]:
        """The script and the processes below it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            script = psutil.Process(self.process.pid)
            return [script, *script.children(recursive=True)]
        return []

    def jvm(self) -> psutil.Process | None:
        """Its Java, once that runs."""
        for each in self.family()[1:]:
            with contextlib.suppress(psutil.NoSuchProcess):
                if each.name() == "java":
                    return each
        return None

    def signal_all(self, number: int) -> int:
        """Send a signal to the script and all below it; how many had it."""
        sent = 0
        for each in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(number)
                sent += 1
        return sent

    def kill(self) -> None:
        """SIGKILL to all of it, as a power cut would; returns when it is gone."""
        family = self.family()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        psutil.wait_procs(family, timeout=60)
        self.process.wait()


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition. Raises ``Stuck``."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise Stuck(f"did not happen within {PATIENCE} s: {what}")
        time.sleep(0.02)


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """The product's embedded Kafka as a process, which may be killed and started again over the same data."""

    def __init__(self, tree: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._place = Place(tree, folder, f"localhost:{free_port()}", "campaign")
        self._job: Job | None = None

    @property
    def servers(self) -> str:
        """Its address."""
        return self._place.servers

    def start(self) -> None:
        """Returns when it answers."""
        self._job = self._place.start("broker", "setup_utils.py", "kafka")
        until(self._answers, "the broker answers")

    def _answers(self) -> bool:
        from kafka import KafkaAdminClient
        from kafka.errors import KafkaError

        assert self._job is not None
        if not self._job.alive:
            raise Stuck(f"the broker has ended: {self._job.said()}")
        try:
            KafkaAdminClient(bootstrap_servers=self.servers, request_timeout_ms=3000).close()
        except (KafkaError, OSError):
            return False
        return True

    def kill(self) -> None:
        """SIGKILL."""
        assert self._job is not None
        self._job.kill()

    def create(self, topic: str, partitions: int) -> None:
        """A new topic."""
        from kafka import KafkaAdminClient
        from kafka.admin import NewTopic

        admin = KafkaAdminClient(bootstrap_servers=self.servers)
        try:
            admin.create_topics([NewTopic(topic, partitions, 1)])
        finally:
            admin.close()


@contextlib.contextmanager
def broker(tree: Path, folder: Path) -> Iterator[Broker]:
    """A running broker, for as long as the block runs."""
    made = Broker(tree, folder)
    try:
        made.start()
        yield made
    finally:
        made.kill()


def words_of(job: str) -> Sequence[str]:
    """The command line of a bounded run of one of the jobs."""
    return {"bronze": ("spark_streaming_delta.py", "--once"), "silver": ("streaming_silver.py",)}[job]


def crashing(number: int, log: Path) -> Mapping[str, str]:
    """The environment in which a process kills itself at its ``number``-th step, and notes its steps."""
    return {"VENTES_CRASH_AT": str(number), "VENTES_CRASH_LOG": str(log)}
