"""The reconciliation of the whole lake, and its signed-off records under ``<base>/audit/reconciliations``.

A record is signed by the audit log: the entry of the run that wrote it holds its SHA-256. Only a record whose hash
stands there is built upon.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from lakehouse import atomic_file
from lakehouse.config import Config
from lakehouse.contract.tables import BRONZE, SILVER
from lakehouse.errors import TableMissing
from lakehouse.explorer.formats import export
from lakehouse.explorer.formats.values import plain
from lakehouse.lake import job_progress
from lakehouse.lake.reader import Lake, SnapshotGone
from lakehouse.maintenance import retention
from lakehouse.maintenance.retention import BY_DAY, Kept
from lakehouse.observability import audit_log, provenance
from lakehouse.operations.reconcile import audit_evidence, foreign_commits, silver, unique_keys
from lakehouse.operations.reconcile.audit_evidence import Evidence
from lakehouse.operations.reconcile.bronze import BronzeReconciliation, BronzeResult
from lakehouse.operations.reconcile.foreign_commits import Looked
from lakehouse.operations.reconcile.offset_balance import Line
from lakehouse.operations.reconcile.silver import FIGURES, TableComparison
from lakehouse.wording import counted, instant

T = TypeVar("T")

FORMAT = 1
"""Of the records: one with another is not built upon."""
KEPT = 1000
"""Differences that a record lists; it counts all."""


def _signed(place: Path) -> tuple[dict[str, Any], str | None]:
    """The newest record whose hash is in the audit log, or {}; and a message about one that was changed."""
    hashes = {
        entry["summary"]["record"]: entry["summary"]["sha256"]
        for entry in audit_log.AuditLog(place).entries()
        if entry.get("verb") == "reconcile" and "sha256" in (entry.get("summary") or {})
    }
    changed = None
    for path in sorted((place / audit_log.RECONCILIATIONS).glob("*.json"), reverse=True):
        data = path.read_bytes()
        if hashes.get(path.name) == hashlib.sha256(data).hexdigest():
            found = json.loads(data)
            return (found if found.get("format") == FORMAT else {}), changed
        if path.name in hashes:
            changed = changed or f"the signed record {path} was changed after it was signed"
    return {}, changed


@dataclass(frozen=True)
class _Silver:
    """Silver's tables and position at one settled moment."""

    tables: list[TableComparison]
    version: int
    doubled: list[str]
    looked: Looked


