"""Sales → the six Silver tables, declared in one table (``AGGREGATES``) and computed by one engine.

An aggregate is its keys, its measures and its derived columns. A measure is of a kind that merges: the value over old
and new sales follows from the value over the old ones and the value over the new ones, exactly. A derived column is
computed from measures, so that it never has to merge. Adding an aggregate is adding an entry here and a table in
``tables.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse.contract.tables import (
    AGGREGES,
    MEMBRES,
    PAR_PAYS,
    PAR_PRODUIT,
    PAR_SEGMENT,
    PROFIL,
    TENDANCES,
    TableSpec,
)

Kind = Literal["sum", "count", "min", "max", "set", "members"]

_PARTIAL: Mapping[str, str] = {
    "sum": "sum({0})",
    "count": "count(1)",
    "min": "min({0})",
    "max": "max({0})",
    "set": "array_sort(collect_set({0}))",
    "members": "count(DISTINCT {0})",
}
_MERGED: Mapping[str, str] = {
    "sum": "t.`{0}` + s.`{0}`",
    "count": "t.`{0}` + s.`{0}`",
    "min": "least(t.`{0}`, s.`{0}`)",
    "max": "greatest(t.`{0}`, s.`{0}`)",
    "set": "array_sort(array_union(t.`{0}`, s.`{0}`))",
    "members": "t.`{0}` + s.`{0}`",
}

PROCESSING_TIME = "processing_time"
_NOW = "timestamp_micros(transform(array(unix_micros(current_timestamp())), each -> each)[0])"
"""``expressions.evaluated`` in SQL: otherwise the time is a literal in the code of three stages, which every pass then compiles again."""


@dataclass(frozen=True)
class Measure:
    """One column that merges. ``of`` is SQL over Bronze's columns.

    ``set`` keeps the distinct members of a small set in the row; ``members`` keeps those of a large one in the member
    table (``tables.MEMBRES``) and counts them here, exactly.
    """

    column: str
    kind: Kind
    of: str = "1"


@dataclass(frozen=True)
class Aggregate:
    """One Silver table. ``keys`` of the table are Bronze columns, or SQL in ``key_sql``; ``derived`` is SQL in which
    ``{name}`` stands for a measure."""

    table: TableSpec
    measures: tuple[Measure, ...]
    derived: Mapping[str, str] = field(default_factory=dict)
    key_sql: Mapping[str, str] = field(default_factory=dict)

    @property
    def member_measures(self) -> tuple[Measure, ...]:
        """The distinct counts whose members are in the member table."""
        return tuple(measure for measure in self.measures if measure.kind == "members")

    @property
    def compared(self) -> tuple[str, ...]:
        """The columns that a full recompute must equal: all but the time of processing."""
        return tuple(name for name in self.table.names if name not in (*self.table.keys, PROCESSING_TIME))


@dataclass(frozen=True)
class Thresholds:
    """The business thresholds of ``[ANALYTICS]``; ``timezone`` decides a sale's ``heure``."""

    premium: Decimal
    standard: Decimal
    loyal: int
    timezone: str


def _latest(*columns: str) -> str:
    """The sale that names a client or a product: the latest by event time, then by id, so that ties have one winner."""
    pairs = ", ".join(f"'{name}', {name}" for name in ("timestamp", "vente_id", *columns))
    return f"named_struct({pairs})"


