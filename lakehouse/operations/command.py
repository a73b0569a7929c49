"""``ops_utils.py``: the verbs that operate the lake, one module each. What all share: ``commands.runner``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module

from lakehouse import cli
from lakehouse.operations.commands import runner

VERBS = (
    "status",
    "reconcile",
    "rejects",
    "history",
    "restore",
    "maintain",
    "backup",
    "erase",
    "rebuild",
    "audit",
)
"""Modules of ``operations.commands``, in the order of the help."""

EXAMPLES = (
    "python ops_utils.py reconcile",
    "python ops_utils.py rejects list",
    "python ops_utils.py history ventes_stream --limit 10",
    "python ops_utils.py audit verify",
)


def make_parser() -> argparse.ArgumentParser:
    """The script's command line, verb by verb."""
    made = cli.parser(
        "ops_utils.py", "Operate the lake: one verb for each task. ops_utils.py VERB --help says more.", EXAMPLES
    )
    made.set_defaults(verb=None)
    verbs = made.add_subparsers(title="verbs", metavar="VERB")
    for name in VERBS:
        import_module(f"lakehouse.operations.commands.{name}").add(verbs)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    return cli.run(make_parser(), runner.perform, argv)
