"""Bronze's sink under real streaming state: any interleaving of on-time, late and repeated sales gives each sale once.

The source is a folder of files shaped like Kafka's rows, one file a micro-batch, so that the draws decide the batches.
The watermark is 2 seconds: while the batches run, sales grow old, and both doors are taken.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession

from lakehouse import config
from lakehouse.bronze import batch_stats, exact_dedup, job, staged_backlog, transforms
from lakehouse.bronze.sink import BronzeSink
from lakehouse.config import Config
from lakehouse.contract.tables import CHAMPS_INCONNUS, REJETS, VENTES, checkpoint
from lakehouse.jvm import compiler
from lakehouse.lake import spark_session, spark_tables
from lakehouse.lake.append import DocumentedAppend, InternalAppend
from lakehouse.lake.checkpoint import Checkpoint
from lakehouse.lake.checkpoint_files import Planned
from lakehouse.observability import metrics
from tests.spark.bronze.test_decoder import KAFKA
from tests.support.harness import forget_state, spark_setting
from tests.unit.contract.test_sale import VALID

Delivery = tuple[str, float]  # vente_id, age of the sale in seconds when the test began


def settings_of(base: Path, **overrides: str) -> Config:
    texts = {
        "DELTA__BASE_PATH": str(base),
        "STREAMING__WATERMARK_DELAY": "2 seconds",
        "STREAMING__FUTURE_TOLERANCE": "1 second",
        **overrides,
    }
    return config.load(env={f"{config.ENV_PREFIX}{name}": text for name, text in texts.items()})


class Topic:
    """A folder that stands for a topic with one partition."""

    def __init__(self, spark: SparkSession, base: Path) -> None:
        self._spark, self._folder, self._next = spark, base / "topic", 0
        self._start = datetime.now(UTC)
        self._folder.mkdir(parents=True)

    def deliver(
        self, *batches: Sequence[Delivery], extra: Mapping[str, object] | None = None, bad: Sequence[bytes] = ()
    ) -> None:
        """``bad``: messages of other kinds, in each of the batches."""
        for batch in batches:
            now, rows = datetime.now(UTC), []
            for vente_id, age in batch:
                moment = (self._start - timedelta(seconds=age)).isoformat()
                value = json.dumps({**VALID, "vente_id": vente_id, "timestamp": moment, **(extra or {})}).encode()
                rows.append((b"12", value, "ventes_stream", 0, self._next, now, 1))
                self._next += 1
            for value in bad:
                rows.append((b"12", value, "ventes_stream", 0, self._next, now, 1))
                self._next += 1
            part = self._folder / f"{self._next:09}-{uuid.uuid4().hex[:6]}"
            self._spark.createDataFrame(rows, KAFKA).coalesce(1).write.parquet(str(part))

    def drain(self, settings: Config) -> BronzeSink:
        """All that was delivered and not read, one folder a micro-batch."""
        place = Checkpoint(self._spark, checkpoint(settings.delta.base_path, "bronze"))
        for spec in (VENTES, REJETS):
            spark_tables.ensure(self._spark, spec, settings)
        sink = BronzeSink(self._spark, settings, place, threading.Event(), FolderBatches(self._spark, place))
        source = self._spark.readStream.schema(KAFKA).option("maxFilesPerTrigger", 1).parquet(f"{self._folder}/*")
        query = (
            job.rows_of(source, sink.settings.before_query())
            .writeStream.option("checkpointLocation", place.path)
            .foreachBatch(sink)
            .trigger(availableNow=True)
            .start()
        )
        try:
            query.awaitTermination()
        finally:
            forget_state(self._spark)
        return sink


class FolderBatches:
    """What ``KafkaBatches`` is for a topic: a batch's files are those that Spark's file source has noted for it."""

    def __init__(self, spark: SparkSession, place: Checkpoint) -> None:
        self._spark, self._place = spark, place

    def count(self, before: Planned | None, now: Planned) -> int | None:
        return self.messages(before, now).count()

    def check_losses(self, before: Planned | None, now: Planned) -> None:
        """A folder loses nothing."""

    def messages(self, before: Planned | None, now: Planned) -> DataFrame:
        first, last = before.ends[0]["logOffset"] if before else -1, now.ends[0]["logOffset"]
        noted = [
            self._place.text(f"sources/0/{number}{end}")
            for number in range(first + 1, last + 1)
            for end in ("", ".compact")
        ]
        entries = [json.loads(line) for text in noted if text for line in text.splitlines()[1:]]
        files = {entry["path"] for entry in entries if first < entry["batchId"] <= last}
        return self._spark.read.schema(KAFKA).parquet(*sorted(files))


def bronze_ids(spark: SparkSession, settings: Config) -> list[str]:
    return sorted(row.vente_id for row in spark_tables.read(spark, VENTES, settings).select("vente_id").collect())


ages = st.sampled_from([0.0, 0.5, 1.9, 3.0, 700.0, 90_000.0, 900_000_000.0])


@st.composite
def deliveries(draw: st.DrawFn) -> list[list[Delivery]]:
    """Up to 12 sales of any age, each delivered one to three times, cut into two to four batches anywhere."""
    sales = [(f"v{number}", draw(ages)) for number in range(draw(st.integers(1, 12)))]
    order = draw(st.permutations([sale for sale in sales for _ in range(draw(st.integers(1, 3)))]))
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), min_size=1, max_size=3)))
    return [list(order[a:b]) for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True) if a < b]


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(batches=deliveries(), restart=st.booleans(), small=st.sampled_from(["0", "50000"]))
def test_any_interleaving_in_any_batches_gives_each_sale_once(
    spark: SparkSession, batches: list[list[Delivery]], restart: bool, small: str
) -> None:
    """``small``: of 0 rows, each batch that holds anything old is a backlog's."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        chosen, topic = settings_of(base / "lake", PERFORMANCE__SMALL_BATCH_ROWS=small), Topic(spark, base)
        if restart:
            topic.deliver(batches[0])
            topic.drain(chosen)
            topic.deliver(*batches[1:])
        else:
            topic.deliver(*batches)
        topic.drain(chosen)
        assert bronze_ids(spark, chosen) == sorted({vente_id for batch in batches for vente_id, _ in batch})
        assert spark_tables.read(spark, REJETS, chosen).isEmpty()


