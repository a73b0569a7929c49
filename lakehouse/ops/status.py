"""EDGE. ``status``: every process in one table."""

from __future__ import annotations

import argparse

from lakehouse import cli, status_view
from lakehouse.config import Config, parse_float
from lakehouse.ops.frame import Outcome, Subparsers, Work, verb
from lakehouse.status import processes


def add(subparsers: Subparsers) -> None:
    made = verb(
        subparsers, "status", status,
        examples=("python ops_utils.py status", "python ops_utils.py status --watch", "python ops_utils.py status --json"),
    )  # fmt: skip
    made.add_argument(
        "--watch", metavar="SECONDS", nargs="?", const=2.0, type=cli.checked(_seconds),
        help="look again every SECONDS (default 2) until Ctrl-C; with --json one line for each look",
    )  # fmt: skip


def _seconds(text: str) -> float:
    value = parse_float(text)
    if value <= 0:
        raise ValueError("a number of seconds above 0")
    return value


def status(args: argparse.Namespace, config: Config, work: Work) -> Outcome:
    """Show every process with its state, Bronze's lag and freshness, and the last error, as they are now: one that was
    killed is dead. Exit code 1 when one is dead, failing or does not answer."""
    if args.watch is not None:
        status_view.watch(lambda: processes(config), args.watch, json_lines=work.json)
        return Outcome({})
    found = processes(config)
    if not work.json:
        status_view.show(found)
    code = 0 if status_view.well(found) else 1
    return Outcome(status_view.as_data(found), (), code, {one.name: one.state for one in found})
