"""EDGE. Spark's progress reports of the Bronze query → metrics. Read from the reports alone: nothing is run for it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lakehouse import metrics
from lakehouse.meter import Meter

_IDLE = ("Waiting for data to arrive", "Waiting for next trigger")
"""What Spark says of a query that has just looked for messages and found none, or has done its batch."""


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
    """A report of Spark's, as its JSON has it."""
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


def record(meter: Meter, batch: Progress, kept: int | None, now: float) -> None:
    """Count one batch, which was seen at ``now`` (seconds since 1970). ``kept``: the rows that came out of the stream's
    deduplication, as the sink counted them."""
    if kept is not None:
        meter.add(metrics.DUPLICATES, batch.rows - kept - batch.dropped, "memory")
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
    if batch.watermark is not None and batch.watermark > 0:  # before the first event Spark says 1970
        meter.set(metrics.WATERMARK, batch.watermark)
        meter.set(metrics.WATERMARK_LAG, batch.started - batch.watermark)
    meter.set(metrics.STATE_ROWS, batch.state_rows)
    meter.set(metrics.STATE_BYTES, batch.state_bytes)
    meter.add(metrics.WATERMARK_DROPPED, batch.dropped)


class Reports:
    """The reports of one query that were not seen yet. Spark keeps the last 100."""

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
