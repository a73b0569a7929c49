"""A real Spark cluster on this machine: a master and workers by class, each a JVM of its own, and their executors."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyspark

from lakehouse.child_processes import die_with_parent
from lakehouse.config import Config
from lakehouse.jvm import java
from lakehouse.kafka.broker.properties import free_port
from tests.support.children import eventually
from tests.support.harness import SHORT_LIVED

BIN = Path(pyspark.__file__).parent / "bin"
EXECUTOR = "org.apache.spark.executor.CoarseGrainedExecutorBackend"


class Cluster:
    """A standalone master and ``workers`` workers of one core and 1 GiB each. Use it in a ``with``."""

    def __init__(self, config: Config, folder: Path, workers: int = 2) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._env = {
            **java.environment(config),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_DAEMON_MEMORY": "256m",
            "SPARK_DAEMON_JAVA_OPTS": f"{SHORT_LIVED} -Dspark.master.rest.enabled=false",
        }
        self.master = f"spark://127.0.0.1:{free_port()}"
        self._web = free_port()
        self._count = workers
        self._processes: list[psutil.Popen] = []

    def __enter__(self) -> Cluster:
        port = self.master.rpartition(":")[2]
        self._start("master.Master", "--host", "127.0.0.1", "--port", port, "--webui-port", str(self._web))
        eventually(self._state, 60, "the master's start")
        for number in range(self._count):
            place = self._folder / f"worker{number}"
            self._start("worker.Worker", "--host", "127.0.0.1", "--webui-port", "0", "--cores", "1", "--memory", "1g",
                        "--work-dir", str(place), self.master)  # fmt: skip
        eventually(lambda: self.alive_workers() == self._count, 60, "the workers' registration")
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            left = [*process.children(recursive=True), process] if process.is_running() else []
            for one in left:
                _signal(one, signal.SIGCONT)
                _signal(one, signal.SIGKILL)
            process.wait()

    def _start(self, name: str, *options: str) -> None:
        log = self._folder / f"{name}-{len(self._processes)}.log"
        with log.open("ab") as sink:
            self._processes.append(
                psutil.Popen(
                    [str(BIN / "spark-class"), f"org.apache.spark.deploy.{name}", *options],
                    cwd=self._folder,
                    env=self._env,
                    stdin=subprocess.DEVNULL,
                    stdout=sink,
                    stderr=sink,
                    preexec_fn=die_with_parent,
                )
            )

    def _state(self) -> dict[str, Any]:
        """What the master's page says; empty before it answers."""
        return asked(f"http://127.0.0.1:{self._web}/json/") or {}

    def alive_workers(self) -> int:
        return int(self._state().get("aliveworkers", 0))

    def executor(self, number: str) -> tuple[psutil.Process, psutil.Process]:
        """The process of the application's executor ``number``, and its worker's."""
        for worker in self._processes[1:]:
            for child in worker.children() if worker.is_running() else []:
                with contextlib.suppress(psutil.Error):  # a short-lived child of the worker's
                    words = child.cmdline()
                    if EXECUTOR in words and words[words.index("--executor-id") + 1] == number:
                        return child, worker
        raise LookupError(number)


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def asked(url: str) -> Any:
    """The JSON at ``url``; None while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)
    except (OSError, ValueError):
        return None


def _looks(count: int, pause: float) -> Iterator[int]:
    for look in range(count):
        yield look
        time.sleep(pause)


def executors(ui_port: int) -> dict[str, dict[str, Any]]:
    """The executors that the application's own page shows, those that died among them, by number."""
    return {row["id"]: row for row in _application(ui_port, "allexecutors") if row["id"] != "driver"}


def died_with(ui_port: int, executor: str) -> list[int]:
    """The numbers of the tasks that the application lost with an executor.

    They are asked of the stages: the executors' own page counts none that it hears of after the executor's end.
    """
    return [
        task["taskId"]
        for stage in _application(ui_port, "stages?details=true&taskStatus=failed")
        for task in (stage.get("tasks") or {}).values()
        if task["executorId"] == executor and "ExecutorLostFailure" in task.get("errorMessage", "")
    ]


def _application(ui_port: int, page: str) -> list[dict[str, Any]]:
    """What a page of the application's says; empty while nobody answers."""
    root = f"http://127.0.0.1:{ui_port}/api/v1/applications"
    found = asked(root)
    return (asked(f"{root}/{found[0]['id']}/{page}") if found else None) or []


def kill_one_at_work(cluster: Cluster, ui_port: int) -> str | None:
    """SIGKILL to a worker and its executor while it has a task in hand; the executor's number.

    The executor is frozen first: a task that the driver goes on counting then cannot end any more (one look would not do,
    since the news of an end may be on its way). None when none had one.
    """

    def has_work(number: str) -> bool:
        return bool(executors(ui_port).get(number, {}).get("activeTasks"))

    for number, row in executors(ui_port).items():
        if not row["isActive"] or not row["activeTasks"]:
            continue
        executor, worker = cluster.executor(number)
        executor.suspend()
        if all(has_work(number) for _ in _looks(10, 0.1)):
            for process in (worker, executor):
                process.kill()
            psutil.wait_procs([executor, worker], timeout=60)
            return number
        executor.resume()
    return None
