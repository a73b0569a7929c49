"""The frame of every script: options, settings, logging, and errors as exit codes.

Exit codes: 0 done · 1 failed, or a check found a difference · 2 a wrong setting or argument, nothing started ·
3 the data needs a decision by a person · 4 another process holds the tables · 130/143 interrupted.
"""

from __future__ import annotations

import argparse
import codecs
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from lakehouse import config as settings
from lakehouse.config import Config
from lakehouse.errors import LakehouseError, is_no_place, machine_fault
from lakehouse.observability import log
from lakehouse.wording import showable

if TYPE_CHECKING:
    from rich.console import Console

ROLES = {
    "setup_utils.py": "admin",
    "producer_ventes.py": "producer",
    "spark_streaming_delta.py": "bronze",
    "ops_utils.py": "operator",
}
"""The Kafka user of each script; every other script is ``monitor``."""


def role_of(script: str) -> str:
    """The Kafka user of a script, unless ``[KAFKA] sasl_username`` names another."""
    return ROLES.get(script, "monitor")


EXIT_CODES = (
    "exit codes: 0 done, 1 failed or a difference was found, 2 wrong setting or argument (nothing started), "
    "3 the data needs a decision, 4 another process writes the same tables"
)


class Parser(argparse.ArgumentParser):
    """Reports a wrong argument in one sentence with the next command; argparse itself prints the whole usage first."""

    def error(self, message: str) -> NoReturn:
        command = self.prog if ".py" in self.prog else f"-m {self.prog}"
        self.exit(2, f"{self.prog}: {message}. What is allowed: python {command} --help\n")


def parser(prog: str, description: str, examples: Sequence[str]) -> argparse.ArgumentParser:
    """A parser with ``--config``, the examples and the exit codes in its help."""
    lines = "\n".join(f"  {example}" for example in examples)
    made = Parser(
        prog=prog,
        description=description,
        epilog=f"examples:\n{lines}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--config", metavar="FILE", help="settings file (default: config.ini beside the scripts)")
    return made


def checked(parse: Callable[[str], object]) -> Callable[[str], object]:
    """Turn a parser of ``lakehouse.config`` into an argparse type whose error keeps its sentence."""

    def convert(text: str) -> object:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is not accepted: expected {error}") from None

    return convert


def console(**how: Any) -> Console:
    """rich's console. Its own ends the process with exit code 1 when the reader of our output has gone (``| head``); this one
    raises ``BrokenPipeError``, as ``print`` does."""
    from rich.console import Console

    class Ours(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Ours(**how)


def forget_reader() -> None:
    """After a ``BrokenPipeError``: what is printed from now on, the rest of a buffer included, goes nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
            continue
        with suppress(OSError, ValueError):
            os.dup2(null, stream.fileno())
    os.close(null)


def _show_every_character() -> None:
    """An output without UTF-8 shows EUR for the euro sign, and an escape for what it has nothing like; no tool ends for it."""
    codecs.register_error("showable", showable)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not what a test or a notebook put there
            stream.reconfigure(errors="showable")


def run(
    made: argparse.ArgumentParser,
    body: Callable[[argparse.Namespace, Config], int],
    argv: Sequence[str] | None = None,
) -> int:
    """Parse, load the settings, configure logging, run ``body``; an expected error becomes one sentence and an exit code."""
    _show_every_character()
    try:
        args = made.parse_args(argv)
    except SystemExit as stop:  # argparse exits by itself: 0 after --help, 2 for a wrong argument
        return int(stop.code or 0)

    def say(sentence: str) -> None:
        with suppress(OSError):  # nobody reads it; the exit code tells as well
            print(f"{made.prog}: {sentence}", file=sys.stderr, flush=True)

    try:
        os.umask(0o027)  # files of a run: writable by their owner, readable by the group, closed to others
        config = replace(settings.load(args.config), role=role_of(made.prog))
        log.configure(config.monitoring)
        return body(args, config)
    except LakehouseError as error:
        say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except BrokenPipeError:  # the reader of our output closed the pipe: end without a traceback
        forget_reader()
        return 0
    except Exception as error:
        if isinstance(error, OSError) and is_no_place(error):
            say(
                f"{error.filename} cannot be read or written: {error.strerror}. Type: ls -ld {error.filename} ; it is "
                f"to be a place of the user who runs the jobs, and you are to be that user."
            )
            return 1
        sentence = machine_fault(error)
        if sentence is None:
            raise
        say(sentence)
        return 1
