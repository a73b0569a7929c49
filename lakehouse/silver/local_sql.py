"""The declared aggregates as DataFusion's SQL: what the local engine asks of ``sales`` and of the Silver tables.

``sales`` are sales net of their operations (``net_sql``): of the new files of a batch, or of Bronze itself. Other tables have their own names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date

from lakehouse.contract.tables import CORRECTIONS, MEMBRES, TENDANCES, TableSpec
from lakehouse.lake.query import literal, named, quoted
from lakehouse.silver import aggregates
from lakehouse.silver.aggregates import Aggregate, Measure, day_condition, key_values, member_name, members_have_day
from lakehouse.silver.expressions import NOW

SALES = "sales"
BY_DAY = f"SELECT jour, count(1) AS n FROM {SALES} GROUP BY jour"


def _where(*conditions: str | None) -> str:
    said = [f"({each})" for each in conditions if each]
    return f"WHERE {' AND '.join(said)}" if said else ""


def _since(day: date | None) -> str | None:
    return f"jour >= {literal(day)}" if day else None


Span = tuple[date, date]
"""The first and the last of some days that follow each other."""


def _within(span: Span | None) -> str | None:
    return f"jour BETWEEN {literal(span[0])} AND {literal(span[1])}" if span else None


def within(span: Span | None) -> str:
    """The WHERE of some days."""
    return _where(_within(span))


# --- aggregates ------------------------------------------------------------------------------------------------------


def partials(
    entry: Aggregate, since: date | None, span: Span | None = None, *, plain: bool = True, members: bool = True
) -> str:
    """The entry's keys and measures over ``sales`` from ``since`` on, of all days or those of ``span``. One row per key;
    ``members`` are counted within it. ``plain``: no sale has an operation."""
    keys = key_values(entry, "local")
    numbers = ", ".join(str(number + 1) for number in range(len(keys)))
    left_out = () if members else {measure.column for measure in entry.member_measures}
    measures = aggregates.partial_values(entry, "local", plain=plain).items()
    values = {**keys, **{name: sql for name, sql in measures if name not in left_out}}
    return f"SELECT {named(values)} FROM {SALES} {_where(_since(since), _within(span))} GROUP BY {numbers}"


def rows(entry: Aggregate, since: date | None, span: Span | None = None, *, plain: bool = True) -> str:
    """The table as a recompute of ``sales`` gives it, all of it or the days of ``span``, with every column in order."""
    values = aggregates.insert_values(entry, "local", prefix="")
    return f"SELECT {named(values)} FROM ({partials(entry, since, span, plain=plain)})"


def new_partials(
    entry: Aggregate, since: date | None, days: Sequence[date], batch_id: int, *, plain: bool = True
) -> str:
    """``partials``, in which a count of members is that of those which are new with the batch."""
    sql = f"({partials(entry, since, plain=plain, members=False)}) AS p"
    dated = "jour" in entry.table.keys
    key = _key(entry, {name: f"p.{quoted(name, 'local')}" for name in entry.table.keys})
    columns = {name: f"p.{quoted(name, 'local')}" for name in (*entry.table.keys, *(m.column for m in entry.measures))}
    for number, measure in enumerate(entry.member_measures):
        by, new = ("cle, jour" if dated else "cle"), f"n{number}"
        found = f"mesure = {literal(member_name(entry, measure))}"
        pruned = _where(found, partitions(days), f"_lot = {int(batch_id)}")
        same = f"{new}.cle = {key}" + (f" AND {new}.jour = p.jour" if dated else "")
        sql += f" LEFT JOIN (SELECT {by}, count(1) AS n FROM {MEMBRES.name} {pruned} GROUP BY {by}) AS {new} ON {same}"
        columns[measure.column] = f"coalesce({new}.n, 0)"
    return f"SELECT {named(columns)} FROM {sql}"


def row_counts(entries: Sequence[Aggregate]) -> str:
    """About how many rows each table has that is built from ``sales``: one row of numbers."""
    keys = (key_values(entry, "local").values() for entry in entries)
    texts = (" || ' ' || ".join(f"CAST({sql} AS STRING)" for sql in each) for each in keys)
    return (
        f"SELECT {', '.join(f'approx_distinct({text}) AS n{number}' for number, text in enumerate(texts))} FROM {SALES}"
    )


# --- the members of large distinct counts ----------------------------------------------------------------------------

_ESCAPES = {'"': '\\"', "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_CONTROL = {chr(code): f"\\u{code:04X}" for code in range(32)}
_ODD = '[\\x00-\\x1f"\\\\]'


def _key(entry: Aggregate, columns: Mapping[str, str]) -> str:
    """The row's key but for its day, as the JSON text that Spark's ``to_json`` makes of it. ``columns``: the SQL of each key."""
    kinds = dict(entry.table.columns)
    fields: list[str] = []
    for name in entry.table.keys:
        if name != "jour":
            start = "{" if not fields else ","
            fields.append(f"{literal(f'{start}{json.dumps(name)}:')} || {_json(columns[name], kinds[name])}")
    return " || ".join((*fields, "'}'")) if fields else "'{}'"


def _json(sql: str, kind: str) -> str:
    if kind in ("BIGINT", "INT", "BOOLEAN"):
        return f"CAST({sql} AS STRING)"
    if kind == "DATE":
        return f"'\"' || CAST({sql} AS STRING) || '\"'"
    if kind == "STRING":
        escaped = f"replace({sql}, {literal(chr(92))}, {literal(chr(92) * 2)})"
        for char, said in {**_CONTROL, **_ESCAPES}.items():
            escaped = f"replace({escaped}, {_char(char)}, {literal(said)})"
        return f"'\"' || CASE WHEN regexp_like({sql}, {literal(_ODD)}) THEN {escaped} ELSE {sql} END || '\"'"
    raise NotImplementedError(f"a distinct count with members by a key of type {kind}")


def _char(char: str) -> str:
    return literal(char) if char == '"' else f"chr({ord(char)})"


def members(entries: Sequence[Aggregate], source: str = SALES) -> str:
    """The distinct members in ``sales`` of every large distinct count, as the member table has them, without ``_lot``."""
    return " UNION ALL ".join(
        members_of(entry, measure, source=source) for entry in entries for measure in entry.member_measures
    )


def members_of(entry: Aggregate, measure: Measure, span: Span | None = None, *, source: str = SALES) -> str:
    """Those of one count; of a dated one, all of them or those of ``span``. Made distinct as they are, and then written as
    texts, which there are fewer of."""
    dated = members_have_day(entry, measure)
    keys = {f"k{number}": sql for number, sql in enumerate(key_values(entry, "local").values())}
    of_key = dict(zip(entry.table.keys, keys, strict=True))
    found = {**keys, **({"jour": "jour"} if dated else {}), "membre": measure.of.local}
    values = {
        "mesure": literal(member_name(entry, measure)),
        "jour": "jour" if dated else "CAST(NULL AS DATE)",
        "cle": _key(entry, of_key),
        "membre": "CAST(membre AS STRING)",
    }
    return f"SELECT {named(values)} FROM (SELECT DISTINCT {named(found)} FROM {source} {_where('NOT annulee', _within(span))})"


def with_batch(found: str, batch_id: int) -> str:
    """The members with the number of the batch that saw them first."""
    return f"SELECT mesure, jour, cle, membre, CAST({int(batch_id)} AS BIGINT) AS _lot FROM ({found})"


def partitions(days: Sequence[date]) -> str:
    """SQL that prunes the member table to the partitions that sales of ``days`` can touch."""
    return f"(jour IS NULL OR {day_condition(MEMBRES, days) or 'true'})"


def new_members(entries: Sequence[Aggregate], days: Sequence[date], batch_id: int) -> str:
    """Those members of ``sales`` that the member table does not have."""
    known = f"(SELECT * FROM {MEMBRES.name} {_where(partitions(days))})"
    same = "f.mesure = k.mesure AND f.cle = k.cle AND f.membre = k.membre AND f.jour IS NOT DISTINCT FROM k.jour"
    return with_batch(f"SELECT f.* FROM ({members(entries)}) AS f LEFT ANTI JOIN {known} AS k ON {same}", batch_id)


def changed_members(entries: Sequence[Aggregate], lot: int) -> str:
    """The members that are gone with a step of operations (``gone``), and those that came: behind ``operation_steps.states``."""
    before, after = (f"({members(entries, source)})" for source in ("sales_before", "sales_after"))
    same = "f.mesure = k.mesure AND f.cle = k.cle AND f.membre = k.membre AND f.jour IS NOT DISTINCT FROM k.jour"
    return " UNION ALL ".join(
        f"SELECT f.*, CAST({int(lot)} AS BIGINT) AS _lot, {gone} AS gone FROM {one} AS f LEFT ANTI JOIN {other} AS k ON {same}"
        for one, other, gone in ((before, after, "true"), (after, before, "false"))
    )


# --- days that had ended ---------------------------------------------------------------------------------------------

_KEYS = ("jour", "pays", "segment")
_FIGURES = ("transactions", "montant", "articles")
ADDED = (
    f"SELECT {', '.join(_KEYS)}, CASE WHEN annulee THEN 0 ELSE 1 END AS transactions, montant, "
    f"CAST(quantite AS BIGINT) AS articles FROM {SALES}"
)
"""Each sale as a change of its day, country and segment."""
REVERSED = (
    f"SELECT {', '.join(_KEYS)}, -total_transactions AS transactions, -revenue_total AS montant, "
    f"-items_sold AS articles FROM {TENDANCES.name}"
)
"""Each row of ``tendances_horaires`` as the change that reverses it."""


def corrections(changes: Sequence[str], today: date, generation: str, batch_id: int) -> str:
    """``changes`` to the days before ``today``, summed up to one row per jour × pays × segment; those that cancel out are
    left out."""
    kinds = dict(CORRECTIONS.columns)
    sums = ", ".join(f"CAST(sum(CAST({name} AS {kinds[name]})) AS {kinds[name]}) AS {name}" for name in _FIGURES)
    keys = ", ".join(_KEYS)
    summed = f"SELECT {keys}, {sums} FROM ({' UNION ALL '.join(changes)}) {_where(f'jour < {literal(today)}')} GROUP BY {keys}"
    values = {
        **{name: name for name in (*_KEYS, *_FIGURES)},
        "date_correction": NOW,
        "generation": literal(generation),
        "lot": f"CAST({int(batch_id)} AS BIGINT)",
    }
    ordered = {name: values[name] for name in CORRECTIONS.names}
    return f"SELECT {named(ordered)} FROM ({summed}) {_where(' OR '.join(f'{name} <> 0' for name in _FIGURES))}"


# --- comparison ------------------------------------------------------------------------------------------------------


def differences(entry: Aggregate, since: date | None, limit: int, *, plain: bool = True) -> str:
    """The rows in which the table differs from the recompute: its key, whether each side has it, then each compared column
    of the recompute and of the table."""
    keys, columns = entry.table.keys, entry.compared
    both = " AND ".join(f"e.{quoted(key, 'local')} = a.{quoted(key, 'local')}" for key in keys)
    pairs = [(f"e.{quoted(name, 'local')}", f"a.{quoted(name, 'local')}") for name in columns]
    values = {
        **{f"k{n}": f"coalesce(e.{quoted(key, 'local')}, a.{quoted(key, 'local')})" for n, key in enumerate(keys)},
        "expected": "e.present IS NOT NULL",
        "found": "a.present IS NOT NULL",
        **{f"e{n}": e for n, (e, _) in enumerate(pairs)},
        **{f"a{n}": a for n, (_, a) in enumerate(pairs)},
    }
    differs = " OR ".join(
        ["e.present IS NULL", "a.present IS NULL", *(f"({e} IS DISTINCT FROM {a})" for e, a in pairs)]
    )
    order = ", ".join(str(number + 1) for number in range(len(keys)))
    actual = f"(SELECT *, true AS present FROM {entry.table.name} {_where(_since(since))})"
    expected = f"(SELECT *, true AS present FROM ({rows(entry, since, plain=plain)}))"
    return (
        f"SELECT {named(values)} FROM {expected} AS e FULL JOIN {actual} AS a ON {both} WHERE {differs} "
        f"ORDER BY {order} LIMIT {int(limit)}"
    )


def doubled(spec: TableSpec, limit: int) -> str:
    """The identities (``TableSpec.identity``) that stand more than once in a table, and how often."""
    keys = ", ".join(quoted(key, "local") for key in spec.identity)
    return f"SELECT {keys}, count(1) AS n FROM {spec.name} GROUP BY {keys} HAVING count(1) > 1 ORDER BY {keys} LIMIT {int(limit)}"
