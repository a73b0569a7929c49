"""The backlog drain: how fast a contender turns a filled topic into a Delta table, and whether the table is right."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
from deltalake import QueryBuilder
from deltalake.exceptions import DeltaError

from benchmarks import contenders
from benchmarks.contenders import JOB, Contender
from benchmarks.preload import Truth
from lakehouse.config import Config
from lakehouse.contract.tables import VENTES, checkpoint
from lakehouse.errors import LakehouseError
from lakehouse.lake import checkpoint_files, table_handle

_SLOWEST = 2_000
"""Messages a second below which a contender is stopped."""


@dataclass(frozen=True)
class Held:
    """What a contender's table holds; ``distinct`` counts vente_id."""

    rows: int
    distinct: int
    cents: int


@dataclass(frozen=True)
class DrainRun:
    """One contender, one turn. ``seconds``: start of the process to its exit. ``processing_seconds``: start of the first
    batch to the commit of the last. ``peak_mb``: resident memory of the largest process (the JVM)."""

    contender: str
    turn: int
    sales: int
    seconds: float
    processing_seconds: float
    batches: int
    cpu_seconds: float | None
    peak_mb: float | None
    held: Held
    correct: bool

    @property
    def rate(self) -> float:
        return self.sales / self.seconds

    @property
    def processing_rate(self) -> float:
        return self.sales / self.processing_seconds

    @property
    def cpu_per_million(self) -> float | None:
        """CPU seconds a million sales."""
        return None if self.cpu_seconds is None else self.cpu_seconds / self.sales * 1e6


def drain(contender: Contender, config: Config, turn: int, truth: Truth) -> DrainRun:
    """Run a contender over the filled topic, then look at what it left. Raises ``LakehouseError`` when it fails."""
    with contenders.start(contender, config, once=True) as child:
        usage = child.wait(300 + truth.sales / _SLOWEST)
    place = Path(checkpoint(config.delta.base_path, JOB))
    seconds, batches = processing(place) if contender.checkpointed else said(child.log)
    try:
        found = held(config.delta.base_path)
    except DeltaError as error:
        raise LakehouseError(f"{contender.name} left no table that can be read: {error}") from None
    correct = found == Held(truth.sales, truth.sales, truth.cents)
    return DrainRun(
        contender.name, turn, truth.sales, usage.seconds, seconds, batches, usage.cpu_seconds, usage.peak_mb, found,
        correct,
    )  # fmt: skip


def processing(place: Path) -> tuple[float, int]:
    """Seconds from the clock of a checkpoint's first batch to the commit record of its last, and the batches between."""
    committed = sorted((path for path in (place / "commits").glob("[0-9]*") if path.name.isdigit()), key=_number)
    if not committed:
        raise LakehouseError(f"No batch was committed: {place / 'commits'} is empty.")
    first = checkpoint_files.planned(0, (place / "offsets" / "0").read_text(encoding="utf-8"))
    return committed[-1].stat().st_mtime - first.clock_ms / 1000, len(committed)


def said(log: Path) -> tuple[float, int]:
    """Seconds and appends, from the line of JSON that a contender without a checkpoint has printed last."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    try:
        found = json.loads(lines[-1])
        return float(found["seconds"]), int(found["batches"])
    except (IndexError, KeyError, ValueError):
        raise LakehouseError(f"{log.name} does not end with a line of figures: {lines[-1:]}") from None


def _number(path: Path) -> int:
    return int(path.name)


def held(base: str) -> Held:
    """Count the Bronze table under ``base`` as any reader sees it. A null among the sums' inputs counts as 0 cents."""
    reader = QueryBuilder().register("ventes", table_handle.opened(VENTES.path(base)))
    query = "SELECT count(*) AS n, count(DISTINCT vente_id) AS d, coalesce(sum(montant), 0) AS m FROM ventes"
    (row,) = pa.table(reader.execute(query).read_all()).to_pylist()
    return Held(row["n"], row["d"], int(Decimal(row["m"]) * 100))
