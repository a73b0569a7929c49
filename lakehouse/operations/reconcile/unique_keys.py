"""Rows that stand more than once: in every table, no two rows have the same identity (``TableSpec.identity``). No JVM."""

from __future__ import annotations

from typing import Any

from lakehouse.contract.tables import (
    CORRECTIONS,
    EFFACES,
    MEMBRES,
    OPERATIONS,
    PERTES,
    REJETS,
    REJOUES,
    RETRAITS,
    SILVER,
    SOMMES,
    TableSpec,
)
from lakehouse.errors import TableMissing
from lakehouse.lake.query import Query
from lakehouse.lake.reader import Lake

OF_BRONZE = (OPERATIONS, REJETS, PERTES, REJOUES, EFFACES, RETRAITS, SOMMES)
"""Tables beside ``ventes_stream``, whose sales are checked by name."""
OF_SILVER = (*SILVER, MEMBRES, CORRECTIONS)

NAMED = 20
"""Keys of one table that are named; all are counted."""


def doubled(lake: Lake, spec: TableSpec) -> list[str]:
    """One sentence for each key that stands more than once, and one for those that are not named. Raises
    ``SnapshotGone``."""
    columns = ", ".join(spec.identity)
    sql = f"""
        SELECT {columns}, n, COUNT(*) OVER () FROM (
            SELECT {columns}, COUNT(*) AS n FROM {spec.name} GROUP BY {columns} HAVING COUNT(*) > 1)
        ORDER BY {columns} LIMIT {NAMED}"""
    try:
        rows = lake.read(Query(sql, (spec.name,))).rows
    except TableMissing:
        return []
    found = [f"{spec.name} {shown(spec, row)} stands {row[-2]} times, and a key stands once" for row in rows]
    if rows and (more := rows[0][-1] - len(rows)):
        found.append(f"{spec.name}: {more} more keys stand more than once")
    return found


def shown(spec: TableSpec, row: tuple[Any, ...]) -> str:
    """The identity of a row that begins with it."""
    return " × ".join(f"{name}={value}" for name, value in zip(spec.identity, row, strict=False))
