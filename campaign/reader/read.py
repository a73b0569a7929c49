"""Prints, for each Delta table that is named, one line of JSON: its rows under "", and the sum of each column of numbers.

Runs by the Python of the second reader's environment, in which the project's packages are not.
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

_NUMBERS = ("DECIMAL", "BIGINT", "INTEGER")


def main(tables: list[str]) -> None:
    """To standard output."""
    import duckdb  # type: ignore[import-not-found, unused-ignore]

    places = (find_spec("duckdb_ext") or sys.exit("duckdb-ext-delta is not installed")).submodule_search_locations
    (extension,) = Path(next(iter(places or ()))).rglob("delta.duckdb_extension")
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    connection.execute(f"LOAD '{extension}'")
    for table in tables:
        source = f"delta_scan('{table}')"
        columns = connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
        numbers = [name for name, kind, *_ in columns if kind.partition("(")[0] in _NUMBERS and kind[-1] != "]"]
        sums = "".join(f', CAST(SUM("{name}") AS VARCHAR)' for name in numbers)
        counted = connection.execute(f"SELECT COUNT(*){sums} FROM {source}").fetchone()
        print(json.dumps(dict(zip(["", *numbers], counted, strict=True))))


if __name__ == "__main__":
    main(sys.argv[1:])