def aggregates(thresholds: Thresholds) -> tuple[Aggregate, ...]:
    """The Silver tables, in the order in which they are refreshed."""
    mean = "CAST(round({{{0}}} / {{{1}}}, 2) AS DECIMAL(28,2))"
    totals = (
        Measure("total_transactions", "count"),
        Measure("revenue_total", "sum", "montant"),
        Measure("items_sold", "sum", "CAST(quantite AS BIGINT)"),
    )
    return (
        Aggregate(
            AGGREGES,
            measures=(
                Measure("total_quantite", "sum", "CAST(quantite AS BIGINT)"),
                Measure("total_depense", "sum", "montant"),
                Measure("nb_achats", "count"),
                Measure("achat_min", "min", "montant"),
                Measure("achat_max", "max", "montant"),
                Measure("_dernier", "max", _latest("client_nom")),
                Measure("_produits", "set", "produit_id"),
            ),
            derived={
                "client_nom": "{_dernier}.client_nom",
                "panier_moyen": mean.format("total_depense", "nb_achats"),
                "nb_produits_distincts": "size({_produits})",
                "est_client_fidele": f"{{nb_achats}} >= {thresholds.loyal}",
                "segment_depense": (
                    f"CASE WHEN {{total_depense}} >= {thresholds.premium:f}BD THEN 'Premium' "
                    f"WHEN {{total_depense}} >= {thresholds.standard:f}BD THEN 'Standard' "
                    "WHEN {total_depense} IS NOT NULL THEN 'Economy' END"
                ),
            },
        ),
        Aggregate(
            PAR_PAYS,
            measures=(*totals, Measure("unique_customers", "members", "client_id")),
            derived={"transaction_moyenne": mean.format("revenue_total", "total_transactions")},
        ),
        Aggregate(
            PAR_SEGMENT,
            measures=(*totals, Measure("unique_customers", "members", "client_id"), Measure("_pays", "set", "pays")),
            derived={
                "transaction_moyenne": mean.format("revenue_total", "total_transactions"),
                "countries_count": "size({_pays})",
            },
        ),
        Aggregate(
            PAR_PRODUIT,
            measures=(
                *totals,
                Measure("unique_customers", "members", "client_id"),
                Measure("_dernier", "max", _latest("produit_nom", "categorie")),
            ),
            derived={"produit_nom": "{_dernier}.produit_nom", "categorie": "{_dernier}.categorie"},
        ),
        Aggregate(
            TENDANCES,
            measures=totals,
            key_sql={"heure": f"hour(from_utc_timestamp(`timestamp`, '{thresholds.timezone}'))"},
        ),
        Aggregate(
            PROFIL,
            measures=(
                Measure("premier_achat", "min", "`timestamp`"),
                Measure("dernier_achat", "max", "`timestamp`"),
                Measure("nb_achats", "count"),
                Measure("total_depense", "sum", "montant"),
                Measure("nb_jours_actifs", "members", "jour"),
                Measure("_dernier", "max", _latest("pays", "segment")),
            ),
            derived={"pays": "{_dernier}.pays", "segment": "{_dernier}.segment"},
        ),
    )


def definition(entries: Sequence[Aggregate]) -> str:
    """A fingerprint of everything that decides the tables' figures: when it changes, they have to be rebuilt."""
    facts = [
        [entry.table.ddl, entry.table.keys, sorted(entry.key_sql.items()), sorted(entry.derived.items())]
        + [[m.column, m.kind, m.of] for m in entry.measures]
        for entry in entries
    ]
    return hashlib.sha256(json.dumps([facts, MEMBRES.ddl]).encode()).hexdigest()[:16]


# --- the engine ------------------------------------------------------------------------------------------------------


def key_columns(entry: Aggregate) -> list[Column]:
    """The keys, computed from Bronze's columns."""
    return [F.expr(entry.key_sql.get(key, f"`{key}`")).alias(key) for key in entry.table.keys]


def partial(sales: DataFrame, entry: Aggregate) -> DataFrame:
    """The entry's keys and measures over ``sales`` alone. One row per key; members are counted within ``sales``."""
    measures = [F.expr(_PARTIAL[m.kind].format(m.of)).alias(m.column) for m in entry.measures]
    return sales.groupBy(*key_columns(entry)).agg(*measures)


def complete(partials: DataFrame, entry: Aggregate) -> DataFrame:
    """``partials`` as full rows of the table: derived columns computed, every column with its type, in order."""
    return partials.select(*(F.expr(sql).alias(name) for name, sql in insert_values(entry, prefix="").items()))


