"""EDGE. What the Bronze job shows of itself: its batches, its distance to Kafka, its freshness, and why it is not ready.

Nothing here runs a plan: Spark's progress reports, Kafka's offsets and the tables' logs say it all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

from lakehouse import audit, kafka_clients, log, metrics, progress
from lakehouse.bronze_sink import BronzeSink
from lakehouse.checkpoints import Checkpoint
from lakehouse.config import Config, format_duration
from lakehouse.errors import BrokerUnavailable
from lakehouse.kafka_watch import Lag
from lakehouse.monitor import Monitor
from lakehouse.table_watch import TableWatch, newest_sale

_log = log.get("bronze")

_KNOCK_SECONDS = 1.0
"""How long /readyz waits for a broker to accept a connection."""


class BronzeWatch:
    """Told by the job of what happens; tells its monitor."""

    def __init__(self, config: Config, monitor: Monitor) -> None:
        self._config = config
        self._monitor = monitor
        self._meter = monitor.meter
        self._lag = Lag(config, monitor.meter)
        self._last_trigger: float | None = None
        self._sink: BronzeSink | None = None

    def show(self, sink: BronzeSink) -> None:
        """Tell the monitor where to look."""
        self._sink = sink
        watched, config = self._monitor, self._config
        base = config.delta.base_path

        def freshness() -> None:
            newest = sink.newest
            self._meter.set(metrics.FRESHNESS, None if newest is None else max(0.0, time.time() - newest))

        def first_freshness() -> None:
            if sink.newest is None:
                sink.newest = newest_sale(base)

        def reconciled() -> None:
            last = audit.last_reconciliation(config)
            if last is not None:
                self._meter.set(metrics.DIFFERENCES, last["differences"])
                self._meter.set(metrics.RECONCILED, datetime.fromisoformat(last["finished"]).timestamp())

        self._meter.before_scrape(freshness)
        watched.ready_when(self._not_ready)
        watched.sample("kafka", self._lag.look)
        watched.sample("tables", TableWatch(base, metrics.TABLES["bronze"], self._meter).look)
        watched.sample("freshness", first_freshness)
        watched.sample("reconciliation", reconciled)
        watched.phase("the first trigger has not ended")

    def _not_ready(self) -> Iterator[str]:
        try:
            kafka_clients.knock(self._config, _KNOCK_SECONDS)
        except BrokerUnavailable as error:
            yield str(error)
        limit, last = self._config.monitoring.bronze_stale_after, self._last_trigger
        still = 0.0 if last is None else time.monotonic() - last
        if still > limit.total_seconds():
            yield (
                f"no trigger has ended for {still:.0f} s; [MONITORING] bronze_stale_after is {format_duration(limit)}"
            )

    def query_starts(self, place: Checkpoint) -> None:
        """What the checkpoint says before the query reads on: the offsets that are done, and a batch that was not."""
        committed = place.committed()
        if committed is not None:
            ends = (committed.ends[0] or {}).get(self._config.kafka.topic, {})
            self._lag.read({int(partition): int(offset) for partition, offset in ends.items()})
        if place.planned_ids()[-1:] != place.committed_ids()[-1:]:
            self._meter.add(metrics.REPLAYED)

    def look(self, reports: progress.Reports, *, ended: bool = False) -> None:
        """Count the batches that were committed since the last look, and note that triggers end."""
        seen = False
        for batch in reports.new():
            seen = True
            kept = self._sink.kept.pop(batch.batch_id, None) if self._sink else None
            progress.record(self._meter, batch, kept, time.time())
            self._lag.read(batch.ends)
            _log.file_only(
                "info",
                "batch committed",
                batch_id=batch.batch_id,
                rows=batch.rows,
                seconds=batch.seconds,
                upto=[log.place(self._config.kafka.topic, *end) for end in sorted(batch.ends.items())],
            )
            if batch.dropped:
                _log.error(
                    "the watermark dropped rows: sales are missing from Bronze",
                    batch_id=batch.batch_id,
                    rows=batch.dropped,
                )
        if seen or (not ended and reports.idle()):
            self._last_trigger = time.monotonic()
            self._meter.set(metrics.LAST_TRIGGER, time.time())
            self._monitor.started()
            self._monitor.fault(None)

    def query_failed(self, cause: str) -> None:
        """A passing fault: the query is started again."""
        self._meter.add(metrics.RESTARTS)
        self._monitor.last_error = cause
        self._monitor.fault(f"the query failed and is being started again: {cause}")
