"""Numbered steps of the writers, at any of which a fault campaign may kill the process. Off in production: one comparison.

``VENTES_CRASH_AT=n`` makes the process send SIGKILL to itself, and to its process group when it leads one, at the n-th step
that it reaches; 0 kills nothing. ``VENTES_CRASH_LOG`` names a file to which each reached step is appended first, as
``n name``: the proof that the fault struck, and the table of steps. Only the standard library: every package may use it.
"""

from __future__ import annotations

import itertools
import os
import re
import signal

AT = "VENTES_CRASH_AT"
LOG = "VENTES_CRASH_LOG"
NAMES = frozenset({AT, LOG})
"""Of the environment; not settings."""

_target = int(text) if (text := os.environ.get(AT, "")).isdecimal() else None
_reached = itertools.count(1)


def step(name: str) -> None:
    """A writer is between two of its steps; ``name`` says after or before which. Numbers in it are left out of the log, so that
    a step has one name in every run."""
    if _target is not None:
        _record(next(_reached), name)


def _record(number: int, name: str) -> None:
    if place := os.environ.get(LOG):
        line = f"{number} {re.sub(r'[0-9a-f]{8,}|[0-9]+', 'N', name)}\n"
        file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)
    if number == _target:
        if os.getpgrp() == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
