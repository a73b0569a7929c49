"""Send rate, stop signals and the event clock of the producer."""

from __future__ import annotations

import itertools
import math
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

_MAX_CATCH_UP = 10.0  # seconds of delay that are caught up; after a longer pause the schedule starts anew
_MICROSECONDS = 1_000_000


class Stop:
    """A stop request by signal. ``SimpleQueue.put`` is reentrant; an ``Event`` set by a handler can deadlock."""

    def __init__(self) -> None:
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.times = 0

    def set(self) -> None:
        self.times += 1
        self._wake.put(None)

    def wait(self, seconds: float) -> bool:
        """Wait, or return at once when told to stop; True when told so."""
        if not self.times and seconds > 0:
            with suppress(queue.Empty):
                self._wake.get(timeout=seconds)
        return self.times > 0

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT stop; a second one also stops waiting for acknowledgements."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        old = {number: signal.signal(number, lambda *_: self.set()) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)


class SendSchedule:
    """When message n is due: ``start + n / rate``, so that delays do not add up."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._step = 0.0 if math.isinf(rate) else 1 / rate
        self._clock = clock
        self._start = clock()

    def pause(self, n: int) -> float:
        """Seconds until message n is due, 0 or more."""
        pause = self._start + n * self._step - self._clock()
        if pause < -_MAX_CATCH_UP:
            self._start -= pause
        return max(pause, 0.0)


def event_clock(start: datetime | None, rate: float) -> Callable[[], int]:
    """Event time in microseconds since 1970 UTC: now, or ``start`` and 1/rate more for each sale (1 s at rate max),
    never past now."""
    if start is None:
        return lambda: time.time_ns() // 1000
    first = (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    step = _MICROSECONDS if math.isinf(rate) else _MICROSECONDS / rate
    count = itertools.count()
    return lambda: min(first + round(next(count) * step), time.time_ns() // 1000)
