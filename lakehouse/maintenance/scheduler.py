"""Maintenance of all tables of one job: what is due, and a round that does it. The job runs it between two batches on a
schedule; ``ops_utils.py maintain`` runs it when the job is stopped. No JVM.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deltalake.exceptions import DeltaError

from lakehouse.config import Config, paths
from lakehouse.contract.tables import TableSpec
from lakehouse.errors import LakehouseError, one_line
from lakehouse.lake import delta_tables
from lakehouse.maintenance import compaction, erasure, retention
from lakehouse.observability import log

_log = log.get("maintain")

Progress = Callable[..., AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True)
class Round:
    """What one round would do to a job's tables."""

    job: str
    tables: tuple[compaction.Survey, ...]
    due: tuple[retention.Due, ...]
    checkpoints: tuple[Path, ...]


def _specs(config: Config, job: str) -> list[TableSpec]:
    """The job's tables that are there."""
    return [spec for spec in compaction.TABLES[job] if delta_tables.exists(spec, config)]


def _due(config: Config, specs: list[TableSpec]) -> tuple[retention.Due, ...]:
    return tuple(found for spec in specs if (found := retention.due(config, spec)))


def plan(config: Config, job: str) -> Round:
    """Look; nothing is changed. Tables that are not there are left out."""
    specs = _specs(config, job)
    return Round(
        job, tuple(compaction.survey(config, spec) for spec in specs), _due(config, specs),
        tuple(compaction.old_checkpoints(config, job)),
    )  # fmt: skip


def run(config: Config, job: str, *, planned: Round | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """One round, which does what ``plan`` found and nothing else; the caller has been the only writer of the job's tables
    since then. Counts by table.

    Retention first: the days that it takes rows from are not compacted, and the files that it leaves are found by the next
    rounds.
    """
    todo = planned or plan(config, job)
    done: dict[str, Any] = {"tables": {}, "removed": {one.spec.name: retention.apply(config, one) for one in todo.due}}
    for found in todo.tables:
        name = found.spec.name
        shown = progress(name, compaction.steps(found)) if progress else nullcontext(lambda _steps: None)
        with shown as advance:
            done["tables"][name] = compaction.maintain(config, found, advance=advance)
    if job == "bronze":
        erasure.forget_ended(config)
    done["checkpoints"] = compaction.drop(list(todo.checkpoints))
    return done


class Schedule:
    """A running job's own rounds, ``[DELTA] maintenance_interval`` apart. Local tables only: those of an object store are
    left to ``auto_compact`` and to Delta's own clean-up of its log."""

    def __init__(self, config: Config, job: str) -> None:
        self._config, self._job = config, job
        self._every = config.delta.maintenance_interval.total_seconds()
        self._last = time.monotonic()

    def between_batches(self) -> bool:
        """A round, when one is due. Its failure is no reason to stop the job: it is logged, and tried again next time."""
        if not self._every or paths.is_remote(self._config) or time.monotonic() - self._last < self._every:
            return False
        began = time.monotonic()
        try:
            done = run(self._config, self._job)
        except (LakehouseError, DeltaError, OSError) as error:
            _log.warning("maintenance failed; the job goes on", job=self._job, fault=one_line(error))
        else:
            totals = dict(_totals(done))
            _log.info("maintained", job=self._job, seconds=round(time.monotonic() - began, 1), **totals)
        self._last = time.monotonic()
        return True


def _totals(done: dict[str, Any]) -> Iterator[tuple[str, int]]:
    for name in ("merged", "dead", "log"):
        yield name, sum(table[name] for table in done["tables"].values())
    yield "removed", sum(done["removed"].values())
