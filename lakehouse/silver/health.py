"""Health and metrics of the Silver job: its passes, its age, and why it is not ready."""

from __future__ import annotations

import time
from collections.abc import Iterator

from lakehouse.config import Config, format_duration
from lakehouse.lake.table_metrics import TableWatch
from lakehouse.observability import metrics
from lakehouse.observability.health import Monitor


class SilverHealth:
    """Receives the job's events, and sets its metrics and its monitor's state."""

    def __init__(self, config: Config, monitor: Monitor) -> None:
        self._config = config
        self._monitor = monitor
        self._meter = monitor.meter
        self._last: float | None = None
        self._every = 0.0
        self._merged: set[str] = set()

    def watch(self, every: float | None) -> None:
        """Register what the monitor samples; a pass is due every ``every`` seconds."""
        self._every = every or 0.0
        base = self._config.delta.base_path

        def age() -> None:
            self._meter.set(metrics.SILVER_AGE, None if self._last is None else time.monotonic() - self._last)

        self._meter.before_scrape(age)
        self._monitor.ready_when(self._not_ready)
        self._monitor.sample("tables", TableWatch(base, metrics.TABLES["silver"], self._meter).look)

    def _not_ready(self) -> Iterator[str]:
        limit = self._config.monitoring.silver_stale_after
        age = 0.0 if self._last is None else time.monotonic() - self._last
        if age > self._every + limit.total_seconds():
            yield (
                f"no pass has ended for {age:.0f} s, and one is due every {self._every:g} s; [MONITORING] "
                f"silver_stale_after is {format_duration(limit)}"
            )

    def used(self, engine: str) -> None:
        """The engine of a pass that had sales, or of a full build."""
        self._meter.add(metrics.ENGINE_USES, 1, engine)

    def passed(self, *, sales: int, seconds: float, behind: int) -> None:
        """A pass has ended well; ``behind`` versions of Bronze were new to it."""
        self._last = time.monotonic()
        self._meter.add(metrics.PASSES)
        self._meter.set(metrics.BEHIND, behind)
        self._meter.set(metrics.LAST_PASS, time.time())
        self._meter.add(metrics.MERGED, sales)
        if sales:
            self._meter.observe(metrics.REFRESH_SECONDS, seconds)
        self._merged.clear()
        self._meter.set(metrics.PASS_TABLES, 0)
        self._monitor.started()

    def built(self) -> None:
        self._meter.add(metrics.BUILDS)

    def merged(self, table: str, seconds: float) -> None:
        self._meter.observe(metrics.COMMIT_SECONDS, seconds, table)
        if table in self._merged:  # a pass broke off and is repeated, or it has another micro-batch
            self._merged.clear()
        self._merged.add(table)
        self._meter.set(metrics.PASS_TABLES, len(self._merged) % len(metrics.TABLES["silver"]))
