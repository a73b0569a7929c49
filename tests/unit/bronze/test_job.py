"""The Bronze job's loop around its query, with a stand-in for the query: it forces faults that a real one shows rarely."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

import streaming_silver
from lakehouse import config
from lakehouse.bronze import health
from lakehouse.bronze import job as bronze_job
from lakehouse.bronze.batch_stats import BatchCounts, Totals
from lakehouse.bronze.health import BronzeHealth
from lakehouse.bronze.job import BronzeJob
from lakehouse.bronze.sink import StopAtBoundary
from lakehouse.errors import BrokerUnavailable, ClockWentBack, LakehouseError, RowsDropped, cause_of, quoting_cause_of
from lakehouse.lake import spark_session
from lakehouse.lake.checkpoint_files import Planned
from lakehouse.observability import metrics
from lakehouse.observability.health import Monitor
from lakehouse.silver import job as silver_job


class Sink:
    def __init__(self) -> None:
        self.totals = Totals()
        self.failure: BaseException | None = None


class Query:
    """Ends at once with ``failure``; before that it is seen active ``polls`` times."""

    lastProgress = None
    recentProgress: tuple[()] = ()
    status: ClassVar[dict[str, str]] = {"message": "Initializing sources"}

    def __init__(self, failure: Exception | None, polls: int = 0) -> None:
        self._failure, self._polls = failure, polls

    @property
    def isActive(self) -> bool:
        self._polls -= 1
        return self._polls >= 0

    def exception(self) -> Exception | None:
        return self._failure


class Place:
    path = "checkpoint"

    def committed(self) -> None:
        return None

    def planned_ids(self) -> list[int]:
        return []

    committed_ids = planned_ids


def job(monkeypatch: pytest.MonkeyPatch, queries: list[Query], **env: str) -> tuple[BronzeJob, list[Query]]:
    """A job whose query's starts give ``queries`` in turn; returns the job and the list of those started."""
    made = BronzeJob(config.load(env={"VENTES_STREAMING__RESTART_DELAY": "0 ms", **env}), once=False)
    started: list[Query] = []

    def start(*_: Any, **__: Any) -> Query:
        started.append(queries[len(started)])
        return started[-1]

    def unreachable(_: Any) -> Any:
        raise BrokerUnavailable("down")

    monkeypatch.setattr(made, "_start", start)
    monkeypatch.setattr(made, "_find_gaps", unreachable)
    return made, started


def keep_running(made: BronzeJob, sink: Sink) -> None:
    isolation = SimpleNamespace(begin=lambda: None, excuse=lambda: None)  # no batch fails three times
    made._keep_running(None, Place(), sink, isolation, once=False, fail_on_data_loss=True)  # type: ignore[arg-type]


def test_the_job_gives_up_after_max_restarts_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    made, started = job(
        monkeypatch, [Query(OSError("broken\nstack")) for _ in range(9)], VENTES_STREAMING__MAX_RESTARTS="2"
    )
    with pytest.raises(LakehouseError, match="failed 3 times in a row; the last fault: broken"):
        keep_running(made, Sink())
    assert len(started) == 3


def test_a_passing_fault_is_followed_by_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    made, started = job(monkeypatch, [Query(TimeoutError("broker")), Query(None)])
    keep_running(made, Sink())
    assert len(started) == 2
    watched = made._monitor
    assert watched.meter.value(metrics.RESTARTS) == 1 and watched.last_error == "broker"
    watched.started()  # no trigger has ended since: what it waits for stays the reason
    assert "the query failed and is being started again: broker" in watched.reasons("readyz")


class Report(dict[str, Any]):
    """One batch as Spark 4.2.0 reports it, with what is read of it."""

    def __init__(self, batch: int, **fields: Any) -> None:
        super().__init__(
            {
                "batchId": batch,
                "timestamp": "2026-11-23T00:06:18.500Z",
                "numInputRows": 10,
                "inputRowsPerSecond": 5.0,
                "processedRowsPerSecond": 20.0,
                "durationMs": {"addBatch": 400, "latestOffset": 100, "triggerExecution": 500},
                "eventTime": {"watermark": "2026-11-22T23:56:18.000Z"},
                "stateOperators": [
                    {"numRowsTotal": 7, "memoryUsedBytes": 4096, "numRowsDroppedByWatermark": fields.get("dropped", 0)}
                ],
                "sources": [{"endOffset": f'{{"t":{{"0":{10 * batch + 10},"1":3}}}}'}],
            }
        )


