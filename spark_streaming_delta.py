#!/usr/bin/env python3
"""The Bronze job: Kafka → Delta, every sale once, every bad message with its reason."""

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
        "spark_streaming_delta.py",
        "Read the sales topic into the tables of Bronze (ventes_stream, ventes_operations, ventes_rejetees) until stopped. "
        "Ctrl-C or SIGTERM stops at the end of the running batch; the next start goes on where this one stopped.",
        (
            "python spark_streaming_delta.py",
            "python spark_streaming_delta.py --once",
            'spark-submit --jars "$(python setup_utils.py jars --list)" spark_streaming_delta.py --once',
        ),
    )
    made.add_argument("--once", action="store_true", help="read all that Kafka holds now, then exit")
    made.add_argument(
        "--accept-data-loss",
        action="store_true",
        help="go on past offsets that Kafka lost before they were read, and record them in bronze/pertes_declarees",
    )
    return made


def _run(args: argparse.Namespace, config: Config) -> int:
    from lakehouse.observability import process

    with process.serve(config, "bronze") as watched:
        from lakehouse.bronze.job import BronzeJob  # pyspark takes a moment: health answers before

        return BronzeJob(config, once=args.once, accept_data_loss=args.accept_data_loss, monitor=watched).run()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script with ``argv`` (default: the process's own) and return its exit code."""
    from lakehouse import cli

    return cli.run(_parser(), _run, argv)


if __name__ == "__main__":
    execute(main)
