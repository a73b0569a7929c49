"""EDGE. What decides how a micro-batch is written, counted in one pass over its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from lakehouse import bronze

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
    """This action also fills the cache of ``rows``, once."""
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
    bad, exact = F.col("motif").isNotNull(), F.col("_exact")
    stamp = F.when(~bad, F.unix_micros("kafka_timestamp"))
    event = F.when(exact, F.unix_micros("timestamp"))
    clock = F.unix_micros("date_ingestion")
    age = clock - stamp
    return [
        F.count(F.lit(1)).alias("n"),
        F.count_if(bad).alias("rejets"),
        F.count_if(exact).alias("exacts"),
        F.count_if(F.col("est_tardif")).alias("tardifs"),
        F.count(bronze.UNKNOWN).alias("derives"),
        F.min(event).alias("premier"),
        F.max(event).alias("dernier"),
        F.max(stamp).alias("recent"),
        F.max(F.when(~bad, clock)).alias("horloge"),
        F.coalesce(F.sum(age), F.lit(0)).alias("ages"),
        F.max(age).alias("doyen"),
        F.array(*(F.count_if(age <= round(bound * 1e6)) for bound in AGES)).alias("paliers"),
    ]
