"""Settings that change over a living checkpoint: no sale is lost or doubled, and a repeated batch is validated as it was begun."""

from __future__ import annotations

import json
import shutil
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession

from lakehouse.bronze import job
from lakehouse.bronze.noted_settings import SettingsChange
from lakehouse.bronze.sink import BronzeSink
from lakehouse.config import Config
from lakehouse.contract.table_properties import EXACT_DEDUP_UNTIL, UNKNOWN_ZONE, ZONES, zones_of
from lakehouse.contract.tables import EFFACES, OPERATIONS, REJETS, VENTES, TableSpec, checkpoint
from lakehouse.errors import CheckpointInvalid
from lakehouse.lake import spark_tables
from tests.spark.bronze.test_decoder import KAFKA
from tests.spark.bronze.test_sink import Topic, bronze_ids, settings_of
from tests.unit.contract.test_operations import operation
from tests.unit.contract.test_sale import VALID

LONG = {"STREAMING__WATERMARK_DELAY": "2000 seconds"}
"""Beside the usual 2 seconds of these tests."""


class Lake:
    """A topic and the lake that is made of it, with settings that may change from one run to the next."""

    def __init__(self, spark: SparkSession, base: Path) -> None:
        self.spark, self.base, self.topic = spark, base / "lake", Topic(spark, base)

    def settings(self, **overrides: str) -> Config:
        return settings_of(self.base, **overrides)

    def run(self, **overrides: str) -> BronzeSink:
        """All that was delivered; a query that has to take other settings is started again, as the job does."""
        while True:
            try:
                return self.topic.drain(self.settings(**overrides))
            except StreamingQueryException as failure:
                if SettingsChange.__name__ not in str(failure):
                    raise

    @property
    def checkpoint(self) -> Path:
        return Path(checkpoint(str(self.base), "bronze"))

    def ids(self) -> list[str]:
        return bronze_ids(self.spark, self.settings())

    def rows(self, spec: TableSpec) -> int:
        return spark_tables.read(self.spark, spec, self.settings()).count()

    def notes(self) -> dict[int, dict[str, Any]]:
        files = [file for file in (self.checkpoint / "settings").iterdir() if file.name.isdigit()]
        return {int(file.name): json.loads(file.read_text()) for file in files}

    def zones(self) -> tuple[str, ...]:
        return zones_of(spark_tables.properties(self.spark, VENTES, self.settings())[ZONES])

    def forget_notes(self) -> None:
        """As a checkpoint of an earlier release."""
        shutil.rmtree(self.checkpoint / "settings", ignore_errors=True)


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    return Lake(spark, tmp_path)


@pytest.mark.parametrize("noted", [True, False])
def test_a_longer_delay_neither_drops_nor_doubles_a_sale(lake: Lake, noted: bool) -> None:
    """``between`` is on time by the new delay alone: the watermark has passed it. The fixture ``spark`` sees to what was dropped."""
    lake.topic.deliver([("now", 0), ("stale", 500)])
    lake.run()
    if not noted:
        lake.forget_notes()
    lake.topic.deliver([("between", 400), ("stale", 500), ("now", 0)], [("between", 400)])
    lake.run(**LONG)
    assert lake.ids() == ["between", "now", "stale"]
    first, second = sorted(lake.notes()) if noted else (0, *lake.notes())
    assert (first, second) == (0, 1)


@pytest.mark.parametrize("noted", [True, False])
def test_a_sale_that_the_state_never_knew_is_not_on_time_after_a_longer_delay(lake: Lake, noted: bool) -> None:
    """No on-time sale has moved the watermark, so that it drops nothing: only the floor sends the copy to Bronze."""
    lake.topic.deliver([("stale", 500)])
    lake.run()
    if not noted:
        lake.forget_notes()
    lake.topic.deliver([("stale", 500)])
    lake.run(**LONG)
    assert lake.ids() == ["stale"]


def test_a_backlog_is_compared_from_the_floor_on(lake: Lake) -> None:
    lake.topic.deliver([("stale", 500)])
    lake.run(PERFORMANCE__SMALL_BATCH_ROWS="0")
    lake.topic.deliver([("stale", 500), ("other", 500), ("other", 500)])
    lake.run(PERFORMANCE__SMALL_BATCH_ROWS="0", **LONG)
    assert lake.ids() == ["other", "stale"]


