#!/usr/bin/env python
"""The live dashboard: a page on this machine that shows sales, clients, quality and the pipeline's state, without a JVM."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakehouse.entry_point import execute

if TYPE_CHECKING:
    from lakehouse.config import Config


def parser() -> argparse.ArgumentParser:
    """The script's command line."""
    from lakehouse import cli

    return cli.parser(
        "dashboard.py",
        "Serve the live dashboard until Ctrl-C, and print its address. It reads the tables without a JVM, beside the jobs.",
        (
            "dashboard.py",
            "VENTES_MONITORING__DASHBOARD_PORT=0 python dashboard.py        # any free port",
        ),
    )


def _serve(_args: argparse.Namespace, config: Config) -> int:
    from lakehouse.child_processes import interrupt_on_signals
    from lakehouse.dashboard import server
    from lakehouse.observability import process

    interrupt_on_signals()
    with process.serve(config, "dashboard") as watched:
        return server.serve(config, watched)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 stopped as asked, 2 a wrong setting, or a port that another program holds."""
    from lakehouse import cli

    return cli.run(parser(), _serve, argv)


if __name__ == "__main__":
    execute(main)
