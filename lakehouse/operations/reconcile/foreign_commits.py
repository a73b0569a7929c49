"""Commits that changed rows of the lake and are none of the jobs' or the verbs' own. No JVM.

Every commit of ours says what it is. A writer could say the same of its own, so each is compared with what it must leave
elsewhere: the application id by which Delta refuses a batch twice, the batch's plan in the checkpoint, the record of a
removal, the audit entry of a verb.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from lakehouse.config import Config
from lakehouse.contract.table_properties import ERASE, RETENTION
from lakehouse.contract.tables import (
    BRONZE,
    CORRECTIONS,
    EFFACES,
    GENERATIONS,
    MEMBRES,
    PERTES,
    REJOUES,
    RETRAITS,
    SILVER,
    SOMMES,
    TableSpec,
    checkpoint,
)
from lakehouse.errors import CheckpointInvalid, TableMissing
from lakehouse.lake import commits, job_progress
from lakehouse.lake.checkpoint_files import Planned
from lakehouse.lake.checkpoint_folder import FileCheckpoint
from lakehouse.lake.commits import Commit
from lakehouse.lake.operations_progress import NONE, OperationsProgress
from lakehouse.lake.query import Query
from lakehouse.lake.reader import Lake
from lakehouse.operations.reconcile.audit_evidence import TYPE, Evidence, Finding
from lakehouse.wording import instant

_VERBS = {"restore-table": ("restore-table", "rebuild"), "rejects replay": ("rejects replay",), "rebuild": ("rebuild",)}
"""The verbs whose runs write commits that say so."""

_PARTS = "-parts-"
"""In the application id of a batch that was ingested in parts, which are numbered by themselves: before it the query's."""

_STEPS, _COLUMNS = "-operations", "-columns"
"""What ends the application ids of Silver's steps of operations, and of the commits by which its tables gained columns."""

OF_BRONZE = (*BRONZE, PERTES, REJOUES, EFFACES, RETRAITS, SOMMES)
OF_SILVER = (*SILVER, MEMBRES, CORRECTIONS, GENERATIONS)


def _ours(spec: TableSpec) -> Mapping[str, tuple[str, ...]]:
    """Origin of a commit that may write rows of the table → the operations by which it does."""
    if spec in BRONZE:
        return {
            "bronze batch": ("WRITE",), "rejects replay": ("WRITE",), RETENTION: ("DELETE",), ERASE: ("DELETE",),
            "restore-table": ("RESTORE",),
        }  # fmt: skip
    if spec in SILVER:
        return {
            "silver batch": ("MERGE",), "silver operations": ("MERGE",), "silver build": ("WRITE",), RETENTION: ("DELETE",),
            "restore-table": ("RESTORE",),
        }  # fmt: skip
    others: Mapping[str, Mapping[str, tuple[str, ...]]] = {
        PERTES.name: {"bronze job": ("WRITE",), "rebuild": ("WRITE",)},
        REJOUES.name: {"rejects replay": ("WRITE",), ERASE: ("DELETE",)},
        EFFACES.name: {ERASE: ("WRITE",)},
        RETRAITS.name: {RETENTION: ("WRITE", "DELETE")},
        SOMMES.name: {RETENTION: ("WRITE", "DELETE")},
        MEMBRES.name: {
            "silver batch": ("WRITE",),
            "silver operations": ("MERGE",),
            "silver build": ("WRITE",),
            RETENTION: ("DELETE",),
        },
        CORRECTIONS.name: {"silver batch": ("WRITE",)},
        GENERATIONS.name: {"silver job": ("WRITE",), "restore-table": ("WRITE",), "rebuild": ("WRITE",)},
    }
    return others[spec.name]


@dataclass(frozen=True)
class Plans:
    """The batches that a job's checkpoint has planned. ``owner``: what ends the application ids of its commits; ``last``: the
    newest; ``plan`` gives the clock and the ends of one that is kept. ``last_step``: the newest step of operations."""

    owner: str
    last: int
    plan: Callable[[int], Planned | None]
    last_step: int = -1


def plans(config: Config, job: str, owner: str | None = None) -> Plans | None:
    """The plans of the job's present checkpoint; None when there is none that can be read."""
    folder = FileCheckpoint(config, checkpoint(config.delta.base_path, job))
    try:
        owner = owner or folder.query_id()
    except CheckpointInvalid:
        return None
    if not owner:
        return None
    step, _ = OperationsProgress(folder, NONE).seen()
    return Plans(owner, max(folder.planned_ids(), default=-1), folder.planned, step)