def test_delays_that_rise_and_fall_over_one_checkpoint(lake: Lake) -> None:
    sales = [(f"v{number}", float(age)) for number, age in enumerate((0, 1, 3, 200, 900, 5000))]
    for delay in ("2 seconds", "600 seconds", "60 seconds", "2000 seconds", "2 seconds"):
        lake.topic.deliver(sales, sales[::-1])
        lake.run(STREAMING__WATERMARK_DELAY=delay)
    assert lake.ids() == [name for name, _ in sales]
    assert sorted(lake.notes()) == [0, 2, 4, 6, 8]


def test_comparison_of_every_sale_lasts_longer_with_a_longer_delay(lake: Lake) -> None:
    lake.topic.deliver([("v", 0)])
    lake.run()
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=3)
    spark_tables.set_properties(lake.spark, VENTES, lake.settings(), {EXACT_DEDUP_UNTIL: until.isoformat()})
    lake.run(**LONG)
    held = spark_tables.properties(lake.spark, VENTES, lake.settings())[EXACT_DEDUP_UNTIL]
    assert datetime.fromisoformat(held) == until + timedelta(seconds=1998)


def at_noon(lake: Lake) -> float:
    """The age of noon, UTC, 40 days ago: another day in the zones furthest east."""
    noon = (lake.topic._start - timedelta(days=40)).replace(hour=12, minute=0, second=0, microsecond=0)
    return (lake.topic._start - noon).total_seconds()


@pytest.mark.parametrize("small", ["0", "50000"])
@pytest.mark.parametrize(
    ("before", "after"), [("UTC", "Pacific/Kiritimati"), ("Pacific/Kiritimati", "Pacific/Pago_Pago")]
)
def test_another_business_zone_doubles_no_sale(lake: Lake, before: str, after: str, small: str) -> None:
    """``after`` puts the sale into another ``jour`` than that of its first copy."""
    lake.topic.deliver([("v", at_noon(lake))])
    lake.run(ANALYTICS__TIMEZONE=before)
    lake.topic.deliver([("v", at_noon(lake)), ("w", at_noon(lake))])
    lake.run(ANALYTICS__TIMEZONE=after, PERFORMANCE__SMALL_BATCH_ROWS=small)
    table = spark_tables.read(lake.spark, VENTES, lake.settings()).orderBy("vente_id").collect()
    assert [row.vente_id for row in table] == ["v", "w"] and table[0].jour != table[1].jour
    assert lake.zones() == (before, after)


def test_rows_of_before_zones_were_noted_may_have_any(lake: Lake) -> None:
    lake.topic.deliver([("v", at_noon(lake))])
    lake.run()
    lake.forget_notes()
    spark_tables.set_properties(lake.spark, VENTES, lake.settings(), {ZONES: ""})
    lake.topic.deliver([("v", at_noon(lake))])
    lake.run(ANALYTICS__TIMEZONE="Pacific/Kiritimati")
    assert lake.ids() == ["v"]
    assert lake.zones() == (UNKNOWN_ZONE, "Pacific/Kiritimati")


TOLERANT = {"STREAMING__WATERMARK_DELAY": "1000 seconds", "STREAMING__FUTURE_TOLERANCE": "900 seconds"}
STRICT = {"STREAMING__WATERMARK_DELAY": "1000 seconds", "STREAMING__FUTURE_TOLERANCE": "1 second"}


