"""The last statement of every script: runs its ``main`` and ends the process in order, with the exit code it promised.

Only the standard library: it is there before the packages are.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn


def execute(main: Callable[[], int]) -> NoReturn:
    """Run a script's ``main`` and end the process with its exit code; the last statement of every script.

    The interpreter is not torn down. A thread that is inside native code then (deltalake reads a table for a metric, py4j
    waits for a JVM that is gone) crashes when it comes back to an interpreter that ends: exit code -11 after work that was
    done and committed. Nothing is left to tear down: ``main`` has closed what it opened.
    """
    _open_standard_streams()
    try:
        code = main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:  # noqa: BLE001  # a fault of ours: shown whole, as the interpreter would
        with suppress(OSError):
            traceback.print_exc()
        code = 1
    with suppress(BrokenPipeError, ValueError):  # its reader has gone, which is no failure of ours
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:  # a full disk: what was printed is not all there
            code = code or 1
            with suppress(OSError, ValueError):
                print(f"The output cannot be written: {error.strerror}.", file=sys.stderr)
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(code)


def _open_standard_streams() -> None:
    """Where the caller closed a standard stream (``>&-``), put the null device: its descriptor would otherwise be given to
    the next file that is opened, and what is printed would be written there."""
    for name, descriptor in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor, which is this one
            setattr(sys, name, os.fdopen(descriptor, "r" if descriptor == 0 else "w", closefd=False))
