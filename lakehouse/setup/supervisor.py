"""Supervises the Procfile's processes: starts them, shows their output, restarts what died, stops all in order.

The last line says how they do, and renews itself on a terminal; what the children print, events, stands above it.

Not honcho's own manager: that one signals whole process groups and kills after 5 s, and a Spark query needs its JVM and
more time than that to end at a batch boundary. Each child leads a session of its own, so that Ctrl-C in the terminal
reaches only the supervisor. Then: SIGTERM to every child but kafka, wait, SIGTERM to kafka.

No orphans: on Linux the kernel sends SIGTERM to the children when the supervisor dies, even from SIGKILL.
"""

from __future__ import annotations

import itertools
import os
import queue
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from honcho.printer import Message, Printer

from lakehouse.child_processes import die_with_parent, end_group
from lakehouse.errors import SetupError
from lakehouse.status_line import StatusLine

FIRST = "kafka"
"""The process that all others need: started first, ended last."""
_COLOURS = ("36", "33", "32", "35", "34", "31")
_STOP_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_DECISIONS = (2, 3, 4)
"""Exit codes that a restart cannot fix: a wrong setting, data that needs a person, tables held by another."""


@dataclass(frozen=True)
class Limits:
    """Time limits of the supervisor, in seconds."""

    stop: float = 60.0
    leftovers: float = 5.0
    ready: float = 120.0
    silent: float = 3.0
    restarts: int = 5
    window: float = 300.0
    first_delay: float = 1.0


@dataclass(frozen=True)
class WhenIdle:
    """A program that runs once at the lowest priority, when ``due()`` says so; whoever stops does not wait for it."""

    command: list[str]
    due: Callable[[], bool]
    first: str
    """What is said when it starts."""


@dataclass
class Child:
    """One line of the Procfile and the process that runs it. Times are ``time.monotonic``."""

    name: str
    command: list[str]
    colour: str
    process: subprocess.Popen[bytes] | None = None
    reader: threading.Thread | None = None
    start_at: float | None = None
    deaths: deque[float] = field(default_factory=deque)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.returncode is None


