"""Offsets in no table for a recorded reason: declared lost, erased, or removed by retention.

A record alone is no reason: anybody who may write the table can add one. Each is tied to what its writer leaves elsewhere,
and one that is not is a finding and explains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lakehouse.config import Config
from lakehouse.contract.tables import EFFACES, PERTES, REJETS, RETRAITS, VENTES, TableSpec
from lakehouse.errors import TableMissing
from lakehouse.lake import commits
from lakehouse.lake.query import Query
from lakehouse.lake.reader import Lake
from lakehouse.maintenance import retention
from lakehouse.operations.reconcile.audit_evidence import TYPE, Evidence, Finding
from lakehouse.wording import counted, instant

Spans = dict[int, list[tuple[int, int]]]
"""Partition → ranges: first, and the offset after the last."""


@dataclass
class Recorded:
    """``spans`` of records that hold, ``untied`` of those that do not, each of which is a finding."""

    spans: Spans = field(default_factory=dict)
    untied: Spans = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, partition: int, first: int, last: int, *, holds: bool) -> None:
        (self.spans if holds else self.untied).setdefault(partition, []).append((first, last + 1))


def declared(lake: Lake, topic: str, since: datetime, evidence: Evidence) -> Recorded:
    """Gaps of ``topic`` that an operator accepted as lost, not before ``since``, from which on it counts its offsets."""
    columns = ("kafka_partition", "premier_offset", "dernier_offset", "date_declaration", "operateur")
    made = Recorded()
    for partition, first, last, moment, who in _rows(lake, PERTES, columns, f"topic = '{topic}'"):
        if moment < since:
            continue
        finding = Finding(
            f"{PERTES.name}: {topic}[{partition}] offsets {first} to {last}, declared {instant(moment)} by "
            f"{who}, are declared in no entry of the audit log, so that they explain nothing. If a person did declare them: "
            f"{TYPE}",
            ("loss", topic, partition, first, last, moment.isoformat()),
        )
        holds = (topic, partition, first, last) in evidence.losses or not evidence.open([finding])
        made.add(partition, first, last, holds=holds)
        made.findings += [] if holds else [finding]
    return made


def erased(lake: Lake, topic: str, since: datetime, evidence: Evidence) -> Recorded:
    """Rows of ``topic`` deleted by an erasure. One holds when its audit entry counts as many rows as it noted."""
    made = Recorded()
    counts = _counts(lake, EFFACES, "effacement", "COUNT(*)")
    holds = {name: _holds(made, name, n, evidence) for name, n in sorted(counts.items())}
    columns = ("effacement", "kafka_partition", "kafka_offset", "date_ingestion")
    for name, partition, offset, moment in _rows(lake, EFFACES, columns, f"topic = '{topic}'"):
        if moment >= since:
            made.add(partition, offset, offset, holds=holds[name])
    return made


def _holds(made: Recorded, name: str, rows: int, evidence: Evidence) -> bool:
    known = evidence.erasures.get(name)
    if known == rows:
        return True
    if name in evidence.running:
        made.notes.append(f"the erasure {name} has not ended: type the same erase command again")
        return True
    has = "no entry" if known is None else f"an entry of {counted(known, 'row')}"
    finding = Finding(
        f"{EFFACES.name}: {counted(rows, 'row')} of the erasure {name}, of which the audit log has {has}, so that they explain nothing. "
        f"If a person did ask for it: {TYPE}",
        ("erasure", name, rows),
    )
    if not evidence.open([finding]):
        return True
    made.findings.append(finding)
    return False


def removed(config: Config, lake: Lake, since: datetime, evidence: Evidence, removals: Mapping[str, int]) -> Recorded:
    """Rows that retention removed from Bronze or from the rejects. ``removals``: rows that its commits took away, as far as
    they were seen; a commit may have left the log."""
    made = Recorded()
    holds: dict[str, bool] = {}
    counts = _counts(lake, RETRAITS, "retrait", "SUM(dernier_offset - premier_offset + 1)")
    for spec in (VENTES, REJETS):
        for one in retention.removals(config, spec):
            holds[one.name] = _was_done(made, config, lake, spec, one, counts.get(one.name, 0), evidence, removals)
    columns = ("retrait", "kafka_partition", "premier_offset", "dernier_offset", "date_ingestion")
    for name, partition, first, last, moment in _rows(lake, RETRAITS, columns, "true"):
        if moment >= since:
            made.add(partition, first, last, holds=holds.get(name, False))
    return made


def _was_done(
    made: Recorded,
    config: Config,
    lake: Lake,
    spec: TableSpec,
    one: retention.Removal,
    rows: int,
    evidence: Evidence,
    removals: Mapping[str, int],
) -> bool:
    if removals.get(one.name) == rows:
        return True
    if one.name not in removals and (retention.stands(lake, one) or commits.first(config, spec) > one.before + 1):
        return True  # it was killed before the rows went; or its commit has left the log
    has = f"took {counted(removals[one.name], 'row')}" if one.name in removals else "is not in the log"
    finding = Finding(
        f"{RETRAITS.name}: {counted(rows, 'row')} of the removal {one.name} from {spec.name}, whose commit {has}, so that they explain "
        f"nothing. If retention did remove them: {TYPE}",
        ("removal", one.name, rows),
    )
    if not evidence.open([finding]):
        return True
    made.findings.append(finding)
    return False


def _counts(lake: Lake, spec: TableSpec, key: str, what: str) -> dict[str, int]:
    return dict(_rows(lake, spec, (key, what), "true GROUP BY 1"))


def _rows(lake: Lake, spec: TableSpec, columns: tuple[str, ...], where: str) -> list[tuple[Any, ...]]:
    """The distinct rows of a table; none when there is no such table."""
    try:
        sql = f"SELECT DISTINCT {', '.join(columns)} FROM {spec.name} WHERE {where}"
        return lake.read(Query(sql, (spec.name,))).rows
    except TableMissing:
        return []
