"""The status line of ``make run``: what the running processes say of themselves, in one line of text."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from lakehouse.config import Config
from lakehouse.contract.tables import SILVER
from lakehouse.operations.status import ProcessState, processes
from lakehouse.wording import counted

LOOK_SECONDS = 2.0
"""Between two looks at the processes' health."""
RATE_SECONDS = 30.0
"""The rate is that of this many seconds."""


class PipelineStatus:
    """Looks at the processes in a thread of its own, so that ``text`` and ``stopping`` answer at once."""

    def __init__(
        self,
        config: Config,
        look: Callable[[Config], Sequence[ProcessState]] = processes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._look, self._clock = config, look, clock
        self._states: Mapping[str, ProcessState] = {}
        self._sent: deque[tuple[float, float]] = deque()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> PipelineStatus:
        self._thread = threading.Thread(target=self._watch, name="status", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def _watch(self) -> None:
        while not self._done.wait(LOOK_SECONDS):
            self.refresh()

    def refresh(self) -> None:
        """Look once."""
        try:
            found = {one.name: one for one in self._look(self._config)}
        except OSError:  # a folder that is being made or removed: the next look is soon
            return
        now, producer = self._clock(), found.get("producer")
        if producer is not None and "sent" in producer.figures:
            self._sent.append((now, producer.figures["sent"]))
            while len(self._sent) > 2 and self._sent[0][0] < now - RATE_SECONDS:
                self._sent.popleft()
        self._states = found

    @property
    def silver_has_passed(self) -> bool:
        """Whether Silver's first pass has ended well."""
        silver = self._states.get("silver")
        return silver is not None and silver.state == "running"

    def text(self) -> str:
        """The status line; empty before the first look."""
        return describe(self._states, self._rate()) if self._states else ""

    def stopping(self, name: str) -> str:
        """What is known of a process that is to end: how far Silver's pass is."""
        silver = self._states.get("silver")
        done = 0 if name != "silver" or silver is None else int(silver.figures.get("pass_tables", 0))
        return f"{done} of {len(SILVER)} tables" if done else ""

    def _rate(self) -> float | None:
        if len(self._sent) < 2:
            return None
        (then, before), (now, sent) = self._sent[0], self._sent[-1]
        return max(sent - before, 0.0) / (now - then) if now > then else None


def describe(states: Mapping[str, ProcessState], rate: float | None) -> str:
    """``0.5 sales/s · lag 0 · batch 45 in 0.4 s · last Silver pass 12 s ago · 3 rejects``, and who does not run yet, or is
    not well."""
    bronze = states["bronze"].figures if "bronze" in states else {}
    silver = states["silver"].figures if "silver" in states else {}
    parts = [] if rate is None else [f"{rate:,.1f} sales/s"]
    if "lag_records" in bronze:
        parts.append(f"lag {bronze['lag_records']:,.0f}")
    if "batch_seconds" in bronze:
        parts.append(f"last batch {bronze['batch_seconds']:.1f} s")
    if "age_seconds" in silver:
        parts.append(f"last Silver pass {silver['age_seconds']:.0f} s ago")
    if "rejected" in bronze:
        parts.append(counted(int(bronze["rejected"]), "reject"))
    for word in ("starting", "failing", "dead"):
        names = [name for name, one in states.items() if one.state == word]
        if names:
            parts.append(f"{word}: {', '.join(names)}")
    return " · ".join(parts)
