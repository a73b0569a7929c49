"""One micro-batch on its way into Bronze: its offsets and clock, its rows, and what is cached until it is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lakehouse.bronze import exact_dedup, transforms
from lakehouse.bronze.batch_settings import BatchSettings
from lakehouse.bronze.batch_stats import BatchStats
from lakehouse.bronze.kafka_batch import BatchSource
from lakehouse.bronze.table_writer import TableWriter
from lakehouse.config import Config
from lakehouse.contract.tables import VENTES
from lakehouse.errors import CheckpointInvalid
from lakehouse.lake.checkpoint_files import Planned


@dataclass(frozen=True)
class MicroBatch:
    """``stream_rows``: the on-time sales that the stream's deduplication let through. ``planned`` and ``previous``: the
    offset log's entries of this batch and of the one before. ``scope``: see ``exact_dedup.Scope``.
    ``settings``: those that the stream's plan has as well."""

    batch_id: int
    config: Config
    settings: BatchSettings
    stream_rows: DataFrame
    source: BatchSource
    checkpoint_path: str
    previous: Planned | None
    planned: Planned | None
    scope: exact_dedup.Scope
    cached: list[DataFrame] = field(default_factory=list)

    @property
    def keep_unknown(self) -> bool:
        """Whether fields that the contract does not know are kept."""
        return self.config.streaming.champs_inconnus == "garder"

    def _offsets(self) -> tuple[Planned | None, Planned]:
        if self.planned is None:
            raise CheckpointInvalid(f"{self.checkpoint_path} has no plan of the batch that is running.")
        return self.previous, self.planned

    def count(self) -> int | None:
        """The messages that the batch holds at most; None when that cannot be told."""
        return self.source.count(*self._offsets())

    def check_losses(self) -> None:
        """See ``BatchSource``."""
        self.source.check_losses(*self._offsets())

    def on_time_sales(self) -> DataFrame:
        """``stream_rows`` with ``NEEDS_EXACT_DEDUP``."""
        return self.with_need(self.stream_rows)

    def other_messages(self) -> DataFrame:
        """The messages that the stream's plan leaves out of the batch, by the same clock, with ``NEEDS_EXACT_DEDUP``: each message is in
        one of the two."""
        previous, planned = self._offsets()
        clock = F.timestamp_millis(F.lit(planned.clock_ms))
        messages = self.source.messages(previous, planned)
        decoded = transforms.decoded(messages, ingested=clock, **self.settings.validation())
        return self.with_need(transforms.others(decoded))

    def with_need(self, rows: DataFrame) -> DataFrame:
        """``rows`` with ``NEEDS_EXACT_DEDUP``."""
        return exact_dedup.with_need(rows, self.scope.until, self.settings.watermark_delay)

    def cache(self, rows: DataFrame, storage: StorageLevel) -> DataFrame:
        """Until ``release``."""
        self.cached.append(rows.persist(storage))
        return rows

    def release(self) -> None:
        """Give back what was cached for the batch."""
        for frame in self.cached:
            frame.unpersist()
        self.cached.clear()

    def commit_facts(self, counted: BatchStats) -> dict[str, object]:
        """Facts about the batch for its commits, beside Delta's own count of the rows written: the offsets that it read, its
        clock, which every row of it has as ``date_ingestion``, and its rows."""
        return {
            "clock_ms": self.planned.clock_ms if self.planned else None,
            "from": self.previous.ends[0] if self.previous else None,
            "to": self.planned.ends[0] if self.planned else None,
            "entered": counted.rows,
            "rejected": counted.rejected,
        }


class WritePlan(Protocol):
    """The plan by which the sales of one micro-batch are written into ``ventes_stream``."""

    @property
    def rows(self) -> DataFrame:
        """All rows of the batch, bad messages included."""

    @property
    def stats(self) -> BatchStats:
        """The statistics of all rows."""

    def write_sales(self, tables: TableWriter, commit_facts: Mapping[str, object]) -> int | None:
        """Commit the sales; the rows written, None when the table had the batch already."""


@dataclass(frozen=True)
class CachedRows:
    """A plan whose rows are cached, counted, compared with Bronze where they need it, and then appended."""

    batch: MicroBatch
    rows: DataFrame
    stats: BatchStats

    def write_sales(self, tables: TableWriter, commit_facts: Mapping[str, object]) -> int | None:
        """See ``WritePlan``."""
        batch = self.batch
        new = exact_dedup.new_sales(self.rows, self.stats, batch.config, batch.cached, batch.scope.zones)
        sales = transforms.accepted(new, keep_unknown=batch.keep_unknown)
        return tables.append(sales, VENTES, batch_id=batch.batch_id, batch_rows=self.stats.rows, facts=commit_facts)