def fail_at(spec: TableSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    real = spark_tables.append

    def append(rows: DataFrame, given: TableSpec, *args: Any, **options: Any) -> None:
        if given is spec:
            raise OSError("injected: the machine stopped here")
        real(rows, given, *args, **options)

    monkeypatch.setattr(spark_tables, "append", append)


@pytest.mark.parametrize(("before", "after"), [(STRICT, TOLERANT), (TOLERANT, STRICT)], ids=["raised", "lowered"])
def test_a_batch_that_broke_off_between_its_two_tables_is_repeated_with_its_own_tolerance(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, before: dict[str, str], after: dict[str, str]
) -> None:
    """``ahead`` is a sale by one of the two settings and a bad message by the other. ``later`` comes in the next batch."""
    lake.topic.deliver([("v", 0), ("ahead", -500)], bad=[b"{"])
    with monkeypatch.context() as patch:
        fail_at(REJETS, patch)
        with pytest.raises(StreamingQueryException, match="injected"):
            lake.run(**before)
    lake.topic.deliver([("later", -600)])
    lake.run(**after)
    kept = {"v"} | ({"ahead"} if before is TOLERANT else {"later"})
    assert lake.ids() == sorted(kept)
    assert lake.rows(REJETS) == 2, "the bad message, and one of the two sales ahead of the clock"


@pytest.mark.parametrize("begun", [VENTES, OPERATIONS], ids=lambda spec: spec.name)
def test_a_half_written_batch_of_another_decoder_is_refused(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, begun: TableSpec
) -> None:
    lake.topic.deliver([("v", 0)] if begun is VENTES else [], bad=[operation("retour"), b"{"])
    with monkeypatch.context() as patch:
        fail_at(REJETS, patch)
        with pytest.raises(StreamingQueryException, match="injected"):
            lake.run()
    with monkeypatch.context() as patch:
        patch.setattr("lakehouse.bronze.decoder.fingerprint", lambda: "another")
        with pytest.raises(
            CheckpointInvalid, match=f"begun by another release.* a part of it is in {begun.name}, its bad"
        ):
            lake.run()
    assert (lake.rows(VENTES), lake.rows(OPERATIONS), lake.rows(REJETS)) == (int(begun is VENTES), 1, 0)
    lake.run()
    assert (lake.rows(VENTES), lake.rows(OPERATIONS), lake.rows(REJETS)) == (int(begun is VENTES), 1, 1)


def test_a_batch_of_which_nothing_is_written_takes_the_present_decoder(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.topic.deliver([("v", 0)])
    with monkeypatch.context() as patch:
        fail_at(VENTES, patch)
        with pytest.raises(StreamingQueryException, match="injected"):
            lake.run()
    monkeypatch.setattr("lakehouse.bronze.decoder.fingerprint", lambda: "another")
    lake.run()
    assert lake.ids() == ["v"] and lake.notes()[0]["decoder"] == "another"


def test_sales_far_ahead_of_the_clock_are_compared_with_bronze_until_their_copies_are_stale(lake: Lake) -> None:
    """The broker's clock is ahead by more than the delay makes room for. That the state forgets the sale is brought about by another
    checkpoint, which has none."""
    ahead = datetime.now(UTC) + timedelta(seconds=900)

    def deliver() -> None:
        value = json.dumps({**VALID, "vente_id": "ahead", "timestamp": ahead.isoformat()}).encode()
        rows = [(b"12", value, "ventes_stream", 0, 0, ahead, 1)]
        part = lake.topic._folder / uuid.uuid4().hex
        lake.spark.createDataFrame(rows, KAFKA).coalesce(1).write.parquet(str(part))

    deliver()
    lake.run()
    held = spark_tables.properties(lake.spark, VENTES, lake.settings())[EXACT_DEDUP_UNTIL]
    assert datetime.fromisoformat(held) >= ahead + timedelta(seconds=2)
    shutil.rmtree(lake.checkpoint)
    deliver()
    lake.run()
    assert lake.ids() == ["ahead"]


def test_a_new_checkpoint_compares_until_the_latest_sale_of_bronze_is_stale(lake: Lake) -> None:
    """A sale from the future that a longer tolerance has let in."""
    lake.topic.deliver([("ahead", -800)])
    lake.run(**TOLERANT)
    shutil.rmtree(lake.checkpoint)
    job.exact_dedup.require_for_new_checkpoint(lake.spark, lake.settings())
    until = spark_tables.properties(lake.spark, VENTES, lake.settings())[EXACT_DEDUP_UNTIL]
    assert datetime.fromisoformat(until) > lake.topic._start + timedelta(seconds=800 + 2)


def test_a_new_checkpoint_over_emptied_tables_brings_no_erased_sale_back(lake: Lake) -> None:
    for spec in (VENTES, REJETS):
        spark_tables.ensure(lake.spark, spec, lake.settings())
    job.exact_dedup.require_for_new_checkpoint(lake.spark, lake.settings())
    assert EXACT_DEDUP_UNTIL not in spark_tables.properties(lake.spark, VENTES, lake.settings())
    spark_tables.ensure(lake.spark, EFFACES, lake.settings())
    job.exact_dedup.require_for_new_checkpoint(lake.spark, lake.settings())
    assert EXACT_DEDUP_UNTIL in spark_tables.properties(lake.spark, VENTES, lake.settings())