@dataclass(frozen=True)
class Known:
    """What the commits of one layer are compared with. ``owners``: of application ids; None when any may have been."""

    evidence: Evidence
    plans: Plans | None
    owners: frozenset[str] | None = None
    removals: frozenset[str] = frozenset()


def fault(spec: TableSpec, commit: Commit, known: Known, batches: Mapping[str, int]) -> str | None:
    """Why the commit is none of ours; None when nothing speaks against it. Reads nothing but the plan of a batch."""
    origin = commit.origin
    if origin.what is None:
        return "it does not say who wrote it"
    operations = _ours(spec).get(origin.what)
    if operations is None:
        return f"it says that it is {origin.what!r}, which writes nothing there"
    if commit.operation not in operations:
        return f"it says that it is {origin.what!r}, which never does {commit.operation}"
    if commit.removes and commit.operation == "WRITE" and origin.what != "silver build":
        return f"it says that it is {origin.what!r}, which takes no rows away"
    if origin.what in ("bronze batch", "silver batch", "silver operations", "silver build"):
        return _fault_of_batch(spec, commit, known, batches)
    if origin.what in _VERBS and origin.run not in {
        r for v in _VERBS[origin.what] for r in known.evidence.runs.get(v, ())
    }:
        return f"the audit log has no run {origin.run} of {origin.what}"
    if origin.what == ERASE:
        erasure = str(origin.facts.get("erasure"))
        if erasure not in known.evidence.erasures and erasure not in known.evidence.running:
            return f"the audit log has no erasure {erasure}"
    if origin.what == RETENTION and spec in BRONZE and str(origin.facts.get("retrait")) not in known.removals:
        return f"{RETRAITS.name} has no removal {origin.facts.get('retrait')}"
    return None


def _fault_of_batch(spec: TableSpec, commit: Commit, known: Known, batches: Mapping[str, int]) -> str | None:
    origin = commit.origin
    number = 0 if origin.what == "silver build" else origin.facts.get("batch")
    what = f"it says that it is {origin.what!r}" + (f" {number}" if number is not None else "")
    if len(commit.transactions) != 1:
        return f"{what}, and carries no application id, without which a batch could be written twice"
    ((application, found),) = commit.transactions.items()
    owner, parts, _ = application.removeprefix(f"{spec.name}-").removesuffix("-build").partition(_PARTS)
    steps = application.endswith(_STEPS)
    if (origin.what == "silver operations") > steps or (steps and spec in SILVER and origin.what == "silver batch"):
        return f"{what}, and its application id is {application}"
    owner = owner.removesuffix(_STEPS if steps else _COLUMNS)
    if number != found or not application.startswith(f"{spec.name}-"):
        return f"{what}, and its application id is {application} {found}"
    if (origin.what == "silver build") > application.endswith("-build"):
        return f"{what}, and its application id is {application}"
    if known.owners is not None and owner not in known.owners:
        return f"{what} of {owner}, which {GENERATIONS.name} does not know"
    if found <= batches.get(application, -1):
        return f"{what}, and batch {batches[application]} of {application} was committed before it"
    if application.endswith("-build") or known.plans is None:
        return None
    if steps and owner == known.plans.owner and found > known.plans.last_step:
        return f"{what}, and the checkpoint has planned no step after {known.plans.last_step}"
    if owner != known.plans.owner:
        present = f"{spec.name}-{known.plans.owner}"
        later = spec in BRONZE and present in batches
        return f"{what} of another checkpoint, after a batch of the present one" if later else None
    return None if parts or steps else _fault_of_plan(what, found, commit, known.plans)


def _fault_of_plan(what: str, number: int, commit: Commit, made: Plans) -> str | None:
    if number > made.last:
        return f"{what}, and the checkpoint has planned none after batch {made.last}"
    planned, facts = made.plan(number), commit.origin.facts
    if planned is None or "clock_ms" not in facts:
        return None
    end = planned.ends[0]
    if (facts["clock_ms"], facts.get("to", end)) != (planned.clock_ms, end):
        return f"{what}, and its clock or its offsets are not those that the checkpoint planned"
    return None


@dataclass
class Looked:
    """What a look at the commits of some tables found. ``at``: for the next reconciliation, by table; a table with a finding is
    looked at again. ``removals``: the rows that retention took out of Bronze's tables, by removal."""

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    at: dict[str, Any] = field(default_factory=dict)
    removals: dict[str, int] = field(default_factory=dict)
    commits: int = 0


