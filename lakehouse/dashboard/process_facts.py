"""Operational data for the pages: processes and their figures, table files, commits, the last reconciliation."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import psutil

from lakehouse.config import Config
from lakehouse.contract.tables import PUBLIC, SILVER, VENTES
from lakehouse.errors import TableMissing
from lakehouse.explorer.formats.values import plain
from lakehouse.lake import cuts
from lakehouse.lake import history as lake_history
from lakehouse.lake.reader import Lake
from lakehouse.lake.result import Column, Kind, Result
from lakehouse.observability import audit_log
from lakehouse.observability.provenance import Origin, read_origin
from lakehouse.operations import status
from lakehouse.operations.status import ProcessState

COMMITS_PER_TABLE, COMMITS = 8, 12
FOUND = 10
"""Differences of a reconciliation that a page lists."""
_SILVER = frozenset(spec.name for spec in SILVER)
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
    """One row per process × figure of its health data: lag, seconds of a batch, freshness, MiB of memory; never money."""
    rows: list[tuple[Any, ...]] = [(process, name, value) for (process, name), value in measured(config).items()]
    return Result(_columns(("processus", "text"), ("mesure", "text"), ("valeur_mesuree", "float")), rows)


def begun(config: Config, _lake: Lake) -> Result:
    """One row per process that has taken the first sale on: the producer has sent one, the Bronze job has written one."""
    taken = {"producer": ("sent",), "bronze": ("sales", "freshness_seconds")}
    rows: list[tuple[Any, ...]] = [
        (one.name,)
        for one in _process_states.states(config)
        if any(one.figures.get(name) for name in taken.get(one.name, ()))
    ]
    return Result(_columns(("processus", "text")), rows)


def measured(config: Config) -> dict[tuple[str, str], float]:
    """(process, figure) → value, of every process that tells; ``memory`` (MiB) is the operating system's, with the children."""
    found = {}
    for one in _process_states.states(config):
        for name, value in one.figures.items():
            found[one.name, name] = float(value)
        if one.pid is not None and (memory := _memory(one.pid)):
            found[one.name, "memory"] = memory
    return found


def _memory(pid: int) -> float | None:
    try:
        process = psutil.Process(pid)
        return float(sum(each.memory_info().rss for each in (process, *process.children(recursive=True)))) / 2**20
    except psutil.Error:
        return None  # it runs elsewhere, or has ended


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


def commits(config: Config, lake: Lake) -> Result:
    """What was done to the tables last, newest first. The commits of one Silver pass, or of one maintenance, are one row:
    ``quoi`` is what it was, ``numero`` its batch, ``ventes`` the rows that it brought, ``secondes`` from its first commit to its last."""
    done: dict[tuple[Any, ...], list[tuple[datetime, str, Origin]]] = {}
    for spec in PUBLIC:
        try:
            found = lake_history.newest(partial(lake.newest_handle, spec.name), COMMITS_PER_TABLE)
        except TableMissing:
            continue
        for commit in found:
            moment, origin = lake_history.moment(commit.get("timestamp")), read_origin(commit)
            what = origin.what or str(commit.get("operation", "?")).lower()
            number = origin.facts.get("batch")
            alone = (
                None
                if what in ("silver batch", "silver operations", "silver build", "bronze batch")
                else (spec.name, commit["version"])
            )
            if moment is not None:
                done.setdefault((what, number, origin.facts.get("generation"), alone), []).append(
                    (moment, spec.name, origin)
                )
    passes = cuts.last(config, COMMITS)
    rows: list[tuple[Any, ...]] = []
    for cut, sales in passes:
        moments = [one.committed for name, one in cut.tables.items() if name in _SILVER and one.committed]
        seconds = (max(moments) - min(moments)).total_seconds() if moments else None
        rows.append((cut.recorded, "silver pass", cut.number, sales, seconds, None))
    for (what, number, _, _), parts in done.items():
        if passes and what in ("silver batch", "silver operations"):
            continue
        moments = [moment for moment, _, _ in parts]
        brought = sum(origin.added or 0 for _, name, origin in parts if name == VENTES.name)
        names = ", ".join(sorted({name for _, name, _ in parts}))
        seconds = (max(moments) - min(moments)).total_seconds() if len(parts) > 1 else None
        rows.append((max(moments), what, number, brought if what == "bronze batch" else None, seconds, names))
    rows.sort(key=lambda row: row[0], reverse=True)
    return Result(
        _columns(
            ("date_commit", "timestamp"), ("quoi", "text"), ("numero", "integer"), ("ventes", "integer"), ("secondes", "float"),
            ("table", "text"),
        ),
        rows[:COMMITS],
    )  # fmt: skip


def reconciliation(config: Config, _lake: Lake) -> Result:
    """The fields of the last reconciliation's record; no row when there was none."""
    last = audit_log.last_reconciliation(config)
    shown = {field: last[field] for field in RECORD if field in last} if last else {}
    rows: list[tuple[Any, ...]] = [(field, _text(value) or None) for field, value in shown.items()]
    return Result(_columns(("champ", "text"), ("contenu", "text")), rows)


def verdict(config: Config, _lake: Lake) -> Result:
    """The last reconciliation in one row; none when there was none."""
    last = audit_log.last_reconciliation(config)
    rows: list[tuple[Any, ...]] = []
    if last and "finished" in last:
        lines = last.get("per_partition", [])
        consumed = sum(line.get("consumed", 0) for line in lines if isinstance(line, dict))
        open_ = sum(abs(line.get("difference", 0)) for line in lines if isinstance(line, dict))
        found = [str(text) for text in last.get("found", ())][:FOUND]
        rows.append(
            (
                datetime.fromisoformat(last["finished"]),
                int(last.get("differences", 0)),
                consumed,
                consumed - open_,
                found,
            )
        )
    return Result(
        _columns(
            ("finished", "timestamp"), ("differences", "integer"), ("consumed", "integer"), ("accounted", "integer"),
            ("found", "other"),
        ),
        rows,
    )  # fmt: skip


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
    "begun": Fact(begun, every=2),
    "tables": Fact(tables),
    "commits": Fact(commits),
    "reconciliation": Fact(reconciliation, every=10),
    "verdict": Fact(verdict, every=2),
    "drift": Fact(drift, every=2),
}
