"""The project's scripts as child processes that can be killed, and waiting for conditions."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from lakehouse import config as settings
from lakehouse.config import PROJECT, Config


def eventually(condition: Callable[[], Any], timeout: float = 300, what: str = "") -> Any:
    """Wait until ``condition()`` is true and return it; fail after ``timeout`` seconds, which no assertion rests on."""
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        assert time.monotonic() < deadline, f"did not happen within {timeout:g} s: {what or condition}"
        time.sleep(0.02)
    return result


class Child:
    """One of the project's scripts as a process, in a process group of its own."""

    def __init__(self, config: Config, log: Path, script: str, *options: str) -> None:
        clean = {name: text for name, text in os.environ.items() if not name.startswith(settings.ENV_PREFIX)}
        self.log = log
        with log.open("ab") as sink:
            self.process = subprocess.Popen(
                [sys.executable, *(script.split()), *options],
                cwd=PROJECT,
                env={**clean, **settings.as_environment(config)},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def jvm(self) -> psutil.Process | None:
        """Its Spark, once it runs."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if "org.apache.spark.deploy.SparkSubmit" in child.cmdline():
                        return child
        return None

    def wait(self, timeout: float = 300) -> int:
        """The exit code."""
        return self.process.wait(timeout)

    def kill(self, victim: str = "group") -> None:
        """SIGKILL: the ``group`` (as a power cut would), the ``script`` alone or its ``jvm`` alone (as the kernel does
        when memory is short). Asserts that the victim was alive; returns when all of it is gone."""
        assert self.alive, f"nothing to kill, it has ended by itself:\n{self.said()[-3000:]}"
        jvm = self.jvm()
        if victim == "group":
            os.killpg(self.process.pid, signal.SIGKILL)
        elif victim == "script":
            self.process.kill()
        else:
            assert jvm is not None and jvm.is_running()
            jvm.kill()
        code = self.wait()
        assert code == (1 if victim == "jvm" else -signal.SIGKILL), f"exit code {code}:\n{self.said()[-3000:]}"
        if victim == "jvm":
            assert "Spark's Java process has ended" in self.said().splitlines()[-1]  # after what its threads had to say
        if jvm is not None:
            psutil.wait_procs([jvm], timeout=60)

    def end(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