def pin(lake: Lake, specs: Iterable[TableSpec]) -> dict[TableSpec, int]:
    """The versions at which ``lake`` holds the tables from now on, of those that are there."""
    versions = {}
    for spec in specs:
        with suppress(TableMissing):
            versions[spec] = lake.snapshot(spec.name).source.version
    return versions


def look(
    config: Config, lake: Lake, specs: Iterable[TableSpec], evidence: Evidence, before: Mapping[str, Any]
) -> Looked:
    """Look at the commits of tables of one layer, up to the versions that ``lake`` holds. ``before``: ``Looked.at`` of the last
    reconciliation. Raises ``SnapshotGone``."""
    versions = pin(lake, specs)
    known = _known(
        config, lake, evidence, {spec.layer for spec in versions}
    )  # after: what they hold was planned before
    found = Looked()
    for spec, version in versions.items():
        _look_at(config, spec, version, known, before.get(spec.name) or {}, found)
    return found


def _known(config: Config, lake: Lake, evidence: Evidence, layers: set[str]) -> Known:
    if layers == {"bronze"}:
        return Known(evidence, plans(config, "bronze"), removals=_column(lake, RETRAITS, "retrait"))
    last = job_progress.generation(config)
    made = plans(config, f"silver-{last['generation']}", last["generation"]) if last else None
    return Known(evidence, made, _column(lake, GENERATIONS, "generation"))


def _look_at(
    config: Config, spec: TableSpec, version: int, known: Known, before: Mapping[str, Any], looked: Looked
) -> None:
    if before.get("version", -1) > version:  # the table was made anew
        before = {}
    expected = before.get("version", -1) + 1
    batches, removals = dict(before.get("batches", {})), dict(before.get("removals", {}))
    found: dict[int, Finding] = {}
    first = True
    for commit in commits.read(config, spec, after=expected - 1, upto=version):
        if first and commit.version > expected:
            looked.notes.append(
                f"{spec.name}: versions {expected} to {commit.version - 1} had left the log ([DELTA] log_retention) before a "
                f"reconciliation checked them"
            )
        first = False
        looked.commits += 1
        if not commit.changes_rows:
            continue
        if why := fault(spec, commit, known, batches):
            found[commit.version] = _finding(spec, commit, why)
            continue
        batches.update(commit.transactions)
        origin = commit.origin
        if commit.operation == "RESTORE":  # what came after the restored version is not there any more
            back = int(origin.facts.get("version", -1))
            found = {number: one for number, one in found.items() if number <= back}
        elif origin.what == "silver build" and not any(
            _COLUMNS in name for name in commit.transactions
        ):  # all rows are new
            found.clear()
        elif origin.what == RETENTION and "retrait" in origin.facts:
            removals[str(origin.facts["retrait"])] = origin.deleted or 0
    still = known.evidence.open(found.values())
    looked.findings += still
    looked.removals |= removals
    kept = {name: number for name, number in batches.items() if _lasts(name, known)}
    looked.at[spec.name] = before if still else {"version": version, "batches": kept, "removals": removals}


def _lasts(application: str, known: Known) -> bool:
    """Whether the application's last batch is kept for the next reconciliation. In Silver each build has an application of
    its own: only those of the present generation are kept."""
    return known.owners is None or known.plans is None or known.plans.owner in application


def _finding(spec: TableSpec, commit: Commit, why: str) -> Finding:
    who, moment = commit.origin.who or commit.info.get("engineInfo") or "unknown", commit.moment
    back = (
        f"python ops_utils.py restore-table {spec.name} --version {commit.version - 1}"
        if spec in BRONZE
        else "python streaming_silver.py --full"
    )
    if spec in (*SILVER, MEMBRES, *BRONZE):
        undo = f"To undo it: {back}. To leave it as it is: {TYPE}"
    else:
        undo = f"Find out who did it. To leave it as it is: {TYPE}"
    when = f"{instant(moment)}, " if moment else ""
    return Finding(
        f"{spec.name} version {commit.version} ({when}{commit.operation} by {who}) changed rows and is no commit of the "
        f"jobs or the verbs: {why}. {undo}",
        ("commit", spec.name, commit.version, commit.info.get("timestamp")),
    )


def _column(lake: Lake, spec: TableSpec, column: str) -> frozenset[str]:
    try:
        rows = lake.read(Query(f"SELECT DISTINCT {column} FROM {spec.name}", (spec.name,))).rows
    except TableMissing:
        return frozenset()
    return frozenset(row[0] for row in rows)