class Supervisor:
    """Runs the commands until they end, one gives up, or a signal asks to stop. ``run`` once, from the main thread.

    ``ready(process_id)`` says whether the kafka child of that id serves its clients.
    """

    def __init__(
        self,
        commands: Mapping[str, list[str]],
        *,
        env: Mapping[str, str],
        folder: Path,
        ready: Callable[[int], bool],
        restart: bool = True,
        limits: Limits = Limits(),
        output: Any = None,
        status: Callable[[], str] = lambda: "",
        stopping: Callable[[str], str] = lambda _name: "",
        when_idle: WhenIdle | None = None,
        kept: str = "the data is kept",
    ) -> None:
        """``status`` is the last line while all run; ``stopping(name)`` is what is known of a child that is waited for. Both are
        called often, and must not wait. ``kept`` ends the last line of a stop."""
        colours = itertools.cycle(_COLOURS)
        self.children = [Child(name, command, next(colours)) for name, command in commands.items()]
        # "python" in a Procfile is the interpreter that runs now, and its lines arrive as they are written
        path = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', '')}"
        self._env = {**env, "PATH": path, "PYTHONUNBUFFERED": "1"}
        self._folder, self._ready, self._restart, self._limits = folder, ready, restart, limits
        self._status, self._stopping, self._kept = status, stopping, kept
        self._when_idle = when_idle
        self._idle: subprocess.Popen[bytes] | None = None
        self._output = output or sys.stdout
        self._line = StatusLine(self._output, first=limits.silent)
        self._printer = Printer(self._output, width=max(len(name) for name in (*commands, "make run")))
        self._lines: queue.SimpleQueue[tuple[Child, bytes]] = queue.SimpleQueue()
        self._signal: signal.Signals | None = None
        self._verdict: int | None = None

    def run(self, when_up: Callable[[], None] = lambda: None) -> int:
        """Returns 0 after a signal or when every child ended well; else the code of what gave up."""
        handled = {sign: signal.signal(sign, self._on_signal) for sign in _STOP_SIGNALS}
        try:
            self._start_all()
            if self._goes_on():
                when_up()
            while self._goes_on() and any(child.alive or child.start_at is not None for child in self.children):
                self._turn()
                self._line.show(self._status())
        finally:
            self._stop_all()
            for sign, handler in handled.items():
                signal.signal(sign, handler)
        return self._verdict or 0

    def say(self, text: str) -> None:
        """A line of the supervisor's own among the children's."""
        self._print("make run", text, "37")

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signal = signal.Signals(number)

    def _goes_on(self) -> bool:
        return self._signal is None and self._verdict is None

    def _start_all(self) -> None:
        first = next((child for child in self.children if child.name == FIRST), None)
        if first is not None:
            self._start(first)
            began, deadline = time.monotonic(), time.monotonic() + self._limits.ready
            while self._goes_on() and not (first.process and self._ready(first.process.pid)):
                self._show(0.1)
                if (passed := time.monotonic() - began) > self._limits.silent:
                    self._line.show(f"waiting until {FIRST} answers ({passed:.0f} s, at most {self._limits.ready:g} s)")
                if (code := self._ended(first)) is not None:
                    self._give_up(code or 1, f"{FIRST} ended before it answered: see its lines above")
                elif time.monotonic() > deadline:
                    self._give_up(1, f"{FIRST} did not answer within {self._limits.ready:g} s")
        for child in self.children:
            if self._goes_on() and child is not first:
                self._start(child)

    def _start(self, child: Child) -> None:
        child.start_at = None
        if child.process is not None:
            end_group(child.process.pid, 0.0)  # what the dead one left running must not write on beside the new one
        try:
            child.process = subprocess.Popen(
                child.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                cwd=self._folder, env=self._env, start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip
        except OSError as error:
            raise SetupError(f"{child.name}: {shlex.join(child.command)} cannot be started: {error}.") from None
        child.reader = threading.Thread(target=self._read, args=(child, child.process), daemon=True)
        child.reader.start()

    def _read(self, child: Child, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._lines.put((child, line))

    def _turn(self) -> None:
        """One round: show lines, handle children that ended, restart those whose pause is over."""
        self._show(0.2)
        for child in self.children:
            if (code := self._ended(child)) is not None:
                self._handle_exit(child, code)
            if child.start_at is not None and time.monotonic() >= child.start_at and self._goes_on():
                self._start(child)
        self._begin_when_idle()

    def _begin_when_idle(self) -> None:
        later = self._when_idle
        if later is None or not later.due():
            return
        self._when_idle = None
        lowest = [nice, "-n", "19"] if (nice := shutil.which("nice")) else []
        self._idle = subprocess.Popen(
            [*lowest, *later.command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd=self._folder, env=self._env, start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
        self.say(later.first)

    def _ended(self, child: Child) -> int | None:
        """The exit code of a child that has ended since the last look, after its last lines were shown."""
        if not child.alive or child.process is None or (code := child.process.poll()) is None:
            return None
        if child.reader is not None:
            child.reader.join(0.5)  # bounded: a JVM that the child left behind may hold the pipe
        self._show(0.0)
        return code

    def _handle_exit(self, child: Child, code: int) -> None:
        """Handle the end of a child that was not asked to stop: restart it, or give up."""
        if code == 0 and child.name != FIRST:
            self.say(f"{child.name} has finished")
            return
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        if code in _DECISIONS:
            self._give_up(code, f"{child.name} {how}: it needs you, see its last line above")
            return
        child.deaths.append(now := time.monotonic())
        while child.deaths[0] < now - self._limits.window:
            child.deaths.popleft()
        if not self._restart:
            self._give_up(1, f"{child.name} {how}, and [DEVELOPMENT] restart_children is false")
        elif len(child.deaths) > self._limits.restarts:
            self._give_up(1, f"{child.name} {how}, after {self._limits.restarts} new starts in a few minutes")
        else:
            pause = self._limits.first_delay * 2 ** (len(child.deaths) - 1)
            child.start_at = now + pause
            self.say(f"{child.name} {how}: starting it again in {pause:g} s")

    def _give_up(self, code: int, why: str) -> None:
        self._verdict = code if code in _DECISIONS else 1
        self.say(f"{why}. Stopping all")

    def _stop_all(self) -> None:
        began = time.monotonic()
        if self._idle is not None and self._idle.poll() is None:
            self._idle.terminate()
            end_group(self._idle.pid, 0.0)
        if self._idle is not None:
            self._idle.wait()
        first = [child for child in self.children if child.name == FIRST]
        rest = [child for child in self.children if child.name != FIRST]
        if self._signal is not None:
            self.say(
                f"{self._signal.name}: stopping {', '.join(c.name for c in (*rest, *first) if c.alive) or 'nothing'} "
                f"(10 s or less, or until the batch and the pass in hand are done)"
            )
        self._line.clear()
        self._line = StatusLine(self._output, first=self._limits.silent)
        self._stop(rest)
        self._stop(first)
        self._show(0.0)
        self._line.clear()
        if any(child.process is not None for child in self.children):
            self.say(f"all has stopped, in {time.monotonic() - began:.0f} s; {self._kept}")

    def _stop(self, group: list[Child]) -> None:
        waiting = [child for child in group if child.alive]
        for child in waiting:
            assert child.process is not None
            child.process.terminate()  # the child alone, not its group: Python ends its JVM itself, after the batch
        began, asked = time.monotonic(), self._signal
        deadline = began + self._limits.stop
        self._signal = None
        while waiting:
            self._show(0.1)
            waiting = [child for child in waiting if self._ended(child) is None]
            if waiting and (passed := time.monotonic() - began) > self._limits.silent:
                self._line.show(f"waiting for {self._named(waiting)} ({passed:.0f} s, at most {self._limits.stop:g} s)")
            if self._signal is not None and waiting:
                self.say(
                    f"still waiting for {self._named(waiting)} to end in order: what is in hand is finished, so that the next "
                    f"start need not repeat it. After {self._limits.stop:g} s it is killed, which loses nothing either"
                )
                self._signal = None
            if time.monotonic() > deadline and waiting:
                self.say(f"{', '.join(child.name for child in waiting)}: no end within {self._limits.stop:g} s, killed")
                for child in waiting:
                    assert child.process is not None
                    end_group(child.process.pid, 0.0)
                deadline = float("inf")
        for child in group:  # a JVM goes a moment after its Python, and tidies up: give it that moment
            if child.process is not None:
                end_group(child.process.pid, self._limits.leftovers)
        self._signal = asked

    def _named(self, group: list[Child]) -> str:
        """Names, each with what is known of its work: ``silver (3 of 6 tables)``."""
        known = [(child.name, self._stopping(child.name)) for child in group]
        return ", ".join(f"{name} ({what})" if what else name for name, what in known)

    def _show(self, patience: float) -> None:
        """Print what the children wrote; wait up to ``patience`` seconds for the first line."""
        try:
            child, line = self._lines.get(timeout=patience) if patience else self._lines.get_nowait()
            while True:
                self._print(child.name, line.decode("utf-8", "replace"), child.colour)
                child, line = self._lines.get_nowait()
        except queue.Empty:
            return

    def _print(self, name: str, text: str, colour: str) -> None:
        try:
            self._line.event(lambda: self._printer.write(Message("line", text, datetime.now(), name, colour)))
        except OSError:  # the terminal or the pipe is gone: nobody reads on, so end in order
            self._signal = self._signal or signal.SIGHUP
