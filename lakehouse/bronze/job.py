"""The Bronze streaming query: started, monitored, restarted after transient errors, stopped at a batch boundary."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from lakehouse.bronze import decoder, exact_dedup, health, kafka_batch, offset_gaps, transforms
from lakehouse.bronze.attempts import Attempt
from lakehouse.bronze.batch_settings import BatchSettings
from lakehouse.bronze.health import BronzeHealth
from lakehouse.bronze.isolation import Isolation
from lakehouse.bronze.kafka_batch import KafkaBatches
from lakehouse.bronze.noted_settings import SettingsChange
from lakehouse.bronze.sink import BronzeSink, StopAtBoundary
from lakehouse.config import Config
from lakehouse.contract.table_properties import TOPIC_SINCE
from lakehouse.contract.tables import BRONZE, OPERATIONS, PERTES, VENTES
from lakehouse.contract.tables import checkpoint as checkpoint_path
from lakehouse.errors import BrokerUnavailable, LakehouseError, RowsDropped, cause_of
from lakehouse.kafka import clients
from lakehouse.lake import checkpoint_files, checkpoint_validation, spark_session, spark_tables, writer_lock
from lakehouse.lake.checkpoint import Checkpoint
from lakehouse.maintenance import erasure
from lakehouse.observability import log
from lakehouse.observability.health import Monitor

_log = log.get("bronze")

JOB = "bronze"
_POLL_SECONDS = 0.5
_REPORT_SECONDS = 1.0
"""Between two readings of Spark's progress reports."""


def rows_of(messages: DataFrame, settings: BatchSettings) -> DataFrame:
    """Kafka rows → the on-time sales, without the duplicates that the deduplication state knows. The sink reads the
    batch's other messages itself, so that neither a backlog nor a flood of bad messages fills the state."""
    delay, tolerance = settings.watermark_delay, settings.future_tolerance
    messages = transforms.perhaps_on_time(messages, watermark_delay=delay, future_tolerance=tolerance)
    on_time = transforms.on_time(transforms.decoded(messages, **settings.validation()))
    return transforms.deduplicated(on_time, watermark_delay=delay)


def trigger(config: Config, *, once: bool) -> dict[str, Any]:
    """The schedule of the micro-batches, as arguments of ``DataStreamWriter.trigger``."""
    if once:
        return {"availableNow": True}
    return {"processingTime": f"{config.streaming.trigger_interval.total_seconds() * 1000:.0f} milliseconds"}


def pause(config: Config, faults: int) -> float:
    """Seconds to wait after the given number of faults in a row: doubling, 30 at most."""
    doubled: float = config.streaming.restart_delay.total_seconds() * 2 ** min(faults - 1, 10)
    return min(30.0, doubled)


