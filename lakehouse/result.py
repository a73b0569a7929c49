"""PURE. An answer: named, typed columns, rows of Python values, and the table versions it was read from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Kind = Literal["text", "integer", "decimal", "float", "boolean", "date", "timestamp", "binary", "other"]


@dataclass(frozen=True)
class Column:
    """``kind`` decides how a value is shown and written; a ``decimal`` is money or a percentage, never a float."""

    name: str
    kind: Kind


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
