"""What a Bronze batch did, counted for the metrics once it is committed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, Observation, Row
from pyspark.sql import functions as F

from lakehouse.bronze import transforms
from lakehouse.contract import sale
from lakehouse.observability import log, metrics
from lakehouse.observability.registry import Meter

AGES = (0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 600.0)
"""Seconds from the broker's time of a sale to its batch's, whose duration is added; a sale counts as old as its step's end."""


@dataclass(frozen=True)
class BatchFacts:
    """What decides how a batch is written: counts of its rows, bad ones (``rejets``), rows for the exact door and their
    span of event times, late sales, sales with unknown fields; the newest broker's time, the batch's clock, and the sales'
    ages at it: their sum, the oldest, and how many are within each of ``AGES``. Times are microseconds since 1970, ages
    microseconds."""

    n: int
    rejets: int
    exacts: int
    tardifs: int
    derives: int
    premier: int | None
    dernier: int | None
    recent: int | None
    horloge: int | None
    ages: int
    doyen: int | None
    paliers: list[int]

    def joined(self, other: BatchFacts) -> BatchFacts:
        """The facts of both together."""

        def best(choose: Callable[..., Any], name: str) -> Any:
            return choose(
                (each for each in (getattr(self, name), getattr(other, name)) if each is not None), default=None
            )

        sums = {
            name: getattr(self, name) + getattr(other, name)
            for name in ("n", "rejets", "exacts", "tardifs", "derives", "ages")
        }
        latest = {name: best(max, name) for name in ("dernier", "recent", "horloge", "doyen")}
        steps = [one + two for one, two in zip(self.paliers, other.paliers, strict=True)]
        return BatchFacts(**sums, **latest, premier=best(min, "premier"), paliers=steps)


def of(rows: DataFrame) -> BatchFacts:
    """The statistics of a batch, in one action that also fills the cache of ``rows``."""
    found = rows.agg(*_counts()).first()
    assert found is not None
    return BatchFacts(**found.asDict())


class Observed:
    """The facts of rows that are on their way elsewhere: counted while an action on what is made of ``rows`` runs."""

    def __init__(self, rows: DataFrame) -> None:
        self._observation = Observation()
        self.rows = rows.observe(self._observation, *_counts())

    def facts(self) -> BatchFacts:
        """After the action."""
        made: Any = self._observation._jo
        assert made.future().isCompleted(), "asked before the action had ended: this would wait for ever"
        return BatchFacts(**self._observation.get)


def _counts() -> list[Column]:
    """Numbers only: with a text or a set among them, Spark aggregates row by row without generated code."""
    bad, exact = F.col("motif").isNotNull(), F.col(transforms.NEEDS_EXACT_DEDUP)
    stamp = F.when(~bad, F.unix_micros("kafka_timestamp"))
    event = F.when(exact, F.unix_micros("timestamp"))
    clock = F.unix_micros("date_ingestion")
    age = clock - stamp
    return [
        F.count(F.lit(1)).alias("n"),
        F.count_if(bad).alias("rejets"),
        F.count_if(exact).alias("exacts"),
        F.count_if(F.col("est_tardif")).alias("tardifs"),
        F.count(transforms.UNKNOWN).alias("derives"),
        F.min(event).alias("premier"),
        F.max(event).alias("dernier"),
        F.max(stamp).alias("recent"),
        F.max(F.when(~bad, clock)).alias("horloge"),
        F.coalesce(F.sum(age), F.lit(0)).alias("ages"),
        F.max(age).alias("doyen"),
        F.array(*(F.count_if(age <= round(bound * 1e6)) for bound in AGES)).alias("paliers"),
    ]


_log = log.get("bronze")

REASONS = (sale.VIDE, sale.JSON_INVALIDE, sale.MANQUANT, sale.TYPE, sale.VALEUR, sale.FUTUR)
"""The reject codes without the field: the values of the metrics' label."""


@dataclass
class Totals:
    """Rows since the process started."""

    batches: int = 0
    sales: int = 0
    rejected: int = 0
    late: int = 0
    drifted: int = 0

    def add(self, facts: BatchFacts) -> None:
        """One more batch."""
        self.batches += 1
        self.sales += facts.n - facts.rejets
        self.rejected += facts.rejets
        self.late += facts.tardifs
        self.drifted += facts.derives


def sales(meter: Meter, facts: BatchFacts, written: int | None) -> None:
    """After the commit: what it made visible, and how long that took from the broker's time on. ``written``: None for a
    repeat of what was counted when it was written."""
    if written is None:
        return
    assert facts.horloge is not None and facts.doyen is not None  # there is a sale
    meter.add(metrics.SALES, written)
    meter.add(metrics.LATE, facts.tardifs)
    meter.add(metrics.DUPLICATES, facts.n - facts.rejets - written, "table")
    meter.add(metrics.DRIFTED, facts.derives)
    since = max(0.0, time.time() - facts.horloge / 1e6)
    spread, before, estimated = meter.spread(metrics.LATENCY), 0, 0.0
    total = facts.n - facts.rejets
    for bound, upto in zip((*AGES, facts.doyen / 1e6), (*facts.paliers, total), strict=True):
        spread.add(since + bound, upto - before)
        estimated += (since + bound) * (upto - before)
        before = upto
    spread.sum += facts.ages / 1e6 + since * total - estimated  # the sum is exact, the steps are not


def rejects(meter: Meter, reasons: Row, batch_id: int, topic: str) -> None:
    """``reasons``: a batch's bad messages by ``REASONS`` (``motifs``), their number, and the first of them."""
    for code, count in zip(REASONS, reasons.motifs, strict=True):
        if count:
            meter.add(metrics.REJECTED, count, code)
    first = reasons.rejet
    _log.file_only(  # the terminal has their number in the progress lines
        "warning",
        "messages rejected",
        batch_id=batch_id,
        messages=reasons.rejets,
        first=log.place(topic, first["kafka_partition"], first["kafka_offset"]),
        reason=first["motif"],
    )
