"""Sales of the calendar's first years through Bronze's exact deduplication and Silver: the stream goes on, the days are right."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.bronze import transforms
from lakehouse.contract.tables import PROFIL, TENDANCES, VENTES
from lakehouse.lake import spark_tables
from lakehouse.lake.net_sql import SOURCE_COLUMNS
from lakehouse.silver import aggregates, spark_sales
from lakehouse.silver.sink import SilverSink
from tests.spark.bronze.test_sink import BACKLOG, Topic, bronze_ids, settings_of
from tests.spark.silver.test_aggregates import LIMITS
from tests.unit.contract.test_sale import text

EARLY = {
    "first": "0001-01-01T00:00:00Z",
    "first-too": "0001-01-01T23:59:59.999999Z",
    "999": "0999-12-31T12:00:00Z",
    "gap": "1582-10-10T12:00:00Z",
}
"""Go's and .NET's zero time; a year that strftime does not pad; a day that the Julian calendar's end left out."""

UTC_DAYS = {"first": date(1, 1, 1), "first-too": date(1, 1, 1), "999": date(999, 12, 31), "gap": date(1582, 10, 10)}
MESSAGES = [text(vente_id=vente_id, timestamp=moment).encode() for vente_id, moment in EARLY.items()]


@pytest.mark.parametrize(
    ("zone", "days", "hours", "overrides"),
    [
        ("UTC", UTC_DAYS, {0, 12, 23}, BACKLOG),
        ("America/New_York", UTC_DAYS, {7, 19}, {}),  # local mean time, 4:56:02 behind; the first moment is 19:03:58
        ("Asia/Kolkata", {**UTC_DAYS, "first-too": date(1, 1, 2)}, {5, 17}, {}),  # 5:53:28 ahead
    ],
)
def test_the_first_years_are_taken_in_once_by_bronze_and_silver(
    spark: SparkSession, tmp_path: Path, zone: str, days: dict[str, date], hours: set[int], overrides: dict[str, str]
) -> None:
    settings, topic = settings_of(tmp_path / "lake", ANALYTICS__TIMEZONE=zone, **overrides), Topic(spark, tmp_path)
    entries = [
        entry
        for entry in aggregates.aggregates(replace(LIMITS, timezone=zone))
        if entry.table in (TENDANCES, PROFIL)  # one by day and hour, one that keeps first and last moments
    ]
    topic.deliver([("now", 0)], bad=MESSAGES)
    topic.deliver([], bad=[*MESSAGES, MESSAGES[0]])  # copies, which exact deduplication alone can know
    topic.drain(settings)
    assert bronze_ids(spark, settings) == sorted([*EARLY, "now"])
    rows = spark_tables.read(spark, VENTES, settings).where("vente_id <> 'now'")
    assert {row.vente_id: row.jour for row in rows.select("vente_id", "jour").collect()} == days
    exact = rows.selectExpr("vente_id", "CAST(`timestamp` AS STRING) AS t").collect()
    assert {row.vente_id: row.t for row in exact} == {
        name: moment.replace("T", " ").removesuffix("Z") for name, moment in EARLY.items()
    }

    sink = SilverSink(settings, entries, "g1")
    sink.build(spark_sales.without_operations(rows.limit(0).select(*SOURCE_COLUMNS)))
    sink(rows.select(*SOURCE_COLUMNS), 0)
    made = spark_tables.read(spark, TENDANCES, settings)
    assert {row.heure for row in made.select("heure").collect()} == hours
    counted = {
        row.jour: row.n for row in made.groupBy("jour").agg({"total_transactions": "sum"}).toDF("jour", "n").collect()
    }
    assert counted == {day: list(days.values()).count(day) for day in days.values()}


def test_the_days_of_a_very_long_backlog_are_a_span(spark: SparkSession) -> None:
    many = [date.fromordinal(1 + 200 * number) for number in range(1_001)]
    assert max(many) > date(548, 7, 15)
    wanted = spark.sql("SELECT explode(array(DATE'0001-01-01', DATE'0548-07-15', DATE'2026-11-22')) AS jour")
    assert [row.jour for row in wanted.where(transforms.on_days(many)).collect()] == [date(1, 1, 1), date(548, 7, 15)]
