"""The Silver job: merges new Bronze rows into every Silver table, builds all tables, compares them with a recompute.

A *generation* is one life of the Silver tables: a full build of Bronze up to a version, then increments from the next
version on, with a checkpoint of its own. A build that was interrupted is finished by the next start.
"""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum
from types import FrameType
from typing import TYPE_CHECKING

from lakehouse.config import Config
from lakehouse.contract.table_properties import ERASE, INVALID, RETENTION, ZONES, zones_sentence
from lakehouse.contract.tables import CORRECTIONS, MEMBRES, OPERATIONS, VENTES
from lakehouse.errors import DefinitionChanged, LakehouseError, TableMissing, cause_of, one_line
from lakehouse.lake import checkpoint_validation, cuts, delta_tables, history, writer_lock
from lakehouse.lake.operations_progress import NONE
from lakehouse.lake.reader import Lake
from lakehouse.maintenance import erasure, retention, scheduler
from lakehouse.observability import log, run_files
from lakehouse.observability.health import Monitor
from lakehouse.observability.provenance import read_origin
from lakehouse.silver import aggregates, engine_choice, wait_for_bronze
from lakehouse.silver.aggregates import Aggregate, Thresholds
from lakehouse.silver.engine import JOB, CellDifference, Engine, EngineName, Generation, removers
from lakehouse.silver.health import SilverHealth
from lakehouse.silver.local_engine import LocalEngine
from lakehouse.silver.one_pass import Pass, Versions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_log = log.get("silver")

_SETTLED_SECONDS = 600
"""How long ``verify`` waits for a moment between two passes."""


class PassOutcome(Enum):
    """How a pass ended, if it did not fail."""

    UP_TO_DATE = "Bronze had nothing new"
    MERGED = "what was new is in every table"
    OVERTAKEN = "retention removed rows from Bronze during the pass: it is repeated, and skips them"
    ERASED = "an erasure removed rows from Bronze: no increment can follow it, and the tables are rebuilt"


