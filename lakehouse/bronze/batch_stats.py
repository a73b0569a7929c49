"""Statistics of a Bronze batch: they decide how it is written, and go into the metrics once it is committed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pyspark.sql import Column, DataFrame, Observation, Row
from pyspark.sql import functions as F

from lakehouse.bronze import transforms
from lakehouse.contract import sale
from lakehouse.observability import log, metrics
from lakehouse.observability.registry import Meter

AGES = (0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0)
"""Histogram bounds (s) of a sale's age, from the broker's time to the batch's clock. Each sale counts at its bucket's upper
bound plus the batch's duration."""


@dataclass(frozen=True)
class BatchStats:
    """Counts of a batch's rows, and the spans of their times. Times are microseconds since 1970, ages microseconds; a time
    is null when there is no row to have it."""

    rows: int
    rejected: int
    """Messages that are no sales: bad ones, and operations on sales."""
    to_compare: int
    """Sales with ``NEEDS_EXACT_DEDUP``."""
    late: int
    """Sales whose sender was late."""
    drifted: int
    """Sales with fields that the contract does not know."""
    first_event: int | None
    """The span of event times of the sales to compare."""
    last_event: int | None
    newest_arrival: int | None
    """The broker's latest time of a sale."""
    clock: int | None
    """The batch's own time, ``date_ingestion`` of its sales."""
    age_sum: int
    """Of the sales, from the broker's time to ``clock``."""
    oldest: int | None
    within_ages: list[int]
    """Sales within each of ``AGES``."""

    @property
    def sales(self) -> int:
        """Valid messages."""
        return self.rows - self.rejected

    def joined(self, other: BatchStats) -> BatchStats:
        """The statistics of both together."""

        def best(choose: Callable[..., Any], name: str) -> Any:
            found = (getattr(self, name), getattr(other, name))
            return choose((each for each in found if each is not None), default=None)

        sums = {
            name: getattr(self, name) + getattr(other, name)
            for name in ("rows", "rejected", "to_compare", "late", "drifted", "age_sum")
        }
        latest = {name: best(max, name) for name in ("last_event", "newest_arrival", "clock", "oldest")}
        within_ages = [one + two for one, two in zip(self.within_ages, other.within_ages, strict=True)]
        return BatchStats(**sums, **latest, first_event=best(min, "first_event"), within_ages=within_ages)


def of(rows: DataFrame) -> BatchStats:
    """The statistics of a batch, in one action that also fills the cache of ``rows``."""
    found = rows.agg(*_counts()).first()
    assert found is not None
    return BatchStats(**found.asDict())


class Observed:
    """The statistics of rows that are written elsewhere: counted while an action on a result of ``rows`` runs."""

    def __init__(self, rows: DataFrame) -> None:
        self._observation = Observation()
        self.rows = rows.observe(self._observation, *_counts())

    def stats(self) -> BatchStats:
        """After the action."""
        made: Any = self._observation._jo
        assert made.future().isCompleted(), "called before the action had ended: this would wait for ever"
        return BatchStats(**self._observation.get)


def _counts() -> list[Column]:
    """Numbers only: with a text or a set among them, Spark aggregates row by row without generated code."""
    bad, exact = F.col("motif").isNotNull(), F.col(transforms.NEEDS_EXACT_DEDUP)
    stamp = F.when(~bad, F.unix_micros("kafka_timestamp"))
    event = F.when(exact, F.unix_micros("timestamp"))
    clock = F.unix_micros("date_ingestion")
    age = clock - stamp
    return [
        F.count(F.lit(1)).alias("rows"),
        F.count_if(bad).alias("rejected"),
        F.count_if(exact).alias("to_compare"),
        F.count_if(F.col("est_tardif")).alias("late"),
        F.count(transforms.UNKNOWN).alias("drifted"),
        F.min(event).alias("first_event"),
        F.max(event).alias("last_event"),
        F.max(stamp).alias("newest_arrival"),
        F.max(F.when(~bad, clock)).alias("clock"),
        F.coalesce(F.sum(age), F.lit(0)).alias("age_sum"),
        F.max(age).alias("oldest"),
        F.array(*(F.count_if(age <= round(bound * 1e6)) for bound in AGES)).alias("within_ages"),
    ]


