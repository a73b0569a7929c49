"""Sales → the six Silver tables: declared in one table (``aggregates``), as SQL of either engine.

An aggregate is its keys, its measures and its derived columns. A measure is of a kind that merges: the value over old
and new sales follows from the value over the old ones and the value over the new ones, exactly. A derived column is
computed from measures, so that it never has to merge. Adding an aggregate is adding an entry here and a table in
``tables.py``: the engines know no table by name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Literal

from lakehouse.contract.tables import (
    AGGREGES,
    BESIDE,
    MEMBRES,
    MONEY,
    PAR_PAYS,
    PAR_PRODUIT,
    PAR_SEGMENT,
    PROFIL,
    TENDANCES,
    TableSpec,
)
from lakehouse.lake.query import Dialect, quoted
from lakehouse.silver.expressions import (
    NOW,
    ONE,
    Expression,
    at_least,
    big,
    column,
    hour,
    latest,
    mean,
    part,
    ranges,
    size,
)

Kind = Literal["sum", "count", "min", "max", "set", "members"]

_PARTIAL: Mapping[Dialect, Mapping[Kind, str]] = {
    "spark": {
        "sum": "sum({0})",
        "count": "count(1){2}",
        "min": "min({0}){2}",
        "max": "max({0}){2}",
        "set": "array_sort(collect_set({0}){2})",
        "members": "count(DISTINCT {0}){2}",
    },
    "local": {
        # of the column's own type, so that a sum that the column cannot hold fails instead of going on in more digits
        "sum": "CAST(sum(CAST({0} AS {1})) AS {1})",
        "count": "count(1){2}",
        "min": "min({0}){2}",
        "max": "max({0}){2}",
        "set": "array_sort(array_agg(DISTINCT {0}){2})",
        "members": "count(DISTINCT {0}){2}",
    },
}
"""A measure over sales: {0} is the expression, {1} the type of its column, {2} which sales are measured. A cancelled sale's amounts and
articles are 0, so that sums are over all."""
_LIVE = " FILTER (WHERE NOT annulee)"
_LOCAL_SET_OF_A_DAY = "array_sort(array_distinct(array_agg({0}){2}))"
"""Where a key has few sales: DataFusion's DISTINCT keeps a set a key, and takes ten times as long for a million keys. Where a
key has many sales it is the set that is small."""
_MERGED: Mapping[Kind, str] = {
    "sum": "{t} + {s}",
    "count": "{t} + {s}",
    "min": "least({t}, {s})",
    "max": "greatest({t}, {s})",
    "set": "array_sort(array_union({t}, {s}))",
    "members": "{t} + {s}",
}
"""A measure over old sales, t, and new ones, s; the same in both dialects."""

PROCESSING_TIME = "processing_time"
_NOW: Mapping[Dialect, str] = {
    # ``spark_expressions.evaluated`` in SQL: otherwise the time is a literal in the code of three stages, which every
    # pass then compiles again
    "spark": "timestamp_micros(transform(array(unix_micros(current_timestamp())), each -> each)[0])",
    "local": NOW,
}


@dataclass(frozen=True)
class Measure:
    """One column that merges. ``of`` is over a sale's columns (``net_sql``): Bronze's, net of its operations, and ``BESIDE``.

    ``set`` keeps the distinct members of a small set in the row; ``members`` keeps those of a large one in the member
    table (``tables.MEMBRES``) and counts them here, exactly.
    """

    column: str
    kind: Kind
    of: Expression = ONE


@dataclass(frozen=True)
class Aggregate:
    """One Silver table. ``keys`` of the table are Bronze columns, or what ``computed_keys`` says; ``derived`` columns are over
    the measures."""

    table: TableSpec
    measures: tuple[Measure, ...]
    derived: Mapping[str, Expression] = field(default_factory=dict)
    computed_keys: Mapping[str, Expression] = field(default_factory=dict)

    @property
    def member_measures(self) -> tuple[Measure, ...]:
        """The distinct counts whose members are in the member table."""
        return tuple(measure for measure in self.measures if measure.kind == "members")

    @property
    def compared(self) -> tuple[str, ...]:
        """The columns that a full recompute must equal: all but the time of processing."""
        return tuple(name for name in self.table.names if name not in (*self.table.keys, PROCESSING_TIME))


def member_name(entry: Aggregate, measure: Measure) -> str:
    """``mesure`` of the member table."""
    return f"{entry.table.name}.{measure.column}"


def members_have_day(entry: Aggregate, measure: Measure) -> bool:
    """Whether a member is of one day, which is then its ``jour`` in the member table."""
    return "jour" in entry.table.keys or measure.of == column("jour")


@dataclass(frozen=True)
class Thresholds:
    """The business thresholds of ``[ANALYTICS]``; ``timezone`` decides a sale's ``heure``."""

    premium: Decimal
    standard: Decimal
    loyal: int
    timezone: str


