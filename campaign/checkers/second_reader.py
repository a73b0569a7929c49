"""The tables once more by DuckDB, whose reader of Delta and of Parquet shares nothing with the product's: claim S9.

It runs by the Python of an environment of its own (``CAMPAIGN_READER``; ``campaign/reader/requirements.txt`` says what is in it). Without
one nothing is compared, and the report says so.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from campaign.checkers.tables import rows
from campaign.checkers.versions import tables
from campaign.checkers.violation import Violation

_SCRIPT = Path(__file__).parents[1] / "reader" / "read.py"


def python() -> str | None:
    """The Python that has DuckDB; None where there is none."""
    return os.environ.get("CAMPAIGN_READER")


def check(lake: Path) -> Iterator[Violation]:
    """Of every table, at its newest version: the number of rows, and the sum of each column of numbers."""
    reader = python()
    if reader is None:
        return
    places = tables(lake)
    words = [reader, str(_SCRIPT), *map(str, places)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        yield Violation("S9", f"the second reader fails: {' '.join(done.stderr.split())[-300:]}")
        return
    for place, line in zip(places, done.stdout.splitlines(), strict=True):
        found: dict[str, Any] = json.loads(line)
        held = rows(place)
        if found.pop("") != len(held):
            yield Violation("S9", f"{place.name}: the second reader counts other rows than {len(held)}")
        for column, total in found.items():
            own = sum((Decimal(row[column]) for row in held if row[column] is not None), Decimal(0))
            if own != Decimal(total or 0):
                yield Violation("S9", f"{place.name}: the second reader adds {column} up to {total}, not to {own}")
