"""Plan of a batch of on-time sales alone: the stream's rows are all of it, and Kafka is not read again."""

from __future__ import annotations

from pyspark import StorageLevel

from lakehouse.bronze import batch_stats
from lakehouse.bronze.micro_batch import CachedRows, MicroBatch


def read(batch: MicroBatch, storage: StorageLevel) -> CachedRows:
    """The on-time sales, cached and counted in one job. They are the whole batch when they are as many as its messages."""
    rows = batch.cache(batch.on_time_sales(), storage)
    return CachedRows(batch, rows, batch_stats.of(rows))
