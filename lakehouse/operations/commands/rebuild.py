"""``rebuild JOB``: go on after a checkpoint was lost or cannot be used."""

from __future__ import annotations

import argparse

from lakehouse.config import Config
from lakehouse.lake.result import Column, Result
from lakehouse.lake.writer_lock import writer_lock
from lakehouse.operations.commands.runner import Outcome, Shown, Subparsers, Work, verb
from lakehouse.operations.recovery import rebuild as recovery_rebuild
from lakehouse.operations.recovery.rebuild import RebuildPlan

STARTS = {"bronze": "python spark_streaming_delta.py", "silver": "python streaming_silver.py"}


def add(subparsers: Subparsers) -> None:
    """Register ``rebuild`` on the command line."""
    made = verb(
        subparsers, "rebuild", rebuild, writes=True, dangerous=True,
        examples=(
            "python ops_utils.py rebuild bronze --dry-run",
            "python ops_utils.py rebuild bronze",
            "python ops_utils.py rebuild silver --yes",
        ),
    )  # fmt: skip
    made.add_argument("job", metavar="JOB", choices=sorted(STARTS), help="whose checkpoint: bronze or silver")
    made.add_argument(
        "--anyway", action="store_true", help="also when nothing is wrong with the checkpoint that can be seen"
    )


def rebuild(args: argparse.Namespace, config: Config, work: Work) -> Outcome:
    """After a checkpoint was lost, damaged or made by another query: say what can be read again and what cannot, and move
    it aside, so that the job's next start makes a new one and takes nothing in twice. The job must be stopped."""
    if work.dry_run:
        found = _planned(args.job, config, work)
        return Outcome(_data(found), (*_said(found), "Nothing was changed."))
    with writer_lock(config, args.job):
        found = _planned(args.job, config, work)
        if found.fault is None and not args.anyway:
            return Outcome({**_data(found), "done": []}, (*_said(found), "Nothing was changed."))
        for line in _said(found):
            work.say(line) if isinstance(line, str) and not work.json else None
        work.confirm(f"The {args.job} checkpoint is moved aside.", args.job)
        done = recovery_rebuild.rebuild(config, found)
    shown = (*_said(found), *(f"done: {line}" for line in done), f"Next: {STARTS[args.job]}")
    return Outcome(
        {**_data(found), "done": done}, shown, 0, {"job": args.job, "fault": found.fault, "steps": len(done)}
    )


def _planned(job: str, config: Config, work: Work) -> RebuildPlan:
    with work.progress("what can be read again", 1) as advance:
        found = recovery_rebuild.plan(config, job)
        advance(1)
    return found


def _said(found: RebuildPlan) -> list[Shown]:
    if found.fault:
        first = f"The checkpoint {found.place} cannot be used: {found.fault}."
    elif found.exists:
        first = f"Nothing is wrong with the checkpoint {found.place} that can be seen without starting the job. To rebuild it all the same, add --anyway."
    else:
        first = f"There is no checkpoint at {found.place}: the next start makes a new one."
    return [first, *(_bronze(found) if found.job == "bronze" else _silver(found))]


def _bronze(found: RebuildPlan) -> list[Shown]:
    kinds = ("partition", "kafka_first", "kafka_end", "standing", "to_validate", "lost")
    rows = [
        (str(one.partition), one.first, one.end, one.standing, one.end - one.first - one.standing, _lost(one))
        for one in found.stretches
    ]
    lost = [one for one in found.stretches if one.lost]
    table = Result(tuple(Column(name, "text" if name == "partition" else "integer") for name in kinds), rows)
    said: list[Shown] = [
        "Kafka gives again, by partition: what is in the tables already is not ingested twice; the rest is validated "
        "as if it came now (to_validate: new messages, and copies that were left out before).",
        table,
        f"{found.beyond} rows of the tables are older than what Kafka holds: they stay as they are.",
    ]
    if lost:
        places = ", ".join(
            f"partition {one.partition} offsets {one.lost[0]} to {one.lost[1]}" for one in lost if one.lost
        )
        sure = "were not read" if found.exact else "stand in no table (copies among them cannot be told)"
        said.append(
            f"Kafka cannot give back {places}: they {sure} and it no longer holds them. They are recorded as lost."
        )
    else:
        said.append("Nothing is lost: Kafka holds all that was not read yet, as far as the tables tell.")
    return said


def _lost(one: recovery_rebuild.OffsetRange) -> int:
    return one.lost[1] - one.lost[0] + 1 if one.lost else 0


def _silver(found: RebuildPlan) -> list[Shown]:
    if found.generation is None:
        return ["Silver is not built yet, or is due to be built anew: its next pass does it."]
    return [f"Silver needs no Kafka: its next pass builds all six tables anew from the {found.sales} sales of Bronze."]


def _data(found: RebuildPlan) -> dict[str, object]:
    return {
        "job": found.job, "checkpoint": found.place, "exists": found.exists, "fault": found.fault,
        "rows": found.sales, "rows_kafka_no_longer_holds": found.beyond,
        "partitions": [
            {
                "partition": one.partition, "kafka_first": one.first, "kafka_end": one.end, "standing": one.standing,
                "lost": _lost(one),
            }
            for one in found.stretches
        ],
    }  # fmt: skip
