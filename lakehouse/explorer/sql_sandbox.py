"""A person's SELECT in a process of its own: DataFusion can neither be interrupted nor told how much memory to use.

``deltalake``'s query holds the interpreter until it ends (1.6.6), so neither a timer nor Ctrl-C reaches it in its own
process. A child can be killed. It reads the versions that the parent pinned, stops at the row cap, and is ended by
the system when it asks for more memory than ``MEMORY`` (Linux).
"""

from __future__ import annotations

import json
import pickle
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.entry_point import execute
from lakehouse.errors import LakehouseError, QueryRefused
from lakehouse.explorer import sql_arithmetic
from lakehouse.explorer.sql_arithmetic import Piece
from lakehouse.lake.query import Query
from lakehouse.lake.reader import Lake, SnapshotGone
from lakehouse.lake.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakehouse.explorer.sql_guard import Checked  # it loads sqlglot, which the child does without

MEMORY = 2 * 1024**3  # bytes of private memory
ROOT = Path(__file__).resolve().parents[2]


def run(lake: Lake, checked: Checked, *, max_rows: int | None, timeout: float) -> Result:
    """The rows, without internal columns that a star brought in. Raises ``LakehouseError`` past a cap."""
    sources = tuple(lake.snapshot(name).source for name in checked.tables)
    order = json.dumps(
        {
            "base": lake.base,
            "storage_options": lake.storage_options,  # by the pipe: no argument and no log shows them
            "versions": {source.table: source.version for source in sources},
            "sql": checked.sql,
            "pieces": checked.pieces,
            "max_rows": max_rows,
            "timeout": timeout,
        }
    )
    child = subprocess.Popen(
        [sys.executable, "-m", "lakehouse.explorer.sql_sandbox"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        start_new_session=True,  # Ctrl-C reaches the parent only, which ends the child
    )
    try:
        answer, _ = child.communicate(order.encode(), timeout=timeout)
    except subprocess.TimeoutExpired:
        raise LakehouseError(
            f"The query was stopped after {timeout:g} seconds. Narrow it (WHERE jour = …), or allow more: --timeout SECONDS."
        ) from None
    finally:
        child.kill()
        child.wait()
    if child.returncode != 0 or not answer:
        raise LakehouseError(
            f"The query was ended by the system: it needed more than {MEMORY // 1024**3} GiB of memory, or broke its "
            "engine. Narrow it (WHERE jour = …), or group it."
        )
    outcome, value = pickle.loads(answer)  # from our own child, never from a file or the network
    if outcome == "gone":
        raise SnapshotGone(value, pinned=lake.version is not None or lake.at is not None or bool(lake.versions))
    if outcome == "refused":
        raise QueryRefused(value)
    if outcome == "failed":
        raise LakehouseError(value)
    return _without_internal(Result(value.columns, value.rows, sources, value.cut), checked)


def _without_internal(result: Result, checked: Checked) -> Result:
    keep = [i for i, name in enumerate(result.names) if not name.startswith("_") or name in checked.internal]
    if len(keep) == len(result.columns):
        return result
    columns = tuple(result.columns[index] for index in keep)
    return Result(columns, [tuple(row[index] for index in keep) for row in result.rows], result.sources, result.cut)


def _read(lake: Lake, sql: str, pieces: Sequence[Piece], tables: tuple[str, ...], max_rows: int | None) -> Result:
    """The rows of a statement whose integers do not wrap around, under the names that its columns have without that."""

    def plan(text: str) -> object | None:
        try:
            return lake.read(Query(f"EXPLAIN {text}", tables)).rows
        except SnapshotGone:
            raise
        except LakehouseError:
            return None

    safe = sql_arithmetic.checked(sql, pieces, plan)
    if safe == sql:
        return lake.read(Query(sql, tables), max_rows=max_rows)
    named = lake.read(Query(f"({sql}) LIMIT 0", tables)).columns
    try:
        found = lake.read(Query(safe, tables), max_rows=max_rows)
    except LakehouseError as error:
        if "is out of range Int64" not in str(error):
            raise
        raise LakehouseError(
            "The query was stopped: an integer result does not fit into BIGINT, and DataFusion would have given a wrong one. "
            "Cast an operand: CAST(… AS DECIMAL(38,0)) or CAST(… AS DOUBLE)."
        ) from None
    columns = tuple(replace(column, name=name.name) for column, name in zip(found.columns, named, strict=True))
    return Result(columns, found.rows, found.sources, found.cut)


def child() -> int:
    """Read the order, answer with a pickled (outcome, value)."""
    order = json.loads(sys.stdin.read())
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, order["timeout"] + 1)  # should the parent be gone
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    lake = Lake(order["base"], versions=order["versions"], storage_options=order["storage_options"])
    try:
        pieces = [Piece(*each) for each in order["pieces"]]
        result = _read(lake, order["sql"], pieces, tuple(order["versions"]), order["max_rows"])
        answer: tuple[str, Result | str] = ("rows", result)
    except SnapshotGone as error:
        answer = ("gone", str(error))
    except QueryRefused as error:
        answer = ("refused", str(error))
    except LakehouseError as error:
        answer = ("failed", str(error))
    sys.stdout.buffer.write(pickle.dumps(answer))
    return 0


if __name__ == "__main__":
    # ``python -m`` names this module __main__: the pickled classes live in other modules, so that is harmless.
    execute(child)
