"""``audit verify``, ``audit list`` and ``audit accept``: the log of operator actions, and decisions that it records."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Any

from lakehouse.config import Config
from lakehouse.lake.result import Column, Result
from lakehouse.observability import audit_log
from lakehouse.operations.commands.runner import Outcome, Subparsers, Work, count, group, verb
from lakehouse.operations.reconcile.report import Reconciliation
from lakehouse.wording import counted


def add(subparsers: Subparsers) -> None:
    """Register ``audit`` on the command line."""
    inner = group(
        subparsers, "audit", "The hash-chained log of operator actions: verify it, list it, accept differences into it.",
        examples=("python ops_utils.py audit verify", "python ops_utils.py audit list --limit 20"),
    )  # fmt: skip
    one = verb(
        inner, "audit verify", verify, recorded=True,
        examples=("python ops_utils.py audit verify", "python ops_utils.py audit verify --head 5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"),
    )  # fmt: skip
    one.add_argument(
        "--head", metavar="HASH", help="a hash that an earlier verify printed: its line must still be there"
    )
    one = verb(inner, "audit list", listing, examples=("python ops_utils.py audit list --limit 20",))
    one.add_argument("--limit", type=count, default=50, metavar="N", help="newest entries, at most (default 50)")
    one = verb(
        inner, "audit accept", accept, writes=True, dangerous=True,
        examples=("python ops_utils.py audit accept --dry-run", "python ops_utils.py audit accept"),
    )  # fmt: skip
    one.add_argument("--without-kafka", action="store_true", help="do not read messages again in Kafka first")


def verify(args: argparse.Namespace, config: Config, _work: Work) -> Outcome:
    """Read the whole audit log and name the first line that was changed, removed or added. Exit code 1 when there is one."""
    log = audit_log.AuditLog(audit_log.folder(config))
    found = log.verify(args.head)
    data = {"entries": found.entries, "head": found.head, "fault": found.fault, "log": str(log.path)}
    if found.fault:
        line = (
            f"The audit log {log.path} is not as it was written: {found.fault}. Compare it with a backup, and find out who "
            f"may write that folder."
        )
        return Outcome(data, (line,), 1, {"fault": found.fault})
    if not found.entries:
        return Outcome(
            data, (f"There is no audit log at {log.path}: no verb has run over this lake yet, or it was removed.",)
        )
    line = f"The audit log is whole: {counted(found.entries, 'entry', 'entries')}. Note this hash elsewhere for --head: {found.head}"
    return Outcome(data, (line,))


def listing(args: argparse.Namespace, config: Config, _work: Work) -> Outcome:
    """List the newest entries of the audit log: when, who, which verb, with what, and how it ended."""
    entries = list(audit_log.AuditLog(audit_log.folder(config)).entries())[-args.limit :][::-1]
    columns = (
        Column("n", "integer"), Column("time", "timestamp"), Column("who", "text"), Column("verb", "text"),
        Column("arguments", "text"), Column("state", "text"), Column("exit_code", "integer"),
    )  # fmt: skip
    rows = [tuple(_cell(entry, column.name) for column in columns) for entry in entries]
    return Outcome({"entries": entries}, (Result(columns, rows),))


def accept(args: argparse.Namespace, config: Config, work: Work) -> Outcome:
    """Reconcile, and take as they are those differences that only a person can decide: commits, losses, erasures and removals
    that nothing vouches for, and offsets that nobody can read any more. Lists them first; the audit log keeps what was
    accepted, and the next reconcile no longer names it. Every other difference stays."""
    run = Reconciliation(config, ask_kafka=not args.without_kafka, progress=work.progress)
    record = run.run()
    found = record["acceptable"]
    data = {"dry_run": work.dry_run, "accepted": found, "other_differences": record["differences"] - len(found)}
    others = (
        f"{counted(data['other_differences'], 'other difference')} cannot be accepted: python ops_utils.py reconcile"
    )
    said = [f"- {one['text']}" for one in found] + ([others] if data["other_differences"] else [])
    if not found:
        return Outcome(data, ("There is no difference that a person could accept.", *said))
    if work.dry_run:
        return Outcome(data, (*said, "Nothing was changed."))
    work.confirm("\n".join((*said, f"To be accepted as it is: {counted(len(found), 'difference')}.")), "accept")
    shown = (*said, f"Accepted: {counted(len(found), 'difference')}. Next: python ops_utils.py reconcile")
    return Outcome(data, shown, 0, {"accepted": [one["key"] for one in found]})


def _cell(entry: dict[str, Any], name: str) -> Any:
    value = entry.get(name)
    if name == "time" and isinstance(value, str):
        return datetime.fromisoformat(value)
    if isinstance(value, dict):
        return " ".join(f"{key}={item}" for key, item in value.items())
    return value
