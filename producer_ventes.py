#!/usr/bin/env python
"""Sends sales to Kafka: python producer_ventes.py --help."""

from __future__ import annotations

from collections.abc import Sequence

from lakehouse.entry_point import execute


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script with ``argv`` (default: the process's own) and return its exit code."""
    from lakehouse.producer import command

    return command.main(argv)


if __name__ == "__main__":
    execute(main)
