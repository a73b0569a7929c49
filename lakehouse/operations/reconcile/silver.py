"""Bronze = Silver, in counts and in cents, for every key of the six tables. No JVM.

Every key is compared, not only totals: two errors in one day cannot cancel out. ``streaming_silver.py --verify``
compares every column besides, with Spark.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from lakehouse.config import Config
from lakehouse.contract.tables import (
    AGGREGES,
    GENERATIONS,
    PAR_PAYS,
    PAR_PRODUIT,
    PAR_SEGMENT,
    PROFIL,
    SILVER,
    SOMMES,
    TENDANCES,
    VENTES,
    TableSpec,
)
from lakehouse.errors import LakehouseError
from lakehouse.lake import delta_tables, job_progress
from lakehouse.lake.query import Query, literal, timestamp_type
from lakehouse.lake.reader import Lake
from lakehouse.maintenance import retention
from lakehouse.maintenance.retention import Kept

LISTED = 20
"""Differing keys of one table that are named."""

_PATIENCE = 120.0
"""Seconds to wait for a moment at which no Silver batch is in hand."""


@dataclass(frozen=True)
class Figures:
    """A Silver table's columns for the number of sales, their amount in EUR, and their items (None: it has none)."""

    table: TableSpec
    sales: str
    amount: str
    items: str | None


FIGURES = (
    Figures(AGGREGES, "nb_achats", "total_depense", "total_quantite"),
    Figures(PAR_PAYS, "total_transactions", "revenue_total", "items_sold"),
    Figures(PAR_SEGMENT, "total_transactions", "revenue_total", "items_sold"),
    Figures(PAR_PRODUIT, "total_transactions", "revenue_total", "items_sold"),
    Figures(TENDANCES, "total_transactions", "revenue_total", "items_sold"),
    Figures(PROFIL, "nb_achats", "total_depense", None),
)


@dataclass(frozen=True)
class TableComparison:
    """One table compared with Bronze: sales, amounts, the number of differing keys, and the first of them as text."""

    table: str
    keys: int
    sales_bronze: int
    sales_silver: int
    amount_bronze: Decimal
    amount_silver: Decimal
    differing: int
    named: tuple[str, ...]


def key_sql(key: str, timezone: str) -> str:
    """A key of a Silver table as SQL over Bronze (DataFusion's)."""
    if key == "heure":
        return f"CAST(date_part('hour', arrow_cast(\"timestamp\", {timestamp_type(timezone)})) AS INT)"
    return key


def settled(config: Config, wait: Callable[[], None]) -> tuple[job_progress.SilverPosition, Lake] | None:
    """Silver at a moment at which no batch was in hand: its position, and a ``Lake`` that holds the tables at that
    moment, Bronze at the version that Silver has taken in. None when Silver was never built.

    Raises ``LakehouseError`` when there is no such moment: the job is in one long pass, or broke off in one.
    """
    give_up = time.monotonic() + _PATIENCE
    before = job_progress.silver(config)
    if before is None:
        return None
    while time.monotonic() < give_up:
        if before is not None and before.settled:
            lake = Lake.of(config, versions={VENTES.name: before.bronze_version})
            for spec in SILVER:
                lake.snapshot(spec.name)
            if job_progress.silver(config) == before:
                return before, lake
        wait()
        before = job_progress.silver(config)
    raise LakehouseError(
        f"Silver had no settled moment in {_PATIENCE:.0f} s: a pass is in hand, or one broke off. If no Silver job runs: "
        f"python streaming_silver.py, then reconcile again."
    )


def compare(
    lake: Lake, figures: Iterable[Figures], timezone: str, advance: Callable[[int], None], limits: Kept | None = None
) -> list[TableComparison]:
    """Compare every key of every table with the sum over Bronze and over what retention removed from it. Raises
    ``SnapshotGone``."""
    found = []
    for one in figures:
        found.append(_one(lake, one, timezone, limits or Kept()))
        advance(1)
    return found


