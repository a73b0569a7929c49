#!/usr/bin/env python
"""Operate the lake: reconcile, replay, look back, roll back. ``ops_utils.py --help`` lists the verbs."""

from lakehouse.entry_point import execute
from lakehouse.operations.command import main

if __name__ == "__main__":
    execute(main)
