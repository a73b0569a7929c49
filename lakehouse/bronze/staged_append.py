"""The sales of a backlog's batch: written first, compared with Bronze where they lie, and committed then.

Such a batch holds a million old sales or more. Kept in memory until they have been compared, they cost more than their
writing; written, they are read again by their ids alone. A copy among them is rare, and has them written once more.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame

from lakehouse.bronze import exact_dedup, transforms
from lakehouse.bronze.batch_stats import BatchFacts, Observed
from lakehouse.config import Config
from lakehouse.contract.tables import VENTES
from lakehouse.lake.spark_tables import Append


@dataclass(frozen=True)
class Staged:
    """Sales that lie in the table's folder, without copies, and are not part of the table yet."""

    facts: BatchFacts
    append: Append


def stage(
    rows: DataFrame, config: Config, cached: list[DataFrame], *, keep_unknown: bool, app_id: str, batch_id: int
) -> Staged | None:
    """``rows``: the batch's, each with the door that it takes (``_exact``, which has to be ``bronze.is_old``). Reads them
    once; the facts are of all of them, bad messages included. What is cached is added to ``cached``, for the caller to release.
    None when the table has this batch's sales already."""
    session = rows.sparkSession
    append = Append.begin(session, VENTES, config, app_id=app_id, batch_id=batch_id)
    if append is None:
        return None
    observed = Observed(rows)
    sales = transforms.accepted(observed.rows, keep_unknown=keep_unknown)
    append.write(exact_dedup.without_erased_sales(sales, config))
    facts = observed.facts()
    if facts.exacts:
        written, old = append.written(), transforms.is_old(config.streaming.watermark_delay)
        new = exact_dedup.without_copies(written.where(old), facts, config, cached, append.days())
        if new is not None:
            again = Append.begin(session, VENTES, config, app_id=app_id, batch_id=batch_id)
            assert again is not None  # this process alone writes the table
            again.write(new.unionByName(written.where(~old)))
            append.discard()
            append = again
    return Staged(facts, append)
