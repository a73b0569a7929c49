"""EDGE. A Delta table's commits: their versions, times and what they did."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lakehouse.result import Column

if TYPE_CHECKING:
    from deltalake import DeltaTable

COLUMNS = (
    Column("version", "integer"),
    Column("date_commit", "timestamp"),
    Column("operation", "text"),
    Column("mesures", "text"),
    Column("parametres", "text"),
    Column("moteur", "text"),
)


def newest(load: Callable[[], DeltaTable], limit: int | None) -> list[dict[str, Any]]:
    """The newest commits with their versions, newest first.

    ``DeltaTable.history`` reads the newest commits but numbers them down from the version of its handle
    (deltalake 1.6.6), so a commit that lands in between shifts every number: read until the version stands still.
    """
    while True:
        handle = load()
        found: list[dict[str, Any]] = handle.history(limit)
        if load().version() == handle.version():
            return found


def row(commit: dict[str, Any]) -> tuple[Any, ...]:
    """One commit as ``COLUMNS`` has it."""
    return (
        commit["version"],
        moment(commit.get("timestamp")),
        commit.get("operation"),
        _text(commit.get("operationMetrics")),
        _text(commit.get("operationParameters")),
        commit.get("engineInfo"),
    )


def committed(path: str, version: int) -> datetime | None:
    """When a version of a local table was committed (UTC); None when its log entry was cleaned up."""
    try:
        with Path(path, "_delta_log", f"{version:020}.json").open(encoding="utf-8") as lines:
            for line in lines:
                if '"commitInfo"' in line:
                    return moment(json.loads(line)["commitInfo"].get("timestamp"))
    except OSError:
        return None
    return None


def added_newest_first(path: str) -> Iterator[list[str]]:
    """The files that each commit of a local table's log added as new rows, from the newest commit on."""
    for entry in sorted(Path(path, "_delta_log").glob("*.json"), reverse=True):
        with entry.open(encoding="utf-8") as lines:
            actions = [json.loads(line) for line in lines]
        added = [unquote(action["add"]["path"]) for action in actions if action.get("add", {}).get("dataChange")]
        if added:
            yield added


def is_newest(path: str, version: int, at: datetime | None) -> bool:
    """Whether a local table still stands at this version, committed at this time: false too when it was made anew."""
    following = Path(path, "_delta_log", f"{version + 1:020}.json")
    return at is not None and not following.exists() and committed(path, version) == at


def moment(milliseconds: Any) -> datetime | None:
    """Milliseconds since 1970 → aware UTC time."""
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _text(value: Any) -> str | None:
    if isinstance(value, dict):
        return " ".join(f"{key}={item}" for key, item in sorted(value.items()))
    return None if value is None else str(value)
