"""Operational data for the pages: processes and their figures, table files, commits, the last reconciliation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lakehouse.config import Config
from lakehouse.contract.tables import PUBLIC
from lakehouse.errors import TableMissing
from lakehouse.explorer.formats.values import plain
from lakehouse.lake.reader import Lake
from lakehouse.lake.result import Column, Kind, Result
from lakehouse.observability import audit_log
from lakehouse.operations import status
from lakehouse.operations.status import ProcessState

COMMITS_PER_TABLE, COMMITS = 5, 15
MAX_AGE = 1.0
RECORD = ("finished", "differences", "found", "notes", "record", "versions", "silver_bronze_version", "operator")
"""The fields of a reconciliation's record that are shown, in this order; the others are long."""


class ProcessStates:
    """State of every process, cached for ``MAX_AGE`` seconds: a refresh queries all of them over HTTP."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at = float("-inf")
        self._states: list[ProcessState] = []

    def states(self, config: Config) -> list[ProcessState]:
        with self._lock:
            if time.monotonic() > self._at + MAX_AGE:
                self._states, self._at = status.processes(config), time.monotonic()
            return self._states


@dataclass(frozen=True)
class Fact:
    """One kind of operational data. ``every``: refresh interval in seconds; 0 if it depends on the tables only."""

    find: Callable[[Config, Lake], Result]
    every: float = 0


def _columns(*named: tuple[str, Kind]) -> tuple[Column, ...]:
    return tuple(Column(name, kind) for name, kind in named)


def processes(config: Config, _lake: Lake) -> Result:
    """One row per process, with the state that its own health data gives."""
    rows: list[tuple[Any, ...]] = [
        (one.name, one.state, one.pid, one.since, "; ".join(one.reasons) or None, one.last_error)
        for one in _process_states.states(config)
    ]
    return Result(
        _columns(
            ("processus", "text"), ("etat", "text"), ("pid", "integer"), ("depuis", "timestamp"), ("raisons", "text"),
            ("derniere_erreur", "text"),
        ),
        rows,
    )  # fmt: skip


def figures(config: Config, _lake: Lake) -> Result:
    """One row per process × figure of its health data: lag, seconds of a batch, freshness; never money."""
    rows: list[tuple[Any, ...]] = [
        (one.name, name, float(value)) for one in _process_states.states(config) for name, value in one.figures.items()
    ]
    return Result(_columns(("processus", "text"), ("mesure", "text"), ("valeur_mesuree", "float")), rows)


def tables(_config: Config, lake: Lake) -> Result:
    """One row per table that is there: version, rows, files, bytes, and the time of its newest commit."""
    rows: list[tuple[Any, ...]] = []
    for spec in PUBLIC:
        try:
            snapshot = lake.snapshot(spec.name)
        except TableMissing:
            continue
        actions: Any = snapshot.handle.get_add_actions(flatten=True)
        sizes, counts = ([one.as_py() for one in actions.column(name)] for name in ("size_bytes", "num_records"))
        lines = None if None in counts else sum(counts)
        source = snapshot.source
        rows.append((spec.name, spec.layer, lines, source.version, len(sizes), sum(sizes), source.committed))
    return Result(
        _columns(
            ("table", "text"), ("couche", "text"), ("lignes", "integer"), ("version", "integer"),
            ("fichiers", "integer"), ("octets", "integer"), ("date_commit", "timestamp"),
        ),
        rows,
    )  # fmt: skip


def commits(_config: Config, lake: Lake) -> Result:
    """The newest commits of all tables, newest first."""
    rows: list[tuple[Any, ...]] = []
    for spec in PUBLIC:
        try:
            found = lake.history(spec.name, limit=COMMITS_PER_TABLE)
        except TableMissing:
            continue
        picked = [found.column(name) for name in ("date_commit", "version", "operation", "mesures", "moteur")]
        rows += [(moment, spec.name, *rest) for moment, *rest in zip(*picked, strict=True)]
    rows.sort(key=lambda row: (row[0] is not None, row[0]), reverse=True)
    return Result(
        _columns(
            ("date_commit", "timestamp"), ("table", "text"), ("version", "integer"), ("operation", "text"),
            ("mesures", "text"), ("moteur", "text"),
        ),
        rows[:COMMITS],
    )  # fmt: skip


def reconciliation(config: Config, _lake: Lake) -> Result:
    """The fields of the last reconciliation's record; no row when there was none."""
    last = audit_log.last_reconciliation(config)
    shown = {field: last[field] for field in RECORD if field in last} if last else {}
    rows: list[tuple[Any, ...]] = [(field, _text(value) or None) for field, value in shown.items()]
    return Result(_columns(("champ", "text"), ("contenu", "text")), rows)


def drift(config: Config, lake: Lake) -> Result:
    """The figures of the health data that count schema drift, since Bronze started."""
    found = figures(config, lake)
    return Result(found.columns, [row for row in found.rows if "drift" in row[1]])


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(item)}" for key, item in value.items())
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return ", ".join(map(_text, value))
    return str(plain(value))


def about_tables(name: str) -> bool:
    """Whether a question depends on the tables only, not on the clock."""
    return name not in FACTS or not FACTS[name].every


_process_states = ProcessStates()

FACTS: dict[str, Fact] = {
    "processes": Fact(processes, every=2),
    "figures": Fact(figures, every=2),
    "tables": Fact(tables),
    "commits": Fact(commits),
    "reconciliation": Fact(reconciliation, every=10),
    "drift": Fact(drift, every=2),
}
