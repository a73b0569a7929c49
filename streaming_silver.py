#!/usr/bin/env python3
"""The Silver job: new Bronze sales → the six Silver tables, exactly once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakehouse.entry_point import execute

if TYPE_CHECKING:
    from lakehouse.config import Config


def _parser() -> argparse.ArgumentParser:
    from lakehouse import cli

    made = cli.parser(
        "streaming_silver.py",
        "Take what is new in Bronze into the six Silver tables, once, and exit. The first run builds them from all of Bronze.",
        (
            "python streaming_silver.py",
            "python streaming_silver.py --every",
            "python streaming_silver.py --every 300",
            "python streaming_silver.py --full",
            "python streaming_silver.py --verify",
        ),
    )
    made.add_argument(
        "--every",
        metavar="SECONDS",
        nargs="?",
        const=0.0,
        type=cli.checked(_seconds),
        help="go on until stopped, with a pass every SECONDS (without a number: [ANALYTICS] silver_every)",
    )
    made.add_argument("--full", action="store_true", help="build every table anew from all of Bronze first")
    made.add_argument(
        "--verify",
        action="store_true",
        help="compare every cell with a full recompute; exit code 1 and the differing cells when they differ",
    )
    return made


def _seconds(text: str) -> float:
    from lakehouse.config import parse_float

    value = parse_float(text)
    if value <= 0:
        raise ValueError("a number of seconds above 0")
    return value


def _run(args: argparse.Namespace, config: Config) -> int:
    from lakehouse.errors import ConfigError
    from lakehouse.observability import process
    from lakehouse.silver.job import SilverJob

    if args.verify and (args.full or args.every is not None):
        raise ConfigError("--verify only compares: run it without --full and --every.")
    if not args.verify:
        every = config.analytics.silver_every.total_seconds() if args.every == 0 else args.every
        with process.serve(config, "silver") as watched:
            return SilverJob(config, watched).run(every=every, full=args.full)
    differences = SilverJob(config).verify()
    for cell in differences:
        print(f"{cell.table}  {cell.key}  {cell.column}: expected {cell.expected}, found {cell.found}")
    print(
        "Silver differs from the recompute."
        if differences
        else "Silver equals the full recompute of Bronze, cell by cell."
    )
    return 1 if differences else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script with ``argv`` (default: the process's own) and return its exit code."""
    from lakehouse import cli

    return cli.run(_parser(), _run, argv)


if __name__ == "__main__":
    execute(main)
