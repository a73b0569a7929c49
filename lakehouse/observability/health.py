"""State of a running process: its phase, heartbeat, readiness and metrics.

Three questions are answered, with reasons:

- ``/livez``: does the process's own loop turn? A fault outside (Kafka away) does not fail it: a restart would not help.
- ``/startupz``: has it got through its start?
- ``/readyz``: does it do its work now? Not while it starts, nor while anything that it needs fails.

A monitor that is not served (``process.serve``) holds values and does nothing.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Literal

from lakehouse.config import Config, format_duration, paths
from lakehouse.observability import certificate_expiry, log, metrics, provenance
from lakehouse.observability.registry import Meter

_log = log.get("monitor")

Reasons = Callable[[], Iterable[str]]
Question = Literal["livez", "readyz", "startupz"]


class Monitor:
    """One process's values and state. Safe to use from any thread."""

    def __init__(self, config: Config, process: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.config = config
        self.process = self.name = process
        self.meter = Meter(process)
        self.last_error: str | None = None
        self.exit_code = 0
        self._clock = clock
        self._phase: str | None = "it is starting"
        self._fault: str | None = None
        self._checks: list[Reasons] = []
        self._samples: list[tuple[str, Callable[[], None]]] = []
        self._beat: float | None = None
        self._ended = threading.Event()
        self.meter.before_scrape(self._refresh)

    # --- what the process says ---------------------------------------------------------------------------------------

    def phase(self, text: str) -> None:
        """The step of the start: the reason that /startupz gives until ``started``."""
        self._phase = text

    def started(self) -> None:
        self._phase = None

    def beat(self) -> None:
        """Heartbeat of the process's own loop. Without a first call, /livez expects none."""
        self._beat = self._clock()

    def rest(self) -> None:
        """The loop waits on purpose: /livez expects no heartbeat until the next ``beat``."""
        self._beat = None

    def fault(self, reason: str | None) -> None:
        """Report that a dependency fails, and why; None when that is over."""
        self._fault = reason

    def ready_when(self, check: Reasons) -> None:
        """Add a check to /readyz: it yields the reasons why the process is not ready."""
        self._checks.append(check)

    def sample(self, what: str, look: Callable[[], None]) -> None:
        """Call ``look`` every ``sample_interval``, once the process has started: for values that cost something."""
        self._samples.append((what, look))

    def note(self, level: str, event: str) -> None:
        """A line of the log; the last error among them is shown by ``status``."""
        if log.LEVELS[level] >= log.LEVELS["error"]:
            self.last_error = event
            self.meter.add(metrics.ERRORS)

    # --- what it answers ---------------------------------------------------------------------------------------------

    def reasons(self, question: Question) -> list[str]:
        """Why the check fails; empty when it passes."""
        if question == "livez":
            limit = self.config.monitoring.stuck_after
            still = 0.0 if self._beat is None else self._clock() - self._beat
            if still <= limit.total_seconds():
                return []
            return [
                f"its own loop has stood still for {still:.0f} s; [MONITORING] stuck_after is {format_duration(limit)}"
            ]
        if self._phase is not None:
            return [self._phase]
        if question == "startupz":
            return []
        checks = [reason for check in self._checks for reason in check()]
        return [*([self._fault] if self._fault else []), *checks, *self.reasons("livez")]

    def answer(self, question: Question) -> tuple[int, dict[str, Any]]:
        """HTTP status and body."""
        reasons = self.reasons(question)
        status = "ok" if not reasons else "starting" if self._phase is not None and question != "livez" else "failing"
        body = {
            "status": status,
            "reasons": reasons,
            "process": self.process,
            "name": self.name,
            "pid": os.getpid(),
            "run_id": provenance.RUN_ID,
            "base_path": str(self.config.delta.base_path),
            "last_error": self.last_error,
            "figures": self.meter.figures() if question == "readyz" else {},
        }
        return (503 if reasons else 200), body

    def _refresh(self) -> None:
        base = paths.state(self.config)
        with suppress(OSError):
            disk = shutil.disk_usage(base if base.exists() else base.parent)
            self.meter.set(metrics.DISK_FREE, disk.free)
            self.meter.set(metrics.DISK_SIZE, disk.total)
        found = certificate_expiry.ends(self.config)
        for name in certificate_expiry.NAMES:
            self.meter.set(metrics.CERTIFICATE_END, found.get(name), name)

    # --- its thread --------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """One round of samples. A failure is counted, and logged once until it works again."""
        for what, sample in self._samples:
            try:
                sample()
            except Exception as failure:  # noqa: BLE001  # a figure that is not to be had must not end the process
                self.meter.add(metrics.SAMPLE_FAILURES, 1, what)
                _log.debug("figures are not to be had now", what=what, cause=str(failure).split("\n")[0][:300])

    def _sampling(self) -> None:
        pause = self.config.monitoring.sample_interval.total_seconds()
        while self._phase is not None:
            if self._ended.wait(0.2):
                return
        while True:
            self.look()
            if self._ended.wait(pause):
                return

    def end(self) -> None:
        self._ended.set()
