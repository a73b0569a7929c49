"""One micro-batch of Bronze: its clock is checked, its duplicates go, its two tables are appended to.

Guarantee: each Kafka offset of the batch ends as one row of ``ventes_stream``, one row of ``ventes_rejetees``, or a
duplicate; a batch that is repeated, whole or in part, changes nothing. Proof: docs/PROOFS.md.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.bronze import batch_stats, exact_dedup, staged_append, transforms
from lakehouse.bronze.batch_stats import BatchFacts, Totals
from lakehouse.bronze.kafka_batch import BatchSource, judging_options
from lakehouse.bronze.staged_append import Staged
from lakehouse.config import Config
from lakehouse.contract.table_properties import HORIZON, TOPIC_SINCE
from lakehouse.contract.tables import REJETS, VENTES, TableSpec
from lakehouse.errors import CheckpointInvalid, ClockWentBack, LakehouseError
from lakehouse.jvm import compiler
from lakehouse.lake import spark_tables
from lakehouse.lake.checkpoint import Checkpoint, Planned
from lakehouse.maintenance import scheduler
from lakehouse.maintenance.small_files import SmallFiles
from lakehouse.observability import log, metrics
from lakehouse.observability.registry import Meter

_log = log.get("bronze")

Appender = Callable[[DataFrame, TableSpec], int | None]
"""Appends a batch's rows to a table; returns how many were written, None when the table had the batch already."""


class StopAtBoundary(Exception):
    """Raised inside a batch that began after a stop was asked for; nothing of it was written."""


