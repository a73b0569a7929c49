"""A reconciliation that a reader of the page starts: ``ops_utils.py reconcile`` as a niced process, one at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from lakehouse.child_processes import die_with_parent
from lakehouse.config import PROJECT, Config
from lakehouse.config.loader import as_environment

NICE = 10


class Reconciler:
    """``start`` it, look at ``running``; the outcome is the record that it leaves. ``problem`` is the last line of one that
    left none."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self.problem = ""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> bool:
        """Whether one was started: not while one runs."""
        with self._lock:
            if self.running:
                return False
            self.problem = ""
            self._process = subprocess.Popen(
                ["nice", "-n", str(NICE), sys.executable, "ops_utils.py", "reconcile"],
                cwd=PROJECT, env={**os.environ, **as_environment(self._config)}, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
                preexec_fn=die_with_parent,
            )  # fmt: skip
            threading.Thread(target=self._wait, args=(self._process,), name="reconcile", daemon=True).start()
            return True

    def stop(self) -> None:
        """End the one that runs."""
        if self._process is not None and self.running:
            self._process.terminate()

    def _wait(self, process: subprocess.Popen[str]) -> None:
        said = process.communicate()[1].strip()
        if process.returncode > 1:  # 1: it found differences, which its record names
            self.problem = said.splitlines()[-1] if said else f"exit code {process.returncode}"
        elif process.returncode == 1 and said:
            self.problem = said.splitlines()[-1]
