"""What a question is made of: filters in, one SQL text and the names of its tables out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from lakehouse.contract.tables import TableSpec
from lakehouse.lake.query import Query, literal

FilterName = Literal["dates", "pays", "segment", "client"]


@dataclass(frozen=True)
class Filters:
    """The filters of a question. ``du`` and ``au`` are business days (column ``jour``), both included.

    Several countries or segments mean any of them. ``limit=None`` asks for every row.
    """

    du: date | None = None
    au: date | None = None
    pays: tuple[str, ...] = ()
    segment: tuple[str, ...] = ()
    limit: int | None = None
    offset: int = 0
    client: int | None = None

    @property
    def used(self) -> frozenset[FilterName]:
        given: dict[FilterName, bool] = {
            "dates": self.du is not None or self.au is not None,
            "pays": bool(self.pays),
            "segment": bool(self.segment),
            "client": self.client is not None,
        }
        return frozenset(name for name, is_given in given.items() if is_given)

    @property
    def narrowed(self) -> bool:
        return bool(self.used)

    def without_dates(self) -> Filters:
        return dataclasses.replace(self, du=None, au=None)

    def __str__(self) -> str:
        parts = [f"from {self.du}"] if self.du else []
        parts += [f"to {self.au}"] if self.au else []
        parts += [f"pays {' or '.join(self.pays)}"] if self.pays else []
        parts += [f"segment {' or '.join(self.segment)}"] if self.segment else []
        parts += [f"client {self.client}"] if self.client is not None else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Chart:
    """A drawing under the table: one bar a row, or one spark line over the rows (oldest first)."""

    kind: Literal["bars", "spark"]
    label: str
    value: str


@dataclass(frozen=True)
class Entry:
    """One question: a line of the menu, a sub-command and a paragraph of the documents.

    ``kind`` is ``query`` for what ``build`` answers alone; the others need the lake itself (``counts``, ``history``), the
    contract (``glossary``) or the person (``sql``, ``travel``). ``limit`` is the number of rows when nobody asks for another one. ``less`` are the
    columns that a narrow terminal may leave out, the least wanted first; amounts are never among them.
    """

    name: str
    title: str
    help: str
    group: str
    build: Callable[[Filters], Query] | None = None
    filters: frozenset[FilterName] = frozenset()
    chart: Chart | None = None
    limit: int | None = None
    kind: Literal["query", "counts", "history", "glossary", "sql", "travel"] = "query"
    less: tuple[str, ...] = ()

    def query(self, filters: Filters) -> Query:
        """The text for these filters, cut to their page; ``filters.used`` must be within ``self.filters``."""
        if self.build is None:
            raise ValueError(f"{self.name} has no query of its own")
        return self.build(filters).page(filters.limit, filters.offset)


@dataclass(frozen=True)
class Section:
    """One table of the daily report: an entry, with the filters it is asked with."""

    title: str
    entry: Entry
    filters: Filters


def where(filters: Filters, *conditions: str) -> str:
    """The WHERE clause (or nothing) of the filters and the further conditions."""
    found = list(conditions)
    if filters.du is not None:
        found.append(f"jour >= {literal(filters.du)}")
    if filters.au is not None:
        found.append(f"jour <= {literal(filters.au)}")
    for column, values in (("pays", filters.pays), ("segment", filters.segment)):
        if values:
            found.append(f"{column} IN ({', '.join(literal(value) for value in values)})")
    if filters.client is not None:
        found.append(f"client_id = {int(filters.client)}")
    return f"WHERE {' AND '.join(found)}" if found else ""


def average(total: str, count: str) -> str:
    """total ÷ count to the cent, half up, DECIMAL(28,2); null when the count is 0.

    Exact: DataFusion's decimal division cuts after the sixth decimal and never rounds up, so that the one rounding
    is the one here (a test compares it with Python's Decimal where a double rounding would show).
    """
    return (
        f"CAST(ROUND(CAST({total} AS DECIMAL(28,2)) / NULLIF(CAST({count} AS DECIMAL(18,0)), 0), 2) AS DECIMAL(28,2))"
    )


def share(total: str) -> str:
    """Per cent of the sum over all rows of the result, one decimal, half up; null when that sum is 0."""
    part = f"CAST({total} AS DECIMAL(28,2))"
    return f"CAST(ROUND(100 * {part} / NULLIF(SUM({part}) OVER (), 0), 1) AS DECIMAL(5,1))"


def listing(spec: TableSpec, order: str) -> Callable[[Filters], Query]:
    """The public columns of one table, row by row."""
    columns = ", ".join(f'"{name}"' for name in spec.public)

    def build(filters: Filters) -> Query:
        return Query(f"SELECT {columns}\nFROM {spec.name} {where(filters)}\nORDER BY {order}", (spec.name,))

    return build