class BronzeSink:
    """The ``foreachBatch`` function, with what it needs to know between two batches."""

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
        self._query_id: str | None = None
        self._plans: tuple[Planned | None, Planned | None] = (None, None)  # of this batch, and of the one before
        self._horizon = self._read_horizon()
        self._keeps_unknown = config.streaming.champs_inconnus == "garder"
        self.totals = Totals()
        self.failure: BaseException | None = None
        self.newest: float | None = None  # the broker's time of the newest sale, seconds since 1970
        self._meter = meter or Meter("bronze")
        self._release: list[DataFrame] = []  # what a batch has cached beside its rows
        self.kept: dict[int, int] = {}  # batch → its rows after the stream's deduplication, until its report is seen
        self._versions: dict[str, int] = {}
        self._schedule = scheduler.Schedule(config, "bronze")
        self._small_files = SmallFiles(config)
        self._heap = compiler.new(spark, "Heap")
        self.writing = threading.Lock()
        """Held while a batch is written: what else writes these tables in this process waits for it, and it for that."""

    # --- the exact door's horizon ------------------------------------------------------------------------------------

    def _read_horizon(self) -> datetime | None:
        text = spark_tables.properties(self._spark, VENTES, self._config).get(HORIZON)
        return datetime.fromisoformat(text) if text else None

    def open_exact_door(self) -> None:
        """Send every sale through the exact door until no sale that another checkpoint took in can be on time again."""
        streaming = self._config.streaming
        until = datetime.now(UTC) + streaming.watermark_delay + 2 * streaming.future_tolerance + timedelta(minutes=1)
        spark_tables.set_properties(self._spark, VENTES, self._config, {HORIZON: until.isoformat(timespec="seconds")})
        self._horizon = until
        _log.info("new checkpoint over an existing table: every sale is compared with Bronze", until=until.isoformat())

    def note_topic(self, topic_id: str, *, fresh: bool) -> None:
        """Remember since when this topic is read. ``fresh``: no batch of this checkpoint was planned yet."""
        known = spark_tables.properties(self._spark, VENTES, self._config).get(TOPIC_SINCE, "")
        if known.split(" ")[0] == topic_id:
            return
        since = datetime.now(UTC) if fresh else datetime.fromtimestamp(0, UTC)
        value = f"{topic_id} {since.isoformat(timespec='milliseconds')}"
        spark_tables.set_properties(self._spark, VENTES, self._config, {TOPIC_SINCE: value})

    # --- one batch ---------------------------------------------------------------------------------------------------

    def __call__(self, batch: DataFrame, batch_id: int) -> None:
        try:
            if self._stop.is_set():
                raise StopAtBoundary
            self._check_clock(batch_id)
            with self.writing:
                self._write(batch, batch_id)
                self._small_files.between_batches()
                self._schedule.between_batches()
        except BaseException as failure:
            self.failure = failure
            if not isinstance(failure, StopAtBoundary | LakehouseError):
                _log.error("the batch failed; it will be repeated", batch_id=batch_id, exc_info=True)
            raise

    def _check_clock(self, batch_id: int) -> None:
        """The proof that the watermark drops nothing rests on a clock that only moves forward."""
        now, before = self._plans = (self._checkpoint.planned(batch_id), self._checkpoint.planned(batch_id - 1))
        if now and before and now.clock_ms <= before.clock_ms:
            seconds = (before.clock_ms - now.clock_ms) / 1000
            raise ClockWentBack(
                f"This machine's clock is {seconds:.3f} s behind the last committed batch (batch {batch_id} after "
                f"{batch_id - 1}). Nothing was written. Set the clock right, or wait {seconds:.0f} s, and start again."
            )

    def _app_id(self, spec: TableSpec) -> str:
        if self._query_id is None:
            self._query_id = self._checkpoint.query_id()
        # The query's own id, never a constant: a reset checkpoint with an old id would silently skip data.
        return f"{spec.name}-{self._query_id}"

    def _write(self, batch: DataFrame, batch_id: int) -> None:
        try:
            rows, facts, staged = self._taken_in(batch, batch_id)
            self.kept[batch_id] = facts.n
            # the log is the ledger: what was read, beside Delta's own count of the rows that the same commit wrote
            ledger = {**self._span(), "entered": facts.n, "rejected": facts.rejets}
            append = self._appender(batch_id, facts, ledger)
            if facts.n > facts.rejets:
                if staged:
                    written = self._committed(VENTES, lambda: staged.append.commit(ledger))
                else:
                    new = exact_dedup.unknown_sales(rows, facts, self._config, self._release)
                    written = append(transforms.accepted(new, keep_unknown=self._keeps_unknown), VENTES)
                assert facts.recent is not None  # there is a sale
                self.newest = max(self.newest or 0.0, facts.recent / 1e6)
                batch_stats.sales(self._meter, facts, written)
            if facts.rejets:
                self._write_rejects(rows, batch_id, append)
            if facts.derives:
                self._warn_of_drift(rows, facts.derives)
        finally:
            for frame in self._release:
                frame.unpersist()
            self._release.clear()
        self.totals.add(facts)

    def _taken_in(self, batch: DataFrame, batch_id: int) -> tuple[DataFrame, BatchFacts, Staged | None]:
        """The batch's rows, each with the door that it takes, and their facts. Of a backlog, the sales are written already."""
        messages, small = self._messages(), self._config.performance.small_batch_rows
        # a million rows fill a laptop's heap, in which the state may lie too: Java then collected garbage and did little else
        large = messages is not None and messages > small
        self._heap.fit(large)
        place = StorageLevel.DISK_ONLY if large else StorageLevel.MEMORY_AND_DISK
        on_time = self._kept(self._with_door(batch), place)
        facts = batch_stats.of(on_time)
        if facts.n == messages:  # each of them is an on-time sale that came once
            return on_time, facts, None
        others = self._with_door(self._others())
        # a new checkpoint over an existing table reads copies alone, which would be written for nothing
        if messages is not None and messages - facts.n > small and self._horizon is None:
            rows = on_time.unionByName(others) if facts.n else others
            keep_unknown, app_id = self._keeps_unknown, self._app_id(VENTES)
            staged = staged_append.stage(
                rows, self._config, self._release, keep_unknown=keep_unknown, app_id=app_id, batch_id=batch_id
            )
            if staged:
                return rows, staged.facts, staged
        others = self._kept(others, place)
        return on_time.unionByName(others), facts.joined(batch_stats.of(others)), None

    def _with_door(self, rows: DataFrame) -> DataFrame:
        return rows.withColumn("_exact", self._through_exact_door())

    def _kept(self, rows: DataFrame, place: StorageLevel) -> DataFrame:
        """Until the batch is written."""
        self._release.append(rows.persist(place))
        return rows

    def _planned(self) -> tuple[Planned | None, Planned]:
        now, before = self._plans
        if now is None:
            raise CheckpointInvalid(f"{self._checkpoint.path} has no plan of the batch that is running.")
        return before, now

    def _messages(self) -> int | None:
        return self._source.count(*self._planned())

    def _others(self) -> DataFrame:
        """What the stream's plan leaves out of the batch, by the same clock: each message is in one of the two."""
        before, now = self._planned()
        clock = F.timestamp_millis(F.lit(now.clock_ms))
        rows = transforms.decoded(self._source.messages(before, now), ingested=clock, **judging_options(self._config))
        return transforms.others(rows)

    def _write_rejects(self, rows: DataFrame, batch_id: int, append: Appender) -> None:
        """The reasons are worked out here, for the bad messages alone: no other row ever goes through Python."""
        bad = self._unknown_rejects(transforms.rejected(rows)).persist(StorageLevel.MEMORY_AND_DISK)
        try:
            reasons = bad.agg(
                F.array(*(F.count_if(F.col("motif").startswith(code)) for code in batch_stats.REASONS)).alias("motifs"),
                F.count(F.lit(1)).alias("rejets"),
                F.min(F.struct("kafka_partition", "kafka_offset", "motif")).alias("rejet"),
            ).first()
            assert reasons is not None
            if append(bad, REJETS) is not None and reasons.rejets:
                batch_stats.rejects(self._meter, reasons, batch_id, self._config.kafka.topic)
        finally:
            bad.unpersist()

    def _appender(self, batch_id: int, facts: BatchFacts, ledger: Mapping[str, object]) -> Appender:
        small = facts.n <= self._config.performance.small_batch_rows

        def append(rows: DataFrame, spec: TableSpec) -> int | None:
            kept = rows.coalesce(1) if small else rows
            app_id = self._app_id(spec)
            return self._committed(
                spec,
                lambda: spark_tables.append(kept, spec, self._config, app_id=app_id, batch_id=batch_id, facts=ledger),
            )

        return append

    def _committed(self, spec: TableSpec, commit: Callable[[], None]) -> int | None:
        """Returns the rows that were written, as Delta counted them; None when it had this batch already."""
        before = self._versions.get(spec.name)
        if before is None:
            before = spark_tables.last_version(self._spark, spec, self._config)
        began = time.monotonic()
        commit()
        self._meter.observe(metrics.COMMIT_SECONDS, time.monotonic() - began, spec.name)
        now = self._versions[spec.name] = spark_tables.last_version(self._spark, spec, self._config)
        if now == before:
            return None
        counted, files = spark_tables.written(self._spark, spec, self._config, after=before, upto=now)
        self._small_files.written(spec, files, before=before, after=now)
        return counted

    def _span(self) -> dict[str, object]:
        """Which offsets the batch read, and its clock, which every row of it has as ``date_ingestion``."""
        now, before = self._plans
        return {
            "clock_ms": now.clock_ms if now else None,
            "from": before.ends[0] if before else None,
            "to": now.ends[0] if now else None,
        }

    def _through_exact_door(self) -> Column:
        is_sale = F.col("motif").isNull()
        if self._horizon is None:
            return is_sale & F.col(transforms.OLD)
        return is_sale & (F.col(transforms.OLD) | (F.col("date_ingestion") < F.lit(self._horizon)))

    def _unknown_rejects(self, batch: DataFrame) -> DataFrame:
        """A rebuilt checkpoint reads old bad messages again: those that stand in the reject table are not repeated.
        The broker's time is part of the key because a topic that was created anew counts its offsets from 0 again."""
        if self._horizon is None:
            return batch
        known = exact_dedup.known_rejects(batch.sparkSession, self._config)
        return transforms.unknown(batch, known, (*REJETS.keys, "kafka_timestamp"))

    def _warn_of_drift(self, batch: DataFrame, sales: int) -> None:
        fields = batch.agg(F.max(F.substring(transforms.UNKNOWN, 1, 200)).alias("fields")).first()
        _log.warning(
            f"schema drift: sales with unknown fields, taken in {'with' if self._keeps_unknown else 'without'} them",
            sales=sales,
            fields=fields.fields if fields else None,
        )