def test_each_report_is_counted_once_and_none_is_missed() -> None:
    config_ = config.load(env={})
    watched = BronzeHealth(config_, Monitor(config_, "bronze"))
    query = SimpleNamespace(lastProgress=None, recentProgress=[], status={"message": "Initializing sources"})
    reports = health.Reports(query)
    totals = Totals()
    counts = {
        0: BatchCounts(entered=8, new=4, late=1, operations=1, rejected=2),
        2: BatchCounts(entered=10, operations=2, rejected=1, repeated=True),
    }
    watched._sink = SimpleNamespace(unreported=counts, totals=totals)  # type: ignore[assignment]  # batch 1 ran before this start
    meter = watched._meter

    watched.read(reports)
    assert meter.value(metrics.BATCHES) == 0 and meter.value(metrics.LAST_TRIGGER) is None
    query.recentProgress = [Report(0), Report(1), Report(2)]
    query.lastProgress = query.recentProgress[-1]
    watched.read(reports)
    watched.read(reports)

    found = (totals.read, totals.new, totals.duplicates, totals.late, totals.operations, totals.rejected)
    assert found == (13, 4, 3, 1, 3, 3)
    assert meter.value(metrics.BATCHES) == 3 and meter.value(metrics.BATCH_ID) == 2
    assert meter.value(metrics.INPUT_ROWS) == 30 and meter.value(metrics.DUPLICATES, "memory") == 2
    assert meter.values(metrics.PHASE_SECONDS) == {
        ("addBatch",): pytest.approx(1.2),
        ("latestOffset",): pytest.approx(0.3),
    }
    assert meter.value(metrics.WATERMARK_LAG) == 600.5
    assert (meter.value(metrics.STATE_ROWS), meter.value(metrics.STATE_BYTES)) == (7, 4096)
    assert watched._lag._next == {0: 30, 1: 3}
    assert watched._monitor.answer("startupz")[0] == 200 and meter.value(metrics.LAST_TRIGGER)


def test_an_idle_query_is_alive_and_a_dropped_row_is_an_error() -> None:
    config_ = config.load(env={})
    watched = BronzeHealth(config_, Monitor(config_, "bronze"))
    query = SimpleNamespace(lastProgress=None, recentProgress=[], status={"message": "Waiting for data to arrive"})
    reports = health.Reports(query)
    watched.query_failed("away")
    watched.read(reports)
    assert watched._monitor.answer("startupz")[0] == 200 and watched._monitor.reasons("readyz") == []
    query.lastProgress = Report(0, dropped=2)
    with pytest.raises(RowsDropped, match="batch 0: 2"):
        watched.read(reports)
    assert watched._meter.value(metrics.WATERMARK_DROPPED) == 2


def test_a_batch_that_was_planned_and_not_committed_counts_as_replayed() -> None:
    config_ = config.load(env={"VENTES_KAFKA__TOPIC": "t"})
    watched = BronzeHealth(config_, Monitor(config_, "bronze"))
    done = Planned(4, 1, ({"t": {"0": 50}},))
    place = SimpleNamespace(committed=lambda: done, planned_ids=lambda: [4, 5], committed_ids=lambda: [4])
    watched.query_starts(place)  # type: ignore[arg-type]
    assert watched._meter.value(metrics.REPLAYED) == 1 and watched._lag._next == {0: 50}
    place.planned_ids = lambda: [4]
    watched.query_starts(place)  # type: ignore[arg-type]
    assert watched._meter.value(metrics.REPLAYED) == 1


def test_an_error_that_needs_a_person_is_never_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    made, started = job(monkeypatch, [Query(RuntimeError("wrapped"))])
    sink = Sink()
    sink.failure = ClockWentBack("behind")
    with pytest.raises(ClockWentBack):
        keep_running(made, sink)
    assert len(started) == 1


def test_a_batch_that_gave_way_to_a_stop_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    made, started = job(monkeypatch, [Query(RuntimeError("wrapped"))])
    sink = Sink()
    sink.failure = StopAtBoundary()
    keep_running(made, sink)
    assert len(started) == 1


def test_pauses_double_up_to_30_seconds() -> None:
    settings = config.load(env={"VENTES_STREAMING__RESTART_DELAY": "2 seconds"})
    assert [bronze_job.pause(settings, faults) for faults in (1, 2, 3, 4, 5, 50)] == [2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize(("interval", "reports"), [("0 seconds", 4), ("1 day", 1)])
def test_progress_is_reported_at_the_interval(monkeypatch: pytest.MonkeyPatch, interval: str, reports: int) -> None:
    made, _ = job(monkeypatch, [Query(None, polls=3)], VENTES_MONITORING__PROGRESS_INTERVAL=interval)
    seen: list[Any] = []
    monkeypatch.setattr(bronze_job, "_report", lambda query, _: seen.append(query))
    monkeypatch.setattr(bronze_job, "_POLL_SECONDS", 0)
    keep_running(made, Sink())
    assert len(seen) == reports  # the last one is said at the end


def test_every_without_a_number_takes_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float | None] = []
    monkeypatch.setattr(silver_job.SilverJob, "run", lambda _, every, **__: seen.append(every) or 0)
    monkeypatch.setenv("VENTES_ANALYTICS__SILVER_EVERY", "7 seconds")
    assert [streaming_silver.main(argv) for argv in (["--every"], ["--every", "3"], [])] == [0, 0, 0]
    assert seen == [7.0, 3.0, None]


