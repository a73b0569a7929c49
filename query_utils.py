#!/usr/bin/env python
"""Ask the lake: menu, named questions, daily report, SQL. ``query_utils.py --help`` lists them."""

import sys

from lakehouse.explorer.command import main

if __name__ == "__main__":
    sys.exit(main())
