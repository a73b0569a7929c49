"""Health and metrics of the Bronze job: its batches, its lag, its freshness, and why it is not ready.

Nothing here runs a Spark job: the sources are Spark's progress reports, Kafka's offsets and the tables' logs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakehouse.bronze.sink import BronzeSink
from lakehouse.config import Config, format_duration
from lakehouse.errors import BrokerUnavailable, RowsDropped
from lakehouse.kafka import clients
from lakehouse.kafka.lag import Lag
from lakehouse.kafka.progress_group import ProgressGroup
from lakehouse.lake.checkpoint import Checkpoint
from lakehouse.lake.table_metrics import TableWatch, newest_sale
from lakehouse.observability import audit_log, log, metrics
from lakehouse.observability.health import Monitor
from lakehouse.observability.registry import Meter

_IDLE = ("Waiting for data to arrive", "Waiting for next trigger")
"""Spark's status of a query that has found no new messages, or has ended its batch."""


@dataclass(frozen=True)
class Progress:
    """One committed batch as Spark reports it. ``ends``: partition → next offset to read."""

    batch_id: int
    rows: int
    seconds: float
    rows_per_second: float
    arrived_per_second: float
    started: float
    watermark: float | None
    phases: Mapping[str, float]
    state_rows: int
    state_bytes: int
    dropped: int
    ends: Mapping[int, int]


def parse(report: Mapping[str, Any]) -> Progress:
    """From the JSON of Spark's report."""
    operators = report.get("stateOperators") or []
    stamp = (report.get("eventTime") or {}).get("watermark")
    durations = report.get("durationMs") or {}
    return Progress(
        batch_id=int(report["batchId"]),
        rows=int(report.get("numInputRows") or 0),
        seconds=durations.get("triggerExecution", 0) / 1000,
        rows_per_second=float(report.get("processedRowsPerSecond") or 0),
        arrived_per_second=float(report.get("inputRowsPerSecond") or 0),
        started=_seconds(report["timestamp"]),
        watermark=_seconds(stamp) if stamp else None,
        phases={name: took / 1000 for name, took in durations.items() if name != "triggerExecution"},
        state_rows=sum(int(operator.get("numRowsTotal", 0)) for operator in operators),
        state_bytes=sum(int(operator.get("memoryUsedBytes", 0)) for operator in operators),
        dropped=sum(int(operator.get("numRowsDroppedByWatermark", 0)) for operator in operators),
        ends=_ends(report),
    )


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def _ends(report: Mapping[str, Any]) -> dict[int, int]:
    (source,) = report.get("sources") or [{}]
    end = source.get("endOffset") or {}
    if isinstance(end, str):
        end = json.loads(end)
    return {int(partition): int(offset) for topic in end.values() for partition, offset in topic.items()}


def record(meter: Meter, batch: Progress, deduplicated: int | None, now: float) -> None:
    """Count one batch, which was reported at ``now`` (seconds since 1970). ``deduplicated``: the rows that came out of the
    stream's deduplication, as the sink counted them."""
    if deduplicated is not None:
        meter.add(metrics.DUPLICATES, batch.rows - deduplicated - batch.dropped, "memory")
    meter.add(metrics.INPUT_ROWS, batch.rows)
    meter.add(metrics.BATCHES)
    meter.set(metrics.BATCH_ID, batch.batch_id)
    meter.observe(metrics.BATCH_SECONDS, batch.seconds)
    meter.set(metrics.LAST_BATCH_SECONDS, batch.seconds)
    for phase, seconds in batch.phases.items():
        meter.add(metrics.PHASE_SECONDS, seconds, phase)
    meter.set(metrics.PROCESSED_RATE, batch.rows_per_second)
    meter.set(metrics.INPUT_RATE, batch.arrived_per_second)
    meter.set(metrics.LAST_PROGRESS, now)
    if batch.watermark is not None and batch.watermark > 0:  # before the first event Spark reports 1970
        meter.set(metrics.WATERMARK, batch.watermark)
        meter.set(metrics.WATERMARK_LAG, batch.started - batch.watermark)
    meter.set(metrics.STATE_ROWS, batch.state_rows)
    meter.set(metrics.STATE_BYTES, batch.state_bytes)
    meter.add(metrics.WATERMARK_DROPPED, batch.dropped)


class Reports:
    """The reports of one query that were not counted yet. Spark keeps the last 100."""

    def __init__(self, query: Any) -> None:
        self._query = query
        self._seen = -1

    def new(self) -> Iterator[Progress]:
        """One call to Spark when there is none; the whole list only after more than one batch."""
        last = self._query.lastProgress
        if last is None or int(last["batchId"]) <= self._seen:
            return
        reports = [last]
        if int(last["batchId"]) > self._seen + 1:
            reports = [report for report in self._query.recentProgress if int(report["batchId"]) > self._seen]
        for report in reports:
            batch = parse(report)
            if batch.batch_id > self._seen:
                self._seen = batch.batch_id
                yield batch

    def idle(self) -> bool:
        """Whether the query has just ended a trigger."""
        return str(self._query.status["message"]).startswith(_IDLE)


