"""Bronze = Silver, in counts and in cents, for every key of the six tables. No JVM.

Every key is compared, not only totals: two errors in one day cannot cancel out. ``streaming_silver.py --verify``
compares every column besides, with Spark.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from lakehouse.config import Config
from lakehouse.contract.tables import (
    AGGREGES,
    BESIDE,
    GENERATIONS,
    OPERATIONS,
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
from lakehouse.errors import LakehouseError, TableMissing
from lakehouse.lake import commits, delta_tables, job_progress, net_sql
from lakehouse.lake.query import Query, literal, timestamp_type
from lakehouse.lake.reader import Lake
from lakehouse.maintenance import retention
from lakehouse.maintenance.retention import Kept
from lakehouse.silver import operation_steps
from lakehouse.wording import counted, euros

LISTED = 20
"""Differing keys of one table that are named."""

_PATIENCE = 120.0
"""Seconds to wait for a moment at which no Silver batch is in progress."""


@dataclass(frozen=True)
class Figures:
    """A Silver table's columns for the number of sales, their amount in EUR, their items (None: it has none), and what it
    counts once: its column, and the column of Bronze whose different values it counts."""

    table: TableSpec
    sales: str
    amount: str
    items: str | None
    once: tuple[str, str] | None = None


_CLIENTS = ("unique_customers", "client_id")
FIGURES = (
    Figures(AGGREGES, "nb_achats", "total_depense", "total_quantite", ("nb_produits_distincts", "produit_id")),
    Figures(PAR_PAYS, "total_transactions", "revenue_total", "items_sold", _CLIENTS),
    Figures(PAR_SEGMENT, "total_transactions", "revenue_total", "items_sold", _CLIENTS),
    Figures(PAR_PRODUIT, "total_transactions", "revenue_total", "items_sold", _CLIENTS),
    Figures(TENDANCES, "total_transactions", "revenue_total", "items_sold"),
    Figures(PROFIL, "nb_achats", "total_depense", None, ("nb_jours_actifs", "jour")),
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


def has_operations(lake: Lake) -> bool:
    """Whether the figures of this moment hold operations."""
    return OPERATIONS.name in lake.versions


def read_from(lake: Lake) -> tuple[str, ...]:
    """The tables that ``sales_of`` reads."""
    return (VENTES.name, *((OPERATIONS.name,) if has_operations(lake) else ()))


def sales_of(lake: Lake) -> str:
    """Bronze's sales net of the operations that the figures hold, as a table in SQL (DataFusion's)."""
    net = net_sql.net(VENTES.name, OPERATIONS.name, "local") if has_operations(lake) else net_sql.plain(VENTES.name)
    return f"({net})"


def settled(config: Config, wait: Callable[[], None]) -> tuple[job_progress.SilverPosition, Lake] | None:
    """Silver at a moment at which no batch was in progress: its position, and a ``Lake`` that holds the tables at that
    moment, Bronze's at the versions that Silver has merged. None when Silver was never built.

    Raises ``LakehouseError`` when there is no such moment: the job is in one long pass, or broke off in one.
    """
    give_up = time.monotonic() + _PATIENCE
    before = job_progress.silver(config)
    if before is None:
        return None
    while time.monotonic() < give_up:
        if before is not None and before.settled:
            lake = Lake.of(config, versions=before.versions)
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


def last_pass(config: Config) -> tuple[job_progress.SilverPosition, Lake] | None:
    """Silver as its last completed pass left it, though another may be in hand or broken off: its position, and a ``Lake``
    at the versions of that moment. None when there is no such pass: a build is in hand, or the pass ended inside a version."""
    position = job_progress.silver(config)
    if position is None or position.batch is None:
        return None
    versions = position.versions
    for spec in SILVER:
        ended = {f"{spec.name}-{position.generation}": position.batch}
        ended[operation_steps.app_id(spec, position.generation)] = position.step
        versions[spec.name] = _before(config, spec, ended)
    return position, Lake.of(config, versions=versions)


def _before(config: Config, spec: TableSpec, ended: Mapping[str, int]) -> int:
    """The newest version of a Silver table without the commits behind the last batch that ended of each application: the job writes each
    table once a step, and in the order of the steps, so that all that came after such a commit is left out too."""
    upto = Lake.of(config).snapshot(spec.name).source.version
    newest = upto
    while upto >= 0:
        for commit in reversed(list(commits.read(config, spec, after=upto - _LOOKED_AT, upto=upto))):
            written = [ended[name] - number for name, number in commit.transactions.items() if name in ended]
            built = any(
                name.endswith("-build") and not name.endswith(operation_steps.GAINED) for name in commit.transactions
            )
            if built or any(one >= 0 for one in written):
                return newest
            if written:
                newest = commit.version - 1
        upto -= _LOOKED_AT
    return newest


_LOOKED_AT = 20
"""Commits that are read at once, from the newest on."""


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
        return f"n.client_id NOT IN (SELECT p.client_id FROM {name} AS p WHERE {old})", f"NOT ({old})", ""
    (key,) = one.table.keys
    left = f"dimension = '{key}' AND retrait IN ({retention.ids(limits.removed)})"
    return "true", "true", f"UNION ALL SELECT cle, ventes, montant, articles FROM {SOMMES.name} WHERE {left}"


def _one(lake: Lake, one: Figures, timezone: str, limits: Kept) -> TableComparison:
    of_bronze, of_silver, left = _limits(one, timezone, limits)
    if left and not _exists(lake, SOMMES):  # a removal without its sums is none of retention's
        left = ""
    keys = one.table.keys
    numbers = ", ".join(str(number + 1) for number in range(len(keys)))
    once = None if left else one.once  # how many different ones retention took away is not on record
    both = " AND ".join(f"b.{key} = s.{key}" for key in keys)
    beside = [name for name, _ in BESIDE] if has_operations(lake) and not left else []
    compared = ("n", "eur", "items", "once", *beside)
    differs = " OR ".join(f"(b.{name} IS DISTINCT FROM s.{name})" for name in compared)
    pairs = ", ".join(f"b.{name} AS b_{name}, s.{name} AS s_{name}" for name in compared)
    of_beside = "".join(f", {name}" for name in beside)
    sums_beside = "".join(f", SUM({name}) AS {name}" for name in beside)
    joined = f"""
        SELECT {", ".join(f"COALESCE(b.{key}, s.{key}) AS {key}" for key in keys)}, {pairs}, ({differs}) AS differs
        FROM (SELECT {", ".join(keys)}, SUM(n) AS n, SUM(eur) AS eur, SUM(items) AS items,
                     {"COUNT(each)" if once else _NO_NUMBER} AS once{sums_beside}
              FROM ({_sums(one, once, timezone, of_bronze, sales_of(lake), beside)} {left}) GROUP BY {numbers}) b
        FULL JOIN (SELECT {", ".join(keys)}, {one.sales} AS n, {one.amount} AS eur, {one.items or _NO_NUMBER} AS items,
                          {f"CAST({once[0]} AS BIGINT)" if once else _NO_NUMBER} AS once{of_beside}
                   FROM {one.table.name} WHERE {of_silver}) s ON {both}"""
    tables = (*read_from(lake), one.table.name, *((SOMMES.name,) if left else ()))
    totals = f"""
        SELECT COUNT(*), COALESCE(SUM(b_n), 0), COALESCE(SUM(s_n), 0), SUM(b_eur), SUM(s_eur),
               SUM(CASE WHEN differs THEN 1 ELSE 0 END) FROM ({joined})"""
    ((n, bronze, silver, bronze_eur, silver_eur, differing),) = lake.read(Query(totals, tables)).rows
    named: tuple[str, ...] = ()
    if differing:
        listed = f"SELECT * FROM ({joined}) WHERE differs ORDER BY {numbers} LIMIT {LISTED}"
        named = tuple(_named(one, row) for row in lake.read(Query(listed, tables)).rows)
    zero = Decimal("0.00")
    return TableComparison(
        one.table.name, n, bronze, silver, bronze_eur or zero, silver_eur or zero, differing or 0, named
    )


def _exists(lake: Lake, spec: TableSpec) -> bool:
    try:
        lake.snapshot(spec.name)
    except TableMissing:
        return False
    return True


_NO_NUMBER = "CAST(NULL AS BIGINT)"
_LIVE = "COUNT(*) FILTER (WHERE NOT annulee)"


def _sums(
    one: Figures, once: tuple[str, str] | None, timezone: str, where: str, sales: str, beside: Sequence[str]
) -> str:
    """SQL: sums over Bronze by key, and by the value that is counted once (``each``): to count each value once in the sum over
    these costs no more memory than to group by it."""
    keys = ", ".join(f"{key_sql(key, timezone)} AS {key}" for key in one.table.keys)
    items = "SUM(CAST(quantite AS BIGINT))" if one.items else _NO_NUMBER
    numbers = [str(number + 1) for number in range(len(one.table.keys))]
    each = f", CASE WHEN {_LIVE} > 0 THEN {once[1]} END AS each" if once else ""
    group = ", ".join([*numbers, *([once[1]] if once else [])])
    of = {"nb_annulations": "CAST(annulee AS BIGINT)"}
    more = "".join(f", SUM({of.get(name, name)}) AS {name}" for name in beside)
    return (
        f"SELECT {keys}, {_LIVE} AS n, SUM(montant) AS eur, {items} AS items{each}{more} FROM {sales} AS n WHERE {where} "
        f"GROUP BY {group}"
    )


def _named(one: Figures, row: tuple[Any, ...]) -> str:
    keys = one.table.keys
    key = " × ".join(f"{name}={value}" for name, value in zip(keys, row, strict=False))
    pairs = row[len(keys) : -1]
    names = ("sales", "revenue", "items", one.once[0] if one.once else "", *(name for name, _ in BESIDE))
    parts = [
        f"{what} {_text(found)} in Silver, {_text(expected)} in Bronze"
        for what, expected, found in zip(names, pairs[::2], pairs[1::2], strict=False)
        if found != expected
    ]
    return f"{key}: {'; '.join(parts)}"


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return euros(value) if isinstance(value, Decimal) else f"{value:,}"


def exists(config: Config) -> bool:
    """Whether every Silver table is there."""
    return all(delta_tables.exists(spec, config) for spec in SILVER)


def begun(config: Config) -> bool:
    """Whether a first build has begun: some of its tables may exist, built from Bronze as of its start."""
    return any(delta_tables.exists(spec, config) for spec in (GENERATIONS, *SILVER))


# --- operations ------------------------------------------------------------------------------------------------------

_AGES = ((timedelta(days=1), "for less than a day"), (timedelta(days=7), "for 1 to 7 days"))


def unmatched(lake: Lake, now: datetime) -> list[str]:
    """One note for the operations that Silver has read and whose sale has not come: how many, by age, and where the oldest lie."""
    if not has_operations(lake):
        return []
    known = f"SELECT vente_id FROM {VENTES.name}"
    sql = f"""
        SELECT o.kafka_timestamp, o.kafka_partition, o.kafka_offset
        FROM {OPERATIONS.name} o LEFT ANTI JOIN ({known}) s ON o.vente_id = s.vente_id
        ORDER BY o.kafka_timestamp, o.kafka_partition, o.kafka_offset"""
    rows = lake.read(Query(sql, read_from(lake))).rows
    if not rows:
        return []
    ages = Counter(next((said for limit, said in _AGES if now - came < limit), "for longer") for came, _, _ in rows)
    listed = ", ".join(f"{partition}@{offset} of {came:%Y-%m-%d %H:%M}" for came, partition, offset in rows[:LISTED])
    by_age = ", ".join(f"{ages[said]} {said}" for said in (*(said for _, said in _AGES), "for longer") if ages[said])
    more = f" and {len(rows) - LISTED} more" if len(rows) > LISTED else ""
    wait = "waits" if len(rows) == 1 else "wait"
    return [
        f"{counted(len(rows), 'operation')} {wait} for the sale: {by_age}. By partition@offset, the oldest first: {listed}{more}"
    ]


def returned_too_much(lake: Lake) -> list[str]:
    """One note for the sales of which more came back than was sold: they count as it was said."""
    if not has_operations(lake):
        return []
    sql = f"""
        SELECT kafka_partition, kafka_offset FROM {sales_of(lake)} AS n
        WHERE NOT annulee AND (montant < 0 OR quantite < 0) ORDER BY kafka_partition, kafka_offset"""
    rows = lake.read(Query(sql, read_from(lake))).rows
    if not rows:
        return []
    listed = ", ".join(f"{partition}@{offset}" for partition, offset in rows[:LISTED])
    more = f" and {len(rows) - LISTED} more" if len(rows) > LISTED else ""
    return [f"More came back than was sold of {counted(len(rows), 'sale')}, by partition@offset: {listed}{more}"]
