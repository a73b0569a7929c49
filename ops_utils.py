#!/usr/bin/env python
"""Operate the lake: reconcile, replay, look back, roll back. ``ops_utils.py --help`` lists the verbs."""

from __future__ import annotations

from collections.abc import Sequence

from lakehouse.entry_point import execute


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script with ``argv`` (default: the process's own) and return its exit code."""
    from lakehouse.operations import command

    return command.main(argv)


if __name__ == "__main__":
    execute(main)