BESIDE_MEASURES = (
    Measure("revenu_brut", "sum", column("revenu_brut")),
    Measure("montant_rembourse", "sum", column("montant_rembourse")),
    Measure("nb_retours", "sum", column("nb_retours")),
    Measure("nb_annulations", "sum", big("annulee")),
)
"""What every table has: what its sales were worth, and what became of them."""


def aggregates(thresholds: Thresholds) -> tuple[Aggregate, ...]:
    """The Silver tables, in the order in which they are refreshed."""
    totals = (
        Measure("total_transactions", "count"),
        Measure("revenue_total", "sum", column("montant")),
        Measure("items_sold", "sum", big("quantite")),
    )
    return (
        Aggregate(
            AGGREGES,
            measures=(
                Measure("total_quantite", "sum", big("quantite")),
                Measure("total_depense", "sum", column("montant")),
                Measure("nb_achats", "count"),
                Measure("achat_min", "min", column("montant")),
                Measure("achat_max", "max", column("montant")),
                Measure("_dernier", "max", latest("client_nom")),
                Measure("_produits", "set", column("produit_id")),
                *BESIDE_MEASURES,
            ),
            derived={
                "client_nom": part("_dernier", "client_nom"),
                "panier_moyen": mean("total_depense", "nb_achats"),
                "nb_produits_distincts": size("_produits"),
                "est_client_fidele": at_least("nb_achats", thresholds.loyal),
                "segment_depense": ranges(
                    "total_depense",
                    (thresholds.premium, "Premium"),
                    (thresholds.standard, "Standard"),
                    below="Economy",
                ),
            },
        ),
        Aggregate(
            PAR_PAYS,
            measures=(*totals, Measure("unique_customers", "members", column("client_id")), *BESIDE_MEASURES),
            derived={"transaction_moyenne": mean("revenue_total", "total_transactions")},
        ),
        Aggregate(
            PAR_SEGMENT,
            measures=(
                *totals,
                Measure("unique_customers", "members", column("client_id")),
                Measure("_pays", "set", column("pays")),
                *BESIDE_MEASURES,
            ),
            derived={
                "transaction_moyenne": mean("revenue_total", "total_transactions"),
                "countries_count": size("_pays"),
            },
        ),
        Aggregate(
            PAR_PRODUIT,
            measures=(
                *totals,
                Measure("unique_customers", "members", column("client_id")),
                Measure("_dernier", "max", latest("produit_nom", "categorie")),
                *BESIDE_MEASURES,
            ),
            derived={"produit_nom": part("_dernier", "produit_nom"), "categorie": part("_dernier", "categorie")},
        ),
        Aggregate(
            TENDANCES,
            measures=(*totals, *BESIDE_MEASURES),
            computed_keys={"heure": hour(thresholds.timezone)},
        ),
        Aggregate(
            PROFIL,
            measures=(
                Measure("premier_achat", "min", column("timestamp")),
                Measure("dernier_achat", "max", column("timestamp")),
                Measure("nb_achats", "count"),
                Measure("total_depense", "sum", column("montant")),
                Measure("nb_jours_actifs", "members", column("jour")),
                Measure("_dernier", "max", latest("pays", "segment")),
                *BESIDE_MEASURES,
            ),
            derived={"pays": part("_dernier", "pays"), "segment": part("_dernier", "segment")},
        ),
    )


def definition(entries: Sequence[Aggregate]) -> str:
    """A fingerprint of everything that decides the tables' figures: when it changes, they have to be rebuilt. Not of the columns that
    existing tables gain without a rebuild (``BESIDE``)."""
    later = dict(BESIDE)
    facts = [
        [_ddl(entry.table, later), entry.table.keys, _texts(entry.computed_keys), _texts(entry.derived)]
        + [[m.column, m.kind, m.of.spark] for m in entry.measures if m.column not in later]
        for entry in entries
    ]
    return hashlib.sha256(json.dumps([facts, MEMBRES.ddl]).encode()).hexdigest()[:16]


def _ddl(table: TableSpec, without: Collection[str]) -> str:
    return replace(table, columns=tuple(one for one in table.columns if one[0] not in without)).ddl


def _texts(expressions: Mapping[str, Expression]) -> list[tuple[str, str]]:
    """In Spark's dialect, which was the only one when the first lakes noted their fingerprint."""
    return sorted((name, expression.noted or expression.spark) for name, expression in expressions.items())


# --- as SQL ----------------------------------------------------------------------------------------------------------