_log = log.get("bronze")

_REACHABLE_SECONDS = 1.0
"""How long /readyz waits for a broker to accept a connection."""


class BronzeHealth:
    """Receives the job's events, and sets its metrics and its monitor's state."""

    def __init__(self, config: Config, monitor: Monitor) -> None:
        self._config = config
        self._monitor = monitor
        self._meter = monitor.meter
        self._lag = Lag(config, monitor.meter)
        self._group = ProgressGroup(config, monitor.meter) if config.kafka.progress_group else None
        self._last_trigger: float | None = None
        self._sink: BronzeSink | None = None
        self._hanging: set[str] = set()

    def watch(self, sink: BronzeSink) -> None:
        """Register what the monitor samples."""
        self._sink = sink
        monitor, config = self._monitor, self._config
        base = config.delta.base_path

        def freshness() -> None:
            newest = sink.newest
            self._meter.set(metrics.FRESHNESS, None if newest is None else max(0.0, time.time() - newest))

        def first_freshness() -> None:
            if sink.newest is None:
                sink.newest = newest_sale(base)

        def reconciled() -> None:
            last = audit_log.last_reconciliation(config)
            if last is not None:
                self._meter.set(metrics.DIFFERENCES, last["differences"])
                self._meter.set(metrics.RECONCILED, datetime.fromisoformat(last["finished"]).timestamp())

        self._meter.before_scrape(freshness)
        monitor.ready_when(self._not_ready)
        monitor.sample("kafka", self._lag.look)
        monitor.sample("transactions", self._say_hanging)
        if self._group:
            monitor.sample("progress group", self._group.mirror)
        monitor.sample("tables", TableWatch(base, metrics.TABLES["bronze"], self._meter).look)
        monitor.sample("freshness", first_freshness)
        monitor.sample("reconciliation", reconciled)
        monitor.phase("the first trigger has not ended")

    def _not_ready(self) -> Iterator[str]:
        try:
            clients.check_reachable(self._config, _REACHABLE_SECONDS)
        except BrokerUnavailable as error:
            yield str(error)
        yield from self._lag.hanging().values()
        limit, last = self._config.monitoring.bronze_stale_after, self._last_trigger
        still = 0.0 if last is None else time.monotonic() - last
        if still > limit.total_seconds():
            yield (
                f"no trigger has ended for {still:.0f} s; [MONITORING] bronze_stale_after is {format_duration(limit)}"
            )

    def _say_hanging(self) -> None:
        """In the log, once for each transaction."""
        found = self._lag.hanging()
        for place in found.keys() - self._hanging:
            _log.warning(found[place])
        self._hanging = set(found)

    def query_starts(self, checkpoint: Checkpoint) -> None:
        """Take the committed offsets from the checkpoint, and count a batch that was planned and not committed."""
        committed = checkpoint.committed()
        if committed is not None:
            self._committed(committed.kafka_ends(self._config.kafka.topic))
        if checkpoint.planned_ids()[-1:] != checkpoint.committed_ids()[-1:]:
            self._meter.add(metrics.REPLAYED)

    def read(self, reports: Reports, *, ended: bool = False) -> None:
        """Count the batches that were committed since the last call, and note that triggers end. Raises ``RowsDropped``."""
        seen, dropped = False, ""
        for batch in reports.new():
            seen = True
            deduplicated = self._sink.deduplicated.pop(batch.batch_id, None) if self._sink else None
            record(self._meter, batch, deduplicated, time.time())
            self._committed(batch.ends)
            _log.file_only(
                "info",
                "batch committed",
                batch_id=batch.batch_id,
                rows=batch.rows,
                seconds=batch.seconds,
                upto=[log.place(self._config.kafka.topic, *end) for end in sorted(batch.ends.items())],
            )
            if batch.dropped:
                dropped = f"batch {batch.batch_id}: {batch.dropped}"
        if seen or (not ended and reports.idle()):
            self._last_trigger = time.monotonic()
            self._meter.set(metrics.LAST_TRIGGER, time.time())
            self._monitor.started()
            self._monitor.fault(None)
        if ended and self._group:
            self._group.mirror()
        if dropped:
            raise RowsDropped(dropped)

    def _committed(self, ends: Mapping[int, int]) -> None:
        self._lag.read(ends)
        if self._group:
            self._group.read(ends)

    def query_failed(self, cause: str) -> None:
        """A transient error: the query is started again."""
        self._meter.add(metrics.RESTARTS)
        self._monitor.last_error = cause
        self._monitor.fault(f"the query failed and is being started again: {cause}")
