"""Plan of a batch that holds stale sales, bad messages or copies as well: these are read from Kafka again, and cached."""

from __future__ import annotations

from pyspark import StorageLevel
from pyspark.sql import DataFrame

from lakehouse.bronze import batch_stats
from lakehouse.bronze.micro_batch import CachedRows


def read(on_time: CachedRows, others: DataFrame, storage: StorageLevel) -> CachedRows:
    """``on_time`` together with the batch's ``others``, which one job caches and counts."""
    batch = on_time.batch
    others = batch.cache(others, storage)
    return CachedRows(batch, on_time.rows.unionByName(others), on_time.stats.joined(batch_stats.of(others)))
