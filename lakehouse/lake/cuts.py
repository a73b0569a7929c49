"""Cuts: moments at which Silver held all of one Bronze version, each one atomic record of every table's version then.

Six tables cannot be committed together, so a reader that takes each table's newest version may meet a pass half-way. A cut
names versions that belong together: sums over countries, segments, products and hours are equal in it, and equal to Bronze's.
The Silver job records one after each pass that changed something (``<state>/cuts/N.json``, N counts from 1). A record is kept
as long as the versions that it names; one that names a version which is not that commit any more is ``CutGone``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from lakehouse import atomic_file
from lakehouse.config import Config, paths
from lakehouse.contract.tables import CORRECTIONS, OPERATIONS, SILVER, VENTES
from lakehouse.errors import ConfigError
from lakehouse.lake import log_entry
from lakehouse.lake.result import Source
from lakehouse.observability.provenance import read_origin

TABLES = (VENTES, OPERATIONS, *SILVER, CORRECTIONS)
"""The tables that a cut names, of those that exist."""


@dataclass(frozen=True)
class Cut:
    """``number``, when it was recorded (UTC), and each table at its version."""

    number: int
    recorded: datetime
    generation: str
    tables: Mapping[str, Source]

    def covers(self, names: Iterable[str]) -> bool:
        """Whether it names all of these tables: a question about others too is read at their newest versions."""
        return set(names) <= set(self.tables)


@dataclass(frozen=True)
class Waiting:
    """Sales that Bronze has and the cut does not; ``since``: when the first of them was committed."""

    sales: int = 0
    since: datetime | None = None


def _folder(config: Config) -> Path:
    return paths.state(config) / "cuts"


def _file(config: Config, number: int) -> Path:
    return _folder(config) / f"{number:012}.json"


def _numbers(config: Config) -> list[int]:
    """Of the records that are there, the oldest first."""
    try:
        with os.scandir(_folder(config)) as entries:  # tens of thousands, which a Path each would make slow
            names = [entry.name for entry in entries]
    except OSError:
        return []
    return sorted(int(stem) for stem, end in map(os.path.splitext, names) if end == ".json" and stem.isdecimal())


def _read(config: Config, number: int) -> Cut | None:
    """None when it is not there, or not whole: a power cut may leave an empty file."""
    try:
        found = json.loads(_file(config, number).read_bytes())
        tables = {
            name: Source(name, one["version"], one["committed"] and datetime.fromisoformat(one["committed"]))
            for name, one in found["tables"].items()
        }
        return Cut(number, datetime.fromisoformat(found["recorded"]), found["generation"], tables)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def newest(config: Config, known: Cut | None = None) -> Cut | None:
    """The last cut; None before the first. ``known``, an earlier answer, makes it one look for the next file."""
    if known is not None and not _file(config, known.number + 1).exists() and _file(config, known.number).exists():
        return known
    return next((cut for number in reversed(_numbers(config)) if (cut := _read(config, number))), None)


def named(config: Config, text: str) -> Cut:
    """The cut that a person names by its number, or as ``last``. Raises ``ConfigError``."""
    numbers = _numbers(config)
    if not numbers:
        raise ConfigError(
            f"--cut {text}: no cut is recorded yet. The Silver job records one: python streaming_silver.py"
        )
    cut = (
        newest(config) if text == "last" else _read(config, int(text)) if text.isdecimal() and len(text) < 13 else None
    )
    if cut is None:
        raise ConfigError(
            f"--cut {text!r} is not accepted: expected last, or a number from {numbers[0]} to {numbers[-1]} that is still kept."
        )
    return cut


def last(config: Config, count: int) -> list[tuple[Cut, int | None]]:
    """The last cuts, the newest first, each with the sales that its pass took in: None where Bronze's log no longer tells."""
    end = newest(config)
    numbers = range(max(1, end.number - count), end.number + 1) if end else ()
    found = [cut for number in numbers if (cut := _read(config, number))]
    return [(cut, _taken_in(config, before, cut)) for before, cut in pairwise(found)][::-1]


def _taken_in(config: Config, before: Cut, cut: Cut) -> int | None:
    versions = [one.tables[VENTES.name].version for one in (before, cut) if VENTES.name in one.tables]
    if len(versions) < 2 or paths.is_uri(config.delta.base_path):
        return None
    table = VENTES.path(config.delta.base_path)
    rows = [_appended(Path(log_entry.place(table, version))) for version in range(versions[0] + 1, versions[1] + 1)]
    return sum(one[0] for one in rows if one) if None not in rows else None


def record(config: Config, generation: str, tables: Mapping[str, Source], known: Cut | None = None) -> Cut:
    """Record a cut at these versions, unless the last one has the same; ``known`` as for ``newest``. Who calls holds Silver's
    writer lock."""
    last = newest(config, known)
    if last is not None and dict(last.tables) == dict(tables) and last.generation == generation:
        return last
    cut = Cut(last.number + 1 if last else 1, datetime.now(UTC), generation, dict(tables))
    text = {
        "recorded": cut.recorded.isoformat(),
        "generation": generation,
        "tables": {
            name: {"version": one.version, "committed": one.committed and one.committed.isoformat()}
            for name, one in tables.items()
        },
    }
    _folder(config).mkdir(parents=True, exist_ok=True)
    atomic_file.write(_file(config, cut.number), json.dumps(text), durable=False)
    return cut


def forget(config: Config, now: datetime) -> int:
    """Delete the records of versions that the tables no longer keep; how many. The last one stays."""
    kept = min(config.delta.log_retention, config.delta.deleted_file_retention)
    gone = 0
    for number in _numbers(config)[:-1]:
        cut = _read(config, number)
        if cut is not None and cut.recorded > now - kept:
            break
        _file(config, number).unlink(missing_ok=True)
        gone += 1
    return gone


class Backlog:
    """Counts the sales that are on their way to a cut's figures. Reads each commit of Bronze's log once; not thread-safe."""

    def __init__(self, config: Config) -> None:
        base = config.delta.base_path
        self._path = None if paths.is_uri(base) else VENTES.path(base)
        self._seen: dict[int, tuple[int, datetime]] = {}

    def waiting(self, cut: Cut) -> Waiting:
        """None where Bronze's log cannot be read as files."""
        source = cut.tables.get(VENTES.name)
        if source is None or self._path is None:
            return Waiting()
        self._seen = {version: one for version, one in self._seen.items() if version > source.version}
        version = max(self._seen, default=source.version) + 1
        while one := _appended(Path(log_entry.place(self._path, version))):
            self._seen[version] = one
            version += 1
        came = [(rows, moment) for rows, moment in self._seen.values() if rows]
        return Waiting(sum(rows for rows, _ in came), min((moment for _, moment in came), default=None))


def _appended(entry: Path) -> tuple[int, datetime] | None:
    """The rows that a commit brought, and its time; None when it is not there, or is being written."""
    try:
        actions = log_entry.actions(entry.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    info = log_entry.commit_info(actions)
    brings = any(log_entry.changes_rows(action["add"]) for action in actions if "add" in action)
    return read_origin(info).added or 0 if brings else 0, datetime.fromtimestamp(info.get("timestamp", 0) / 1000, UTC)
