"""The Silver job: merges new Bronze rows into every Silver table, builds all tables, compares them with a recompute.

A *generation* is one life of the Silver tables: a full build of Bronze up to a version, then increments from the next
version on, with a checkpoint of its own. A build that was interrupted is finished by the next start.
"""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from types import FrameType

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakehouse.config import Config
from lakehouse.contract.table_properties import ERASE, INVALID, RETENTION
from lakehouse.contract.tables import CORRECTIONS, GENERATIONS, MEMBRES, VENTES
from lakehouse.contract.tables import checkpoint as checkpoint_path
from lakehouse.errors import DefinitionChanged, LakehouseError, TableMissing, cause_of
from lakehouse.lake import checkpoint_validation, spark_session, spark_tables, writer_lock
from lakehouse.lake.checkpoint import Checkpoint
from lakehouse.lake.reader import Lake
from lakehouse.maintenance import erasure, retention, scheduler
from lakehouse.observability import log, run_files
from lakehouse.observability.health import Monitor
from lakehouse.silver import aggregates, spark_plans, wait_for_bronze
from lakehouse.silver.aggregates import Aggregate, Thresholds
from lakehouse.silver.health import SilverHealth
from lakehouse.silver.sink import SOURCE_COLUMNS, SilverSink, removers, source_options

_log = log.get("silver")

JOB = "silver"
_SETTLED_SECONDS = 600
"""How long ``verify`` waits for a moment between two passes."""


class Outcome(Enum):
    """How a pass ended, if it did not fail."""

    UP_TO_DATE = "Bronze had nothing new"
    MERGED = "what was new is in every table"
    OVERTAKEN = "retention removed rows from Bronze during the pass: it is repeated, and skips them"
    ERASED = "an erasure removed rows from Bronze: no increment can follow it, and the tables are rebuilt"


@dataclass(frozen=True)
class Generation:
    """One row of the generations' table: built from Bronze at ``bronze_version``; ``done`` when the build ended."""

    name: str
    bronze_version: int
    definition: str
    done: bool


@dataclass(frozen=True)
class Difference:
    """One cell that differs from the recompute; values as text."""

    table: str
    key: str
    column: str
    expected: str
    found: str


def entries(config: Config) -> tuple[Aggregate, ...]:
    limits = config.analytics
    return aggregates.aggregates(
        Thresholds(limits.seuil_premium, limits.seuil_standard, limits.achats_fidele, limits.timezone.key)
    )


