"""PURE. Arrow record batches (arro3, without pyarrow) → columns and rows of Python values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lakehouse.result import Column, Kind

_KINDS: tuple[tuple[str, Kind], ...] = (
    ("Decimal", "decimal"), ("Interval", "other"), ("Int", "integer"), ("UInt", "integer"), ("Float", "float"), ("Bool", "boolean"),
    ("Date", "date"), ("Timestamp", "timestamp"), ("Utf8", "text"), ("LargeUtf8", "text"), ("Binary", "binary"),
    ("LargeBinary", "binary"),
)  # fmt: skip


def columns(schema: Any) -> tuple[Column, ...]:
    """The columns; a name that stands there twice (``a.pays, b.pays``) gets a number, so that no format loses one."""
    seen: dict[str, int] = {}
    found = []
    for field in schema:
        seen[field.name] = seen.get(field.name, 0) + 1
        name = field.name if seen[field.name] == 1 else f"{field.name}_{seen[field.name]}"
        found.append(Column(name, _kind(str(field.type))))
    return tuple(found)


def _kind(arrow: str) -> Kind:
    name = arrow.removeprefix("arro3.core.DataType<").strip("<> \n")
    return next((kind for prefix, kind in _KINDS if name.startswith(prefix)), "other")


def rows(batch: Any) -> Iterator[tuple[Any, ...]]:
    values = [[value.as_py() for value in batch.column(index)] for index in range(batch.num_columns)]
    return zip(*values, strict=True)