def key_values(entry: Aggregate, dialect: Dialect) -> dict[str, str]:
    """key → SQL over Bronze's columns, of the key's own type."""
    kinds = dict(entry.table.columns)
    return {
        key: f"CAST({entry.computed_keys[key].text(dialect)} AS {kinds[key]})"
        if key in entry.computed_keys and dialect == "local"
        else entry.computed_keys[key].text(dialect)
        if key in entry.computed_keys
        else quoted(key, dialect)
        for key in entry.table.keys
    }


def partial_values(entry: Aggregate, dialect: Dialect, *, plain: bool = True) -> dict[str, str]:
    """measure → SQL over the sales of one key. ``plain``: none of them has an operation, so that all are measured."""
    return {m.column: _partial(entry, m, dialect, "" if plain else _LIVE) for m in entry.measures}


def _partial(entry: Aggregate, measure: Measure, dialect: Dialect, live: str) -> str:
    kind = dict(entry.table.columns)[measure.column]
    of = measure.of.text(dialect)
    if live and kind == MONEY:  # a sale of which more came back than any amount may be: what the column can hold
        of = f"greatest({of}, {_LEAST})"
    if dialect == "local" and measure.kind == "max" and measure.of.local_max:
        most = measure.of.local_max(live)
        return f"CASE WHEN count(1){live} > 0 THEN {most} END" if live else most
    if dialect == "local" and measure.kind == "set":
        found = _LOCAL_SET_OF_A_DAY if "jour" in entry.table.keys else _PARTIAL[dialect]["set"]
        members = found.format(of, kind, live)
        return f"coalesce({members}, {empty_set(kind, dialect)})" if live else members
    return _PARTIAL[dialect][measure.kind].format(of, kind, live)


_LEAST = "CAST('-9999999999999999.99' AS DECIMAL(28,2))"


_ARROW = {"BIGINT": "Int64", "STRING": "Utf8"}


def empty_set(kind: str, dialect: Dialect) -> str:
    """An empty array of the type ``kind``."""
    if dialect == "spark":
        return f"CAST(array() AS {kind})"
    return f"arrow_cast(make_array(), 'List({_ARROW[kind.removeprefix('ARRAY<').removesuffix('>')]})')"


def gained_values(entry: Aggregate) -> dict[str, str]:
    """column → SQL of its value in a row of an earlier release, which knew no operations: what was sold is what is left."""
    net = next(m.column for m in entry.measures if m.kind == "sum" and m.of == column("montant"))
    return {name: net if name == "revenu_brut" else f"CAST(0 AS {kind})" for name, kind in BESIDE}


def row_values(entry: Aggregate, measures: Mapping[str, str], dialect: Dialect, *, keys: bool) -> dict[str, str]:
    """column → SQL of a row with these measures; the ``keys`` from ``s``, or left out."""
    values = _values(entry, measures, dialect, "s.")
    return {name: sql for name, sql in values.items() if keys or name not in entry.table.keys}


def insert_values(entry: Aggregate, dialect: Dialect = "spark", *, prefix: str = "s.") -> dict[str, str]:
    """column → SQL of a row whose key is new, from the partials ``s``."""
    return _values(entry, {m.column: f"{prefix}{quoted(m.column, dialect)}" for m in entry.measures}, dialect, prefix)


def update_values(entry: Aggregate, dialect: Dialect = "spark") -> dict[str, str]:
    """column → SQL of a row whose key exists: the row ``t`` merged with the partials ``s``."""
    merged = {
        m.column: _MERGED[m.kind].format(t=f"t.{quoted(m.column, dialect)}", s=f"s.{quoted(m.column, dialect)}")
        for m in entry.measures
    }
    return row_values(entry, merged, dialect, keys=False)


def _values(entry: Aggregate, measures: Mapping[str, str], dialect: Dialect, prefix: str) -> dict[str, str]:
    measures = {name: f"({sql})" for name, sql in measures.items()}
    known = {
        **{key: f"{prefix}{quoted(key, dialect)}" for key in entry.table.keys},
        **measures,
        **{name: expression.text(dialect).format(**measures) for name, expression in entry.derived.items()},
        PROCESSING_TIME: _NOW[dialect],
    }
    return {name: _typed(known[name], kind, dialect) for name, kind in entry.table.columns}


def _typed(sql: str, kind: str, dialect: Dialect) -> str:
    if dialect == "spark":
        return f"CAST({sql} AS {kind})"
    if kind == "TIMESTAMP" or kind.startswith(("ARRAY", "STRUCT")):
        return sql  # DataFusion's SQL has no name for these types; what makes them makes them as they are stored
    return f"CAST({sql} AS {kind})"


def merge_condition(entry: Aggregate, days: Sequence[date], dialect: Dialect = "spark") -> str:
    """Equal keys, and, for a table partitioned by jour, the touched days as literals: they prune the partitions."""
    condition = " AND ".join(f"t.{quoted(key, dialect)} = s.{quoted(key, dialect)}" for key in entry.table.keys)
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
