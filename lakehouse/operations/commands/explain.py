"""``reconcile --explain TABLE KEY``: from one Silver figure to the sales behind it, their operations and their Kafka offsets."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from lakehouse.config import Config
from lakehouse.contract.tables import OPERATIONS, VENTES, TableSpec
from lakehouse.errors import ConfigError, TableMissing
from lakehouse.explorer.arguments import choose
from lakehouse.explorer.formats.export import records
from lakehouse.lake import net_sql
from lakehouse.lake.query import Query, literal
from lakehouse.lake.reader import Lake
from lakehouse.lake.result import Result
from lakehouse.operations.commands.runner import Outcome, Shown
from lakehouse.operations.reconcile import silver
from lakehouse.operations.reconcile.silver import FIGURES, key_sql
from lakehouse.wording import counted, euros

_LISTED = (
    "vente_id",
    "timestamp",
    "quantite",
    "montant",
    "kafka_partition",
    "kafka_offset",
    "kafka_timestamp",
    "est_tardif",
)


def explain(words: Sequence[str], limit: int, config: Config) -> Outcome:
    """The row of one key as Silver's last completed pass left it, the sum over its sales in Bronze, and the sales. Exit code 1
    when they differ; raises ``ConfigError`` for a key that does not exist."""
    tables = {one.table.name: one for one in FIGURES}
    if words[0] not in tables:
        raise ConfigError(f"--explain knows no table {words[0]!r}. Known: {', '.join(tables)}.")
    one = tables[words[0]]
    keys = one.table.keys
    if len(words) - 1 != len(keys):
        raise ConfigError(
            f"--explain {words[0]} needs {len(keys)} words for its key ({', '.join(keys)}), and {len(words) - 1} were given."
        )
    for key, word in zip(keys, words[1:], strict=True):
        _literal(one.table, key, word)  # before anything is read
    found = None
    if silver.exists(config):
        found = silver.last_pass(config) or silver.settled(config, lambda: time.sleep(0.2))
    if found is None:
        raise TableMissing("The Silver tables are not built yet: python streaming_silver.py")
    position, lake = found
    typed = [_known(lake, one.table, key, word) for key, word in zip(keys, words[1:], strict=True)]
    literals = [_literal(one.table, key, word) for key, word in zip(keys, typed, strict=True)]
    zone = config.analytics.timezone.key
    of_silver = " AND ".join(f"{key} = {literal}" for key, literal in zip(keys, literals, strict=True))
    of_bronze = " AND ".join(f"{key_sql(key, zone)} = {literal}" for key, literal in zip(keys, literals, strict=True))
    bought = silver.sales_of(lake)
    columns = ", ".join((*keys, one.sales, one.amount, *((one.items,) if one.items else ())))
    figure = lake.read(Query(f"SELECT {columns} FROM {one.table.name} WHERE {of_silver}", (one.table.name,)))
    totals = lake.read(
        Query(
            f"SELECT COUNT(*) FILTER (WHERE NOT annulee), SUM(montant), SUM(CAST(quantite AS BIGINT)), COUNT(*) "
            f"FROM {bought} AS n WHERE {of_bronze}",
            silver.read_from(lake),
        )
    ).rows[0]
    beside = net_sql.BESIDE if silver.has_operations(lake) else ()
    listed = ", ".join(f'"{name}"' for name in (*_LISTED, *beside))
    sales = lake.read(
        Query(
            f'SELECT {listed} FROM {bought} AS n WHERE {of_bronze} ORDER BY "timestamp", vente_id LIMIT {max(limit, 0)}',
            silver.read_from(lake),
        )
    )
    if not figure.rows and not totals[3]:
        named = ", ".join(f"{key} {word}" for key, word in zip(keys, typed, strict=True))
        raise ConfigError(
            f"{one.table.name} has no row for {named}, and no sale has that key. What there is: "
            f"python query_utils.py {one.table.name} --limit 0"
        )
    row: tuple[Any, ...] = figure.rows[0][len(keys) :] if figure.rows else (0, Decimal("0.00"), 0)
    expected = (totals[0], totals[1] or Decimal("0.00"), totals[2] or 0)[: len(row)]
    equal = tuple(row) == expected
    said = f"{counted(totals[0], 'sale')}, {euros(totals[1] or Decimal('0.00'))}"
    said += f", {counted(totals[2] or 0, 'item')}" if len(row) > 2 else ""
    verdict = (
        "The sum over the sales equals the figure."
        if equal
        else "The sum over the sales is not the figure: python streaming_silver.py --verify"
    )
    done = _operations(lake, bought, of_bronze, limit)
    shown: list[Shown] = [
        f"{one.table.name} at Bronze version {position.bronze_version}:", figure, "",
        f"In {VENTES.name}: {said}.", sales, *([f"first {limit} of {totals[3]}"] if totals[3] > len(sales.rows) else []), *_below(done), verdict,
    ]  # fmt: skip
    data = {
        "table": one.table.name, "bronze_version": position.bronze_version, "figure": records(figure), "equal": equal,
        "sales": totals[0], "amount": expected[1], "listed": records(sales),
        **({} if done is None else {"operations": records(done)}),
    }  # fmt: skip
    return Outcome(data, shown, 0 if equal else 1, {"explained": one.table.name, "equal": equal})


_OPERATION = (
    "operation_id",
    "operation",
    "vente_id",
    "timestamp",
    "quantite",
    "montant",
    "revision",
    "raison",
    "kafka_partition",
    "kafka_offset",
)


def _operations(lake: Lake, bought: str, where: str, limit: int) -> Result | None:
    """The operations on the sales of a key; None when no figure holds any."""
    if not silver.has_operations(lake):
        return None
    listed = ", ".join(f'"{name}"' for name in _OPERATION)
    about = f"vente_id IN (SELECT vente_id FROM {bought} AS n WHERE {where})"
    sql = f'SELECT {listed} FROM {OPERATIONS.name} WHERE {about} ORDER BY vente_id, "timestamp", operation_id LIMIT {max(limit, 0)}'
    return lake.read(Query(sql, silver.read_from(lake)))


def _below(done: Result | None) -> list[Shown]:
    return ["", f"Operations on them, in {OPERATIONS.name}:", done] if done is not None and done.rows else []


def _known(lake: Lake, table: TableSpec, key: str, word: str) -> str:
    """The word as the tables have it, whatever its case and accents; raises ``ConfigError`` for a text that none has."""
    if dict(table.columns)[key] != "STRING":
        return word
    either = f"SELECT {key} FROM {table.name} UNION SELECT {key} FROM {VENTES.name}"
    found = lake.read(Query(f"SELECT DISTINCT {key} FROM ({either}) ORDER BY {key}", (table.name, VENTES.name)))
    return choose(word, [name for (name,) in found.rows], {"pays": "country"}.get(key, key))


def _literal(table: TableSpec, key: str, word: str) -> str:
    kind = dict(table.columns)[key]
    try:
        if kind == "DATE":
            return literal(date.fromisoformat(word))
        if kind in ("BIGINT", "INT"):
            return str(int(word))
    except ValueError:
        wanted = "a day such as 2026-11-22" if kind == "DATE" else "a whole number"
        raise ConfigError(f"--explain {table.name}: {word!r} is not accepted for {key}: expected {wanted}.") from None
    return literal(word)
