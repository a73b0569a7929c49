"""The ``foreachBatch`` function of Bronze: it checks the batch's clock, chooses its plan, writes its tables, counts.

Guarantee: each Kafka offset of the batch ends as one row of ``ventes_stream``, of ``ventes_operations`` or of
``ventes_rejetees``, or as a duplicate; a batch that is repeated, whole or in part, changes nothing. Proof: docs/PROOFS.md.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import timedelta

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse import crash_points
from lakehouse.bronze import (
    batch_stats,
    decoder,
    exact_dedup,
    mixed_batch,
    on_time_batch,
    rejects,
    staged_backlog,
    transforms,
)
from lakehouse.bronze.batch_settings import BatchSettings
from lakehouse.bronze.batch_stats import BatchCounts, BatchStats, Totals, Written
from lakehouse.bronze.kafka_batch import BatchSource
from lakehouse.bronze.micro_batch import MicroBatch, WritePlan
from lakehouse.bronze.noted_settings import NotedSettings, SettingsChange
from lakehouse.bronze.table_writer import TableWriter
from lakehouse.config import Config
from lakehouse.contract.tables import VENTES
from lakehouse.errors import ClockWentBack, LakehouseError
from lakehouse.lake import spark_tables
from lakehouse.lake.checkpoint import Checkpoint
from lakehouse.maintenance import scheduler
from lakehouse.observability import log
from lakehouse.observability.registry import Meter

_log = log.get("bronze")


class StopAtBoundary(Exception):
    """Raised inside a batch that began after a stop was asked for; nothing of it was written."""


class BronzeSink:
    """The function, with what it has to know between two batches."""

    def __init__(
        self,
        spark: SparkSession,
        config: Config,
        checkpoint: Checkpoint,
        stop: threading.Event,
        source: BatchSource,
        meter: Meter | None = None,
    ) -> None:
        self._spark = spark
        self._config = config
        self._checkpoint = checkpoint
        self._stop = stop
        self._source = source
        self._meter = meter or Meter("bronze")
        self._tables = TableWriter(spark, config, checkpoint, self._meter)
        wanted = BatchSettings.of(config, decoder.fingerprint())
        self.settings = NotedSettings(checkpoint, wanted, self._tables.has, self._prepare)
        self.scope = exact_dedup.Scope.of(spark, config)
        self._schedule = scheduler.Schedule(config, "bronze")
        self.totals = Totals()
        self.failure: BaseException | None = None
        self.settled_batch: int | None = None
        """A batch whose messages are in the tables already, and which the stream repeats without any. No other is begun."""
        self.newest: float | None = None  # the broker's time of the newest sale, seconds since 1970
        self.unreported: dict[int, BatchCounts] = {}  # by batch, until Spark's report of it is counted
        self._written: dict[int, Written] = {}  # of the last batch: it may be repeated within this process
        self.writing = threading.Lock()
        """Held while a batch is written, and by whatever else writes these tables in this process."""

    def __call__(self, stream_rows: DataFrame, batch_id: int) -> None:
        try:
            if self._stop.is_set():
                raise StopAtBoundary
            if self.settled_batch is not None:
                self._pass(stream_rows, batch_id)
                return
            crash_points.step("after a batch of Bronze was planned")
            batch = self._batch(stream_rows, batch_id)
            self._check_clock(batch)
            self.settings.check(batch_id)
            with self.writing:
                self._write(batch)
                self._tables.small_files.between_batches()
                self._schedule.between_batches()
            crash_points.step("before Spark notes a batch of Bronze as done")
        except BaseException as failure:
            self.failure = failure
            if not isinstance(failure, StopAtBoundary | SettingsChange | LakehouseError):
                _log.error("the batch failed; it will be repeated", batch_id=batch_id, exc_info=True)
            raise

    def _pass(self, stream_rows: DataFrame, batch_id: int) -> None:
        """Let the stream's state, and nothing else, go through the settled batch."""
        if batch_id != self.settled_batch:
            raise StopAtBoundary
        rows = stream_rows.count()
        assert rows == 0, "the settled batch was read again"
        self.unreported[batch_id] = BatchCounts(entered=0)

    def reload(self) -> None:
        """Take up what another writer of this process has set for the table."""
        self.scope = exact_dedup.Scope.of(self._spark, self._config)

    def _batch(self, stream_rows: DataFrame, batch_id: int) -> MicroBatch:
        return MicroBatch(
            batch_id,
            self._config,
            self.settings.current,
            stream_rows,
            self._source,
            self._checkpoint.path,
            planned=self._checkpoint.planned(batch_id),
            previous=self._checkpoint.planned(batch_id - 1),
            scope=self.scope,
        )

    def _prepare(self, before: BatchSettings | None, now: BatchSettings, last_clock_ms: int | None) -> None:
        exact_dedup.prepare(self._spark, self._config, before, now, last_clock_ms)
        self.reload()

    def _remember_sales_ahead(self, batch: MicroBatch, stats: BatchStats) -> None:
        """Before sales are committed that the state may forget too soon, or that it never knows: those of a part."""
        delay = batch.settings.watermark_delay // timedelta(microseconds=1)
        limit = (stats.clock or 0) + (delay if batch.planned else 0)
        if stats.last_event is not None and stats.last_event > limit:
            exact_dedup.require_for_sales_ahead(self._spark, self._config, stats.last_event, batch.settings)
            self.reload()

    @staticmethod
    def _check_clock(batch: MicroBatch) -> None:
        """The proof that the watermark drops nothing rests on a clock that only moves forward."""
        planned, previous = batch.planned, batch.previous
        if planned and previous and planned.clock_ms <= previous.clock_ms:
            seconds = (previous.clock_ms - planned.clock_ms) / 1000
            raise ClockWentBack(
                f"This machine's clock is {seconds:.3f} s behind the last committed batch (batch {batch.batch_id} after "
                f"{batch.batch_id - 1}). Nothing was written. Set the clock right, or wait {seconds:.0f} s, and start again. "
                f"If it is right now and was ahead then, type: python ops_utils.py rebuild bronze --anyway"
            )

    def _choose(self, batch: MicroBatch) -> WritePlan:
        """The plan, its rows read and counted. A backlog's sales are staged already."""
        messages = batch.count()
        # a million rows fill a laptop's heap, which may hold the state as well: Java then spent its time on garbage collection
        large = messages is not None and messages > self._config.performance.small_batch_rows
        storage = StorageLevel.DISK_ONLY if large else StorageLevel.MEMORY_AND_DISK
        on_time = on_time_batch.read(batch, storage)
        if on_time.stats.rows == messages:  # each message is an on-time sale and no duplicate
            return on_time
        others = batch.other_messages()
        if staged_backlog.fits(batch, on_time, messages):
            staged = staged_backlog.stage(on_time, others, self._tables)
            if staged:
                return staged
        return mixed_batch.read(on_time, others, storage)

    def _write(self, batch: MicroBatch) -> None:
        try:
            plan = self._choose(batch)
            batch.check_losses()  # after all of it was read: Kafka drops what is read last, too
            stats = plan.stats
            counts = self.commit(batch, plan, self._tables, batch.commit_facts(stats))
            self.unreported[batch.batch_id] = counts
        finally:
            batch.release()
        self.totals.batches += 1

    def commit(
        self, batch: MicroBatch, plan: WritePlan, tables: TableWriter, commit_facts: Mapping[str, object]
    ) -> BatchCounts:
        """Write the plan's sales, operations and bad messages through ``tables``, and count them."""
        stats, operations, rejected = plan.stats, 0, 0
        written = None if stats.sales else Written(0, 0)
        self._remember_sales_ahead(batch, stats)
        if stats.sales:
            rows = plan.write_sales(tables, commit_facts)
            assert stats.newest_arrival is not None  # there is a sale
            self.newest = max(self.newest or 0.0, stats.newest_arrival / 1e6)
            batch_stats.sales(self._meter, stats, rows)
            if rows is not None:
                written = Written(rows, self._late(stats, rows))
                self._written = {batch.batch_id: written} if batch.planned else self._written
        if stats.rejected:
            refused = rejects.write(batch, plan, tables, commit_facts)
            operations = refused.new or 0
            batch_stats.operations(self._meter, refused.operations, refused.new)
            if refused.reasons is not None:
                rejected = refused.reasons.messages
                batch_stats.rejects(self._meter, refused.reasons, batch.batch_id, self._config.kafka.topic)
        if stats.drifted:
            _warn_of_drift(plan.rows, stats.drifted, kept=batch.keep_unknown)
        if written is None and batch.planned:  # by this process, before the batch failed; or by one before it
            written = self._written.get(batch.batch_id)
        if written is None:
            return BatchCounts(stats.rows, operations=operations, rejected=rejected, repeated=True)
        return BatchCounts(stats.rows, written.sales, written.late, operations, rejected)

    def _late(self, stats: BatchStats, written: int) -> int:
        """How many of the batch's rows in ``ventes_stream`` have a late sender. Read there only when some of the sales were left
        out: all its rows, and no other ones, have the batch's clock."""
        if not stats.late or written == stats.sales:
            return stats.late
        mine = F.col("date_ingestion") == F.timestamp_micros(F.lit(stats.clock))
        return spark_tables.read(self._spark, VENTES, self._config).where(mine & F.col("est_tardif")).count()


def _warn_of_drift(rows: DataFrame, sales: int, *, kept: bool) -> None:
    fields = rows.agg(F.max(F.substring(transforms.UNKNOWN, 1, 200)).alias("fields")).first()
    _log.warning(
        f"schema drift: sales with unknown fields, ingested {'with' if kept else 'without'} them",
        sales=sales,
        fields=fields.fields if fields else None,
    )