def _limits(one: Figures, timezone: str, limits: Kept) -> tuple[str, str, str]:
    """SQL: which rows of Bronze and which of Silver are compared, and the keys and sums that retention took out of Bronze.
    A client whose first sale is older than what Bronze holds is left out: whose sales left is not on record."""
    name, since = one.table.name, limits.since.get(one.table.name)
    if since is None:
        return "true", "true", ""
    if "jour" in one.table.keys:
        return f"jour >= {literal(since)}", f"jour >= {literal(since)}", ""
    if one.table is PROFIL:
        at = datetime.combine(since, datetime.min.time(), ZoneInfo(timezone))
        old = f"premier_achat < {literal(at)}"
        return f"client_id NOT IN (SELECT client_id FROM {name} WHERE {old})", f"NOT ({old})", ""
    (key,) = one.table.keys
    left = f"dimension = '{key}' AND retrait IN ({retention.ids(limits.removed)})"
    return "true", "true", f"UNION ALL SELECT cle, ventes, montant, articles FROM {SOMMES.name} WHERE {left}"


def _one(lake: Lake, one: Figures, timezone: str, limits: Kept) -> TableComparison:
    of_bronze, of_silver, left = _limits(one, timezone, limits)
    keys = one.table.keys
    grouped = ", ".join(f"{key_sql(key, timezone)} AS {key}" for key in keys)
    numbers = ", ".join(str(number + 1) for number in range(len(keys)))
    items = one.items or "CAST(NULL AS BIGINT)"
    bronze_items = "SUM(CAST(quantite AS BIGINT))" if one.items else "CAST(NULL AS BIGINT)"
    both = " AND ".join(f"b.{key} = s.{key}" for key in keys)
    differs = " OR ".join(f"(b.{name} IS DISTINCT FROM s.{name})" for name in ("n", "eur", "items"))
    joined = f"""
        SELECT {", ".join(f"COALESCE(b.{key}, s.{key}) AS {key}" for key in keys)},
               b.n AS bn, s.n AS sn, b.eur AS be, s.eur AS se, b.items AS bi, s.items AS si, ({differs}) AS differs
        FROM (SELECT {", ".join(keys)}, SUM(n) AS n, SUM(eur) AS eur, SUM(items) AS items FROM (
                SELECT {grouped}, COUNT(*) AS n, SUM(montant) AS eur, {bronze_items} AS items
                FROM {VENTES.name} WHERE {of_bronze} GROUP BY {numbers} {left}) GROUP BY {numbers}) b
        FULL JOIN (SELECT {", ".join(keys)}, {one.sales} AS n, {one.amount} AS eur, {items} AS items
                   FROM {one.table.name} WHERE {of_silver}) s ON {both}"""
    tables = (VENTES.name, one.table.name, *((SOMMES.name,) if left else ()))
    totals = f"""
        SELECT COUNT(*), COALESCE(SUM(bn), 0), COALESCE(SUM(sn), 0), SUM(be), SUM(se),
               SUM(CASE WHEN differs THEN 1 ELSE 0 END) FROM ({joined})"""
    ((n, bronze, silver, bronze_eur, silver_eur, differing),) = lake.read(Query(totals, tables)).rows
    named: tuple[str, ...] = ()
    if differing:
        listed = f"SELECT * FROM ({joined}) WHERE differs ORDER BY {numbers} LIMIT {LISTED}"
        named = tuple(_named(row, keys) for row in lake.read(Query(listed, tables)).rows)
    zero = Decimal("0.00")
    return TableComparison(
        one.table.name, n, bronze, silver, bronze_eur or zero, silver_eur or zero, differing or 0, named
    )


def _named(row: tuple[Any, ...], keys: tuple[str, ...]) -> str:
    key = " × ".join(f"{name}={value}" for name, value in zip(keys, row, strict=False))
    bn, sn, be, se, bi, si = row[len(keys) : len(keys) + 6]
    parts = [
        f"{what} {found if found is not None else 'none'} in Silver, {expected if expected is not None else 'none'} in Bronze"
        for what, found, expected in (("sales", sn, bn), ("EUR", se, be), ("items", si, bi))
        if found != expected
    ]
    return f"{key}: {'; '.join(parts)}"


def exists(config: Config) -> bool:
    """Whether every Silver table is there."""
    return all(delta_tables.exists(spec, config) for spec in SILVER)


def begun(config: Config) -> bool:
    """Whether a first build has begun: some of its tables may exist, built from Bronze as of its start."""
    return any(delta_tables.exists(spec, config) for spec in (GENERATIONS, *SILVER))
