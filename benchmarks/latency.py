"""From the broker's timestamp of a sale to the moment at which a reader can see it in the Bronze table.

The same method for each contender: a topic of its own, our producer at a steady rate (1,000 sales a second), and a look at the table's log every
20 ms. A new version counts as visible when ``deltalake`` has loaded it; the sales it added are read from its added files
afterwards, so that the reading delays no look. Commits that only rewrite files (compaction) add no sale.

The window of the measurement starts ``WARM_UP`` seconds after the contender's first sale is visible, and the producer
goes on ``COOL_DOWN`` seconds after the window's end, so that the last sales of the window wait under load as well. Every
sale of the window is waited for: the slow ones count.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from benchmarks import contenders
from benchmarks.contenders import Contender
from benchmarks.measured import Measured
from benchmarks.report import percentile
from lakehouse.config import PROJECT, Config
from lakehouse.contract.tables import VENTES
from lakehouse.errors import LakehouseError
from lakehouse.kafka import clients
from lakehouse.lake import table_handle

RATE = 1000
WARM_UP = 20.0
COOL_DOWN = 10.0
_LOOK_SECONDS = 0.02
_PATIENCE = 300.0
"""Seconds within which the first sale must be visible, and the last one after the producer has stopped."""


@dataclass(frozen=True)
class LatencyRun:
    """One contender. ``p50`` … ``worst`` in seconds, over the ``sales`` of the window; ``versions`` that added them.

    ``first_sale``: start of the process to its first sale visible, with the JARs in the cache.
    """

    contender: str
    sales: int
    versions: int
    p50: float
    p99: float
    worst: float
    first_sale: float


class Watcher:
    """Notes when each version of a table became visible."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._log = Path(path) / "_delta_log"
        self._table: DeltaTable | None = None
        self._next = 0
        self.seen: list[tuple[float, int, list[tuple[Path, int]]]] = []
        self.sales = 0

    def look(self) -> None:
        """Take in the versions that are new. The file's name is asked for first: that costs the contender nothing."""
        while (entry := self._log / f"{self._next:020}.json").exists():
            if self._table is None:
                self._table = table_handle.opened(self._path)
            while self._table.version() < self._next:
                self._table.update_incremental()
            files = added(entry)
            self.seen.append((time.time(), self._next, files))
            self.sales += sum(rows for _, rows in files)
            self._next += 1

    def look_for(self, seconds: float) -> None:
        """Look every 20 ms."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.look()
            time.sleep(_LOOK_SECONDS)

    def waits(self) -> Iterator[tuple[int, float, float]]:
        """(version, broker's timestamp in seconds since 1970, seconds until visible) of each sale."""
        for at, version, files in self.seen:
            for path, _ in files:
                column = pq.ParquetFile(path).read(["kafka_timestamp"])["kafka_timestamp"]
                stamps = pc.cast(column.cast(pa.timestamp("us", "UTC")), pa.int64()).to_pylist()
                yield from ((version, stamp / 1e6, at - stamp / 1e6) for stamp in stamps)


def added(entry: Path) -> list[tuple[Path, int]]:
    """The data files that a version of a table brought, with their rows; none for a version that only rewrites files."""
    found = []
    for line in entry.read_text(encoding="utf-8").splitlines():
        add = json.loads(line).get("add")
        if add and add["dataChange"]:
            found.append((entry.parent.parent / unquote(add["path"]), json.loads(add["stats"])["numRecords"]))
    return found


@dataclass(frozen=True)
class Window:
    """What one run gave: (version, seconds since the window's start, seconds until visible) of each sale of the window."""

    first_sale: float
    sales: list[tuple[int, float, float]]


def measure(contender: Contender, config: Config, seconds: float, rate: int = RATE) -> LatencyRun:
    """Run a contender and the producer side by side. ``config`` names the run's own folder and topic."""
    found = watch(contender, config, seconds, rate)
    return summary(contender.name, [(version, wait) for version, _, wait in found.sales], found.first_sale)


def watch(contender: Contender, config: Config, seconds: float, rate: int) -> Window:
    """``measure``, sale by sale."""
    clients.ensure_topic(config)
    producing = [sys.executable, str(PROJECT / "producer_ventes.py"), f"--rate={rate}"]
    with contextlib.ExitStack() as stack:
        job = stack.enter_context(contenders.start(contender, config, once=False))
        producer = stack.enter_context(contenders.measured(config, "producer", producing))
        watcher = Watcher(VENTES.path(config.delta.base_path))
        _until(watcher, 1, job, producer)
        first_sale = time.time() - job.began
        watcher.look_for(WARM_UP)
        start = time.time()
        deadline = time.monotonic() + seconds + COOL_DOWN
        while (left := deadline - time.monotonic()) > 0:
            watcher.look_for(min(left, 10.0))
            job.check()
            producer.check()
        producer.end()
        ends = clients.earliest_and_latest_offsets(config)
        _until(watcher, sum(end - begin for begin, end in ends.values()), job)
        job.end(patience=60)
    inside = [
        (version, stamp - start, wait) for version, stamp, wait in watcher.waits() if start <= stamp < start + seconds
    ]
    return Window(first_sale, inside)


def summary(name: str, inside: list[tuple[int, float]], first_sale: float) -> LatencyRun:
    """The figures of one run from (version, seconds until visible) of each sale of the window."""
    if not inside:
        raise LakehouseError(f"{name}: no sale fell into the window of the measurement.")
    waits = sorted(wait for _, wait in inside)
    versions = len({version for version, _ in inside})
    return LatencyRun(
        name, len(waits), versions, percentile(waits, 0.5), percentile(waits, 0.99), waits[-1], first_sale
    )


def _until(watcher: Watcher, sales: int, *running: Measured) -> None:
    deadline = time.monotonic() + _PATIENCE
    while watcher.sales < sales:
        watcher.look_for(0.2)
        for child in running:
            child.check()
        if time.monotonic() > deadline:
            raise LakehouseError(f"Only {watcher.sales:,} of {sales:,} sales were visible after {_PATIENCE:g} s.")