class BronzeJob:
    """Kafka → ``ventes_stream``, ``ventes_operations`` and ``ventes_rejetees``, until told to stop or, with ``once``, until the end of the topic."""

    def __init__(
        self, config: Config, *, once: bool, accept_data_loss: bool = False, monitor: Monitor | None = None
    ) -> None:
        self._config = config
        self._monitor = monitor or Monitor(config, JOB)
        self._health = BronzeHealth(config, self._monitor)
        self._once = once
        self._accept = accept_data_loss
        self._stop = threading.Event()

    def run(self, spark: SparkSession | None = None) -> int:
        """0 when the job ended as asked. Raises the error that an operator has to decide on.

        A session that is given stays open, and signals are then its owner's: ``stop`` ends the job.
        """
        with writer_lock.writer_lock(self._config, JOB):
            self._monitor.phase("Kafka is asked for the topic")
            clients.ensure_topic(self._config)
            clients.check_right(self._config, "READ")
            self._check_topic_clock()
            self._monitor.phase("Spark is starting")
            if spark is not None:
                self._run(spark)
                return 0
            with spark_session.opened(self._config, JOB, name=self._monitor.name) as opened:
                # after the session: pyspark installs a handler of its own
                signal.signal(signal.SIGTERM, self._ask_to_stop)
                signal.signal(signal.SIGINT, self._ask_to_stop)
                self._run(opened)
        return 0

    def _check_topic_clock(self) -> None:
        kind = clients.describe_topic(self._config).settings.get("message.timestamp.type")
        if kind != "LogAppendTime":
            _log.warning(
                "the topic is stamped by its senders' clocks: these decide which sales are late or in the future. "
                "Set message.timestamp.type=LogAppendTime on the topic",
                topic=self._config.kafka.topic,
                timestamp_type=kind,
            )

    def stop(self) -> None:
        """End at the next batch boundary."""
        self._stop.set()

    def _ask_to_stop(self, number: int, _frame: FrameType | None) -> None:
        _log.info("stopping at the end of the batch", signal=signal.Signals(number).name)
        self._stop.set()

    def _run(self, spark: SparkSession) -> None:
        config = self._config
        decoder.register(spark)
        self._monitor.phase("the tables and the checkpoint are checked")
        checkpoint = Checkpoint(spark, checkpoint_path(config.delta.base_path, JOB))
        checkpoint.check(topic=config.kafka.topic)  # refuses a damaged checkpoint before anything is written
        for spec in BRONZE:
            if spec is not OPERATIONS or spark_tables.exists(spark, spec, config):
                spark_tables.ensure(spark, spec, config)
        if checkpoint.is_new():
            exact_dedup.require_for_new_checkpoint(spark, config)
        source = KafkaBatches(spark, config, checkpoint)
        sink = BronzeSink(spark, config, checkpoint, self._stop, source, self._monitor.meter)
        self._health.watch(sink)
        isolation = Isolation(spark, config, checkpoint, source, sink, self._monitor, self._stop)
        if checkpoint.drop_plan_behind_the_clock():
            _log.warning(
                "a batch that was planned while the clock was behind is planned anew; nothing of it was written"
            )
        accepted = self._check_gaps(spark, checkpoint)
        _note_topic(spark, config, checkpoint.topic_id() or "", fresh=checkpoint.is_new())
        if accepted:
            # only the run that skips the gap goes on in spite of it: a later loss must stop the job again
            source.accepted = accepted
            self._keep_running(spark, checkpoint, sink, isolation, once=True, fail_on_data_loss=False)
            source.accepted = None
        self._keep_running(spark, checkpoint, sink, isolation, once=self._once, fail_on_data_loss=True)
        _log.info("stopped", **_counts(sink))

    def _find_gaps(self, checkpoint: Checkpoint) -> list[offset_gaps.Gap]:
        """Unread offsets that Kafka no longer holds. Raises ``DataLoss`` for a recreated topic: its offsets may be plausible."""
        read, now = checkpoint.topic_id(), clients.topic_id(self._config)
        if read is None:
            checkpoint.note_topic_id(now)
        elif read != now:
            raise offset_gaps.topic_changed(self._config, read, now)
        held = clients.earliest_and_latest_offsets(self._config, log_end=True)  # an open transaction takes nothing away
        return offset_gaps.find(checkpoint.committed(), held, self._config)

    def _check_gaps(self, spark: SparkSession, checkpoint: Checkpoint) -> Sequence[offset_gaps.Gap]:
        """Check for offset gaps: those that an operator accepted, which this run then skips."""
        found = self._find_gaps(checkpoint)
        if not found:
            return ()
        if not self._accept:
            raise offset_gaps.as_error(found)
        spark_tables.ensure(spark, PERTES, self._config)
        offset_gaps.declare(spark, found, self._config)
        _log.warning("declared as lost", gaps=[str(gap) for gap in found])
        return found

    def _keep_running(
        self,
        spark: SparkSession,
        checkpoint: Checkpoint,
        sink: BronzeSink,
        isolation: Isolation,
        *,
        once: bool,
        fail_on_data_loss: bool,
    ) -> None:
        faults = 0

        def run(*, once: bool) -> BaseException | None:
            query = self._start(spark, sink, checkpoint.path, once=once, fail_on_data_loss=fail_on_data_loss)
            try:
                failure = self._watch(query, sink)
            except RowsDropped as dropped:
                query.stop()
                raise _rows_dropped(checkpoint, str(dropped)) from None
            if isinstance(sink.failure, StopAtBoundary | SettingsChange):
                isolation.excuse()
            return failure

        def isolate(attempt: Attempt) -> BaseException | None:
            try:
                if fail_on_data_loss and (found := self._find_gaps(checkpoint)):
                    return offset_gaps.as_error(found)
                if isolation.settle(attempt):
                    sink.settled_batch = attempt.batch_id
                    with isolation.passing(attempt.batch_id):
                        return run(once=True)
            except Exception as failure:  # noqa: BLE001  # handled like the query's own
                return failure
            finally:
                sink.settled_batch = None
            return None

        while not self._stop.is_set():
            batches = sink.totals.batches
            self._health.query_starts(checkpoint)
            attempt = isolation.begin()
            if attempt and attempt.exhausted:
                failure = isolate(attempt)
                if failure is None:
                    faults = 0
                    continue
            else:
                failure = run(once=once)
            if failure is None:
                return
            if isinstance(failure, SettingsChange):
                continue  # the next query has the new settings in its plan
            faults = 1 if sink.totals.batches > batches else faults + 1
            self._raise_unless_transient(checkpoint, failure, faults)
            seconds = pause(self._config, faults)
            self._health.query_failed(cause_of(failure))
            _log.warning(
                "the query failed; starting it again",
                fault=cause_of(failure),
                attempt=faults,
                pause=f"{seconds:g} s",
            )
            self._stop.wait(seconds)

    def _start(
        self, spark: SparkSession, sink: BronzeSink, path: str, *, once: bool, fail_on_data_loss: bool
    ) -> StreamingQuery:
        config = self._config
        options = kafka_batch.source_options(config, fail_on_data_loss=fail_on_data_loss)
        if not once:
            options |= kafka_batch.gathering_options(config)
        messages = spark.readStream.format("kafka").options(**options).load()
        if sink.settled_batch is not None:
            messages = messages.where(F.lit(False))  # Spark does not read at all then: see ``Isolation.passing``
        rows = rows_of(messages, sink.settings.before_query())
        writer = rows.writeStream.queryName(JOB).option("checkpointLocation", path).foreachBatch(sink)
        sink.failure = None
        query = writer.trigger(**trigger(config, once=once)).start()
        _log.info("reading", topic=config.kafka.topic, servers=config.kafka.bootstrap_servers, checkpoint=path)
        return query

    def _watch(self, query: StreamingQuery, sink: BronzeSink) -> BaseException | None:
        """Wait for the query's end; None when it ended as asked, otherwise what ended it."""
        interval = self._config.monitoring.progress_interval.total_seconds()
        due = time.monotonic() + interval
        reports, reports_due = health.Reports(query), 0.0
        while query.isActive:
            self._monitor.beat()
            if time.monotonic() >= reports_due:
                reports_due = time.monotonic() + _REPORT_SECONDS
                self._health.read(reports)
            if erasure.waiting(self._config):
                with sink.writing:
                    served = erasure.serve(self._config)
                for one in served:
                    _log.info("erasure", id=one.id, state=one.state, error=one.error, **one.rows)
            if self._stop.wait(_POLL_SECONDS) and not query.status["isTriggerActive"]:
                query.stop()  # idle between two batches; a batch that begins now ends itself in the sink
            if time.monotonic() >= due:
                due = time.monotonic() + interval
                _report(query, sink)
        failure = query.exception()
        self._health.read(reports, ended=True)
        _report(query, sink)
        if failure is None or isinstance(sink.failure, StopAtBoundary) or self._stop.is_set():
            return None
        return sink.failure or failure

    def _raise_unless_transient(self, checkpoint: Checkpoint, failure: BaseException, faults: int) -> None:
        if isinstance(failure, LakehouseError) and not isinstance(failure, BrokerUnavailable):
            raise failure
        if said := checkpoint_validation.SPARK_SAYS.search(str(failure)):
            spark = f"Spark says {said[1] or said[2]}"
            raise checkpoint_validation.refusal(checkpoint.path, JOB, spark, hidden=True) from failure
        try:
            found = self._find_gaps(checkpoint)
        except BrokerUnavailable:
            found = []  # it may come back; the restart waits for that
        if found:
            raise offset_gaps.as_error(found) from failure
        if faults > self._config.streaming.max_restarts:
            raise LakehouseError(
                f"The Bronze query failed {faults} times in a row; the last fault: {cause_of(failure)}. Nothing is lost: "
                f"start the job again when the cause is gone."
            ) from failure


