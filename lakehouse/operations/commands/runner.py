"""Shared by the verbs of ``ops_utils.py``: options, progress, confirmation, exit codes, audit entries.

A verb is one module of this package. Its ``add(subparsers)`` calls ``verb`` here and adds its own options; its
``body(args, config, work)`` does the work and returns an ``Outcome``. The body's docstring is the verb's help. Nothing
else is needed: ``operations.command`` lists the modules.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from lakehouse import cli
from lakehouse.config import Config, paths
from lakehouse.errors import ConfigError, LakehouseError, is_full_disk
from lakehouse.explorer.formats import export, terminal
from lakehouse.explorer.formats.values import plain, visible
from lakehouse.lake.result import Result
from lakehouse.observability import audit_log

Subparsers = Any  # argparse's own type has no public name
Shown = str | Result


@dataclass(frozen=True)
class Outcome:
    """What a verb found or did. ``data`` is what ``--json`` prints; ``shown`` is what people see, lines and tables;
    ``summary`` goes into the audit entry: counts and hashes, no personal data. ``silent``: nothing is printed."""

    data: Mapping[str, Any]
    shown: Sequence[Shown] = ()
    code: int = 0
    summary: Mapping[str, Any] = field(default_factory=dict)
    silent: bool = False


@dataclass(frozen=True)
class Verb:
    """``writes``: it changes something, so it has ``--dry-run`` and an audit entry before it begins. ``recorded``: its end is in
    the audit log; what only looks leaves no trace. ``dangerous``: it asks a person to type a word, or for ``--yes``.
    ``private``: arguments that the audit does not keep."""

    name: str
    body: Callable[[argparse.Namespace, Config, Work], Outcome]
    writes: bool
    recorded: bool
    dangerous: bool
    private: frozenset[str]


class Work:
    """What a running verb may use."""

    def __init__(self, verb: Verb, args: argparse.Namespace, config: Config) -> None:
        self.verb = verb
        self.config = config
        self.json: bool = args.json
        self.dry_run: bool = getattr(args, "dry_run", False)
        self._sure: bool = getattr(args, "yes", False)

    def say(self, text: str) -> None:
        """Print a line on stderr at once, so that stdout carries the result only."""
        print(visible(text), file=sys.stderr, flush=True)

    def show(self, *items: Shown) -> None:
        """Print lines and tables on stdout now, for a verb that repeats or that asks before it goes on."""
        _print(items, self.config)

    @contextlib.contextmanager
    def progress(self, what: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """A bar on stderr while the block runs; call what is yielded with the steps that were done. Only on a terminal."""
        console = cli.console(file=sys.stderr)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(what, total=total)

            def advance(steps: int) -> None:
                bar.advance(task, steps)

            yield advance

    def confirm(self, sentence: str, word: str) -> None:
        """Go on when a person types ``word``, or with ``--yes``; raises ``ConfigError`` otherwise."""
        if self._sure:
            return
        if not sys.stdin.isatty():
            raise ConfigError(f"{sentence} Nothing was changed. To go on without a question, add --yes.")
        self.say(f"{sentence} Type {word} to go on:")
        if sys.stdin.readline().strip() != word:
            raise ConfigError(f"Nothing was changed: what was typed is not {word}.")


def verb(
    subparsers: Subparsers,
    name: str,
    body: Callable[[argparse.Namespace, Config, Work], Outcome],
    *,
    examples: Sequence[str],
    writes: bool = False,
    recorded: bool = False,
    dangerous: bool = False,
    private: Sequence[str] = (),
) -> argparse.ArgumentParser:
    """Add a verb with the options that all have, and return its parser. ``name`` of a verb in a group: ``audit verify``.
    ``recorded``: for a check whose result somebody may ask for; one that ``writes`` always is."""
    text = " ".join((body.__doc__ or "").split())
    made: argparse.ArgumentParser = subparsers.add_parser(
        name.split()[-1],
        help=text,
        description=text,
        allow_abbrev=False,
        epilog=_examples(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="settings file (default: config.ini)")
    made.add_argument("--json", action="store_true", help="the result as JSON")
    if writes:
        made.add_argument("--dry-run", action="store_true", help="say what would change, and change nothing")
    if dangerous:
        made.add_argument("--yes", action="store_true", help="do not ask before going on")
    made.set_defaults(verb=Verb(name, body, writes, writes or recorded, dangerous, frozenset(private)))
    return made


def _examples(examples: Sequence[str]) -> str:
    return "examples:\n" + "\n".join(f"  {example}" for example in examples)


def count(text: str) -> Any:
    """An argparse type: a number of rows, 1 or more."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < 1:
            raise ValueError("a whole number of 1 or more")
        return int(text)

    return cli.checked(parse)(text)


