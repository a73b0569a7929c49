"""One line that says what happens now: on a terminal it renews itself, elsewhere it is printed anew after a while.

Only the standard library: set-up uses it before the packages are there.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

FIRST = 3.0
"""Seconds of a wait that need no word."""
EVERY = 30.0
"""Seconds between two such lines where nothing can be renewed: in a pipe, a file, a log."""
_ERASE = "\r\x1b[K"


class StatusLine:
    """The last line of ``stream`` (default: stderr). What else is printed there goes through ``event``."""

    def __init__(
        self,
        stream: Any = None,
        *,
        every: float = EVERY,
        first: float = FIRST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._every, self._clock = every, clock
        self._due = clock() + first
        self._shown = ""
        self.renews = bool(getattr(self._stream, "isatty", lambda: False)())

    def show(self, text: str) -> None:
        """What happens now. Cheap, and may be called often."""
        if self.renews:
            width = shutil.get_terminal_size().columns - 1
            text = text if len(text) <= width else f"{text[: width - 1]}…"
            if text != self._shown:
                self._write(f"{_ERASE}{text}")
                self._shown = text
        elif text and self._clock() >= self._due:
            self._due = self._clock() + self._every
            self._write(f"{text}\n")

    def event(self, write: Callable[[], None]) -> None:
        """Let ``write`` print whole lines; they stand above the status."""
        shown, self._shown = self._shown, ""
        if shown:
            self._write(_ERASE)
        write()
        if shown:
            self.show(shown)

    def say(self, text: str) -> None:
        """A line that stays."""
        self.event(lambda: self._write(f"{text}\n"))

    def clear(self) -> None:
        """Take the status away."""
        if self._shown:
            self._shown = ""
            self._write(_ERASE)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


@contextmanager
def waiting(what: str, *, stream: Any = None, first: float = FIRST, every: float = EVERY) -> Iterator[None]:
    """Say what is waited for while the block runs, once that takes more than ``first`` seconds. ``what`` is a sentence without
    its full stop that also says how long it may take; the seconds so far are put behind it."""
    line, done, began = StatusLine(stream, first=0.0, every=0.0), threading.Event(), time.monotonic()

    def tell() -> None:
        pause = first
        while not done.wait(pause):
            line.show(f"{what} ({time.monotonic() - began:.0f} s)")
            pause = 1.0 if line.renews else every

    teller = threading.Thread(target=tell, name="waiting", daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()
        line.clear()