def _rows_dropped(checkpoint: Checkpoint, which: str) -> RowsDropped:
    """The sentence that stops the job. The checkpoint refuses every later start, as those rows are not read again from it."""
    checkpoint.write_text(checkpoint_files.ROWS_DROPPED, which)
    return RowsDropped(
        f"The watermark dropped rows ({which}): sales are missing from Bronze. Kafka still holds them. To read the topic again "
        f"(Bronze lets no sale in twice), type: python ops_utils.py rebuild {JOB}"
    )


def _note_topic(spark: SparkSession, config: Config, topic_id: str, *, fresh: bool) -> None:
    """Record since when this topic is read. ``fresh``: no batch of this checkpoint was planned yet."""
    known = spark_tables.properties(spark, VENTES, config).get(TOPIC_SINCE, "")
    if known.split(" ")[0] == topic_id:
        return
    since = datetime.now(UTC) if fresh else datetime.fromtimestamp(0, UTC)
    value = f"{topic_id} {since.isoformat(timespec='milliseconds')}"
    spark_tables.set_properties(spark, VENTES, config, {TOPIC_SINCE: value})


def _counts(sink: BronzeSink) -> dict[str, int]:
    totals = sink.totals
    names = ("batches", "read", "new", "duplicates", "late", "operations", "rejected")
    return {name: getattr(totals, name) for name in names}


def _report(query: StreamingQuery, sink: BronzeSink) -> None:
    """A progress line."""
    last = query.lastProgress
    if last is None:
        return
    _log.info(
        "progress",
        batch_id=last["batchId"],
        rows_per_second=round(last["processedRowsPerSecond"] or 0),
        **_counts(sink),
    )