def insert_values(entry: Aggregate, *, prefix: str = "s.") -> dict[str, str]:
    """column → SQL of a row whose key is new, from the partials ``s``."""
    return _values(entry, {m.column: f"{prefix}`{m.column}`" for m in entry.measures}, prefix)


def update_values(entry: Aggregate) -> dict[str, str]:
    """column → SQL of a row whose key exists: the row ``t`` merged with the partials ``s``."""
    values = _values(entry, {m.column: _MERGED[m.kind].format(m.column) for m in entry.measures}, "s.")
    return {name: sql for name, sql in values.items() if name not in entry.table.keys}


def _values(entry: Aggregate, measures: Mapping[str, str], prefix: str) -> dict[str, str]:
    measures = {name: f"({sql})" for name, sql in measures.items()}
    known = {
        **{key: f"{prefix}`{key}`" for key in entry.table.keys},
        **measures,
        **{name: sql.format(**measures) for name, sql in entry.derived.items()},
        PROCESSING_TIME: _NOW,
    }
    return {name: f"CAST({known[name]} AS {kind})" for name, kind in entry.table.columns}


def merge_condition(entry: Aggregate, days: Sequence[date]) -> str:
    """Equal keys, and, for a table partitioned by jour, the touched days as literals: they prune the partitions."""
    condition = " AND ".join(f"t.`{key}` = s.`{key}`" for key in entry.table.keys)
    literal = day_condition(entry.table, days, alias="t.")
    return f"{literal} AND {condition}" if literal else condition


def day_condition(table: TableSpec, days: Sequence[date], *, alias: str = "") -> str | None:
    """SQL that prunes ``table`` to ``days``; None when it is not partitioned by jour. Very many days become a span."""
    if "jour" not in table.partition_by or not days:
        return None
    if len(days) > 1000:
        return f"{alias}jour BETWEEN DATE'{min(days)}' AND DATE'{max(days)}'"
    named = ", ".join(f"DATE'{day}'" for day in sorted(days))
    return f"{alias}jour IN ({named})"


def differences(expected: DataFrame, actual: DataFrame, entry: Aggregate) -> DataFrame:
    """One row per differing cell: the key as text, the column, both values as text. A row that only one side has is
    one difference, in the column ``*``."""
    keys, columns = list(entry.table.keys), entry.compared
    left = expected.select(*keys, F.struct(*columns).alias("e"))
    right = actual.select(*keys, F.struct(*columns).alias("a"))
    joined = left.join(right, keys, "full_outer")

    def text(column: Column) -> Column:
        return F.coalesce(column.cast("string"), F.lit("null"))

    def cell(name: str, a: Column, b: Column) -> Column:
        return F.struct(F.lit(name).alias("colonne"), text(a).alias("attendu"), text(b).alias("trouve"))

    both = F.col("e").isNotNull() & F.col("a").isNotNull()
    cells = F.when(
        both,
        F.filter(
            F.array(
                *(
                    F.when(~F.col(f"e.{c}").eqNullSafe(F.col(f"a.{c}")), cell(c, F.col(f"e.{c}"), F.col(f"a.{c}")))
                    for c in columns
                )
            ),
            lambda item: item.isNotNull(),
        ),
    ).otherwise(F.array(cell("*", F.col("e"), F.col("a"))))
    return joined.select(_shown(keys).alias("cle"), F.explode(cells).alias("d")).select("cle", "d.*")


def doubled(rows: DataFrame, table: TableSpec) -> DataFrame:
    """One row, as of ``differences``, for each identity (``TableSpec.identity``) that stands more than once in ``rows``."""
    keys = table.identity
    found = rows.groupBy(*keys).count().where("count > 1")
    counted = F.concat(F.col("count").cast("string"), F.lit(" rows")).alias("trouve")
    return found.select(
        _shown(keys).alias("cle"), F.lit("*").alias("colonne"), F.lit("1 row").alias("attendu"), counted
    )


def _shown(keys: Sequence[str]) -> Column:
    """A row's key as text."""
    return F.concat_ws(" × ", *(F.concat(F.lit(f"{key}="), F.col(key).cast("string")) for key in keys))