class SilverJob:
    """Bronze → Silver. Holds Silver's writer lock while it runs, except for ``verify``, which only reads."""

    def __init__(self, config: Config, monitor: Monitor | None = None) -> None:
        self._config = config
        self._monitor = monitor or Monitor(config, JOB)
        self._health = SilverHealth(config, self._monitor)
        self._entries = entries(config)
        self._definition = aggregates.definition(self._entries)
        self._stop = threading.Event()
        self._schedule = scheduler.Schedule(config, JOB)

    # --- what the script calls ---------------------------------------------------------------------------------------

    def run(self, *, every: float | None = None, full: bool = False, spark: SparkSession | None = None) -> int:
        """One pass, or one every ``every`` seconds until stopped; ``full`` rebuilds all tables first.

        A session that is given stays open, and signals are then its owner's.
        """
        if spark is None:
            self._handle_signals()
        with writer_lock.writer_lock(self._config, JOB):
            self._health.watch(every)
            self._monitor.phase("it waits for the first sales in Bronze")
            if not wait_for_bronze.wait_for_bronze(self._config, every, self._stop):
                return 0
            if spark is not None:
                return self._passes(spark, every, full=full)
            self._monitor.phase("Spark is starting")
            with spark_session.opened(self._config, JOB, name=self._monitor.name) as opened:
                self._handle_signals()  # pyspark installed a handler of its own
                return self._passes(opened, every, full=full)

    def _passes(self, spark: SparkSession, every: float | None, *, full: bool) -> int:
        self._monitor.phase("the first pass, or a full build, has not ended")
        generation = self._generation(spark, full=full)
        while generation.done:
            started = time.monotonic()
            if self._refresh(spark, generation) is Outcome.ERASED:
                _log.info("sales were erased from Bronze: building the tables anew", after=generation.name)
                generation = self._generation(spark, full=True)
                erasure.silver_has_built(self._config, generation.done)
                continue
            self._schedule.between_batches()
            if every is None or self._pause(every - (time.monotonic() - started)):
                break
        return 0

    def verify(self, limit: int = 20, *, spark: SparkSession | None = None) -> list[Difference]:
        """The cells (at most ``limit`` a table) in which Silver differs from a full recompute of the Bronze that it has
        merged, and the keys that stand more than once. Waits for a moment between two passes; writes nothing. A session that is given stays open."""
        if not wait_for_bronze.bronze_exists(self._config):
            raise wait_for_bronze.no_bronze(self._config)
        if spark is not None:
            return self._verify(spark, limit)
        with spark_session.opened(self._config, JOB) as opened:
            return self._verify(opened, limit)

    # --- waiting and stopping ----------------------------------------------------------------------------------------

    def _handle_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask_to_stop)

    def _ask_to_stop(self, number: int, _frame: FrameType | None) -> None:
        _log.info("stopping at the end of the pass", signal=signal.Signals(number).name)
        self._stop.set()

    def _pause(self, seconds: float) -> bool:
        """True when a stop was asked for meanwhile."""
        self._monitor.rest()
        return self._stop.wait(max(0.0, seconds))

    # --- generations -------------------------------------------------------------------------------------------------

    def _last_generation(self, spark: SparkSession) -> Generation | None:
        spark_tables.ensure(spark, GENERATIONS, self._config)
        rows = spark_tables.read(spark, GENERATIONS, self._config).orderBy("date_etat").collect()
        if not rows:
            return None
        last = rows[-1]
        if last["etat"] == INVALID:  # an operator rolled a table back: no increment can follow
            _log.info("the tables were rolled back: building them anew", after=last["generation"])
            return None
        return Generation(last["generation"], last["bronze_version"], last["definition"], last["etat"] == "fin")

    def _record(self, spark: SparkSession, generation: Generation, state: str) -> None:
        row = (generation.name, state, generation.bronze_version, generation.definition, datetime.now(UTC))
        frame = spark.createDataFrame([row], GENERATIONS.ddl)
        frame.write.format("delta").mode("append").save(GENERATIONS.path(self._config.delta.base_path))

    def _generation(self, spark: SparkSession, *, full: bool) -> Generation:
        """The generation to continue; builds a new one when there is none, or with ``full``."""
        last = self._last_generation(spark)
        if last and not last.done and last.definition == self._definition:
            _log.info("finishing an interrupted build", generation=last.name)
            return self._build(spark, last)
        if last and last.done and not full:
            if last.definition != self._definition:
                raise DefinitionChanged(
                    "The Silver tables were built with other definitions or other [ANALYTICS] thresholds than the present "
                    "ones. Build them anew: python streaming_silver.py --full"
                )
            return last
        new = Generation(
            uuid.uuid4().hex[:12], spark_tables.version(spark, VENTES, self._config), self._definition, False
        )
        self._record(spark, new, "debut")
        return self._build(spark, new)

    def _build(self, spark: SparkSession, generation: Generation) -> Generation:
        sales = spark_tables.read(spark, VENTES, self._config, version=generation.bronze_version).select(
            *SOURCE_COLUMNS
        )
        if not SilverSink(self._config, self._entries, generation.name).build(sales, self._stop):
            _log.info(
                "the build was stopped between two tables; the next start finishes it", generation=generation.name
            )
            return generation
        self._record(spark, generation, "fin")
        self._health.built()
        _log.info("built", generation=generation.name, bronze_version=generation.bronze_version)
        return Generation(generation.name, generation.bronze_version, generation.definition, True)

    # --- one pass ----------------------------------------------------------------------------------------------------

    def _checkpoint(self, spark: SparkSession, generation: Generation) -> Checkpoint:
        return Checkpoint(spark, checkpoint_path(self._config.delta.base_path, f"{JOB}-{generation.name}"))

    def _refresh(self, spark: SparkSession, generation: Generation) -> Outcome:
        """Passes until one is not overtaken by retention, of which each repetition has new commits to skip."""
        if erasure.silver_is_asked(self._config):
            return Outcome.ERASED
        outcome = Outcome.OVERTAKEN
        while outcome is Outcome.OVERTAKEN:
            outcome = self._pass(spark, generation)
        return outcome

    def _pass(self, spark: SparkSession, generation: Generation) -> Outcome:
        """Merge all that Bronze has committed since the last pass."""
        checkpoint = self._checkpoint(spark, generation)
        checkpoint.check(table_id=spark_tables.table_id(spark, VENTES, self._config))
        newest = spark_tables.version(spark, VENTES, self._config)
        consumed, _ = self._consumed(checkpoint, generation)
        if newest <= consumed:
            self._health.passed(sales=0, seconds=0.0, behind=0)
            return Outcome.UP_TO_DATE
        kinds = removers(spark, self._config, after=consumed, upto=newest)
        if ERASE in kinds:
            return Outcome.ERASED
        began = time.monotonic()
        sink = SilverSink(self._config, self._entries, generation.name, self._health.merged)
        failure = self._run_query(spark, generation, checkpoint, sink, skip_removals=RETENTION in kinds)
        if failure is not None:
            return self._after_failure(spark, checkpoint, failure, consumed=consumed, newest=newest)
        upto, _ = self._consumed(checkpoint, generation)
        if RETENTION in kinds and ERASE in removers(spark, self._config, after=newest, upto=upto):
            return (
                Outcome.ERASED
            )  # committed after ``removers`` was asked, and skipped together with what retention removed
        self._health.passed(sales=sink.rows, seconds=time.monotonic() - began, behind=newest - consumed)
        _log.info("pass done", sales=sink.rows)
        return Outcome.MERGED

    def _run_query(
        self,
        spark: SparkSession,
        generation: Generation,
        checkpoint: Checkpoint,
        sink: SilverSink,
        *,
        skip_removals: bool,
    ) -> Exception | None:
        """Run the query to its end; what ended it, None when it has read all that there was."""
        query = (
            spark.readStream.format("delta")
            .options(**source_options(self._config, generation.bronze_version, removed=skip_removals))
            .load(VENTES.path(self._config.delta.base_path))
            .writeStream.queryName(JOB)
            .option("checkpointLocation", checkpoint.path)
            .trigger(availableNow=True)
            .foreachBatch(sink)
            .start()
        )
        while (
            query.isActive
        ):  # polled, so that a signal is handled; awaitTermination would raise before our own message
            self._monitor.beat()
            time.sleep(0.1)
        return query.exception()

    def _after_failure(
        self, spark: SparkSession, checkpoint: Checkpoint, failure: Exception, *, consumed: int, newest: int
    ) -> Outcome:
        """The outcome when rows that were removed from Bronze during the pass explain the failure; otherwise raises."""
        if said := checkpoint_validation.SPARK_SAYS.search(str(failure)):
            raise checkpoint_validation.refusal(checkpoint.path, JOB, f"Spark says {said[1] or said[2]}") from failure
        if erasure.last_version(self._config, consumed) is not None:
            return Outcome.ERASED
        now = spark_tables.version(spark, VENTES, self._config)
        if now > newest and RETENTION in removers(spark, self._config, after=newest, upto=now):
            return Outcome.OVERTAKEN
        raise LakehouseError(
            f"The Silver pass failed: {cause_of(failure)}. Nothing is lost: the next pass repeats the "
            f"batch. If Bronze no longer has the versions it needs: python streaming_silver.py --full"
        ) from failure

    def _consumed(self, checkpoint: Checkpoint, generation: Generation) -> tuple[int, bool]:
        """The Bronze version that Silver holds all of, and whether it holds nothing of the next one."""
        committed = checkpoint.committed()
        if committed is None:
            return generation.bronze_version, True
        end = committed.delta_end()
        return end.whole_version, not end.is_inside_version

    # --- comparison --------------------------------------------------------------------------------------------------

    def _verify(self, spark: SparkSession, limit: int) -> list[Difference]:
        generation = self._last_generation(spark)
        if generation is None or not generation.done:
            raise TableMissing("The Silver tables are not built yet: python streaming_silver.py")
        consumed, versions = self._settled_versions(spark, generation)
        sales = spark_tables.read(spark, VENTES, self._config, version=consumed).select(*SOURCE_COLUMNS)
        _log.info("comparing with the recompute", bronze_version=consumed)
        found = list(self._doubled(spark, limit, {**versions, VENTES.name: consumed}))
        kept = retention.kept(self._config, Lake.of(self._config, versions={VENTES.name: consumed}))
        for entry in self._entries:
            since = kept.since.get(entry.table.name)
            if since and "jour" not in entry.table.keys:
                _log.warning(
                    "not compared: its figures hold sales that retention took out of Bronze; ops_utils.py reconcile adds these",
                    table=entry.table.name, before=str(since),
                )  # fmt: skip
                continue
            expected = spark_plans.complete(spark_plans.partial(sales, entry), entry)
            actual = spark_tables.read(spark, entry.table, self._config, version=versions[entry.table.name])
            if since:
                _log.info("compared from a day on: retention", table=entry.table.name, since=str(since))
                expected, actual = expected.where(F.col("jour") >= since), actual.where(F.col("jour") >= since)
            cells = spark_plans.differences(expected, actual, entry).orderBy("cle", "colonne").limit(limit).collect()
            found += [Difference(entry.table.name, *cell) for cell in cells]
            _log.info(
                "compared",
                table=entry.table.name,
                differing_cells=f"{limit} or more" if len(cells) == limit else len(cells),
            )
        return found

    def _refuse_when_nobody_goes_on(self) -> None:
        """The last batch ended inside a version of Bronze. A running job reads the rest of it; without one, nobody does."""
        job = run_files.read(self._config).get(JOB)
        if job is None or not job.alive:
            raise LakehouseError(
                "Silver's last pass broke off between two batches of one Bronze version, of which its tables hold a part. "
                "Read the rest, then verify again: python streaming_silver.py"
            )

    def _doubled(self, spark: SparkSession, limit: int, versions: Mapping[str, int]) -> Iterator[Difference]:
        """The keys (at most ``limit`` a table) of which more than one row stands."""
        for table in (VENTES, *(entry.table for entry in self._entries), MEMBRES, CORRECTIONS):
            if spark_tables.exists(spark, table, self._config):
                rows = spark_tables.read(spark, table, self._config, version=versions.get(table.name))
                for cell in spark_plans.doubled(rows, table).orderBy("cle").limit(limit).collect():
                    yield Difference(table.name, *cell)

    def _settled_versions(self, spark: SparkSession, generation: Generation) -> tuple[int, dict[str, int]]:
        """The Bronze version and the Silver versions of one moment at which no pass was writing."""
        checkpoint = self._checkpoint(spark, generation)
        give_up = time.monotonic() + _SETTLED_SECONDS
        while time.monotonic() < give_up:
            before = (checkpoint.planned_ids()[-1:], checkpoint.committed_ids()[-1:])
            versions = {e.table.name: spark_tables.version(spark, e.table, self._config) for e in self._entries}
            after = (checkpoint.planned_ids()[-1:], checkpoint.committed_ids()[-1:])
            if before == after and before[0] == before[1]:
                consumed, whole = self._consumed(checkpoint, generation)
                if whole:
                    return consumed, versions
                self._refuse_when_nobody_goes_on()
            time.sleep(0.2)
        raise LakehouseError(
            f"The Silver job was merging for {_SETTLED_SECONDS} s without a pause, so that there is no settled state to "
            f"compare. Stop it, or give it a longer --every, and verify again."
        )
