#!/usr/bin/env python
"""Ask the lake: menu, named questions, daily report, SQL. ``query_utils.py --help`` lists them."""

from lakehouse.entry_point import execute
from lakehouse.explorer.command import main

if __name__ == "__main__":
    execute(main)