def group(subparsers: Subparsers, name: str, text: str, *, examples: Sequence[str]) -> Subparsers:
    """Add a verb that has verbs of its own, and return their parsers' place."""
    made = subparsers.add_parser(
        name, help=text, description=text, allow_abbrev=False, epilog=_examples(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    return made.add_subparsers(title="verbs", metavar="VERB", required=True)


def perform(args: argparse.Namespace, config: Config) -> int:
    """Run one verb between its audit entries, print what it found, and return its exit code."""
    chosen: Verb | None = args.verb
    if chosen is None:
        raise ConfigError("No verb was given. They are listed by: python ops_utils.py --help")
    work = Work(chosen, args, config)
    note = _Notes(args, config, work)
    note.begin()
    try:
        outcome = chosen.body(args, config, work)
    except LakehouseError as error:
        note.end(error.exit_code, failed=type(error).__name__)
        raise
    except Exception as error:
        note.end(1, failed=type(error).__name__)
        if is_full_disk(error) or not _is_of_a_table(error):
            raise
        raise LakehouseError(
            f"A table cannot be read or written: {' '.join(str(error).split())[:300]}. Look for it in docs/TROUBLESHOOTING.md"
        ) from error
    except KeyboardInterrupt:
        note.end(130, failed="KeyboardInterrupt")
        raise
    except BaseException as error:
        note.end(1, failed=type(error).__name__)
        raise
    note.end(outcome.code, summary=plain(dict(outcome.summary)))
    try:
        if outcome.silent:
            return outcome.code
        if work.json:
            print(export.dumps(plain(dict(outcome.data))), flush=True)
        else:
            _print(outcome.shown, config)
    except BrokenPipeError:  # who reads no further still learns by the exit code what was found
        cli.forget_reader()
    return outcome.code


def _is_of_a_table(error: Exception) -> bool:
    from deltalake.exceptions import DeltaError  # takes its time: only when there is something to say

    return isinstance(error, DeltaError)


class _Notes:
    """The audit entries of one verb: ``begin`` for one that writes, and ``end`` for one that is ``recorded``. A writing verb is
    refused when its entry cannot be written; one that only reads goes on and says so: the disk may be full."""

    def __init__(self, args: argparse.Namespace, config: Config, work: Work) -> None:
        self._log = audit_log.AuditLog(audit_log.folder(config))
        self._work = work
        base = config.delta.base_path
        self._is_there = paths.is_remote(config) or Path(base).is_dir()  # an audit of nothing would make the folder
        self._fields = {"verb": work.verb.name, "arguments": _arguments(args, work.verb.private)}

    def begin(self) -> None:
        if self._work.verb.writes and not self._work.dry_run:
            self._append(state="begin")

    def end(self, code: int, **facts: object) -> None:
        if self._work.verb.recorded:
            self._append(state="end", exit_code=code, **facts)

    def _append(self, **fields: object) -> None:
        if not self._is_there:
            return
        try:
            self._log.append(**self._fields, **fields)
        except OSError as error:
            sentence = f"The audit log {self._log.path} cannot be written: {error.strerror}."
            if fields["state"] == "begin":
                raise LakehouseError(f"{sentence} Nothing was changed.") from None
            self._work.say(sentence)


def _arguments(args: argparse.Namespace, private: frozenset[str]) -> dict[str, Any]:
    """What was typed: every option that is not at its default of nothing."""
    given = {key: value for key, value in vars(args).items() if key not in ("verb", "config", "json")}
    return {
        key: "***" if key in private else plain(value) for key, value in given.items() if value not in (None, False, [])
    }


def _print(items: Sequence[Shown], config: Config) -> None:
    out = terminal.console()
    for item in items:
        if isinstance(item, Result):
            terminal.show(out, item, zone=config.analytics.timezone, footer=False)
        else:
            out.print(Text(visible(item)), soft_wrap=True)
