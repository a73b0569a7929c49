"""PURE. Where a Delta commit came from, and how many rows it changed: read from its ``commitInfo``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_ADDED = ("numOutputRows", "num_added_rows")


@dataclass(frozen=True)
class Origin:
    """``who`` did ``what`` in which ``run`` with which ``code`` (None: a writer that does not say); further ``facts``.

    ``added``, ``updated`` and ``deleted`` are rows, as the writer counted them; None when the commit does not tell.
    """

    who: str | None
    what: str | None
    run: str | None
    code: str | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    added: int | None = None
    updated: int | None = None
    deleted: int | None = None

    def rows_at(self) -> tuple[datetime | None, int | None]:
        """For a commit that appended rows to Bronze: their ``date_ingestion``, and how many they are."""
        if (milliseconds := self.facts.get("clock_ms")) is not None:
            return datetime.fromtimestamp(milliseconds / 1000, UTC), self.added
        if (moment := self.facts.get("date_ingestion")) is not None:
            return datetime.fromisoformat(moment), self.added
        return None, None

    def shown(self) -> str:
        """In a few words."""
        parts = [
            self.what or "unknown writer",
            *(f"{key} {self.facts[key]}" for key in ("batch",) if key in self.facts),
        ]
        return " ".join(parts)


def read_origin(commit: Mapping[str, Any]) -> Origin:
    """One entry of a table's history."""
    facts = _metadata(commit)
    added, updated, deleted = _rows(commit.get("operation"), commit.get("operationMetrics") or {})
    if commit.get("operation") == "RESTORE":  # its writer counts files; who asked for it counted the rows
        added, deleted = facts.get("returning"), facts.get("leaving")
    known = {key: facts.pop(key, None) for key in ("who", "what", "run", "code")}
    texts = {key: None if value is None else str(value) for key, value in known.items()}
    return Origin(**texts, facts=facts, added=added, updated=updated, deleted=deleted)


def _metadata(commit: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(commit.get("userMetadata") or "{}")
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(metrics: Mapping[str, Any], *names: str) -> int | None:
    return next((int(metrics[name]) for name in names if metrics.get(name) is not None), None)


def _rows(operation: str | None, metrics: Mapping[str, Any]) -> tuple[int | None, int | None, int | None]:
    """Rows added, updated, deleted: Spark's names, then delta-rs'. A compaction changes none."""
    if operation in ("OPTIMIZE", "SET TBLPROPERTIES", "CREATE TABLE", "VACUUM START", "VACUUM END"):
        return 0, 0, 0
    if operation == "MERGE":
        return (
            _number(metrics, "numTargetRowsInserted", "num_target_rows_inserted"),
            _number(metrics, "numTargetRowsUpdated", "num_target_rows_updated"),
            _number(metrics, "numTargetRowsDeleted", "num_target_rows_deleted"),
        )
    if operation == "DELETE":
        return 0, 0, _number(metrics, "numDeletedRows", "num_deleted_rows")
    if operation == "UPDATE":
        return 0, _number(metrics, "numUpdatedRows", "num_updated_rows"), 0
    return _number(metrics, *_ADDED), None, None
