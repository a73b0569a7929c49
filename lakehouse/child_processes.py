"""Child processes that do not outlive the one that started them; the Procfile that names them."""

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

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, sigterm, 0, 0, 0)

    return ask


die_with_parent: Callable[[], None] | None = _on_linux() if sys.platform == "linux" else None
"""``preexec_fn`` of a child: on Linux the kernel sends it SIGTERM when the thread that started it dies, even from
SIGKILL. Elsewhere None: the next start ends what was left behind. Start such children from the main thread."""


def end_group(group: int, patience: float) -> None:
    """Wait up to ``patience`` seconds until no process of the group is left, then SIGKILL the rest."""
    deadline = time.monotonic() + patience
    try:
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.05)
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # nobody is left in it (macOS says EPERM for that)
        return


def interrupt_on_signals() -> None:
    """SIGTERM and Ctrl-C both raise ``KeyboardInterrupt``, once: what was started is stopped the same way after either."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):  # one is enough: a second must not break the stopping
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)
