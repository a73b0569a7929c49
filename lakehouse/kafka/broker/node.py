"""One embedded broker: real Apache Kafka in KRaft mode, as a child process that listens here only. Several of them
make a cluster: ``cluster``.

Everything lies under ``kafka`` and ``logs`` of ``paths.state``. The data survives SIGKILL of the broker: what was
acknowledged is in the operating system's page cache, and the next start recovers the log.

A broker never outlives its keeper for long. On Linux the kernel sends it SIGTERM when the Python process that started
it dies; elsewhere an orphan stays until the next start, which finds it through broker.pid and ends it in order. One
keeper a folder: a file lock says so.
"""

from __future__ import annotations

import base64
import os
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import psutil
from filelock import FileLock, Timeout

from lakehouse import atomic_file
from lakehouse.child_processes import die_with_parent
from lakehouse.config import Config, paths
from lakehouse.errors import SetupError
from lakehouse.jvm import class_archive, jars, java
from lakehouse.kafka.broker import security
from lakehouse.kafka.broker.properties import (
    Node,
    address,
    answers,
    is_local,
    log4j_properties,
    nodes,
    port_is_free,
    server_properties,
)
from lakehouse.kafka.options import LOCAL
from lakehouse.observability import log

START_TIMEOUT = 90.0
"""Seconds a broker may take until it answers: 3 s as a rule, 15 s on a machine with six times its load."""
STOP_TIMEOUT = 30.0
"""Seconds a broker may take to close its logs after SIGTERM, before SIGKILL."""


def running_pid(config: Config, node: Node | None = None) -> int | None:
    """Process id of the live broker ``node`` (the first) of this base path, or None. Never another process that reused
    the id of an old broker."""
    home = (node or nodes(config)[0]).home
    try:
        pid = int((home / "broker.pid").read_text(encoding="ascii"))
        command = psutil.Process(pid).cmdline()
    except (OSError, ValueError, psutil.Error):
        return None
    return pid if command[-2:] == ["kafka.Kafka", str(home / "server.properties")] else None


