"""docs/scaling.json: what ``benchmarks.scaling`` has measured so far, row by row, and the projection's inputs that follow from it.

A row is kept with where and when it was measured, and replaces the row of the same case (its first column) only: so a part,
or one case of it, can be measured on another day than the rest.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lakehouse import atomic_file

Row = dict[str, Any]
TITLES = {
    "partitions": "Partitions of the topic", "workers": "Workers of a standalone cluster",
    "state": "The deduplication state", "silver": "Silver",
}  # fmt: skip


def inputs_from(title: str, row: Row) -> dict[str, float]:
    """The projection's inputs that one row gives."""
    if title == TITLES["partitions"] and row["partitions"] == 4:
        return {
            "message_bytes": row["Kafka bytes per sale"], "bronze_bytes": row["Bronze bytes per sale"],
            **({"sales_per_core": 1e6 / row["CPU s per million"]} if row["CPU s per million"] else {}),
        }  # fmt: skip
    if title == TITLES["state"] and row["outcome"] == "fits" and row["store"] == "memory":
        return {"state_bytes": row["state bytes per identity"]}
    return {}


def silver_rate(rows: list[Row]) -> dict[str, float]:
    """What the build took more than the pass over one day, for the sales that it had more: each pass also pays for its start,
    which for one day's sales is nearly all of it."""
    spent = {row["step"]: (row["sales"], row["CPU s per million"]) for row in rows}
    if not all(spent.get(step, (0, None))[1] for step in ("first build", "one new day")):
        return {}
    (many, dear), (few, cheap) = spent["first build"], spent["one new day"]
    more = (many * dear - few * cheap) / 1e6
    return {"silver_sales_per_core": (many - few) / more} if many > few and more > 0 else {}


def merged(kept: dict[str, Any], who: dict[str, Any], title: str, row: Row) -> dict[str, Any]:
    """docs/scaling.json with one more row, in the place of the row of the same case where there is one."""
    case = next(iter(row.values()))
    rows = list(kept["measured"].get(title, []))
    places = [number for number, one in enumerate(rows) if next(iter(one["row"].values())) == case]
    new = {"about": who, "row": row}
    if places:
        rows[places[0]] = new
    else:
        rows.append(new)
    inputs = {name: dict(one) for name, one in kept["inputs"].items()}
    given = inputs_from(title, row)
    if title == TITLES["silver"]:
        given = silver_rate([one["row"] for one in rows])
    for name, value in given.items():
        inputs[name] |= {"value": float(f"{value:.3g}"), "origin": f"measured, `make scaling`, {who['date'][:10]}"}
    found = {**kept["measured"], title: rows}
    return {"measured": {name: found[name] for name in TITLES.values() if name in found}, "inputs": inputs}


def put(file: Path, who: dict[str, Any], title: str, row: Row) -> None:
    """Add a row to ``file`` at once: an interrupted measurement keeps what it has."""
    made = merged(json.loads(file.read_text(encoding="utf-8")), who, title, row)
    atomic_file.write(file, json.dumps(made, indent=2, ensure_ascii=False) + "\n")