def entries(config: Config) -> tuple[Aggregate, ...]:
    """Every Silver table with its definition, under the ``[ANALYTICS]`` thresholds."""
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
        self._cut: cuts.Cut | None = None
        self._schedule = scheduler.Schedule(config, JOB)
        self._waited_for = False

    # --- what the script calls ---------------------------------------------------------------------------------------

    def run(self, *, every: float | None = None, full: bool = False, spark: SparkSession | None = None) -> int:
        """One pass, or one every ``every`` seconds until stopped; ``full`` rebuilds all tables first.

        A session that is given stays open, and signals are then its owner's.
        """
        self._waited_for = every is None
        if spark is None:
            self._handle_signals()
        with writer_lock.writer_lock(self._config, JOB):
            self._health.watch(every)
            self._monitor.phase("it waits for the first sales in Bronze")
            if not wait_for_bronze.wait_for_bronze(self._config, every, self._stop):
                return 0
            with self._engine(spark) as engine:
                return self._passes(engine, every, full=full)

    @contextmanager
    def _engine(self, spark: SparkSession | None) -> Iterator[Engine]:
        """The engine of the job, for as long as the block runs."""
        if spark is not None:
            yield self._spark_engine(spark)
            return
        choice = engine_choice.chosen(self._config)
        _log.info("engine", engine=choice.engine, reason=choice.reason)
        if choice.engine == "local":
            yield LocalEngine(self._config, self._entries)
            return
        with self._opened_spark() as opened:
            yield opened

    def _spark_engine(self, spark: SparkSession) -> Engine:
        from lakehouse.silver.spark_engine import SparkEngine  # a process without Spark does not load pyspark

        return SparkEngine(self._config, self._entries, spark)

    @contextmanager
    def _opened_spark(self) -> Iterator[Engine]:
        from lakehouse.lake import spark_session  # as above

        self._monitor.phase("Spark is starting")
        with spark_session.opened(self._config, JOB, name=self._monitor.name) as opened:
            if threading.current_thread() is threading.main_thread():
                self._handle_signals()  # pyspark installed a handler of its own
            yield self._spark_engine(opened)

    @contextmanager
    def _fitting(self, engine: Engine, unreadable: str | None, too_large: str | None) -> Iterator[Engine]:
        """``engine``; Spark instead, when ``auto`` chose the local one and it cannot read some files of Bronze, or not in its
        memory."""
        may_change = self._config.analytics.engine == "auto"
        if unreadable and not may_change:
            raise LakehouseError(
                f"The local engine cannot go on: {unreadable}. Set [ANALYTICS] engine = spark, or auto, and start again."
            )
        obstacle = unreadable or too_large
        if obstacle is None or not may_change:
            yield engine
            return
        _log.info("engine", engine="spark", reason=obstacle)
        with self._opened_spark() as opened:
            yield opened

    def _build_engine(self, engine: Engine, version: int) -> AbstractContextManager[Engine]:
        """The one that builds the tables from Bronze at ``version``."""
        if not isinstance(engine, LocalEngine):
            return nullcontext(engine)
        files = engine.bronze_files(version)
        unreadable = engine.cannot_read(files)
        return self._fitting(engine, unreadable, unreadable or engine.too_large_to_build(version, files))

    def _pass_engine(self, engine: Engine, generation: Generation, newest: int) -> AbstractContextManager[Engine]:
        """The one that merges what is new up to Bronze's version ``newest``."""
        if not isinstance(engine, LocalEngine):
            return nullcontext(engine)
        files = engine.new_files(generation, newest)
        too_large = engine_choice.too_large(self._config, [file.bytes for file in files])
        return self._fitting(engine, engine.cannot_read(files), too_large)

    def _passes(self, engine: Engine, every: float | None, *, full: bool) -> int:
        self._monitor.phase("the first pass, or a full build, has not ended")
        generation, changed = self._generation(engine, full=full), True
        if generation.done:
            engine.gain_columns(generation)
        while generation.done:
            started = time.monotonic()
            outcome = self._refresh(engine, generation)
            if outcome is PassOutcome.ERASED:
                _log.info("sales were erased from Bronze: building the tables anew", after=generation.name)
                generation = self._generation(engine, full=True)
                erasure.silver_has_built(self._config, generation.done)
                changed = True
                continue
            if changed or outcome is PassOutcome.MERGED:
                self._record_cut(engine, generation, tidy=changed)
            changed = self._schedule.between_batches()
            if every is None or self._pause(every - (time.monotonic() - started)):
                break
        return 0

    def verify(self, limit: int = 20, *, spark: SparkSession | None = None) -> list[CellDifference]:
        """The cells (at most ``limit`` a table) in which Silver differs from a full recompute of the Bronze that it has
        merged, and the keys that stand more than once. Waits for a moment between two passes; writes nothing. A session that is given stays open."""
        if not wait_for_bronze.bronze_exists(self._config):
            raise wait_for_bronze.no_bronze(self._config)
        with self._verifier(spark) as engine:
            return self._verify(engine, limit)

    @contextmanager
    def _verifier(self, spark: SparkSession | None) -> Iterator[Engine]:
        """The other engine than the one that wrote the tables, where it may be had: two that compute independently agree."""
        if spark is not None:
            yield self._spark_engine(spark)
            return
        wrote = self._wrote()
        name, reason = engine_choice.other(wrote), f"the tables were written by {wrote}"
        if name == "local":
            obstacle = engine_choice.needs_spark(self._config) or self._local_obstacle()
            name, reason = ("spark", obstacle) if obstacle else (name, reason)
        _log.info("engine", engine=name, reason=reason)
        if name == "local":
            yield LocalEngine(self._config, self._entries)
            return
        from lakehouse.lake import spark_session

        with spark_session.opened(self._config, JOB) as opened:
            yield self._spark_engine(opened)

    def _local_obstacle(self) -> str | None:
        """Why the local engine is not used for a look at all of Bronze."""
        local = LocalEngine(self._config, self._entries)
        files = local.bronze_files()
        return local.cannot_read(files) or engine_choice.too_large(self._config, [file.bytes for file in files])

    def _wrote(self) -> EngineName:
        """The engine of the newest batch or build of the first table; commits of earlier releases are Spark's."""
        spec = self._entries[0].table
        if not delta_tables.exists(spec, self._config):
            return "spark"
        for commit in history.newest(lambda: delta_tables.opened(spec, self._config), None):
            origin = read_origin(commit)
            if origin.what in ("silver batch", "silver operations", "silver build"):
                return "local" if origin.facts.get("engine") == "local" else "spark"
        return "spark"

    # --- waiting and stopping ----------------------------------------------------------------------------------------

    def _said(self, what: str) -> AbstractContextManager[None]:
        """Say what takes so long, to a person who waits for one pass."""
        return log.waiting(what) if self._waited_for else nullcontext()

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

    def _last_generation(self, engine: Engine) -> Generation | None:
        last = engine.last_state()
        if last is None:
            return None
        if last["etat"] == INVALID:  # an operator rolled a table back: no increment can follow
            _log.info("the tables were rolled back: building them anew", after=last["generation"])
            return None
        read = last.get("operations_version")  # not there before a release that knew operations
        return Generation(
            last["generation"],
            last["bronze_version"],
            last["definition"],
            last["etat"] == "fin",
            NONE if read is None else read,
        )

    def _record(self, engine: Engine, generation: Generation, state: str) -> None:
        row = {
            "generation": generation.name,
            "etat": state,
            "bronze_version": generation.bronze_version,
            "definition": generation.definition,
            "date_etat": datetime.now(UTC),
        }
        if generation.operations_version != NONE:
            row["operations_version"] = generation.operations_version
        engine.record(row)

    def _generation(self, engine: Engine, *, full: bool) -> Generation:
        """The generation to continue; builds a new one when there is none, or with ``full``."""
        last = self._last_generation(engine)
        if last and not last.done and last.definition == self._definition:
            _log.info("finishing an interrupted build", generation=last.name)
            return self._build(engine, last)
        if last and last.done and not full:
            if last.definition != self._definition:
                raise DefinitionChanged(
                    "The Silver tables were built with other definitions or other [ANALYTICS] thresholds than the present "
                    "ones. Build them anew: python streaming_silver.py --full"
                )
            return last
        new = Generation(
            uuid.uuid4().hex[:12], engine.bronze_version(), self._definition, False, engine.operations_version()
        )
        self._record(engine, new, "debut")
        return self._build(engine, new)

    def _build(self, engine: Engine, generation: Generation) -> Generation:
        if days := zones_sentence(engine.properties(VENTES).get(ZONES)):
            _log.warning(days)
        said = self._said("building the six tables from Bronze: seconds, or minutes where it is large")
        with self._build_engine(engine, generation.bronze_version) as fitting, said:
            built = fitting.build(generation, self._stop)
        if not built:
            _log.info(
                "the build was stopped between two tables; the next start finishes it", generation=generation.name
            )
            return generation
        self._record(engine, generation, "fin")
        self._health.built()
        self._health.used(fitting.name)
        _log.info("built", generation=generation.name, bronze_version=generation.bronze_version, engine=fitting.name)
        return replace(generation, done=True)

    # --- one pass ----------------------------------------------------------------------------------------------------

    def _refresh(self, engine: Engine, generation: Generation) -> PassOutcome:
        """Passes until one is not overtaken by retention, of which each repetition has new commits to skip."""
        if erasure.silver_is_asked(self._config):
            return PassOutcome.ERASED
        outcome = PassOutcome.OVERTAKEN
        while outcome is PassOutcome.OVERTAKEN:
            outcome = self._pass(engine, generation)
        return outcome

    def _pass(self, engine: Engine, generation: Generation) -> PassOutcome:
        """Merge all that Bronze has committed since the last pass: the sales, and then the operations on all sales."""
        checkpoint = engine.checkpoint(generation)
        checkpoint.check(table_id=engine.table_id(VENTES))
        versions = Versions.of(engine, generation, checkpoint)
        consumed, newest = versions.sales, versions.newest_sales
        if not versions.new_sales and not versions.new_operations:
            self._health.passed(sales=0, seconds=0.0, behind=0)
            return PassOutcome.UP_TO_DATE
        kinds = versions.removers(engine)
        if ERASE in kinds:
            return PassOutcome.ERASED
        began = time.monotonic()
        removed = RETENTION in kinds
        said = self._said("merging what is new in Bronze: seconds, or minutes after a long pause")
        with self._pass_engine(engine, generation, newest) as fitting, said:
            steps = Pass(generation, checkpoint, self._health.merged, self._monitor.beat)
            rows, failure = steps.run(fitting, versions, skip_removals=removed)
        if failure is not None:
            return self._after_failure(engine, checkpoint.path, failure, consumed=consumed, newest=newest)
        upto, _ = generation.consumed(checkpoint)
        if removed and ERASE in removers(engine.removals(VENTES, after=newest, upto=upto)):
            # committed after ``removers`` was asked, and skipped together with what retention removed
            return PassOutcome.ERASED
        self._health.passed(sales=rows, seconds=time.monotonic() - began, behind=newest - consumed)
        if rows or versions.new_operations:
            self._health.used(fitting.name)
        _log.info("pass done", sales=rows, engine=fitting.name)
        return PassOutcome.MERGED

    def _after_failure(
        self, engine: Engine, checkpoint: str, failure: Exception, *, consumed: int, newest: int
    ) -> PassOutcome:
        """The outcome when rows that were removed from Bronze during the pass explain the failure; otherwise raises."""
        if said := checkpoint_validation.SPARK_SAYS.search(str(failure)):
            spark = f"Spark says {said[1] or said[2]}"
            raise checkpoint_validation.refusal(checkpoint, JOB, spark, hidden=True) from failure
        if erasure.last_version(self._config, consumed) is not None:
            return PassOutcome.ERASED
        now = engine.bronze_version()
        if now > newest and RETENTION in removers(engine.removals(VENTES, after=newest, upto=now)):
            return PassOutcome.OVERTAKEN
        raise LakehouseError(
            f"The Silver pass failed: {cause_of(failure)}. Nothing is lost: the next pass repeats the "
            f"batch. If Bronze no longer has the versions it needs: python streaming_silver.py --full"
        ) from failure

    def _record_cut(self, engine: Engine, generation: Generation, *, tidy: bool) -> None:
        """Put on record which versions belong together now; with ``tidy``, forget those of versions that are gone. Nothing
        depends on it: a fault is logged, and the job goes on."""
        checkpoint = engine.checkpoint(generation)
        consumed, whole = generation.consumed(checkpoint)
        read = generation.operations(checkpoint).read()
        if not whole:
            return
        try:
            lake = Lake.of(self._config, versions=self._at(consumed, read))
            # without any in a figure, a question about operations is read at their newest version
            specs = [spec for spec in cuts.TABLES if spec is not OPERATIONS or read != NONE]
            self._cut = cuts.record(self._config, generation.name, lake.sources(specs), self._cut)
            if tidy:
                cuts.forget(self._config, datetime.now(UTC))
        except (LakehouseError, OSError) as fault:
            _log.warning("the cut was not recorded", fault=one_line(fault))

    def _at(self, sales: int, operations: int) -> dict[str, int]:
        """The versions of Bronze's tables that Silver holds."""
        return {VENTES.name: sales, **({} if operations == NONE else {OPERATIONS.name: operations})}

    # --- comparison --------------------------------------------------------------------------------------------------

    def _verify(self, engine: Engine, limit: int) -> list[CellDifference]:
        generation = self._last_generation(engine)
        if generation is None or not generation.done:
            raise TableMissing("The Silver tables are not built yet: python streaming_silver.py")
        with log.waiting(f"waiting for a moment between two passes of the Silver job, {_SETTLED_SECONDS} s at most"):
            consumed, operations, versions = self._settled_versions(engine, generation)
        versions |= self._at(consumed, operations)
        _log.info("comparing with the recompute", bronze_version=consumed, engine=engine.name)
        found: list[CellDifference] = []
        for table in (VENTES, OPERATIONS, *(entry.table for entry in self._entries), MEMBRES, CORRECTIONS):
            found += engine.doubled(table, version=versions.get(table.name), limit=limit)
        kept = retention.kept(self._config, Lake.of(self._config, versions={VENTES.name: consumed}))
        for entry in self._entries:
            since = kept.since.get(entry.table.name)
            if since and "jour" not in entry.table.keys:
                _log.warning(
                    "not compared: its figures hold sales that retention took out of Bronze; ops_utils.py reconcile adds these",
                    table=entry.table.name, before=str(since),
                )  # fmt: skip
                continue
            if since:
                _log.info("compared from a day on: retention", table=entry.table.name, since=str(since))
            cells = engine.differences(
                entry,
                bronze_version=consumed,
                operations=operations,
                version=versions[entry.table.name],
                since=since,
                limit=limit,
            )
            found += cells
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

    def _settled_versions(self, engine: Engine, generation: Generation) -> tuple[int, int, dict[str, int]]:
        """The Bronze version, that of the operations and the Silver versions of one moment at which no pass was writing."""
        checkpoint = engine.checkpoint(generation)
        progress = generation.operations(checkpoint)
        give_up = time.monotonic() + _SETTLED_SECONDS
        while time.monotonic() < give_up:
            before = (checkpoint.planned_ids()[-1:], checkpoint.committed_ids()[-1:], progress.seen())
            versions = {e.table.name: engine.version(e.table) for e in self._entries}
            after = (checkpoint.planned_ids()[-1:], checkpoint.committed_ids()[-1:], progress.seen())
            if before == after and before[0] == before[1] and len(set(before[2])) == 1:
                consumed, whole = generation.consumed(checkpoint)
                if whole:
                    return consumed, progress.read(), versions
                self._refuse_when_nobody_goes_on()
            time.sleep(0.2)
        raise LakehouseError(
            f"The Silver job was merging for {_SETTLED_SECONDS} s without a pause, so that there is no settled state to "
            f"compare. Stop it, or give it a longer --every, and verify again."
        )