class Broker:
    """One embedded broker: ``with Broker(config) as broker: …``, or ``start`` and ``stop``.

    Start it from the main thread: on Linux the broker dies with the thread that started it.
    """

    def __init__(self, config: Config, node: Node | None = None, *, java_options: Sequence[str] = ()) -> None:
        """``node`` is one of ``properties.nodes``: the first, unless given. ``java_options``: more of them, for the broker."""
        if not is_local(config):
            raise SetupError(
                f"The embedded broker serves this machine only, but [KAFKA] bootstrap_servers starts with "
                f"{address(config)[0]}. Expected one of {', '.join(LOCAL)}, such as localhost:9092."
            )
        if config.kafka.security_protocol not in ("PLAINTEXT", "SASL_SSL"):
            raise SetupError(
                f"The embedded broker speaks PLAINTEXT or SASL_SSL, not [KAFKA] security_protocol = "
                f"{config.kafka.security_protocol}. Run a Kafka of your own for that, or set one of them."
            )
        self._config = config
        self._java_options = java_options
        self.node = node or nodes(config)[0]
        self.home = self.node.home
        self.logs = paths.state(config) / "logs"
        self._name = "kafka" if config.kafka.brokers == 1 else f"kafka-{self.node.number}"
        self._keeper = FileLock(self.home / "broker.lock")
        self._process: subprocess.Popen[bytes] | None = None
        self._log = log.get("kafka")

    @property
    def pid(self) -> int:
        """Process id of the broker's JVM."""
        return self._started().pid

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start and return when the broker answers. Raises ``SetupError`` with the reason and what to type."""
        self.launch()
        self.await_answer()

    def launch(self) -> None:
        """Start it, and do not wait: a cluster answers when most of its brokers have started."""
        if self._process is not None and self._process.poll() is None:
            return
        if security.secured(self._config):
            security.check(self._config)
        classpath = jars.resolve(self._config, "kafka")
        runtime = java.find(self._config)
        self._take_folder()
        try:
            self._end_orphan()
            self._check_ports()
            properties = self._write_settings()
            base = [
                str(runtime.executable), f"-Xmx{self._config.kafka.heap}", "-Xms64m",
                "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true",
                f"-Dlog4j2.configurationFile={(self.home / 'log4j2.properties').as_uri()}",
                *class_archive.broker_options(self._config, classpath),
                "-cp", os.pathsep.join(map(str, classpath)),
            ]  # fmt: skip
            self._format_storage(base, properties)
            self._spawn([*base, *self._java_options, "kafka.Kafka", str(properties)])
        except BaseException:  # Ctrl-C while it starts leaves nothing behind either
            self.stop()
            raise

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when the broker has not closed its logs within ``STOP_TIMEOUT``. May be repeated."""
        process = self._process
        if process is not None and process.poll() is None:
            self.terminate()
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self._log.warning("broker did not stop in time, killed", seconds=STOP_TIMEOUT)
                process.kill()
                process.wait()
        if process is not None:
            (self.home / "broker.pid").unlink(missing_ok=True)
        self._process = None
        self._keeper.release(force=True)  # start after kill has taken it twice

    def terminate(self) -> None:
        """Ask it to stop, and do not wait."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def kill(self) -> None:
        """SIGKILL the broker, as a crash would. ``start`` then recovers."""
        self._started().kill()
        self._started().wait()

    def wait(self, timeout: float) -> int | None:
        """The broker's exit code, or None when it still runs after ``timeout`` seconds."""
        try:
            return self._started().wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise SetupError("The embedded broker was not started. Type: python setup_utils.py kafka")
        return self._process

    def _take_folder(self) -> None:
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            self.logs.mkdir(parents=True, exist_ok=True)
            self._keeper.acquire(timeout=0)
        except Timeout:
            raise SetupError(
                f"Another process keeps the broker of {self.home}: stop it (Ctrl-C in its terminal), or start a second "
                "pipeline with VENTES_DELTA__BASE_PATH=other-folder and VENTES_KAFKA__BOOTSTRAP_SERVERS=localhost:19092."
            ) from None
        except OSError as error:
            raise SetupError(f"{self.home} cannot be written: {error}. Set [DELTA] base_path.") from None

    def _end_orphan(self) -> None:
        """End a broker whose parent process was killed. This process holds the folder's lock, so no other uses it."""
        pid = running_pid(self._config, self.node)
        if pid is None:
            return
        self._log.warning("ending the broker that an earlier run left behind", pid=pid)
        try:
            orphan = psutil.Process(pid)
            orphan.terminate()
            try:
                orphan.wait(STOP_TIMEOUT)
            except psutil.TimeoutExpired:
                orphan.kill()
                orphan.wait(STOP_TIMEOUT)
        except psutil.NoSuchProcess:
            pass

    def _check_ports(self) -> None:
        node = self.node
        for number, key in ((node.port, "bootstrap_servers"), (node.controller_port, "controller_port")):
            if not port_is_free(node.host, number):
                raise SetupError(
                    f"Port {number} ([KAFKA] {key}) is taken by another program. Stop that program, or take other ports: "
                    "VENTES_KAFKA__BOOTSTRAP_SERVERS=localhost:19092 python setup_utils.py kafka (and the same variable "
                    "for every other script)."
                )

    def _write_settings(self) -> Path:
        if "," in str(self.home):
            raise SetupError(
                f"The broker cannot keep its data in {self.home}: Kafka takes a comma for the end of a folder's name. Rename the "
                f"folder, or set [DELTA] state_path to another one."
            )
        properties = self.home / "server.properties"
        text = server_properties(self._config, self.node)
        atomic_file.write(properties, text, mode=0o600)  # a locked-down broker's holds a password
        log4j = log4j_properties(self.logs / f"{self._name}.log")
        (self.home / "log4j2.properties").write_text(log4j, encoding="utf-8")
        return properties

    def _format_storage(self, base: list[str], properties: Path) -> None:
        """Format the folder once. The cluster id is stored first: an interrupted format is repeated with the same id."""
        secured, users = security.secured(self._config), security.users_file(self.home)
        if (self.home / "log" / "meta.properties").is_file():
            if secured and not users.exists():
                raise SetupError(
                    f"The broker's folder {self.home} was made without users, for PLAINTEXT: it knows no password. Move it "
                    f"away, or take another folder: VENTES_DELTA__BASE_PATH=other-folder"
                )
            return
        name = paths.state(self._config) / "kafka" / "cluster.id"  # one for all of its brokers
        if not name.is_file() or not name.read_text(encoding="ascii").strip():
            atomic_file.write(name, base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("="))
        cluster = name.read_text(encoding="ascii").strip()
        # a second of life: compiling for a long one costs it another two
        command = [
            base[0],
            "-XX:TieredStopAtLevel=1",
            *base[1:],
            "kafka.tools.StorageTool",
            "format",
            "--ignore-formatted",
            f"--cluster-id={cluster}",
        ]
        command.append(f"--config={properties}")
        if secured:
            arguments = self.home / "format.args"
            with os.fdopen(os.open(arguments, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(security.format_arguments(self._config))
            command.append(f"@{arguments}")
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        finally:
            if secured:
                arguments.unlink()
        if done.returncode != 0:
            raise SetupError(f"The broker's folder {self.home} could not be formatted: {done.stderr or done.stdout}")
        if secured:
            users.touch()

    def _spawn(self, command: list[str]) -> None:
        with self._console.open("wb") as sink:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, cwd=self.home, start_new_session=True,
                preexec_fn=die_with_parent,
            )  # fmt: skip
        (self.home / "broker.pid").write_text(str(self._process.pid), encoding="ascii")

    @property
    def _console(self) -> Path:
        """The JVM's own output; the broker's lines go to the log beside it."""
        return self.logs / f"{self._name}-console.log"

    def await_answer(self, brokers: int = 1) -> None:
        """Return when it answers and sees so many brokers. Raises ``SetupError``, and stops it, when it does not."""
        deadline = time.monotonic() + START_TIMEOUT
        try:
            while not answers(self._config, node=self.node, brokers=brokers):
                code = self.wait(0.1)
                if code is not None or time.monotonic() > deadline:
                    state = (
                        f"ended with code {code}" if code is not None else f"did not answer within {START_TIMEOUT:g} s"
                    )
                    own = self.logs / f"{self._name}.log"
                    raise SetupError(
                        f"The broker {state}. Its last lines:\n{_tail(self._console)}{_tail(own)}The whole log: {own}"
                    )
        except BaseException:  # Ctrl-C while it starts leaves nothing behind either
            self.stop()
            raise


def _tail(path: Path, lines: int = 8) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "".join(f"  {line}\n" for line in text.splitlines()[-lines:])
