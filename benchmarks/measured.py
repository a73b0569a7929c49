"""A command and all that it starts, with what they cost: wall clock, CPU seconds, memory.

Spark's JVM is a grandchild that outlives the Python process by a moment, and its parent never waits for it: neither
RUSAGE_CHILDREN nor the Python process's own account knows its CPU time. On Linux the benchmark therefore asks to inherit
orphans (PR_SET_CHILD_SUBREAPER) and reaps every process of the command's session itself. Elsewhere CPU is not measured.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from lakehouse.child_processes import die_with_parent
from lakehouse.errors import LakehouseError

_PR_SET_CHILD_SUBREAPER = 36
_POLL_SECONDS = 0.01
_GRACE_SECONDS = 30.0
"""How long the processes of a command may outlive it, or a SIGTERM, before SIGKILL."""


def inherit_orphans() -> bool:
    """From now on this process is the parent of its descendants' orphans. False where the system knows no such thing.

    For a process that only measures: orphans that no ``Measured`` knows would stay as zombies. May be repeated.
    """
    return sys.platform == "linux" and int(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) == 0


@dataclass(frozen=True)
class Usage:
    """What a command and all that it started cost. CPU is user + system; ``peak_mb`` is its largest process's.

    Both are None unless orphans are inherited: without the JVM's share they would be worthless.
    """

    seconds: float
    cpu_seconds: float | None
    peak_mb: float | None


class Measured:
    """A command in a session of its own, its output in ``log``. Use it in a ``with``: nothing of it is left behind.

    ``inherits`` is what ``inherit_orphans`` has answered.
    """

    def __init__(
        self, command: Sequence[str], *, env: Mapping[str, str], folder: Path, log: Path, inherits: bool
    ) -> None:
        self.log = log
        self._inherits = inherits
        self._reaped: list[resource.struct_rusage] = []
        self._seconds: float | None = None
        with log.open("wb") as sink:
            self.began = time.time()
            self._clock = time.monotonic()
            self._process = subprocess.Popen(
                command, env=dict(env), cwd=folder, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip

    def __enter__(self) -> Measured:
        return self

    def __exit__(self, *_: object) -> None:
        self.end(patience=0)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the command itself still runs; it is reaped here when it does not."""
        if self._process.returncode is None:
            pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                self._seconds = time.monotonic() - self._clock
                self._process.returncode = os.waitstatus_to_exitcode(status)
                self._reaped.append(usage)
        return self._process.returncode is None

    def check(self) -> None:
        """Raise ``LakehouseError`` with the command's last lines when it has ended with another code than 0."""
        if not self.alive and self._process.returncode != 0:
            raise LakehouseError(
                f"{self.log.stem} ended with exit code {self._process.returncode}. Its last lines:\n{self._tail()}"
            )

    def wait(self, timeout: float) -> Usage:
        """Wait for the command and for all that it started. Raises ``LakehouseError`` when it fails or takes longer."""
        deadline = time.monotonic() + timeout
        while self.alive:
            if time.monotonic() > deadline:
                raise LakehouseError(
                    f"{self.log.stem} was stopped after {timeout:g} s. Its last lines:\n{self._tail()}"
                )
            time.sleep(_POLL_SECONDS)
        self.check()
        return self.end()

    def end(self, patience: float = _GRACE_SECONDS) -> Usage:
        """SIGTERM to the command when it still runs; SIGKILL to what is left of it after ``patience`` seconds."""
        if self.alive:
            self._process.terminate()
        deadline = time.monotonic() + patience
        while self.alive | bool(members := self._members()):
            if time.monotonic() > deadline:
                for pid in (*members, *([self._process.pid] if self.alive else [])):
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(_POLL_SECONDS)
        return Usage(
            self._seconds or 0.0,
            sum(usage.ru_utime + usage.ru_stime for usage in self._reaped) if self._inherits else None,
            # Linux counts in KiB
            max(usage.ru_maxrss for usage in self._reaped) / 1024 if self._inherits else None,
        )

    def _members(self) -> list[int]:
        """What is left of the command's session. Orphans that have ended are reaped on the way, with their account."""
        left = []
        for pid in psutil.pids():
            try:
                if pid == self._process.pid or os.getsid(pid) != self._process.pid:
                    continue
                ended, _, usage = os.wait4(pid, os.WNOHANG)
            except ProcessLookupError:
                continue
            except (ChildProcessError, PermissionError):  # not ours: its parent lives, or init has inherited it
                if not _is_zombie(pid):
                    left.append(pid)
                continue
            if ended:
                self._reaped.append(usage)
            else:
                left.append(pid)
        return left

    def _tail(self, lines: int = 15) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])


def _is_zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