_log = log.get("bronze")

REASONS = (
    sale.VIDE, sale.JSON_INVALIDE, sale.MANQUANT, sale.TYPE, sale.VALEUR, sale.CORRECTION_VIDE, sale.FUTUR, sale.EN_ATTENTE,
    sale.ILLISIBLE,
)  # fmt: skip
"""The reject codes without the field: the values of the metrics' label."""


class Written(NamedTuple):
    """The rows of ``ventes_stream`` that one batch, or a part of one, has added, and those of them with ``est_tardif``."""

    sales: int
    late: int


@dataclass(frozen=True)
class BatchCounts:
    """What one batch, or a part of one, has added to the tables. ``entered``: its messages after the stream's deduplication.
    ``repeated``: another process has added its sales, and counted them."""

    entered: int
    new: int = 0
    late: int = 0
    operations: int = 0
    rejected: int = 0
    repeated: bool = False


@dataclass
class Totals:
    """Messages since the process started, batch by batch as each is committed, so that always ``read`` = ``new`` +
    ``duplicates`` + ``operations`` + ``rejected``. ``new`` (sales), ``late`` (of the new ones), ``operations`` and ``rejected``
    are rows that the tables got."""

    batches: int = 0
    read: int = 0
    new: int = 0
    late: int = 0
    operations: int = 0
    rejected: int = 0

    @property
    def duplicates(self) -> int:
        """Messages that were left out because the tables had their sale, their operation, or them, already."""
        return self.read - self.new - self.operations - self.rejected

    def add(self, counts: BatchCounts, read: int) -> None:
        """A batch, or a part of one, of which ``read`` messages were read."""
        self.read += counts.operations + counts.rejected if counts.repeated else read
        self.new += counts.new
        self.late += counts.late
        self.operations += counts.operations
        self.rejected += counts.rejected


def sales(meter: Meter, stats: BatchStats, written: int | None) -> None:
    """Count a committed batch, and its sales' latency from the broker's time to the commit. ``written``: None for a repeated
    batch, which was counted when it was written."""
    if written is None:
        return
    assert stats.clock is not None and stats.oldest is not None  # there is a sale
    meter.add(metrics.SALES, written)
    meter.add(metrics.LATE, stats.late)
    meter.add(metrics.DUPLICATES, stats.sales - written, "table")
    meter.add(metrics.DRIFTED, stats.drifted)
    since = max(0.0, time.time() - stats.clock / 1e6)
    histogram, before, estimated = meter.spread(metrics.LATENCY), 0, 0.0
    total = stats.sales
    for bound, upto in zip((*AGES, stats.oldest / 1e6), (*stats.within_ages, total), strict=True):
        histogram.add(since + bound, upto - before)
        estimated += (since + bound) * (upto - before)
        before = upto
    histogram.sum += stats.age_sum / 1e6 + since * total - estimated  # the sum is exact, the buckets are not


def operations(meter: Meter, of_batch: int, new: int | None) -> None:
    """Count a batch's operations. ``new``: those that were written; None for a repeated batch."""
    if new is not None:
        meter.add(metrics.OPERATIONS, new)
        meter.add(metrics.DUPLICATES, of_batch - new, "table")


def rejects(meter: Meter, reasons: Row, batch_id: int, topic: str) -> None:
    """``reasons``: a batch's bad messages by ``REASONS`` (``by_reason``), their number (``messages``), and the first of them."""
    for code, count in zip(REASONS, reasons.by_reason, strict=True):
        if count:
            meter.add(metrics.REJECTED, count, code)
    first = reasons["first"]
    _log.file_only(  # the terminal has their number in the progress lines
        "warning",
        "messages rejected",
        batch_id=batch_id,
        messages=reasons.messages,
        first=log.place(topic, first["kafka_partition"], first["kafka_offset"]),
        reason=first["motif"],
    )
