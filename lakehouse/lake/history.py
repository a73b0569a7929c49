"""A Delta table's commits: their versions, times and what they did."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from lakehouse.config import paths
from lakehouse.contract.business_time import local_text
from lakehouse.errors import LakehouseError, TableMissing
from lakehouse.lake import log_entry
from lakehouse.lake.result import Column

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
    """One commit as a row of ``COLUMNS``."""
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
        with Path(log_entry.place(path, version)).open(encoding="utf-8") as lines:
            return moment(log_entry.commit_info_in(lines).get("timestamp"))
    except OSError:
        return None


def is_blank(path: str, version: int) -> bool:
    """Whether a local commit's log entry exists but is empty: it was cut off, and readers take it for a commit without actions."""
    entry = Path(log_entry.place(path, version))
    return not paths.is_uri(path) and entry.exists() and entry.stat().st_size == 0


def version_at(name: str, path: str, load: Callable[[], DeltaTable], at: datetime) -> int:
    """The last version committed at or before ``at``, by the times that the commits themselves carry.

    ``deltalake`` goes by the times of the log's files (1.6.6), and a copied or restored lake has new ones. Raises
    ``TableMissing`` when the table did not exist yet, ``LakehouseError`` when its log no longer reaches back.
    """
    if paths.is_uri(path):
        found = newest(load, None)[::-1]
        versions: Sequence[int] = [commit["version"] for commit in found]
        times = [moment(commit.get("timestamp")) or at for commit in found]
        place, first = bisect_right(times, at), times[0]
    else:
        versions = _logged(path) or [load().version()]
        place, first = bisect_right(versions, at, key=lambda version: _when(path, version)), _when(path, versions[0])
    if place:
        return versions[place - 1]
    never = versions[0] == 0
    raise (TableMissing if never else LakehouseError)(
        f"{name} {'did not exist' if never else 'can no longer be read as it was'} at {local_text(at, UTC)} UTC: its first "
        f"version that can be read is {versions[0]}, of {first:%Y-%m-%d %H:%M:%S} UTC. Type: query_utils.py history {name}"
    )


def _logged(path: str) -> Sequence[int]:
    """The versions whose log entries a local table still has, the oldest first."""
    versions = (log_entry.version_of(entry.name) for entry in Path(path, "_delta_log").glob("*.json"))
    return sorted(version for version in versions if version is not None)


def _when(path: str, version: int) -> datetime:
    """A commit's own time; that of its file when a writer left it out."""
    entry = Path(log_entry.place(path, version))
    return committed(path, version) or datetime.fromtimestamp(entry.stat().st_mtime, UTC)


def added_newest_first(path: str) -> Iterator[list[str]]:
    """The files that each commit of a local table's log added as new rows, from the newest commit on."""
    for version in reversed(_logged(path)):
        actions = log_entry.actions(Path(log_entry.place(path, version)).read_bytes())
        files = (action["add"] for action in actions if "add" in action)
        added = [unquote(file["path"]) for file in files if log_entry.changes_rows(file)]
        if added:
            yield added


def is_newest(path: str, version: int, at: datetime | None) -> bool:
    """Whether a local table is still at this version, committed at this time; false also after it was recreated."""
    following = Path(log_entry.place(path, version + 1))
    return at is not None and not following.exists() and committed(path, version) == at


def moment(milliseconds: Any) -> datetime | None:
    """Milliseconds since 1970 → aware UTC time."""
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def _text(value: Any) -> str | None:
    if isinstance(value, dict):
        return " ".join(f"{key}={item}" for key, item in sorted(value.items()))
    return None if value is None else str(value)
