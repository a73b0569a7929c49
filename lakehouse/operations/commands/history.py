"""``history TABLE``: every commit with who, what, which run and which code made it, and the rows it changed."""

from __future__ import annotations

import argparse

from lakehouse.config import Config
from lakehouse.errors import LakehouseError
from lakehouse.lake import changed_rows
from lakehouse.lake import history as lake_history
from lakehouse.lake.reader import SPECS, Lake
from lakehouse.lake.result import Column, Kind, Result
from lakehouse.observability.provenance import read_origin
from lakehouse.operations.commands.runner import Outcome, Subparsers, Work, count, verb
from lakehouse.wording import counted

_COLUMNS = (
    Column("version", "integer"), Column("date_commit", "timestamp"), Column("operation", "text"), Column("who", "text"),
    Column("what", "text"), Column("run", "text"), Column("code", "text"), Column("added", "integer"),
    Column("updated", "integer"), Column("deleted", "integer"),
)  # fmt: skip


def add(subparsers: Subparsers) -> None:
    """Register ``history`` on the command line."""
    made = verb(
        subparsers, "history", history,
        examples=("python ops_utils.py history ventes_stream --limit 20", "python ops_utils.py history ventes_par_pays --version 12"),
    )  # fmt: skip
    made.add_argument("table", metavar="TABLE", choices=sorted(SPECS), help="one of the lake's tables")
    made.add_argument(
        "--limit", type=count, default=50, metavar="N", help="newest commits, or rows, at most (default 50)"
    )
    made.add_argument(
        "--version", type=int, metavar="N", help="instead: the rows that this commit added (+) and removed (-)"
    )


def history(args: argparse.Namespace, config: Config, _work: Work) -> Outcome:
    """Show a table's commits: when, who, what, which run, which version of the code, and how many rows each changed; with
    --version, the rows themselves."""
    lake = Lake.of(config)
    newest = lake.newest_handle(args.table).version()  # says when there is no such table yet
    spec = SPECS[args.table]
    if args.version is not None:
        if not 0 <= args.version <= newest:
            raise LakehouseError(
                f"Version {args.version} of {args.table} does not exist: the newest is {newest}. Type: python ops_utils.py "
                f"history {args.table}"
            )
        rows, cut = changed_rows.rows_of(spec, config.delta.base_path, args.version, args.limit)
        kinds = dict((*spec.columns, *spec.optional))
        columns = (
            Column("change", "text"),
            *(Column(name, _kind(kinds[name])) for name in changed_rows.shown(spec)),
        )
        result = Result(columns, rows, cut=cut)
        shown = (result, f"{counted(len(rows), 'row')}{', and more' if cut else ''}")
        return Outcome(
            {"version": args.version, "rows": [dict(zip(result.names, row, strict=True)) for row in rows], "cut": cut},
            shown,
        )
    found = []
    for commit in lake_history.newest(lambda: lake.newest_handle(args.table), args.limit):
        origin = read_origin(commit)
        what = " ".join(filter(None, (origin.what, str(origin.facts["batch"]) if "batch" in origin.facts else "")))
        counts = (origin.added, origin.updated, origin.deleted)
        when = lake_history.moment(commit.get("timestamp"))
        found.append(
            (
                commit["version"],
                when,
                commit.get("operation"),
                origin.who,
                what or None,
                origin.run,
                origin.code,
                *counts,
            )
        )
    result = Result(_COLUMNS, found)
    return Outcome(
        {"table": args.table, "commits": [dict(zip(result.names, row, strict=True)) for row in found]}, (result,)
    )


_KINDS: dict[str, Kind] = {
    "BIGINT": "integer", "INT": "integer", "DATE": "date", "TIMESTAMP": "timestamp", "BOOLEAN": "boolean",
    "BINARY": "binary",
}  # fmt: skip


def _kind(ddl: str) -> Kind:
    return "decimal" if ddl.startswith("DECIMAL") else _KINDS.get(ddl, "text")
