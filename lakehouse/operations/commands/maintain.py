"""``maintain``: compaction, vacuum, retention, and the clean-up of logs and checkpoints."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import Any

from lakehouse.config import Config, format_duration
from lakehouse.errors import TableLocked, TableMissing
from lakehouse.lake.result import Column, Kind, Result
from lakehouse.lake.writer_lock import writer_lock
from lakehouse.maintenance import scheduler
from lakehouse.maintenance.scheduler import Round
from lakehouse.observability import run_files
from lakehouse.operations.commands.runner import Outcome, Shown, Subparsers, Work, verb
from lakehouse.wording import counted, euros

JOBS = ("bronze", "silver")


def add(subparsers: Subparsers) -> None:
    """Register ``maintain`` on the command line."""
    made = verb(
        subparsers, "maintain", maintain, writes=True, dangerous=True,
        examples=(
            "python ops_utils.py maintain --dry-run",
            "python ops_utils.py maintain",
            "python ops_utils.py maintain silver --yes",
        ),
    )  # fmt: skip
    made.add_argument(
        "job", metavar="JOB", nargs="?", choices=JOBS, help="the tables of one job only: bronze or silver"
    )


def maintain(args: argparse.Namespace, config: Config, work: Work) -> Outcome:
    """Merge the small files of days that have ended, and remove the rows, files and log entries that the settings no longer
    keep, after saying what that is. A running job does its own tables between
    two batches; this command does those of stopped jobs, and says which."""
    jobs = (args.job,) if args.job else JOBS
    if work.dry_run:
        found = [_planned(config, job, work) for job in jobs]
        shown = [line for one in found for line in _said(one)]
        alive = {one.process for one in run_files.read(config).values() if one.here and one.alive}
        shown += [_running(config, job) for job in jobs if job in alive]
        return Outcome({"jobs": [_data(one) for one in found]}, (*shown, "Nothing was changed."))
    done: dict[str, Any] = {}
    shown = []
    with ExitStack() as held:
        mine = []
        for job in jobs:
            try:
                held.enter_context(writer_lock(config, job))
                mine.append(job)
            except TableLocked:
                shown.append(_running(config, job))
        found = [_planned(config, job, work) for job in mine]
        if not mine:
            return Outcome({"jobs": [], "running": list(jobs)}, shown, TableLocked.exit_code)
        if any(one.due and any(due.rows and not due.waits for due in one.due) for one in found):
            for one in found:
                work.show(*_said(one)) if not work.json else None
            work.confirm("Retention takes rows away that no command brings back.", "maintain")
        else:
            shown += [line for one in found for line in _said(one)]
        for planned in found:
            done[planned.job] = scheduler.run(config, planned.job, planned=planned, progress=work.progress)
            shown.append(_did(planned.job, done[planned.job]))
    return Outcome(
        {"jobs": [_data(one) for one in found], "done": done, "running": [job for job in jobs if job not in mine]},
        shown, 0, {job: one["removed"] for job, one in done.items()},
    )  # fmt: skip


def _running(config: Config, job: str) -> str:
    interval = config.delta.maintenance_interval
    when = f"every {format_duration(interval)}" if interval else "never: [DELTA] maintenance_interval is 0"
    return (
        f"The {job} job runs and maintains its own tables between two batches ({when}). To do it now, stop the job, and type: "
        f"python ops_utils.py maintain {job}"
    )


def _planned(config: Config, job: str, work: Work) -> Round:
    with work.progress(f"surveying the {job} tables", 1) as advance:
        found = scheduler.plan(config, job)
        advance(1)
    if not found.tables and work.verb.name == "maintain" and job == "bronze":
        raise TableMissing(f"There is no lake at {config.delta.base_path} yet. Type: make run")
    return found


_COLUMNS: tuple[tuple[str, Kind], ...] = (
    ("table", "text"), ("files", "integer"), ("bytes", "integer"), ("to_merge", "integer"), ("dead_files", "integer"),
    ("dead_bytes", "integer"), ("versions_lost", "text"), ("log_files", "integer"),
)  # fmt: skip


def _said(found: Round) -> list[Shown]:
    rows = [
        (
            one.spec.name, one.files, one.bytes, sum(small.files for small in one.small), len(one.dead), one.dead_bytes,
            f"{one.lost[0]} to {one.lost[1]}" if one.lost else "none", one.log_entries,
        )
        for one in found.tables
    ]  # fmt: skip
    said: list[Shown] = [f"The {found.job} tables:", Result(tuple(Column(*one) for one in _COLUMNS), rows)]
    said += [f"{one.spec.name}: {one.held}" for one in found.tables if one.held]
    for one in found.due:
        amount = f", {euros(one.amount)}," if one.amount is not None else ""
        said.append(f"Retention: {counted(one.rows, 'row')}{amount} of {one.spec.name} before {one.day}.")
        if one.waits:
            said.append(f"They stay for now: {one.waits}.")
    if found.checkpoints:
        said.append(f"Checkpoints that no query goes on from: {', '.join(path.name for path in found.checkpoints)}")
    said += [
        f"{one.spec.name}: history, and reconcile's comparison with what each batch wrote, then begin at version {one.log_before}."
        for one in found.tables
        if one.log_entries
    ]
    if any(one.lost for one in found.tables):
        said.append(
            "A reader that is asked for one of the versions above (--version, --at, restore-table) will be told that its files "
            "were removed. Readers of the newest version, the dashboard and the jobs see no change."
        )
    return said


def _did(job: str, done: dict[str, Any]) -> str:
    def total(name: str) -> int:
        return sum(one[name] for one in done["tables"].values())

    return (
        f"done: {job}: {counted(total('merged'), 'file')} fewer by merging; removed: {counted(total('dead'), 'dead file')}, "
        f"{counted(total('log'), 'log file')}, {counted(sum(done['removed'].values()), 'row')} by retention, "
        f"{counted(done['checkpoints'], 'old checkpoint')}"
    )


def _data(found: Round) -> dict[str, Any]:
    return {
        "job": found.job,
        "tables": [
            {
                "table": one.spec.name, "version": one.version, "files": one.files, "bytes": one.bytes,
                "to_merge": sum(small.files for small in one.small), "dead_files": len(one.dead),
                "dead_bytes": one.dead_bytes, "versions_lost": list(one.lost) if one.lost else None,
                "log_files": one.log_entries, "held": one.held,
            }
            for one in found.tables
        ],
        "retention": [
            {"table": one.spec.name, "before": str(one.day), "rows": one.rows, "amount": one.amount, "waits": one.waits}
            for one in found.due
        ],
        "checkpoints": [path.name for path in found.checkpoints],
    }  # fmt: skip