def test_a_copy_is_dropped_by_the_state_while_on_time_and_by_exact_deduplication_later(
    spark: SparkSession, tmp_path: Path
) -> None:
    chosen, topic = settings_of(tmp_path / "lake", STREAMING__WATERMARK_DELAY="10 minutes"), Topic(spark, tmp_path)
    topic.deliver([("on-time", 0), ("old", 700)], [("on-time", 0), ("old", 700), ("old", 700)], [("older", 90_000)])
    topic.drain(chosen)
    topic.deliver([("on-time", 0), ("old", 700), ("older", 90_000)])
    sink = topic.drain(chosen)
    assert bronze_ids(spark, chosen) == ["old", "older", "on-time"]
    assert sink.totals.batches == 1
    late = {row.vente_id: row.est_tardif for row in spark_tables.read(spark, VENTES, chosen).collect()}
    assert late == {"on-time": False, "old": True, "older": True}


BACKLOG = {
    "PERFORMANCE__SMALL_BATCH_ROWS": "0", "PERFORMANCE__BROADCAST_ROWS": "0", "STREAMING__WATERMARK_DELAY": "10 minutes",
    "DELTA__AUTO_COMPACT": "false",
}  # fmt: skip
"""Any batch with old sales is a backlog's, and its ids are not broadcast."""


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each call of ``staged_backlog.stage``, whether it wrote."""
    real, found = staged_backlog.stage, list[bool]()

    def stage(*args: Any, **options: Any) -> staged_backlog.StagedBacklog | None:
        made = real(*args, **options)
        found.append(made is not None)
        return made

    monkeypatch.setattr(staged_backlog, "stage", stage)
    return found


def parquet_files(spark: SparkSession, settings: Config) -> tuple[set[str], set[str]]:
    """The names of the files in the folder of ``ventes_stream``, and of those that the table holds."""
    there = Path(VENTES.path(settings.delta.base_path)).rglob("*.parquet")
    held = spark_tables.read(spark, VENTES, settings).inputFiles()
    return {path.name for path in there if "_delta_log" not in path.parts}, {each.rpartition("/")[2] for each in held}


@pytest.mark.parametrize("way", ["internal", "documented"])
def test_a_backlog_lies_in_the_table_once_whatever_copies_it_holds(
    spark: SparkSession, tmp_path: Path, stages: list[bool], way: str
) -> None:
    chosen = settings_of(tmp_path / "lake", **BACKLOG, PERFORMANCE__DELTA_APPEND=way)
    topic = Topic(spark, tmp_path)
    topic.deliver([("a", 700), ("b", 90_000), ("on-time", 0)], bad=[b"{", b""])
    topic.deliver([("c", 700), ("c", 700), ("b", 90_000), ("a", 700), ("on-time", 0), ("d", 0)])
    topic.deliver([("e", 700)])
    sink = topic.drain(chosen)
    assert stages == [True, True, True]
    assert bronze_ids(spark, chosen) == ["a", "b", "c", "d", "e", "on-time"]
    rows = {row.vente_id: row for row in spark_tables.read(spark, VENTES, chosen).collect()}
    assert {name: rows[name].est_tardif for name in ("a", "c", "d", "on-time")} == {
        "a": True, "c": True, "d": False, "on-time": False,
    }  # fmt: skip
    assert rows["c"].kafka_offset == 5, "of two copies in one batch, the first that Kafka got"
    rejects = spark_tables.read(spark, REJETS, chosen).collect()
    assert {row.kafka_offset: row.motif for row in rejects} == {3: "json_invalide", 4: "message_vide"}
    assert (sink.totals.batches, sum(counts.rejected for counts in sink.unreported.values())) == (3, 2)
    assert sink._meter.value(metrics.DUPLICATES, "table") == 3
    there, held = parquet_files(spark, chosen)
    assert there == held, "what was written first and held copies is gone again"


@pytest.mark.parametrize("way", [InternalAppend, DocumentedAppend])
def test_a_backlog_that_was_written_and_not_committed_is_no_part_of_the_table(
    spark: SparkSession, tmp_path: Path, stages: list[bool], monkeypatch: pytest.MonkeyPatch, way: type
) -> None:
    name = "internal" if way is InternalAppend else "documented"
    chosen = settings_of(tmp_path / "lake", **BACKLOG, PERFORMANCE__DELTA_APPEND=name)
    topic = Topic(spark, tmp_path)
    topic.deliver([("a", 700), ("b", 90_000)], bad=[b"{"])

    def dies(*_: object, **__: object) -> None:
        raise RuntimeError("killed here")

    with monkeypatch.context() as patched:
        patched.setattr(way, "commit", dies)
        with pytest.raises(StreamingQueryException):
            topic.drain(chosen)
    assert bronze_ids(spark, chosen) == []
    assert stages == [True], "the fault came after the writing"
    assert bool(parquet_files(spark, chosen)[0]) == (way is InternalAppend)
    # the sales are committed this time, and the rejects are not
    with monkeypatch.context() as patched:
        patched.setattr(spark_tables, "append", dies)
        with pytest.raises(StreamingQueryException):
            topic.drain(chosen)
    assert (bronze_ids(spark, chosen), spark_tables.read(spark, REJETS, chosen).count()) == (["a", "b"], 0)
    topic.drain(chosen)
    assert stages == [True, True, False], "the table has this batch"
    assert (bronze_ids(spark, chosen), spark_tables.read(spark, REJETS, chosen).count()) == (["a", "b"], 1)


def test_a_new_checkpoint_over_an_existing_table_doubles_nothing(spark: SparkSession, tmp_path: Path) -> None:
    chosen, topic = settings_of(tmp_path / "lake", STREAMING__WATERMARK_DELAY="10 minutes"), Topic(spark, tmp_path)
    topic.deliver([("a", 0), ("b", 700)], [("c", 1)])
    topic.drain(chosen)
    place = Path(checkpoint(chosen.delta.base_path, "bronze"))
    place.rename(place.with_name("lost"))
    exact_dedup.require_exact_dedup_until(spark, chosen)
    topic.deliver([("a", 0), ("d", 0)])
    topic.drain(chosen)
    assert bronze_ids(spark, chosen) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(("small", "files"), [("1000", 1), ("0", 2)])
def test_a_small_batch_is_one_file_and_a_large_one_is_not(
    spark: SparkSession, tmp_path: Path, small: str, files: int
) -> None:
    chosen, topic = (
        settings_of(tmp_path / "lake", PERFORMANCE__SMALL_BATCH_ROWS=small, DELTA__AUTO_COMPACT="false"),
        Topic(spark, tmp_path),
    )
    topic.deliver([(f"v{number}", 0) for number in range(40)])
    topic.drain(chosen)
    assert len(spark_tables.read(spark, VENTES, chosen).inputFiles()) == files


@pytest.mark.parametrize("began_with", ["memory", "rocksdb"])
def test_a_checkpoint_keeps_the_state_store_that_it_began_with(
    spark: SparkSession, tmp_path: Path, began_with: Literal["memory", "rocksdb"]
) -> None:
    chosen, topic = settings_of(tmp_path / "lake", STREAMING__WATERMARK_DELAY="1 hour"), Topic(spark, tmp_path)
    stores, name = spark_session.STATE_STORES, "spark.sql.streaming.stateStore.providerClass"
    place = tmp_path / "lake" / "checkpoints" / "bronze" / "state"
    for store, ids in (began_with, "ab"), ("rocksdb" if began_with == "memory" else "memory", "bc"):
        with spark_setting(spark, name, stores[store]):
            topic.deliver([(each, 0) for each in ids])
            topic.drain(chosen)
        changes = {file.suffix for file in place.rglob("*") if file.suffix in (".changelog", ".delta")}
        assert changes == {".delta" if began_with == "memory" else ".changelog"}
    assert bronze_ids(spark, chosen) == ["a", "b", "c"]


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc's memory can be trimmed")
def test_what_the_c_library_keeps_of_freed_memory_goes_back(spark: SparkSession) -> None:
    assert "native heap" in compiler.new(spark, "NativeMemory").trim()


@pytest.mark.parametrize(("limit", "semi_join"), [("1000", True), ("0", False)])
def test_few_old_rows_are_broadcast_and_many_are_not(
    spark: SparkSession, tmp_path: Path, limit: str, semi_join: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, topic = settings_of(tmp_path / "lake", PERFORMANCE__BROADCAST_ROWS=limit), Topic(spark, tmp_path)
    topic.deliver([("v1", 90_000)])
    topic.drain(chosen)
    real, plans = transforms.suspects, list[str]()

    def suspects(asked: DataFrame, known: DataFrame) -> DataFrame:
        found = real(asked, known)
        plans.append(found._jdf.queryExecution().optimizedPlan().toString())
        return found

    monkeypatch.setattr(transforms, "suspects", suspects)
    batch = spark_tables.read(spark, VENTES, chosen).selectExpr(
        "*", "true AS _exact", "string(null) AS motif", "string(null) AS _inconnus"
    )
    facts, held = batch_stats.of(batch), list[DataFrame]()
    assert exact_dedup.new_sales(batch, facts, chosen, held, [chosen.analytics.timezone.key]).isEmpty()
    assert ["LeftSemi" in plan for plan in plans] == [semi_join]
    for frame in held:
        frame.unpersist()


def test_unknown_fields_are_kept_from_the_switch_on_over_the_same_checkpoint(
    spark: SparkSession, tmp_path: Path
) -> None:
    """A rolling upgrade: old and new senders in one batch; fields that come, change their type and go again."""
    ignoring, topic = settings_of(tmp_path / "lake", STREAMING__WATERMARK_DELAY="10 minutes"), Topic(spark, tmp_path)
    keeping = settings_of(
        tmp_path / "lake", STREAMING__WATERMARK_DELAY="10 minutes", STREAMING__CHAMPS_INCONNUS="garder"
    )
    topic.deliver([("before", 0)], extra={"remise": 1})
    topic.drain(ignoring)
    assert CHAMPS_INCONNUS not in spark_tables.read(spark, VENTES, ignoring).columns

    topic.deliver([("old", 0), ("before", 0), ("late", 90_000)])
    topic.deliver([("number", 0), ("old", 0)], extra={"remise": 5, "canal": "web"})  # a copy: the first one stands
    topic.deliver([("widened", 0)], extra={"remise": {"taux": "5 %"}})
    topic.deliver([("removed", 0)])
    sink = topic.drain(keeping)
    expected = {
        "before": None, "old": None, "late": None, "number": '{"canal": "web", "remise": 5}',
        "widened": '{"remise": {"taux": "5 %"}}', "removed": None,
    }  # fmt: skip
    table = spark_tables.read(spark, VENTES, keeping)
    assert {row.vente_id: row[CHAMPS_INCONNUS] for row in table.collect()} == expected
    assert table.count() == len(expected) and spark_tables.read(spark, REJETS, keeping).isEmpty()
    assert (table.columns, sink._meter.value(metrics.DRIFTED)) == ([*VENTES.names, CHAMPS_INCONNUS], 2)

    topic.deliver([("after", 0)], extra={"remise": 1})
    topic.drain(ignoring)  # switched off again: the column stays, and is null from then on
    assert {row.vente_id: row[CHAMPS_INCONNUS] for row in spark_tables.read(spark, VENTES, ignoring).collect()} == {
        **expected,
        "after": None,
    }


def test_schema_drift_is_counted_and_the_sales_are_kept(spark: SparkSession, tmp_path: Path) -> None:
    chosen, topic = settings_of(tmp_path / "lake"), Topic(spark, tmp_path)
    topic.deliver([("v1", 0)], extra={"remise": 1})
    sink = topic.drain(chosen)
    assert bronze_ids(spark, chosen) == ["v1"]
    assert sink._meter.value(metrics.DRIFTED) == 1
