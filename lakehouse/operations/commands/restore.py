"""``restore-table TABLE --version N``: a guarded rollback."""

from __future__ import annotations

import argparse

from lakehouse.config import Config
from lakehouse.contract.tables import TableSpec
from lakehouse.lake.reader import SPECS
from lakehouse.operations.commands.runner import Outcome, Subparsers, Work, verb
from lakehouse.operations.recovery import restore as recovery_restore
from lakehouse.wording import counted


def add(subparsers: Subparsers) -> None:
    """Register ``restore-table`` on the command line."""
    made = verb(
        subparsers, "restore-table", restore, writes=True, dangerous=True,
        examples=(
            "python ops_utils.py restore-table ventes_stream --version 41 --dry-run",
            "python ops_utils.py restore-table ventes_stream --version 41",
        ),
    )  # fmt: skip
    made.add_argument("table", metavar="TABLE", choices=sorted(SPECS), help="a table of Bronze or Silver")
    made.add_argument(
        "--version", type=int, required=True, metavar="N", help="the version to go back to: see history TABLE"
    )


def restore(args: argparse.Namespace, config: Config, work: Work) -> Outcome:
    """Make a table what it was at an earlier version, after saying what changes and what the streams downstream will do.
    The jobs that write it must be stopped; their next start makes everything consistent again."""
    spec = recovery_restore.check(args.table)
    if work.dry_run:
        found = _planned(args.version, spec, config, work)
        return Outcome(_data(found), (*_said(found), "Nothing was changed."))
    with recovery_restore.locked(config, spec):
        found = _planned(args.version, spec, config, work)
        work.confirm("\n".join(_said(found)), spec.name)
        with work.progress(f"restoring {spec.name}"):
            done = recovery_restore.restore(config, found)
    shown = (*_said(found), *(f"done: {line}" for line in done))
    return Outcome(
        {**_data(found), "done": done},
        shown,
        0,
        {"version": found.version, "leaving": found.leaving, "returning": found.returning},
    )


def _planned(version: int, spec: TableSpec, config: Config, work: Work) -> recovery_restore.RestorePlan:
    with work.progress(f"comparing the versions of {spec.name}"):
        return recovery_restore.plan(config, spec, version)


def _said(found: recovery_restore.RestorePlan) -> tuple[str, ...]:
    rows = "how many rows leave it cannot be counted, since a file of it is lost or damaged."
    if found.leaving is not None and found.returning is not None:
        leave, come = "leaves" if found.leaving == 1 else "leave", "comes" if found.returning == 1 else "come"
        rows = f"{counted(found.leaving, 'row')} {leave} it, {counted(found.returning, 'row')} {come} back."
    first = f"{found.spec.name} goes from version {found.now} back to version {found.version}: {rows}"
    return (first, *found.downstream)


def _data(found: recovery_restore.RestorePlan) -> dict[str, object]:
    return {
        "table": found.spec.name, "now": found.now, "version": found.version, "leaving": found.leaving,
        "returning": found.returning, "gone": found.gone, "downstream": list(found.downstream),
    }  # fmt: skip