class Reconciliation:
    """One run over one lake."""

    def __init__(self, config: Config, *, ask_kafka: bool, progress: Callable[..., Any]) -> None:
        self._config = config
        self._ask_kafka = ask_kafka
        self._progress = progress
        self._place = audit_log.folder(config)

    def run(self) -> dict[str, Any]:
        """Reconcile and return the record; nothing is written. Raises ``TableMissing`` before Bronze's first batch."""
        started = datetime.now(UTC)
        before, changed = _signed(self._place)
        bronze_result, lake, position, evidence = self._fresh(lambda: self._bronze(before))
        proven = not bronze_result.differences
        differences = [changed] if changed else []
        if evidence.fault:
            differences.append(f"the audit log is not as it was written: {evidence.fault}. See audit verify")
        differences += bronze_result.differences
        tables, silver_version = self._silver(bronze_result, differences, before)
        versions = {spec.name: version for spec, version in foreign_commits.pin(lake, BRONZE).items()}
        return {
            "format": FORMAT,
            "started": started.isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            **provenance.origin("reconcile"),
            "topic": position.topic,
            "topic_id": position.topic_id,
            "batch": position.batch,
            "versions": versions,
            # a commit whose rows are not there any more must be found again by the next run
            "proven_versions": versions if proven else before.get("proven_versions", {}),
            "commits": {**before.get("commits", {}), **bronze_result.commits},
            "silver_bronze_version": silver_version,
            "differences": len(differences),
            "found": differences[:KEPT],
            "acceptable": [{"text": one.text, "key": list(one.key)} for one in bronze_result.acceptable],
            "notes": [*bronze_result.notes, *_backfills(self._config, position.topic)],
            "proofs": bronze_result.proofs,
            "per_partition": [_line(line) for line in bronze_result.balance.by_partition()],
            "per_day": [_line(line) for line in bronze_result.balance.by_day()],
            "per_table": [plain(asdict(table)) for table in tables],
            "proven": bronze_result.proven,
        }

    @staticmethod
    def _fresh(read: Callable[[], T]) -> T:
        """Read again at the newest versions when a job removed files during the read."""
        for _ in range(3):
            try:
                return read()
            except SnapshotGone:
                continue
        return read()

    def _bronze(self, before: Mapping[str, Any]) -> tuple[BronzeResult, Lake, job_progress.BronzePosition, Evidence]:
        position = job_progress.bronze(
            self._config
        )  # first: what it has committed is in the tables that are opened next
        if position is None:
            raise TableMissing(
                f"There is nothing to reconcile yet: the Bronze job has committed no batch under "
                f"{self._config.delta.base_path}. Type: python spark_streaming_delta.py --once"
            )
        lake = Lake.of(self._config)
        foreign_commits.pin(lake, foreign_commits.OF_BRONZE)
        evidence = audit_evidence.read(self._config)  # after: a verb writes its entry before it changes a table
        work = BronzeReconciliation(self._config, lake, position, evidence, before)
        return work.run(ask_kafka=self._ask_kafka, progress=self._progress), lake, position, evidence

    def _silver(
        self, bronze_result: BronzeResult, differences: list[str], before: Mapping[str, Any]
    ) -> tuple[list[TableComparison], int | None]:
        if not silver.exists(self._config):
            bronze_result.notes.append("Silver is not built yet: python streaming_silver.py")
            return [], None
        read = self._fresh(lambda: self._read_silver(bronze_result, before))
        if read is None:
            bronze_result.notes.append("Silver is due to be built anew: python streaming_silver.py")
            return [], None
        differences += [one.text for one in read.looked.findings] + read.doubled
        bronze_result.acceptable += read.looked.findings
        bronze_result.notes += read.looked.notes
        bronze_result.commits |= read.looked.at
        for table in read.tables:
            differences += [f"{table.table} {named}" for named in table.named]
            if table.differing > len(table.named):
                differences += [f"{table.table}: {table.differing - len(table.named)} more keys differ"]
        return read.tables, read.version

    def _read_silver(self, bronze_result: BronzeResult, before: Mapping[str, Any]) -> _Silver | None:
        """Silver at a settled moment; None when it is due for a rebuild. Raises ``SnapshotGone``."""
        with self._progress("waiting for a moment between two passes of Silver, 2 min at most"):
            found = silver.settled(self._config, lambda: time.sleep(0.2))
        if found is None:
            return None
        position, lake = found
        foreign_commits.pin(lake, foreign_commits.OF_SILVER)
        evidence = audit_evidence.read(self._config)
        with self._progress("Silver tables", len(SILVER)) as advance:
            kept = retention.kept(self._config, lake)
            bronze_result.notes.extend(note for note in _notes(kept) if note not in bronze_result.notes)
            found_notes = (*silver.unmatched(lake, datetime.now(UTC)), *silver.returned_too_much(lake))
            bronze_result.notes.extend(note for note in found_notes if note not in bronze_result.notes)
            tables = silver.compare(lake, FIGURES, self._config.analytics.timezone.key, advance, kept)
        doubled = [text for spec in unique_keys.OF_SILVER for text in unique_keys.doubled(lake, spec)]
        looked = foreign_commits.look(
            self._config, lake, foreign_commits.OF_SILVER, evidence, before.get("commits", {})
        )
        return _Silver(tables, position.bronze_version, doubled, looked)

    def sign(self, record: Mapping[str, Any]) -> dict[str, str]:
        """Write the record; returns what the audit entry must hold of it."""
        folder = self._place / audit_log.RECONCILIATIONS
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{provenance.RUN_ID[-6:]}.json"
        data = export.dumps(plain(dict(record))).encode()
        atomic_file.write(folder / name, data)
        return {"record": name, "sha256": hashlib.sha256(data).hexdigest()}


def _backfills(config: Config, topic: str) -> list[str]:
    """What the audit log announces of back-dated sales: counted like all others, but not as late."""
    return [
        f"an announced backfill of {counted(one.messages, 'sale')} with event times from {instant(one.since)} to "
        f"{instant(one.until)} is among them, sent from {instant(one.announced)} on"
        for one in audit_log.backfills(config)
        if one.topic == topic
    ]


def _notes(kept: Kept) -> list[str]:
    notes = [f"{table} is compared from {day} on: retention" for table, day in kept.since.items() if table in _DAYS]
    if kept.removed:
        notes.append(
            "the totals by country and by segment hold sales that retention took out of Bronze: its record of them was added. "
            "Clients whose first sale is older than what Bronze holds were not compared"
        )
    return notes


_DAYS = frozenset(spec.name for spec in BY_DAY)


def _line(line: Line) -> dict[str, Any]:
    found = {**asdict(line), "difference": line.difference}
    return {name: str(value) if name == "day" else value for name, value in found.items() if value is not None}
