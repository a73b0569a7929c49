"""When the store of recent keys forgets: real streams over folders of files, one file a micro-batch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from lakehouse.lake import spark_session
from tests.support.harness import spark_setting

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SCHEMA = "id string, at timestamp"


class Stream:
    """Ids, each minute one, of which one second is remembered."""

    def __init__(self, spark: SparkSession, base: Path) -> None:
        self._spark, self._base, self._minutes, self.passed = spark, base, 0, list[str]()

    def take(self, *ids: str) -> list[int]:
        """One batch for each; how many keys the store held at the end of each."""
        for one in ids:
            rows = [(one, _BEGIN + timedelta(minutes=self._minutes))]
            self._spark.createDataFrame(rows, SCHEMA).write.parquet(str(self._base / "in" / f"{self._minutes:04}"))
            self._minutes += 1
        source = self._spark.readStream.schema(SCHEMA).option("maxFilesPerTrigger", 1).parquet(f"{self._base}/in/*")
        first_of_each = source.withWatermark("at", "1 second").dropDuplicatesWithinWatermark(["id"])
        query = (
            first_of_each.writeStream.foreachBatch(self._keep)
            .option("checkpointLocation", str(self._base / "checkpoint"))
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()
        batches = [one for one in query.recentProgress if one.numInputRows]
        assert len(batches) == len(ids)
        return [one.stateOperators[0].numRowsTotal for one in batches]

    def _keep(self, batch: DataFrame, _number: int) -> None:
        self.passed += [row.id for row in batch.collect()]


@pytest.fixture
def stream(spark: SparkSession, tmp_path: Path) -> Stream:
    return Stream(spark, tmp_path)


@pytest.mark.parametrize(("interval", "held"), [("0", [1, 2, 2, 2, 2]), ("3600000", [1, 2, 3, 4, 5])])
def test_a_key_is_forgotten_at_the_next_look_and_each_run_begins_with_one(
    spark: SparkSession, stream: Stream, interval: str, held: list[int]
) -> None:
    with spark_setting(spark, spark_session.EVICTION_INTERVAL, interval):
        assert stream.take("a", "b", "c", "d", "e") == held
        assert stream.take("f") == [2], "the first batch of a run looks: what is left is e, which has time, and f"
    assert stream.passed == list("abcdef")


def test_a_key_that_was_not_looked_for_is_known(spark: SparkSession, stream: Stream) -> None:
    """Longer than the watermark asks for; its repeat is dropped as it was within it."""
    assert spark.conf.get(spark_session.EVICTION_INTERVAL) == "60000"
    assert stream.take("a", "a", "b", "a") == [1, 1, 2, 2]
    assert stream.passed == ["a", "b"]


def test_a_checkpoint_of_sparks_own_store_goes_on_with_it(spark: SparkSession, stream: Stream) -> None:
    name = "spark.sql.streaming.stateStore.providerClass"
    assert spark.conf.get(name) == spark_session.STATE_STORES["rocksdb"]
    with spark_setting(spark, name, "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"):
        assert stream.take("a", "b", "c") == [1, 2, 2]
    assert stream.take("d", "e", "f") == [2, 2, 2], "it looks in each batch"
    assert stream.passed == list("abcdef")
