"""The figures of the last two hours, one sample every half minute, kept in memory while the dashboard runs."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta

SPAN = timedelta(hours=2)
EVERY = 30.0
"""Seconds between two samples: four short requests to processes of this machine, whether or not somebody looks."""
Sample = tuple[datetime, Mapping[tuple[str, str], float]]


class History:
    """Samples of (process, figure). ``look`` gives the figures of now; its failure leaves a gap."""

    def __init__(self, look: Callable[[], Mapping[tuple[str, str], float]]) -> None:
        self._look = look
        self._samples: deque[Sample] = deque(maxlen=int(SPAN.total_seconds() / EVERY) + 1)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="history", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(5)

    def _sample(self) -> None:
        while True:
            with contextlib.suppress(Exception):  # a figure that cannot be had must not end the history
                self.add(datetime.now(UTC), self._look())
            if self._stopping.wait(EVERY):
                return

    def add(self, moment: datetime, figures: Mapping[tuple[str, str], float]) -> None:
        """One more sample; the oldest go after ``SPAN``."""
        self._samples.append((moment, dict(figures)))

    def curve(self, names: Iterable[tuple[str, str]], now: datetime) -> list[tuple[datetime, float]]:
        """(moment, sum of these figures) of the samples of the last ``SPAN`` that have one of them."""
        wanted = list(names)
        found = []
        for moment, figures in list(self._samples):
            values = [figures[name] for name in wanted if name in figures]
            if values and moment >= now - SPAN:
                found.append((moment, sum(values)))
        return found
