"""The last statement of every script: runs its ``main`` and ends the process in order, with the exit code it promised.

Only the standard library, in the syntax of Python 3.8: it runs before the packages are there, and with whatever Python
a person types. The scripts import everything else inside ``main``, so that what is missing is a sentence.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

OLDEST_PYTHON = (3, 11)
PREREQUISITE_MISSING = 2
"""Exit code without what set-up installs: nothing was started, as with a wrong setting."""
_VENV = Path(__file__).resolve().parent.parent / ".venv"


def execute(main: Callable[[], int]) -> NoReturn:
    """Run a script's ``main`` and end the process with its exit code; the last statement of every script.

    The interpreter is not torn down. A thread that is inside native code then (deltalake reads a table for a metric, py4j
    waits for a JVM that is gone) crashes when it comes back to an interpreter that ends: exit code -11 after work that was
    done and committed. Nothing is left to tear down: ``main`` has closed what it opened.
    """
    _open_standard_streams()
    try:
        lacking = _python_too_old()
        code = main() if lacking is None else PREREQUISITE_MISSING
    except SystemExit as stop:
        lacking, code = None, stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException as error:  # noqa: BLE001  # a fault of ours: shown whole, as the interpreter would
        lacking, code = _package_missing(error), PREREQUISITE_MISSING
        if lacking is None:
            code = 1
            with suppress(OSError):
                traceback.print_exc()
    if lacking is not None:
        with suppress(OSError):
            print(f"{Path(sys.argv[0]).name}: {lacking} Type: {_what_to_type()}", file=sys.stderr)
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


def _python_too_old() -> str | None:
    if sys.version_info >= OLDEST_PYTHON:
        return None
    wanted = ".".join(map(str, OLDEST_PYTHON))
    return f"Python {wanted} or newer is needed, and this is {sys.version.split()[0]}, {sys.executable}."


def _package_missing(error: BaseException) -> str | None:
    """The sentence about a package that set-up installs; None for any other error, a missing module of ours included."""
    if not isinstance(error, ModuleNotFoundError) or (error.name or "lakehouse").split(".")[0] == "lakehouse":
        return None
    return f"the Python package {error.name} is missing in {sys.executable}."


def _what_to_type() -> str:
    """The same command with the Python that set-up made, where there is one; else set-up."""
    for python in (_VENV / "bin" / "python", _VENV / "Scripts" / "python.exe"):
        if python.is_file() and Path(sys.prefix).resolve() != _VENV.resolve():
            return shlex.join([os.path.relpath(python), *sys.argv])
    return "make setup"


def _open_standard_streams() -> None:
    """Where the caller closed a standard stream (``>&-``), put the null device: its descriptor would otherwise be given to
    the next file that is opened, and what is printed would be written there."""
    for name, descriptor in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor, which is this one
            setattr(sys, name, os.fdopen(descriptor, "r" if descriptor == 0 else "w", closefd=False))
