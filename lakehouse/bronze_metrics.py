"""EDGE. What a Bronze batch did, counted for the metrics once it is committed."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pyspark.sql import Row

from lakehouse import batch_facts, log, metrics, sale
from lakehouse.batch_facts import BatchFacts
from lakehouse.meter import Meter

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
    for bound, upto in zip((*batch_facts.AGES, facts.doyen / 1e6), (*facts.paliers, total), strict=True):
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
