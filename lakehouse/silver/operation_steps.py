"""Known sales that operations have changed, taken out of every Silver table as they were and put back as they are: as SQL of either engine.

A step (decision 0033) takes the operations after one version of their table up to another to the sales that Silver holds. It reads
all sales of the *touched* clients, those that a changed sale had or has, into two tables:

``context``      these sales, as Bronze has them
``operations``   all operations on them, with ``nouvelle``: whether the step brings it

``sales_before`` and ``sales_after`` are the context net of the operations without and with the new ones. A sale without a new
operation is in both alike, so that a sum over the context changes by what the changed sales change, and so does the number of clients or
of days that are counted once: the context has all sales of these clients. A row of ``shifted`` is a touched key with each measure
over the two. From the row ``t`` of the table, if it is there, and this row ``s``:

sum, count, members   t + after − before
min, max              what is right of the others and ``s``, when ``t`` rested on a sale that is no longer so
set                   t without the members that are gone, and with those that came

*The others* (``rest``) are the sales of the key: of a key with a client, the context has them all; of another key, Bronze is read
(``lost`` names the keys for which it has to be).
"""

from __future__ import annotations

from lakehouse.contract.tables import TableSpec
from lakehouse.lake import net_sql
from lakehouse.lake.net_sql import SOURCE_COLUMNS
from lakehouse.lake.query import Dialect, named, quoted
from lakehouse.silver import aggregates
from lakehouse.silver.aggregates import Aggregate, Measure, empty_set, key_values, partial_values
from lakehouse.silver.expressions import column

SALES, NEWS, CLIENTS, CONTEXT, OPERATIONS = "sales", "news", "clients", "context", "operations"
TARGET, LOST, REST = "target", "lost", "rest"
"""Tables that the statements name: Bronze's sales, the step's operations, the touched clients, and as above; a Silver table, the keys of it for
which Bronze has to be read, and what was read."""


def lot(number: int) -> int:
    """``lot`` of a step's corrections and ``_lot`` of its members: below those of batches and builds."""
    return -2 - number


GAINED = "-columns-build"
"""How the application ids of commits end by which tables gain columns: they hold no row."""


def gained_id(spec: TableSpec, generation: str) -> str:
    """The application id of the commit by which a table of an earlier release gains columns."""
    return f"{spec.name}-{generation}{GAINED}"


def app_id(spec: TableSpec, generation: str) -> str:
    """The application id of a step's commits; its number is the step's."""
    return f"{spec.name}-{generation}-operations"


# --- what a step reads -----------------------------------------------------------------------------------------------

BUYERS = f"SELECT DISTINCT client_id FROM {SALES} WHERE vente_id IN (SELECT vente_id FROM {NEWS})"
"""The clients of the changed sales, as Bronze has them: none when no sale of the operations has come yet."""
CORRECTED = (
    f"SELECT DISTINCT client_id FROM {OPERATIONS} "
    f"WHERE client_id IS NOT NULL AND vente_id IN (SELECT vente_id FROM {NEWS})"
)
"""Those that corrections give them."""
_OF_CLIENTS = f"(SELECT client_id FROM {CLIENTS})"


def context(dialect: Dialect) -> str:
    """The sales that any of ``clients`` has or had."""
    names = ", ".join(quoted(name, dialect) for name in SOURCE_COLUMNS)
    given = f"SELECT vente_id FROM {OPERATIONS} WHERE client_id IN {_OF_CLIENTS}"
    return (
        f"SELECT {names} FROM {SALES} WHERE client_id IN {_OF_CLIENTS} UNION ALL "
        f"SELECT {names} FROM {SALES} WHERE client_id NOT IN {_OF_CLIENTS} AND vente_id IN ({given})"
    )


ROW_KEYS = ("operation_id", "kafka_partition", "kafka_offset", "kafka_timestamp")
"""What tells one row of the operations from all others: a sender that gives two operations one id has two rows, and both count."""
ABOUT_CONTEXT = (
    f"SELECT o.*, n.operation_id IS NOT NULL AS nouvelle FROM {OPERATIONS} AS o LEFT JOIN {NEWS} AS n ON "
    + " AND ".join(f"o.{name} = n.{name}" for name in ROW_KEYS)
    + f" WHERE o.vente_id IN (SELECT vente_id FROM {CONTEXT})"
)
"""``operations`` of the step, from all of them."""


# --- before and after ------------------------------------------------------------------------------------------------


def states(dialect: Dialect) -> str:
    """The WITH of the statements below."""
    known = f"(SELECT * FROM {OPERATIONS} WHERE NOT nouvelle)"
    return (
        f"WITH sales_before AS ({net_sql.net(CONTEXT, known, dialect, SOURCE_COLUMNS)}), "
        f"sales_after AS ({net_sql.net(CONTEXT, OPERATIONS, dialect, SOURCE_COLUMNS)}) "
    )


