"""Child processes that do not outlive their parent, and signals as ``KeyboardInterrupt``."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

_PR_SET_PDEATHSIG = 1


def _on_linux() -> Callable[[], None]:
    # Loaded here, once: between fork and exec, where the function runs, nothing may be imported or looked up.
    prctl = ctypes.CDLL(None).prctl
    sigterm = int(signal.SIGTERM)

    def set_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, sigterm, 0, 0, 0)

    return set_death_signal


die_with_parent: Callable[[], None] | None = _on_linux() if sys.platform == "linux" else None
"""``preexec_fn`` of a child: on Linux the kernel sends it SIGTERM when the thread that started it dies, even from
SIGKILL. Elsewhere None: the next start ends what was left over. Start such children from the main thread."""


def end_group(group: int, timeout: float) -> None:
    """Wait up to ``timeout`` seconds until no process of the group is left, then SIGKILL the rest."""
    deadline = time.monotonic() + timeout
    try:
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.05)
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # the group is empty (macOS reports EPERM for that)
        return


def interrupt_on_signals() -> None:
    """Make SIGTERM raise ``KeyboardInterrupt`` as Ctrl-C does, once: both stop what was started in the same way."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):  # a second signal must not interrupt the shutdown
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)
