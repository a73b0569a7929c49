"""Days and hours around each change of a zone's clock: Java, DataFusion and Python say the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from lakehouse.contract.business_time import local_day
from lakehouse.silver import expressions
from tests.spark.bronze.test_decoder import decoded
from tests.spark.silver.test_expressions import values
from tests.unit.contract.test_sale import text

CHANGES = {
    "Europe/Paris": [
        datetime(1911, 3, 10, 23, 50, 39, tzinfo=UTC),  # local mean time, 9:21 ahead, ends
        datetime(1940, 6, 14, 22, tzinfo=UTC),
        datetime(2026, 3, 29, 1, tzinfo=UTC),
        datetime(2026, 10, 25, 1, tzinfo=UTC),
    ],
    "America/New_York": [
        datetime(1883, 11, 18, 17, tzinfo=UTC),  # local mean time, 4:56:02 behind, ends
        datetime(2026, 3, 8, 7, tzinfo=UTC),
        datetime(2026, 11, 1, 6, tzinfo=UTC),
    ],
    "Asia/Kathmandu": [
        datetime(1919, 12, 31, 18, 18, 44, tzinfo=UTC),  # local mean time, 5:41:16 ahead, ends
        datetime(
            1985, 12, 31, 18, 30, tzinfo=UTC
        ),  # 5:30 ahead until then, 5:45 from then on: 00:00 is not on the clock
    ],
}
STEPS = [
    timedelta(0),
    *(
        sign * step
        for step in (timedelta(microseconds=1), timedelta(minutes=15), timedelta(hours=1))
        for sign in (-1, 1)
    ),
]


def moments(zone: str) -> list[datetime]:
    """Around each change, and around the midnights before and behind it on the zone's own clock."""
    there = ZoneInfo(zone)
    found = []
    for change in CHANGES[zone]:
        today = change.astimezone(there).replace(hour=0, minute=0, second=0, microsecond=0)
        midnights = [(today + timedelta(days=days)).astimezone(UTC) for days in (-1, 0, 1)]
        found += [at + step for at in (change, *midnights) for step in STEPS]
    return found


@pytest.mark.parametrize("zone", CHANGES)
def test_a_day_and_an_hour_are_the_zones_own(spark: SparkSession, zone: str) -> None:
    there, asked = ZoneInfo(zone), moments(zone)
    assert all(there.utcoffset(at.astimezone(there)) != (at - timedelta(microseconds=1)).astimezone(there).utcoffset()
               for at in CHANGES[zone]), "a clock that does not change then"  # fmt: skip
    sent = [text(vente_id=f"v{n}", timestamp=at.isoformat()).encode() for n, at in enumerate(asked)]
    rows = decoded(spark, sent, timezone=zone, broker_time=datetime(2026, 11, 22, tzinfo=UTC))
    assert [row.jour for row in rows] == [local_day(at, there) for at in asked] == [
        at.astimezone(there).date() for at in asked
    ]  # fmt: skip
    columns = [("timestamp", "TIMESTAMP", pa.timestamp("us", "UTC"))]
    by_spark, by_local = values(spark, expressions.hour(zone), columns, [(at,) for at in asked])
    assert by_spark == by_local == [at.astimezone(there).hour for at in asked]