_CHANGED = f"vente_id IN (SELECT vente_id FROM {OPERATIONS} WHERE nouvelle)"
DAYS = f"SELECT DISTINCT jour FROM {CONTEXT} WHERE {_CHANGED}"
"""The days of the changed sales: an operation does not change a sale's day."""


def _same(entry: Aggregate, one: str, other: str, dialect: Dialect) -> str:
    return " AND ".join(f"{one}.{quoted(key, dialect)} = {other}.{quoted(key, dialect)}" for key in entry.table.keys)


def _kept(entry: Aggregate, since: str | None) -> str:
    return f"jour >= {since}" if since and "jour" in entry.table.keys else "true"


def _keys(entry: Aggregate, dialect: Dialect, since: str | None) -> str:
    """The touched keys."""
    keys = named(key_values(entry, dialect), dialect)
    where = f"WHERE {_CHANGED} AND {_kept(entry, since)}"
    return f"SELECT {keys} FROM sales_before {where} UNION SELECT {keys} FROM sales_after {where}"


def partials(entry: Aggregate, source: str, dialect: Dialect) -> str:
    """The entry's keys and measures over ``source``, sales net of their operations. One row per key."""
    keys = key_values(entry, dialect)
    values = {**keys, **partial_values(entry, dialect, plain=False)}
    numbers = ", ".join(str(number + 1) for number in range(len(keys)))
    return f"SELECT {named(values, dialect)} FROM {source} GROUP BY {numbers}"


def has_all(entry: Aggregate) -> bool:
    """Whether the context has all sales of a key that it has one of."""
    return "client_id" in entry.table.keys


def to_read_again(entry: Aggregate) -> tuple[Measure, ...]:
    """The measures for which Bronze may have to be read."""
    for measure in entry.member_measures:
        if not has_all(entry) and measure.of != column("client_id"):
            raise NotImplementedError(
                f"{entry.table.name}.{measure.column}: members that are no clients, by a key without one"
            )
    return () if has_all(entry) else tuple(m for m in entry.measures if m.kind in ("min", "max", "set"))


def shifted(entry: Aggregate, dialect: Dialect, *, since: str | None = None, rest: bool = False) -> str:
    """One row per touched key: its key, ``a_M`` and ``b_M`` for each measure M after and before, and ``r_M`` for those of which the
    others count. ``rest``: that table is there, with the keys that were read again. ``since``: SQL of the first day that
    the table keeps. To be put behind ``states``."""
    kinds = dict(entry.table.columns)
    values = {key: f"k.{quoted(key, dialect)}" for key in entry.table.keys}
    for measure in entry.measures:
        a, b = (_or_nothing(f"{side}.{quoted(measure.column, dialect)}", measure, kinds, dialect) for side in "ab")
        values |= {f"a_{measure.column}": a, f"b_{measure.column}": b}
        if measure.kind in ("min", "max", "set"):
            again = rest and measure in to_read_again(entry)
            values[f"r_{measure.column}"] = f"coalesce(r.{quoted(measure.column, dialect)}, {a})" if again else a
    return (
        f"SELECT {named(values, dialect)} FROM ({_keys(entry, dialect, since)}) AS k "
        f"LEFT JOIN ({partials(entry, 'sales_after', dialect)}) AS a ON {_same(entry, 'k', 'a', dialect)} "
        f"LEFT JOIN ({partials(entry, 'sales_before', dialect)}) AS b ON {_same(entry, 'k', 'b', dialect)}"
        + (f" LEFT JOIN {REST} AS r ON {_same(entry, 'k', 'r', dialect)}" if rest else "")
    )


def _or_nothing(sql: str, measure: Measure, kinds: dict[str, str], dialect: Dialect) -> str:
    """A measure over no sale."""
    if measure.kind in ("min", "max"):
        return sql
    nothing = (
        empty_set(kinds[measure.column], dialect) if measure.kind == "set" else f"CAST(0 AS {kinds[measure.column]})"
    )
    return f"coalesce({sql}, {nothing})"


# --- what Bronze has to be read for ----------------------------------------------------------------------------------


def _is_lost(measure: Measure, t: str, s: dict[str, str]) -> str:
    """Whether ``t`` holds something that the others have to be asked for."""
    a, b = s["a"], s["b"]
    if measure.kind == "set":
        return f"cardinality(array_except(array_except({b}, {a}), {s['r']})) > 0"
    best = "greatest" if measure.kind == "max" else "least"
    return f"(({t} IS NOT DISTINCT FROM {b}) AND ({best}({a}, {b}) IS DISTINCT FROM {a}))"


def _sides(measure: Measure, dialect: Dialect) -> dict[str, str]:
    return {side: f"s.{quoted(f'{side}_{measure.column}', dialect)}" for side in "abr"}


