"""One SELECT over tables of the lake: its SQL text and the names of its tables; literals that are safe in it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Query:
    """One SELECT without LIMIT that ends in a total ORDER BY, and the tables that it names."""

    sql: str
    tables: tuple[str, ...]

    def page(self, limit: int | None, offset: int = 0) -> Query:
        """The same with LIMIT and OFFSET: the total order makes the pages of one version disjoint and complete."""
        text = self.sql
        if limit is not None:
            text += f"\nLIMIT {int(limit)}"
        if offset:
            text += f"\nOFFSET {int(offset)}"
        return Query(text, self.tables)


def literal(value: str | date) -> str:
    """An SQL literal. DataFusion knows no backslash escapes: doubling the quote is the whole rule."""
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    return "'" + value.replace("'", "''") + "'"
