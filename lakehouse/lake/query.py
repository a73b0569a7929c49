"""One SELECT over tables of the lake: its SQL text and the names of its tables; literals that are safe in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal

Dialect = Literal["spark", "local"]
"""``spark``: Spark's SQL. ``local``: DataFusion's, as ``deltalake`` brings it."""


@dataclass(frozen=True)
class Query:
    """One SELECT without LIMIT that ends in a total ORDER BY, and the tables that it names. ``optional``: those of them that have no
    rows as long as they do not exist; the SQL then begins with no WITH of its own. ``net``: it reads the view ``net_sql.NET``, which the
    reader makes of ``ventes_stream`` and the operations, if there are any."""

    sql: str
    tables: tuple[str, ...]
    optional: tuple[str, ...] = ()
    net: bool = False

    def page(self, limit: int | None, offset: int = 0) -> Query:
        """The same with LIMIT and OFFSET: the total order makes the pages of one version disjoint and complete."""
        text = self.sql
        if limit is not None:
            text += f"\nLIMIT {int(limit)}"
        if offset:
            text += f"\nOFFSET {int(offset)}"
        return Query(text, self.tables, self.optional, self.net)


def timestamp_type(timezone: str = "UTC") -> str:
    """DataFusion's type for an instant as the tables store it, in microseconds, shown in ``timezone``: for ``arrow_cast``."""
    return f"'Timestamp(Microsecond, Some(\"{timezone}\"))'"


def quoted(name: str, dialect: Dialect = "local") -> str:
    """A column's name where it could be taken for a word of SQL."""
    return f"`{name}`" if dialect == "spark" else f'"{name}"'


def named(values: Mapping[str, str], dialect: Dialect = "local") -> str:
    """What a SELECT gives: column → SQL, in this order."""
    return ", ".join(f"{sql} AS {quoted(name, dialect)}" for name, sql in values.items())


def literal(value: str | date | datetime) -> str:
    """An SQL literal; an instant must be aware. DataFusion knows no backslash escapes: doubling the quote is the whole
    rule."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return f"arrow_cast('{value.astimezone(UTC).isoformat()}', {timestamp_type()})"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    return "'" + value.replace("'", "''") + "'"
