"""``erase --client-id N``: delete a person's rows from the lake, report what is left where and until when, and write a receipt."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from lakehouse import atomic_file, cli
from lakehouse.config import Config, format_duration, parse_duration
from lakehouse.errors import LakehouseError, TableLocked
from lakehouse.explorer.arguments import parse_identity
from lakehouse.explorer.formats import export
from lakehouse.lake import job_progress
from lakehouse.lake.result import Column, Result
from lakehouse.lake.writer_lock import writer_lock
from lakehouse.maintenance import erasure
from lakehouse.observability import audit_log, provenance, run_files
from lakehouse.operations import leftovers
from lakehouse.operations.commands.runner import Outcome, Shown, Subparsers, Work, verb
from lakehouse.operations.reconcile import silver
from lakehouse.wording import counted

FOLDER = "erasures"
"""Of the receipts, under the audit's folder."""

_SILVER_DUE = (
    "Silver still shows the figures of before: its next pass builds all six tables anew without the person. If no Silver "
    "job runs: python streaming_silver.py. Then type the same command again, until it says that nothing is left."
)


def add(subparsers: Subparsers) -> None:
    """Register ``erase`` on the command line."""
    made = verb(
        subparsers, "erase", erase, writes=True, dangerous=True, private=("client_id",),
        examples=(
            "python ops_utils.py erase --client-id 4711 --dry-run",
            "python ops_utils.py erase --client-id 4711",
        ),
    )  # fmt: skip
    made.add_argument(
        "--client-id", type=cli.checked(parse_identity), required=True, metavar="N", help="the person's client_id"
    )
    made.add_argument(
        "--wait", type=cli.checked(parse_duration), default=timedelta(minutes=5), metavar="DURATION",
        help="how long to wait for the running jobs, each (default 5 minutes)",
    )  # fmt: skip


def erase(args: argparse.Namespace, config: Config, work: Work) -> Outcome:
    """Take a person out of Bronze, the rejects and Silver, while the jobs run, say what remains where and until when, and
    leave a receipt that names no one. Exit code 1 while Silver has still to be built anew."""
    with work.progress("finding the person's rows"):
        found = erasure.found(config, args.client_id)
    if work.dry_run:
        left = _leftovers_of(config, datetime.now(UTC), True) if any(found.values()) else []
        shown: list[Shown] = [_counts(found), *_leftovers(left), "Nothing was changed."]
        return Outcome({"dry_run": True, "rows": found, "remains": left}, shown)
    what = ", ".join(f"{counted(n, 'row')} of {name}" for name, n in found.items() if n) or "no row of Bronze"
    work.confirm(f"This takes {what}, and the person's figures, out of the lake for ever.", "erase")
    with work.progress("erasing in Bronze"):
        request = _serve(config, erasure.ask(config, args.client_id), args.wait, work)
    with work.progress("waiting for Silver"):
        asked, due = _wait_for_silver(config, args.client_id, args.wait, work)
    data: dict[str, Any] = {"dry_run": False, "rows": request.rows, "silver": "due" if due else "without the person"}
    shown = [_counts(request.rows)]
    summary: dict[str, Any] = {"rows": sum(request.rows.values())}
    if request.rows or asked:
        newest = datetime.fromisoformat(request.newest) if request.newest else None
        left = _leftovers_of(config, newest, due)
        token = secrets.token_hex(16)
        receipt = {
            "format": 1, "id": request.id, "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            **provenance.origin("erase"), "rows": request.rows, "silver": data["silver"], "remains": left,
            "client": hashlib.sha256(f"{token}{args.client_id}".encode()).hexdigest(),
        }  # fmt: skip
        kept = _keep(config, receipt)
        summary |= kept
        data |= {"remains": left, **kept, "token": token}
        shown += _leftovers(left)
        shown.append(f"Receipt {kept['receipt']}, SHA-256 {kept['sha256']}. It names no one; only with this word, which is kept nowhere, and the number can be shown whose it is: {token}")  # fmt: skip
    else:
        shown.append("Nothing of this client is in Bronze.")
    erasure.end(config, request)
    shown.append(_SILVER_DUE if due else "Bronze, the rejects and Silver hold nothing of this client any more.")
    return Outcome(data, shown, 1 if due else 0, summary)


