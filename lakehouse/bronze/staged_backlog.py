"""Plan of a backlog's batch: its sales are written first, compared with Bronze in their files, and committed then.

Such a batch holds a million stale sales or more. Caching them until they have been compared costs more than writing them;
once written, only their ids are read again. Copies among them are rare; then the sales are written once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame

from lakehouse.bronze import exact_dedup, transforms
from lakehouse.bronze.batch_stats import BatchStats, Observed
from lakehouse.bronze.micro_batch import CachedRows, MicroBatch
from lakehouse.bronze.table_writer import TableWriter
from lakehouse.contract.tables import VENTES
from lakehouse.lake.append import Append


@dataclass(frozen=True)
class StagedBacklog:
    """Sales without copies in the table's folder, in files that are not part of the table yet."""

    rows: DataFrame
    stats: BatchStats
    append: Append

    def write_sales(self, tables: TableWriter, commit_facts: Mapping[str, object]) -> int | None:
        """Commit the files. See ``WritePlan``."""
        return tables.commit(VENTES, lambda: self.append.commit(commit_facts))


def fits(batch: MicroBatch, on_time: CachedRows, messages: int | None) -> bool:
    """Whether the batch's messages that are not on time are a backlog. A new checkpoint over an existing table reads
    nothing but copies, which would be written in vain."""
    if messages is None or batch.scope.until is not None:
        return False
    return messages - on_time.stats.rows > batch.config.performance.small_batch_rows


def stage(on_time: CachedRows, others: DataFrame, tables: TableWriter) -> StagedBacklog | None:
    """Write the sales of ``on_time`` and ``others``, which are read once. None when the table has the batch's sales
    already."""
    batch = on_time.batch
    begun = tables.begin(VENTES, batch.batch_id)
    if begun is None:
        return None
    rows = on_time.rows.unionByName(others) if on_time.stats.rows else others
    observed = Observed(rows)
    sales = transforms.accepted(observed.rows, keep_unknown=batch.keep_unknown)
    begun.write(exact_dedup.without_erased_sales(sales, batch.config))
    stats = observed.stats()
    if stats.to_compare:
        written, settings = begun.written(), batch.settings
        compared = transforms.is_stale(settings.watermark_delay, settings.floor_us) | transforms.is_far_ahead(
            settings.watermark_delay
        )
        new = exact_dedup.without_copies(
            written.where(compared), stats, batch.config, batch.cached, batch.scope.zones, begun.days()
        )
        if new is not None:
            again = tables.begin(VENTES, batch.batch_id)
            assert again is not None  # this process alone writes the table
            again.write(new.unionByName(written.where(~compared)))
            begun.discard()
            begun = again
    return StagedBacklog(rows, stats, begun)