def scopes(entry: Aggregate) -> tuple[str, ...]:
    """Where the others are looked for, in this order, as long as something is lost: in "its days", those of the lost keys, in "the days" of the
    changed sales, "everywhere"."""
    if "jour" in entry.table.keys or not to_read_again(entry):
        return ("its days",) if to_read_again(entry) else ()
    sets = all(measure.kind == "set" for measure in to_read_again(entry))
    return ("the days", "everywhere") if sets else ("everywhere",)


def lost(entry: Aggregate, dialect: Dialect, *, since: str | None, rest: bool) -> str:
    """The keys that have to be read again, against the Silver table ``target``. ``rest``: with what was read in some days; then the keys that
    still have to be, in all others. To be put behind ``states``."""
    keys = ", ".join(f"s.{quoted(key, dialect)}" for key in entry.table.keys)
    conditions = [
        _is_lost(measure, f"t.{quoted(measure.column, dialect)}", _sides(measure, dialect))
        for measure in to_read_again(entry)
    ]
    rows = shifted(entry, dialect, since=since, rest=rest)
    return (
        f"SELECT {keys} FROM ({rows}) AS s JOIN {TARGET} AS t ON {_same(entry, 's', 't', dialect)} "
        f"WHERE {' OR '.join(conditions)}"
    )


def read_again(entry: Aggregate, days: str | None, dialect: Dialect, *, rest: bool) -> str:
    """``rest``: the measures over all sales of the keys in ``lost``, of ``days`` (SQL, a condition) or of all. ``operations`` are all
    that there are. ``rest``: that table is there already; of the keys that are lost no more it stays as it is."""
    sold = f"(SELECT {', '.join(quoted(name, dialect) for name in SOURCE_COLUMNS)} FROM {SALES} WHERE {days or 'true'})"
    keys = ", ".join(f"p.{quoted(key, dialect)}" for key in entry.table.keys)
    values = ", ".join(f"p.{quoted(m.column, dialect)}" for m in to_read_again(entry))
    net = f"({net_sql.net(sold, OPERATIONS, dialect, SOURCE_COLUMNS)})"
    found = (
        f"SELECT {keys}, {values} FROM ({partials(entry, net, dialect)}) AS p "
        f"JOIN {LOST} AS k ON {_same(entry, 'p', 'k', dialect)}"
    )
    if not rest:
        return found
    before = f"SELECT * FROM {REST} AS r LEFT ANTI JOIN {LOST} AS k ON {_same(entry, 'r', 'k', dialect)}"
    return f"{found} UNION ALL {before}"


# --- into the tables -------------------------------------------------------------------------------------------------


def _final(measure: Measure, dialect: Dialect) -> str:
    """The measure of a row ``t`` that is there."""
    t, s = f"t.{quoted(measure.column, dialect)}", _sides(measure, dialect)
    a, b, r = s["a"], s["b"], s["r"]
    if measure.kind in ("sum", "count", "members"):
        return f"{t} + {a} - {b}"
    if measure.kind == "set":
        return f"array_sort(array_union(array_except({t}, array_except(array_except({b}, {a}), {r})), {a}))"
    best = "greatest" if measure.kind == "max" else "least"
    return f"CASE WHEN {_is_lost(measure, t, s)} THEN {best}({r}, {a}) ELSE {best}({t}, {a}) END"


def _counted(entry: Aggregate) -> tuple[Measure, Measure]:
    """What counts the sales that are not cancelled, and those that are."""
    live = next(m for m in entry.measures if m.kind == "count")
    return live, next(m for m in entry.measures if m.column == "nb_annulations")


def is_empty(entry: Aggregate, dialect: Dialect) -> str:
    """Whether no sale is left of the row ``t``."""
    return " + ".join(f"({_final(measure, dialect)})" for measure in _counted(entry)) + " = 0"


def is_row(entry: Aggregate, dialect: Dialect) -> str:
    """Whether ``s`` makes a row where none is."""
    return " + ".join(_sides(measure, dialect)["a"] for measure in _counted(entry)) + " > 0"


def update_values(entry: Aggregate, dialect: Dialect) -> dict[str, str]:
    """column → SQL of the row ``t`` after the step."""
    return aggregates.row_values(entry, {m.column: _final(m, dialect) for m in entry.measures}, dialect, keys=False)


def insert_values(entry: Aggregate, dialect: Dialect) -> dict[str, str]:
    """column → SQL of a row that is new with the step."""
    measures = {m.column: _sides(m, dialect)["a"] for m in entry.measures}
    return aggregates.row_values(entry, measures, dialect, keys=True)


# --- days that had ended ---------------------------------------------------------------------------------------------


_COUNTED = "CASE WHEN annulee THEN 0 ELSE 1 END"
CHANGES = " UNION ALL ".join(
    f"SELECT jour, pays, segment, {sign}({_COUNTED}) AS transactions, {sign}montant AS montant, {sign}quantite AS articles "
    f"FROM {source} WHERE {_CHANGED}"
    for sign, source in (("-", "sales_before"), ("", "sales_after"))
)
"""Each changed sale, twice, as a change of its day, country and segment: as it was, taken away, and as it is, added."""
