"""The answer to a query: named, typed columns, rows of Python values, and the table versions it was read from.

Made of Arrow record batches (arro3, without pyarrow).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Kind = Literal["text", "integer", "decimal", "float", "boolean", "date", "timestamp", "binary", "other"]


@dataclass(frozen=True)
class Column:
    """``kind`` decides how a value is shown and written; a ``decimal`` is money or a percentage, never a float. ``title``: what
    stands over it for people, if that is not its name."""

    name: str
    kind: Kind
    title: str = ""

    @property
    def head(self) -> str:
        """What stands over the column on a screen."""
        return self.title or self.name


@dataclass(frozen=True)
class Source:
    """One table as it was read. ``committed`` (UTC) is None when the log no longer tells."""

    table: str
    version: int
    committed: datetime | None


@dataclass(frozen=True)
class Result:
    """``rows`` hold one value a column; a null is None. ``cut`` says that a row cap left rows out."""

    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]]
    sources: tuple[Source, ...] = field(default=())
    cut: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> list[Any]:
        """The values of one column, top to bottom."""
        index = self.names.index(name)
        return [row[index] for row in self.rows]


class Flow:
    """An answer of any size: its rows are read while they are written, once. ``count`` is how many there were so far."""

    cut = False

    def __init__(
        self, columns: tuple[Column, ...], rows: Iterable[tuple[Any, ...]], sources: tuple[Source, ...]
    ) -> None:
        self.columns, self.sources, self.count = columns, sources, 0
        self.names = tuple(column.name for column in columns)
        self.rows = self._counted(rows)

    def _counted(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        for row in rows:
            self.count += 1
            yield row


_KINDS: tuple[tuple[str, Kind], ...] = (
    ("Decimal", "decimal"), ("Interval", "other"), ("Int", "integer"), ("UInt", "integer"), ("Float", "float"), ("Bool", "boolean"),
    ("Date", "date"), ("Timestamp", "timestamp"), ("Utf8", "text"), ("LargeUtf8", "text"), ("Binary", "binary"),
    ("LargeBinary", "binary"),
)  # fmt: skip


def columns(schema: Any) -> tuple[Column, ...]:
    """The columns; a name that occurs twice (``a.pays, b.pays``) gets a number, so that no format loses one."""
    seen: dict[str, int] = {}
    found = []
    for each in schema:
        seen[each.name] = seen.get(each.name, 0) + 1
        name = each.name if seen[each.name] == 1 else f"{each.name}_{seen[each.name]}"
        found.append(Column(name, _kind(str(each.type))))
    return tuple(found)


def _kind(arrow: str) -> Kind:
    name = arrow.removeprefix("arro3.core.DataType<").strip("<> \n")
    return next((kind for prefix, kind in _KINDS if name.startswith(prefix)), "other")


def rows(batch: Any) -> Iterator[tuple[Any, ...]]:
    """The rows of an arro3 record batch, each a tuple of Python values in the order of its columns."""
    values = [[value.as_py() for value in batch.column(index)] for index in range(batch.num_columns)]
    return zip(*values, strict=True)