def _leftovers_of(config: Config, newest: datetime | None, silver_due: bool) -> list[dict[str, str]]:
    return [asdict(one) for one in leftovers.listed(config, newest, silver_due, datetime.now(UTC))]


def _serve(config: Config, request: erasure.Request, wait: timedelta, work: Work) -> erasure.Request:
    """Have the request served: by this process when no job writes Bronze, otherwise by the job, between two batches."""
    alone = dataclasses.replace(config, delta=dataclasses.replace(config.delta, lock_timeout=timedelta(0)))
    said = False

    def served() -> bool:
        nonlocal said
        if erasure.state(config, request).state == "asked":
            try:
                with writer_lock(alone, "bronze"):
                    erasure.serve(config)
            except TableLocked:
                if not said:
                    work.say("The Bronze job runs: it is asked to erase between two batches.")
                said = True
        return erasure.state(config, request).state != "asked"

    if not _until(served, wait):
        erasure.end(config, request)
        raise LakehouseError(
            f"The process that writes Bronze has not erased anything within {format_duration(wait)}: it is in one long batch, "
            f"or it is no Bronze job. The request was taken back. See who it is: python ops_utils.py status"
        )
    answer = erasure.state(config, request)
    if answer.state == "failed":
        raise LakehouseError(
            f"The erasure {request.id} failed: {answer.error}. What it has not taken out yet still stands. When the cause "
            f"is gone, type the same command again: it goes on where it stopped."
        )
    return answer


def _wait_for_silver(config: Config, client_id: int, wait: timedelta, work: Work) -> tuple[bool, bool]:
    """Ask Silver to rebuild where needed, and wait for it: (it was asked though nothing left Bronze, it has still to
    rebuild)."""
    if not silver.begun(config):
        return False, False
    erased = erasure.last_version(config)

    def built() -> bool:
        position = job_progress.silver(config)
        up_to_it = position is not None and position.settled and position.bronze_version >= (erased or 0)
        return up_to_it and not erasure.silver_is_asked(config)

    asked = _ask_silver(config, client_id, erased is None or built())
    if erased is None and not erasure.silver_is_asked(config):
        return asked, False
    job = run_files.read(config).get("silver")
    if not built() and job and job.alive:
        work.say("The Silver job runs: its next pass builds the tables anew.")
        _until(built, wait)
    return asked, not built()


def _ask_silver(config: Config, client_id: int, up_to_date: bool) -> bool:
    """Ask Silver to rebuild when it has a client that Bronze lacks (retention removed the sales, and no commit tells Silver
    to rebuild); whether it was asked."""
    if not up_to_date or any(erasure.found(config, client_id).values()) or not erasure.in_silver(config, client_id):
        return False
    erasure.ask_silver(config)
    return True


def _until(condition: Callable[[], bool], wait: timedelta) -> bool:
    """Wait until the condition holds; False when it did not within ``wait``."""
    give_up = time.monotonic() + wait.total_seconds()
    while not condition():
        if time.monotonic() > give_up:
            return False
        time.sleep(0.2)
    return True


def _keep(config: Config, receipt: dict[str, Any]) -> dict[str, str]:
    folder = audit_log.folder(config) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    data = export.dumps(receipt).encode()
    path = folder / f"{receipt['id']}.json"
    atomic_file.write(path, data)
    return {"receipt": path.name, "sha256": hashlib.sha256(data).hexdigest()}


def _counts(rows: dict[str, int]) -> Result:
    return Result((Column("table", "text"), Column("rows", "integer")), sorted(rows.items()))


def _leftovers(left: list[dict[str, str]]) -> list[Shown]:
    if not left:
        return []
    columns = (Column("where", "text"), Column("what", "text"), Column("until", "text"))
    return ["What remains:", Result(columns, [(one["where"], one["what"], one["until"]) for one in left])]
