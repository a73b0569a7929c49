"""``ops_utils.py``: the verbs that operate the lake, one module each. What all share: ``commands.runner``.

A module is imported when its verb is typed: together they take longer to import than most verbs run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from lakehouse import cli
from lakehouse.config import Config

VERBS = {
    "status": ("status", "every process with its state, its lag and its last error"),
    "reconcile": ("reconcile", "account for each Kafka offset, and compare Silver with Bronze to the cent"),
    "rejects": ("rejects", "the messages that broke the contract: list them, show one, replay them"),
    "history": ("history", "the commits of a table: who, what, when; or the rows that one of them changed"),
    "restore-table": ("restore", "take a table back to an earlier version"),
    "maintain": ("maintain", "compact the tables and remove what is past its retention, now"),
    "backup": ("backup", "keep the lake as it is at one moment, check what was kept, bring it back"),
    "erase": ("erase", "erase a person from every table"),
    "rebuild": ("rebuild", "start a job from a new checkpoint, when the old one is damaged"),
    "audit": ("audit", "the hash-chained log of operators' actions: verify it, list it, accept differences"),
}
"""Verb → its module in ``operations.commands`` and what it does, in the order of the help."""

EXAMPLES = (
    "python ops_utils.py reconcile",
    "python ops_utils.py rejects list",
    "python ops_utils.py history ventes_stream --limit 10",
    "python ops_utils.py audit verify",
)


def typed_verb(words: Sequence[str]) -> str:
    """The first word that is neither an option nor the value of ``--config``; empty without one."""
    value_follows = False
    for word in words:
        if not value_follows and not word.startswith("-"):
            return word
        value_follows = word == "--config"
    return ""


def make_parser(verb: str | None = None) -> argparse.ArgumentParser:
    """The script's command line: with the options of ``verb`` alone and the names of the others, or of all verbs."""
    made = cli.parser(
        "ops_utils.py", "Operate the lake: one verb for each task. ops_utils.py VERB --help says more.", EXAMPLES
    )
    made.set_defaults(verb=None)
    verbs = made.add_subparsers(title="verbs", metavar="VERB")
    for word, (module, summary) in VERBS.items():
        if verb in (word, None):
            import_module(f"lakehouse.operations.commands.{module}").add(verbs)
        else:
            verbs.add_parser(word, help=summary, add_help=False)
    return made


def _perform(args: argparse.Namespace, config: Config) -> int:
    from lakehouse.operations.commands import runner

    return runner.perform(args, config)


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    words = sys.argv[1:] if argv is None else argv
    return cli.run(make_parser(typed_verb(words)), _perform, words)
