"""Isolation: a batch that fails again and again is ingested in parts, until the messages that it fails on are found.

Each such message becomes a row of ``ventes_rejetees`` (``message_illisible``) with its place, size, headers and first bytes;
all others are ingested as ever. Neither Spark's source nor its state takes part: Kafka is read with bounded memory, and
every sale is compared with Bronze. So a part may be repeated, and a process that ends with one goes on behind it. The
stream then repeats the batch without any message. Proof: docs/PROOFS.md, "An isolated batch".
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.bronze import batch_stats, exact_dedup, transforms
from lakehouse.bronze.attempts import FAILURES, Attempt, Attempts, Trial
from lakehouse.bronze.kafka_batch import KafkaBatches
from lakehouse.bronze.micro_batch import CachedRows, MicroBatch
from lakehouse.bronze.sink import BronzeSink
from lakehouse.bronze.table_writer import TableWriter
from lakehouse.config import Config
from lakehouse.contract import unreadable
from lakehouse.contract.business_time import local_day
from lakehouse.contract.sale import ILLISIBLE
from lakehouse.contract.tables import OPERATIONS, REJETS, VENTES
from lakehouse.errors import BrokerUnavailable, CheckpointInvalid, LakehouseError, cause_of, quoting_cause_of
from lakehouse.kafka import bounded_reading, clients
from lakehouse.kafka.bounded_reading import KafkaMessage
from lakehouse.lake import spark_tables
from lakehouse.lake.checkpoint import Checkpoint
from lakehouse.observability import log, metrics, provenance
from lakehouse.observability.health import Monitor

_log = log.get("bronze")

PART_MESSAGES = 20_000
_PART_BYTES = 8 << 20
"""Messages, and bytes of their values, that are ingested at once, at most. A single message may be larger."""
_PRUNED = "spark.sql.optimizer.pruneFiltersCanPruneStreamingSubplan"
_SMALLER = 64
"""How much smaller a part is tried after the process has ended with it."""
MOST = 50
"""Messages that one start of the job isolates because they fail, at most: when more fail, the fault is hardly theirs."""


class Isolation:
    """Isolation of the batches of one checkpoint, in the job's own process."""

    def __init__(
        self,
        spark: SparkSession,
        config: Config,
        checkpoint: Checkpoint,
        source: KafkaBatches,
        sink: BronzeSink,
        monitor: Monitor,
        stop: threading.Event,
    ) -> None:
        self._spark = spark
        self._config = config
        self._checkpoint = checkpoint
        self._source = source
        self._sink = sink
        self._monitor = monitor
        self._stop = stop
        self._tables = TableWriter(spark, config, checkpoint, monitor.meter, application=f"-parts-{provenance.RUN_ID}")
        self._attempts = Attempts(checkpoint)
        self._part = 0  # number of the last write
        self._clock = datetime.fromtimestamp(0, UTC)
        self._failing = 0

    def begin(self) -> Attempt | None:
        """Before the query starts: see ``Attempts``."""
        return self._attempts.begin()

    def excuse(self) -> None:
        """After the query has ended at a batch boundary: see ``Attempts``."""
        self._attempts.excuse()

    def settle(self, attempt: Attempt) -> bool:
        """Have each message of the batch in a table, or known as a copy. False when a stop was asked for meanwhile. Raises
        what failed when it was no message: ``BrokerUnavailable``, or a table that cannot be written."""
        batch = attempt.batch_id
        if not attempt.settled:
            spans = self._spans(batch)
            _log.error(
                "a batch fails again and again; its messages are ingested in parts, to isolate those that it fails on",
                batch_id=batch,
                failures=attempt.failures,
                offsets=[
                    f"{log.place(self._config.kafka.topic, p, start)}-{end - 1}" for p, (start, end) in spans.items()
                ],
            )
            self._monitor.fault(f"batch {batch} has failed {attempt.failures} times; its messages are tried in parts")
            # the state will not know the sales of this batch
            exact_dedup.require_exact_dedup_until(
                self._spark,
                self._config,
                self._sink.settings.before_query().watermark_delay,
                why=f"batch {batch} is ingested in parts",
            )
            self._sink.reload()
            with self._forgiving():
                isolated = self._ingest_all(spans, attempt.trial)
            if isolated is None:
                return False
            self._attempts.settle()
            _log.warning("the batch is ingested; the job goes on", batch_id=batch, isolated=isolated)
        self._checkpoint.drop_snapshots(batch + 1)
        return True

    @contextlib.contextmanager
    def passing(self, batch_id: int) -> Iterator[None]:
        """Within it Spark runs the batch over ``where(false)`` without reading. It evaluates such a filter row by row
        otherwise, since a stateful operator may stand below it; here is none."""
        self._checkpoint.set_plan(batch_id, _PRUNED, "true")
        try:
            yield
        finally:
            self._checkpoint.set_plan(batch_id, _PRUNED, "false")

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Within it, a failure is not a message's: Kafka is away, or a table cannot be written, which may be why the batch failed.
        The failures so far do not count then."""
        try:
            yield
        except Exception as failure:
            if isinstance(failure, BrokerUnavailable) or not isinstance(failure, LakehouseError):
                with contextlib.suppress(Exception):  # Java may have ended
                    self._attempts.forgive()
            raise

    def _spans(self, batch_id: int) -> dict[int, tuple[int, int]]:
        """Partition → first offset of the batch, and the one after its last."""
        planned = self._checkpoint.planned(batch_id)
        if planned is None:
            raise CheckpointInvalid(f"{self._checkpoint.path} has no plan of the batch that is running.")
        before = self._checkpoint.planned(batch_id - 1)
        self._source.check_losses(before, planned)
        found = self._source.spans(before, planned)
        held = clients.earliest_and_latest_offsets(self._config)
        lost = not self._source.fail_on_data_loss  # an operator accepted that Kafka no longer holds the first ones
        spans = {}
        for partition, (start, end) in found.items():
            earliest = held.get(partition, (0, 0))[0]
            spans[partition] = (max(start, earliest) if lost or start < 0 else start, end)
        return spans

    # --- in parts ----------------------------------------------------------------------------------------------------

    def _ingest_all(self, spans: dict[int, tuple[int, int]], ended_with: Trial | None) -> int | None:
        """The messages that were isolated; None when a stop was asked for."""
        known, before = self._isolated_before(spans), self._failing
        isolated = len(known)
        messages = (each for each in bounded_reading.read(self._config, spans) if each.place not in known)
        for part in parts(messages, ended_with):
            if self._stop.is_set():
                return None
            first = part[0]
            if first.unreadable:
                self._isolate(first, f"It was not read: {first.unreadable}.")
                isolated += 1
            elif (
                ended_with
                and ended_with.messages == 1
                and ended_with.holds(*first.place)
                and ended_with.times >= FAILURES
            ):
                self._isolate(first, f"The process ended {ended_with.times} times while it ingested this message.")
                isolated += 1
            else:
                self._ingest(part, ended_with)
        # a stop may have met the last part
        return None if self._stop.is_set() else isolated + self._failing - before

    def _isolated_before(self, spans: dict[int, tuple[int, int]]) -> set[tuple[int, int]]:
        """The coordinates within these offsets that an interrupted isolation has isolated already."""
        rows = spark_tables.read(self._spark, REJETS, self._config)
        within = F.lit(False)
        for partition, (start, end) in spans.items():
            within |= (F.col("kafka_partition") == partition) & F.col("kafka_offset").between(start, end - 1)
        mine = rows.where((F.col("motif") == ILLISIBLE) & (F.col("topic") == self._config.kafka.topic) & within)
        since = self._since()
        mine = mine.where(F.col("date_ingestion") >= F.lit(since))
        return {(row[0], row[1]) for row in mine.select("kafka_partition", "kafka_offset").collect()}

    def _since(self) -> datetime:
        """The plan's own time: what was isolated of it was isolated later, and of another topic of the same name before."""
        planned = self._checkpoint.uncommitted()
        return datetime.fromtimestamp(planned.clock_ms / 1000 if planned else 0, UTC)

    def _ingest(self, part: Sequence[KafkaMessage], ended_with: Trial | None) -> None:
        """Write what can be written of it; isolate what fails alone."""
        for tries_left in reversed(range(1 if len(part) > 1 else FAILURES)):
            if self._stop.is_set():
                return
            failure = self._try(part, ended_with)
            if failure is None:
                return
            _log.file_only(
                "warning",
                "a part of the batch fails",
                first=log.place(self._config.kafka.topic, *part[0].place),
                messages=len(part),
                fault=cause_of(failure),
            )
            if len(part) == 1 and not tries_left:
                self._blame(part[0], failure)
        if len(part) > 1:
            half = len(part) // 2
            self._ingest(part[:half], ended_with)
            self._ingest(part[half:], ended_with)

    def _blame(self, message: KafkaMessage, failure: Exception) -> None:
        """Isolate a message that fails alone, if nothing else can be the cause."""
        self._check_tables(failure)
        if self._failing >= MOST:
            raise LakehouseError(
                f"{MOST} messages were isolated since the job has started, each because it failed alone; the last fault: "
                f"{cause_of(failure)}. Look at them: python ops_utils.py rejects list --motif {ILLISIBLE}. If they are "
                f"sound, the fault lies elsewhere: remove it. A new start goes on behind them."
            ) from failure
        why = f"The batch fails on this message, {FAILURES} times alone too: "
        self._isolate(message, f"{why}{quoting_cause_of(failure)}.", logged=f"{why}{cause_of(failure)}.")
        self._failing += 1

    def _try(self, part: Sequence[KafkaMessage], ended_with: Trial | None) -> Exception | None:
        first, last = part[0].place, part[-1].place
        again = ended_with is not None and (ended_with.first, ended_with.last) == (first, last)
        times = ended_with.times + 1 if again and ended_with is not None else 1
        self._attempts.trying(Trial(first, last, len(part), times))
        self._monitor.beat()
        try:
            with self._sink.writing:
                self._write(part)
        except LakehouseError:
            raise
        except Exception as failure:  # noqa: BLE001  # whatever it is: that is what is looked for
            self._attempts.trying(None)  # fails when Java has ended, which is no message's verdict
            return failure
        return None

    def _check_tables(self, failure: Exception) -> None:
        """Raise ``failure`` when the sales' table cannot be written at all: then no message is to blame. That of the rejects is
        about to be written."""
        try:
            none = self._spark.createDataFrame([], VENTES.ddl)
            facts = self._facts(self._tick())
            self._tables.append(none, VENTES, batch_id=self._part, batch_rows=0, facts=facts)
        except Exception:  # noqa: BLE001  # the same fault, in most cases
            raise failure from None

    def _tick(self) -> datetime:
        """The next write's own time, its rows' ``date_ingestion``: no batch's, which are whole milliseconds, and no replay's."""
        now = datetime.now(UTC)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000 + 2)
        self._clock = max(now, self._clock + timedelta(milliseconds=1))
        self._part += 1
        return self._clock

    def _facts(self, clock: datetime) -> dict[str, object]:
        planned = self._checkpoint.uncommitted()
        return {"date_ingestion": clock.isoformat(), "part_of": planned.batch_id if planned else None}

    def _write(self, part: Sequence[KafkaMessage]) -> None:
        """Ingest a few messages as a batch is, with every sale compared with Bronze."""
        clock = self._tick()
        frame, settings = self._frame(part), self._sink.settings.current
        scope = replace(self._sink.scope, until=clock + timedelta(days=1))
        batch = MicroBatch(
            self._part, self._config, settings, frame, self._source, self._checkpoint.path, None, None, scope
        )
        try:
            decoded = transforms.decoded(frame, ingested=F.lit(clock), **settings.validation())
            rows = batch.with_need(decoded).drop(transforms.KEY, transforms.CLOCK)
            rows = batch.cache(rows, StorageLevel.MEMORY_AND_DISK)
            plan = CachedRows(batch, rows, batch_stats.of(rows))
            counts = self._sink.commit(batch, plan, self._tables, self._facts(clock))
            self._sink.totals.add(counts, counts.entered)
        finally:
            batch.release()

    def _frame(self, part: Sequence[KafkaMessage]) -> DataFrame:
        """Messages as Spark's Kafka source gives them."""
        columns = {
            "key": pa.array([one.key for one in part], pa.binary()),
            "value": pa.array([one.value for one in part], pa.binary()),
            "topic": pa.array([self._config.kafka.topic] * len(part), pa.string()),
            "partition": pa.array([one.partition for one in part], pa.int32()),
            "offset": pa.array([one.offset for one in part], pa.int64()),
            "timestamp": pa.array([one.moment for one in part], pa.timestamp("us", "UTC")),
        }
        return self._spark.createDataFrame(pa.table(columns))

    # --- the messages that fail --------------------------------------------------------------------------------------

    def _isolate(self, message: KafkaMessage, why: str, *, logged: str | None = None) -> None:
        """Write it into the reject table, unless one of the tables holds it: a batch may have failed after its sales were
        appended. ``logged``: what is said instead of ``why`` outside of the table, when that quotes the message."""
        config, spark = self._config, self._spark
        place = log.place(config.kafka.topic, *message.place)
        here = (
            (F.col("kafka_partition") == message.partition)
            & (F.col("kafka_offset") == message.offset)
            & (F.col("kafka_timestamp") == F.lit(message.moment))
        )
        with self._sink.writing:
            for spec in (VENTES, OPERATIONS, REJETS):
                if spec is OPERATIONS and not spark_tables.exists(spark, spec, config):
                    continue
                if not spark_tables.read(spark, spec, config).where(here).isEmpty():
                    _log.warning("a message that fails is in a table already", place=place, table=spec.name)
                    return
            clock = self._tick()
            kept = None if message.value is None else bytes(message.value[: config.kafka.max_message_bytes])
            text = unreadable.explanation(why, size=message.size, kept=len(kept or b""), headers=message.headers)
            row = {
                "motif": ILLISIBLE, "explication": text, "valeur": kept,
                "cle": None if message.key is None else bytes(message.key[: config.kafka.max_message_bytes]),
                "topic": config.kafka.topic, "kafka_partition": message.partition, "kafka_offset": message.offset,
                "kafka_timestamp": message.moment, "date_ingestion": clock,
                "jour": local_day(message.moment, config.analytics.timezone),
            }  # fmt: skip
            rows = spark.createDataFrame([tuple(row[name] for name in REJETS.names)], REJETS.ddl)
            self._tables.append(rows, REJETS, batch_id=self._part, batch_rows=1, facts=self._facts(clock))
        self._monitor.meter.add(metrics.ISOLATED)
        self._monitor.meter.add(metrics.REJECTED, 1, ILLISIBLE)
        self._sink.totals.add(batch_stats.BatchCounts(1, rejected=1), 1)
        _log.error("a message was isolated", place=place, reason=ILLISIBLE, size=message.size, fault=logged or why)


def parts(messages: Iterator[KafkaMessage], ended_with: Trial | None) -> Iterator[list[KafkaMessage]]:
    """``messages`` in parts of bounded size; what cannot be read whole alone. Smaller ones of what the process ended with."""
    part: list[KafkaMessage] = []
    size = 0

    def most(message: KafkaMessage) -> int:
        within = ended_with is not None and ended_with.holds(*message.place)
        return max(1, ended_with.messages // _SMALLER) if within and ended_with is not None else PART_MESSAGES

    limit = PART_MESSAGES
    for message in messages:
        alone, length = message.unreadable is not None, len(message.value or b"")
        if part and (alone or len(part) >= limit or size + length > _PART_BYTES or most(message) != limit):
            yield part
            part, size = [], 0
        limit = most(message)
        part.append(message)
        size += length
        if alone:
            yield part
            part, size = [], 0
    if part:
        yield part