@pytest.mark.parametrize(("level", "set_to"), [("WARN", []), ("ERROR", ["ERROR"])])
def test_sparks_own_log_level_is_set_when_it_is_another(
    monkeypatch: pytest.MonkeyPatch, level: str, set_to: list[str]
) -> None:
    seen: list[str] = []
    context = SimpleNamespace(setLogLevel=seen.append, master="local[*]")
    built = SimpleNamespace(sparkContext=context)
    builder = SimpleNamespace(getOrCreate=lambda: built)
    builder.config = lambda *_: builder
    monkeypatch.setattr(spark_session, "SparkSession", SimpleNamespace(builder=builder))
    monkeypatch.setattr(spark_session.java, "environment", lambda _: {})
    monkeypatch.setattr(spark_session.jars, "resolve", lambda *_: [])
    monkeypatch.setattr(spark_session.compiler, "jar", lambda *_: Path(__file__))
    monkeypatch.setattr(spark_session.compiler, "ensure", lambda *_: None)
    monkeypatch.setattr(spark_session, "_check_zone", lambda *_: None)
    trimmed: list[int] = []
    monkeypatch.setattr(spark_session.compiler, "new", lambda *_: SimpleNamespace(trimEvery=trimmed.append))
    spark_session.build(config.load(env={"VENTES_SPARK__LOG_LEVEL": level}), "essai")
    assert seen == set_to and trimmed == [60_000]


@pytest.mark.parametrize("argv", [["--every", "0"], ["--every", "x"], ["--verify", "--full"], ["--jamais"]])
def test_wrong_arguments_are_exit_code_2(argv: list[str]) -> None:
    assert streaming_silver.main(argv) == 2


FULL_DISK = """An error occurred while calling o540.write.
: org.apache.spark.SparkException: [TASK_WRITE_FAILED] Task failed while writing rows to file:/lake. SQLSTATE: 58030
	at org.apache.spark.sql.errors.QueryExecutionErrors$.taskFailedWhileWritingRowsError(QueryExecutionErrors.scala:776)
Caused by: org.apache.spark.SparkException: [TASK_WRITE_FAILED] Task failed while writing rows to file:/lake. SQLSTATE: 58030
	... 3 more
Caused by: java.io.IOException: No space left on device
	at java.base/java.io.FileOutputStream.writeBytes(Native Method)
Caused by: [CIRCULAR REFERENCE: java.io.IOException: No space left on device]
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (FULL_DISK, "java.io.IOException: No space left on device"),
        (
            "An error occurred while calling o9.start.\n: java.lang.Error: short\n\tat a.B.c(B.java:1)",
            "java.lang.Error: short",
        ),
        ("[STREAM_FAILED] Query [id = 1] failed\nmore", "[STREAM_FAILED] Query [id = 1] failed"),
        ("", "RuntimeError"),
    ],
)
def test_a_fault_is_told_by_its_cause_at_the_root(text: str, line: str) -> None:
    assert quoting_cause_of(RuntimeError(text)) == line


QUOTING = "The value 'Wilhelmine' of the type \"STRING\" cannot be cast."


@pytest.mark.parametrize(
    ("failure", "line"),
    [
        (RuntimeError(FULL_DISK), "java.io.IOException: No space left on device"),
        (
            RuntimeError("x\n: java.lang.OutOfMemoryError: Java heap space"),
            "java.lang.OutOfMemoryError: Java heap space",
        ),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (BrokerUnavailable("Kafka does not answer."), "Kafka does not answer."),
        (ValueError("Generic error: Wilhelmine (os error 28)"), "ValueError: No space left on device"),
        (RuntimeError(f"[CAST_INVALID_INPUT] {QUOTING}"), "RuntimeError: [CAST_INVALID_INPUT]"),
        (
            RuntimeError(f"x\nCaused by: org.apache.spark.SparkDateTimeException: [CAST_INVALID_INPUT] {QUOTING}"),
            "org.apache.spark.SparkDateTimeException: [CAST_INVALID_INPUT]",
        ),
        (RuntimeError(f"x\n: java.lang.IllegalStateException: {QUOTING}"), "java.lang.IllegalStateException"),
        (ValueError(f"{QUOTING} Resources exhausted: 1 GB for Wilhelmine"), "ValueError: Resources exhausted"),
        (KeyError("Wilhelmine"), "KeyError"),
    ],
    ids=str,
)
def test_what_is_logged_of_a_fault_quotes_no_message(failure: Exception, line: str) -> None:
    assert cause_of(failure) == line
