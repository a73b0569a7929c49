"""Delta tables as rows, by a reader of their own: the log's JSON and checkpoint files, and Parquet through Arrow.

It knows what the product's tables use: add and remove actions, partition values, classic checkpoints; it refuses deletion
vectors rather than to read around them.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

_VERSION = re.compile(r"^(\d{20})\.json$")
_CHECKPOINT = re.compile(r"^(\d{20})\.checkpoint\.parquet$")


def versions(table: Path) -> list[int]:
    """The versions whose commits are there, ascending; none when there is no table."""
    log = table / "_delta_log"
    found = [match for path in log.glob("*.json") if (match := _VERSION.match(path.name))] if log.is_dir() else []
    return sorted(int(match[1]) for match in found)


def commit(table: Path, version: int) -> list[dict[str, Any]]:
    """The actions of one commit."""
    text = (table / "_delta_log" / f"{version:020}.json").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def files(table: Path, version: int) -> dict[str, dict[str, str | None]]:
    """path → partition values, of the data files of a version."""
    log = table / "_delta_log"
    points = [int(match[1]) for path in log.iterdir() if (match := _CHECKPOINT.match(path.name))]
    start = max((point for point in points if point <= version), default=None)
    live: dict[str, dict[str, str | None]] = {}
    if start is not None:
        adds = pq.read_table(log / f"{start:020}.checkpoint.parquet", columns=["add"]).column("add").to_pylist()
        for add in adds:
            if add and add["path"]:
                live[add["path"]] = dict(add["partitionValues"] or ())
    for number in range(0 if start is None else start + 1, version + 1):
        for action in commit(table, number):
            if "remove" in action:
                live.pop(action["remove"]["path"], None)
            if "add" in action:
                assert not action["add"].get("deletionVector"), "a deletion vector: this reader does not know them"
                live[action["add"]["path"]] = action["add"]["partitionValues"]
    return live


@lru_cache(maxsize=4096)
def _file(path: Path) -> tuple[dict[str, Any], ...]:
    table = pq.ParquetFile(path, coerce_int96_timestamp_unit="us").read()
    for index, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):  # Python's dates end before some of the contract's
            moment = pa.timestamp("us", field.type.tz)
            table = table.set_column(index, field.name, table.column(index).cast(moment).cast(pa.int64()))
    return tuple(table.to_pylist())


def rows(table: Path, version: int | None = None) -> list[dict[str, Any]]:
    """The rows of a version (None: the newest), times in µs since 1970, ``jour`` as text; none when there is no table."""
    there = versions(table)
    if not there:
        return []
    found = []
    for path, parts in files(table, there[-1] if version is None else version).items():
        found += [{**row, **parts} for row in _file(table / unquote(path))]
    return found
