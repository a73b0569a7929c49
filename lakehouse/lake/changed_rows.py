"""The rows that one commit of a local table changed: those of the files it added without those it removed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq

from lakehouse.config import paths
from lakehouse.contract.tables import TableSpec
from lakehouse.errors import LakehouseError
from lakehouse.lake import log_entry


def rows_of(spec: TableSpec, base: str, version: int, limit: int) -> tuple[list[tuple[Any, ...]], bool]:
    """(``+`` or ``-``, then the columns of ``shown``) of each row that came or went, and whether ``limit`` cut them.

    Raises ``LakehouseError`` when the log entry or a file is not there any more.
    """
    path = spec.path(base)
    if paths.is_uri(path):
        raise LakehouseError(f"The rows of one commit are shown for local tables only, and {spec.name} lies at {path}.")
    try:
        actions = log_entry.actions(Path(log_entry.place(path, version)).read_bytes())
        added = _rows(spec, path, (action["add"] for action in actions if "add" in action))
        removed = _rows(spec, path, (action["remove"] for action in actions if "remove" in action))
    except OSError as error:
        raise LakehouseError(
            f"The rows of version {version} of {spec.name} can no longer be shown: {Path(error.filename or path).name} was "
            f"cleaned up ([DELTA] log_retention, deleted_file_retention)."
        ) from None
    came, went = added - removed, removed - added
    found = [("-", *row) for row in went.elements()] + [("+", *row) for row in came.elements()]
    found.sort(key=lambda row: (repr(row[1:]), row[0]))
    return found[:limit], len(found) > limit


def shown(spec: TableSpec) -> tuple[str, ...]:
    """The columns of a changed row: the public ones, then the optional ones, which are null where a file lacks them."""
    return (*spec.public, *(name for name, _ in spec.optional))


def _rows(spec: TableSpec, path: str, files: Iterable[dict[str, Any]]) -> Counter[tuple[Any, ...]]:
    found: Counter[tuple[Any, ...]] = Counter()
    for file in files:
        if not log_entry.changes_rows(file):  # a compaction
            continue
        table = pq.ParquetFile(Path(path, unquote(file["path"]))).read()
        parts = file.get("partitionValues") or {}
        columns = [
            table.column(name).to_pylist() if name in table.column_names else [parts.get(name)] * table.num_rows
            for name in shown(spec)
        ]
        found.update(map(_hashable, zip(*columns, strict=True)))
    return found


def _hashable(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(map(_plain, row))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is None:  # Spark's files hold UTC without saying so
        return value.replace(tzinfo=UTC)
    return repr(value) if isinstance(value, list | dict) else value
