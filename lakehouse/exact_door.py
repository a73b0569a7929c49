"""EDGE. The exact door: a batch's old sales beside Bronze itself. Proof: docs/ARCHITECTURE.md, "The exact door"."""

from __future__ import annotations

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse import bronze, delta_io, erased
from lakehouse.batch_facts import BatchFacts
from lakehouse.config import Config
from lakehouse.tables import VENTES


def unknown_sales(batch: DataFrame, facts: BatchFacts, config: Config, cached: list[DataFrame]) -> DataFrame:
    """The batch's rows without the sales that Bronze holds already, each of the rest once. Only the rows that are to take
    this door (``_exact``) are compared. What is cached for it is added to ``cached``, for the caller to release."""
    if not facts.exacts:
        return batch
    to_compare, fresh = batch.where("_exact"), batch.where(~F.col("_exact"))
    doubtful = suspects(to_compare, facts, config).persist(StorageLevel.MEMORY_AND_DISK)
    cached.append(doubtful)
    if doubtful.isEmpty():  # nearly always, and the rows stay where they are
        # now, since Delta plans what is cached of a table anew whenever it writes to it
        doubtful.unpersist()
        new = to_compare
    else:
        new = bronze.first_copies(to_compare, doubtful)
    new = erased.without_erased_sales(new, config)
    return new if facts.exacts == facts.n - facts.rejets else fresh.unionByName(new)


def suspects(to_compare: DataFrame, facts: BatchFacts, config: Config) -> DataFrame:
    """See ``bronze.suspects``. Only ids are moved for it. Bronze is pruned to the days of ``to_compare`` and to its span of
    event times, which are those of the first copies too."""
    asked = to_compare.select("vente_id")
    days = [row.jour for row in to_compare.select("jour").distinct().collect()]
    known = (
        delta_io.read(to_compare.sparkSession, VENTES, config)
        .where(bronze.on_days(days))
        .where(F.col("timestamp").between(F.lit(facts.premier), F.lit(facts.dernier)))
        .select("vente_id")
    )
    if facts.exacts <= config.performance.broadcast_rows:
        # few old rows: Bronze is scanned past them, instead of being shuffled
        known = known.join(F.broadcast(asked), "vente_id", "left_semi")
    return bronze.suspects(asked, known)
