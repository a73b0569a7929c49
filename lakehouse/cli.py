"""What every script shares: options, set-up, and the way from an error to an exit code.

Exit codes: 0 done · 1 failed, or a check found a difference · 2 a wrong setting or argument, nothing started ·
3 the data needs a decision by a person · 4 another process holds the tables · 130/143 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NoReturn

from lakehouse import config as settings
from lakehouse.config import Config
from lakehouse.errors import LakehouseError, SparkEnded, is_full_disk, is_no_place
from lakehouse.observability import log

ROLES = {
    "setup_utils.py": "admin",
    "producer_ventes.py": "producer",
    "spark_streaming_delta.py": "bronze",
    "ops_utils.py": "operator",
}
"""The user of each script; every other one is ``monitor``."""


def role_of(script: str) -> str:
    """The user that a script is, unless ``[KAFKA] sasl_username`` names another."""
    return ROLES.get(script, "monitor")


EXIT_CODES = (
    "exit codes: 0 done, 1 failed or a difference was found, 2 wrong setting or argument (nothing started), "
    "3 the data needs a decision, 4 another process writes the same tables"
)


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, with the next command; argparse's own prints the whole usage before it."""

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


def _leave(code: int) -> NoReturn:
    """End here. The threads that a dead JVM left in the middle of a call cannot be ended in order, and Python's own end
    takes their ground away: a test met another exit code than the error's, after all had been said."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(
    made: argparse.ArgumentParser,
    body: Callable[[argparse.Namespace, Config], int],
    argv: Sequence[str] | None = None,
) -> int:
    """Parse, load the settings, set up the logs, run ``body``; an expected error becomes one sentence and a code."""
    try:
        args = made.parse_args(argv)
    except SystemExit as stop:  # argparse's own way out, for --help (0) and for a wrong argument (2)
        return int(stop.code or 0)
    try:
        os.umask(0o027)  # what a run writes is its owner's to change, and not for everybody to read
        config = replace(settings.load(args.config), role=role_of(made.prog))
        log.configure(config.monitoring)
        return body(args, config)
    except LakehouseError as error:
        print(f"{made.prog}: {error}", file=sys.stderr)
        if isinstance(error, SparkEnded):
            _leave(error.exit_code)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{made.prog}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has left; nothing more to say, and no traceback at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if isinstance(error, OSError) and is_no_place(error):
            print(
                f"{made.prog}: {error.filename} cannot be read or written: {error.strerror}. Type: ls -ld {error.filename} ; it is "
                f"to be a place of the user who runs the jobs, and you are to be that user.",
                file=sys.stderr,
            )
            return 1
        if not is_full_disk(error):
            raise
        print(
            f"{made.prog}: The disk is full. See which: df -h. Make room, and type the same command again: it goes on from "
            f"what was finished.",
            file=sys.stderr,
        )
        return 1
