"""``reconcile``: whether every consumed offset is accounted for, and Silver equals Bronze."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from lakehouse.config import Config
from lakehouse.lake.result import Column, Kind, Result
from lakehouse.operations.commands.explain import explain
from lakehouse.operations.commands.runner import Outcome, Shown, Subparsers, Work, count, verb
from lakehouse.operations.reconcile.offset_balance import COUNTS
from lakehouse.operations.reconcile.report import Reconciliation

SHOWN = 50
"""Differences that are printed; the record keeps more."""


def add(subparsers: Subparsers) -> None:
    """Register ``reconcile`` on the command line."""
    made = verb(
        subparsers, "reconcile", reconcile, recorded=True, private=("explain",),
        examples=(
            "python ops_utils.py reconcile",
            "python ops_utils.py reconcile --without-kafka",
            "python ops_utils.py reconcile --explain ventes_par_pays France",
            "python ops_utils.py reconcile --explain ventes_aggreges 101 2026-11-22",
        ),
    )  # fmt: skip
    made.add_argument(
        "--without-kafka",
        action="store_true",
        help="do not read messages again in Kafka; what that leaves open is a difference",
    )
    made.add_argument("--by-day", action="store_true", help="one line a partition and day, not one a partition")
    made.add_argument(
        "--explain", nargs="+", metavar="TABLE KEY",
        help="instead: one Silver figure, the sales behind it and where they lie in Kafka; a key of several parts in the table's order",
    )  # fmt: skip
    made.add_argument(
        "--limit", type=count, default=100, metavar="N", help="with --explain: sales listed, at most (default 100)"
    )


def reconcile(args: argparse.Namespace, config: Config, work: Work) -> Outcome:
    """Account for every consumed Kafka offset, by partition and day, and compare Silver with Bronze key by key, to the
    cent. Exit code 1 and the places when something differs. Keeps a signed record. Runs beside the jobs."""
    if args.explain:
        return explain(args.explain, args.limit, config)
    run = Reconciliation(config, ask_kafka=not args.without_kafka, progress=work.progress)
    record = run.run()
    signed = run.sign(record)
    code = 1 if record["differences"] else 0
    return Outcome(
        {**record, **signed}, _shown(record, by_day=args.by_day), code, {"differences": record["differences"], **signed}
    )


def _shown(record: Mapping[str, Any], *, by_day: bool) -> list[Shown]:
    lines = record["per_day"] if by_day else record["per_partition"]
    shown: list[Shown] = [
        f"Kafka topic {record['topic']}, up to batch {record['batch']}: messages",
        _balance_table(lines, by_day),
    ]
    if record["per_table"]:
        shown += [
            "",
            f"Silver beside Bronze version {record['silver_bronze_version']}: sales and EUR",
            _tables(record["per_table"]),
        ]
    shown.append("")
    shown += [f"proof: {how}: {n}" for how, n in record["proofs"].items()]
    shown += [f"note: {note}" for note in record["notes"]]
    shown += [f"DIFFERENCE: {text}" for text in record["found"][:SHOWN]]
    if (more := record["differences"] - SHOWN) > 0:
        shown.append(f"and {more} more differences: --json lists them")
    if record["differences"]:
        shown.append(
            f"{record['differences']} differences were found. Nothing was changed. What each kind means and what to type next: "
            f"docs/TROUBLESHOOTING.md"
        )
    else:
        shown.append(
            "Everything that was consumed is accounted for, and Silver equals Bronze."
            if record["per_table"]
            else "Everything that was consumed is accounted for."
        )
    return shown


def _balance_table(lines: Sequence[Mapping[str, Any]], by_day: bool) -> Result:
    names = ("partition", *(("day",) if by_day else ()), *COUNTS, "difference")
    columns = tuple(Column(name, "text" if name in ("partition", "day") else "integer") for name in names)
    rows = [tuple(line[name] for name in names) for line in lines]
    if not by_day and len(rows) > 1:
        rows.append(("all", *(sum(line[name] for line in lines) for name in names[1:])))
    return Result(columns, rows)


def _tables(tables: Sequence[Mapping[str, Any]]) -> Result:
    kinds: tuple[tuple[str, Kind], ...] = (
        ("table", "text"), ("keys", "integer"), ("sales_bronze", "integer"), ("sales_silver", "integer"),
        ("amount_bronze", "text"), ("amount_silver", "text"), ("differing", "integer"),
    )  # fmt: skip
    return Result(
        tuple(Column(name, kind) for name, kind in kinds), [tuple(table[name] for name, _ in kinds) for table in tables]
    )
