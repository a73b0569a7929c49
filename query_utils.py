#!/usr/bin/env python
"""Ask the lake: menu, named questions, daily report, SQL. ``query_utils.py --help`` lists them."""

from __future__ import annotations

from collections.abc import Sequence

from lakehouse.entry_point import execute


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script with ``argv`` (default: the process's own) and return its exit code."""
    from lakehouse.explorer import command

    return command.main(argv)


if __name__ == "__main__":
    execute(main)
