"""A moment as a time zone's clock shows it: within the calendar, and at both ends of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.contract.business_time import local_day, local_text, utc
from lakehouse.contract.tables import TENDANCES
from lakehouse.dashboard import amounts
from lakehouse.explorer.arguments import parse_time
from lakehouse.explorer.formats import values
from lakehouse.lake.query import literal
from lakehouse.lake.result import Column
from lakehouse.operations.reconcile.sent_vs_stored import Sent, compare
from lakehouse.silver import aggregates

FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)
NEW_YORK, KOLKATA, TOKYO = ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata"), ZoneInfo("Asia/Tokyo")

CLOCKS = [
    (FIRST, UTC, "0001-01-01 00:00:00", date(1, 1, 1)),
    (FIRST, TOKYO, "0001-01-01 09:18:59", date(1, 1, 1)),
    (FIRST, NEW_YORK, "0000-12-31 19:03:58", date(1, 1, 1)),
    (FIRST + timedelta(hours=5), NEW_YORK, "0001-01-01 00:03:58", date(1, 1, 1)),
    (datetime(999, 12, 31, 12, tzinfo=UTC), UTC, "0999-12-31 12:00:00", date(999, 12, 31)),
    (datetime(999, 12, 31, 23, tzinfo=UTC), TOKYO, "1000-01-01 08:18:59", date(1000, 1, 1)),
    (datetime(2026, 11, 22, 23, 30, tzinfo=UTC), ZoneInfo("Europe/Paris"), "2026-11-23 00:30:00", date(2026, 11, 23)),
    (LAST, UTC, "9999-12-31 23:59:59", date(9999, 12, 31)),
    (LAST, NEW_YORK, "9999-12-31 18:59:59", date(9999, 12, 31)),
    (LAST, KOLKATA, "10000-01-01 05:29:59", date(9999, 12, 31)),
]


@pytest.mark.parametrize(("moment", "zone", "text", "day"), CLOCKS)
def test_a_moment_is_shown_as_the_zones_clock_has_it(moment: datetime, zone: tzinfo, text: str, day: date) -> None:
    assert local_text(moment, zone) == text
    assert local_day(moment, zone) == day
    column = Column("timestamp", "timestamp")
    assert values.shown(moment, column, zone) == text
    assert amounts.shown(moment, column, zone, "en") == amounts.shown(moment, column, zone, "fr") == text


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC)),
    st.sampled_from([UTC, NEW_YORK, KOLKATA, ZoneInfo("Europe/Paris"), ZoneInfo("Asia/Kathmandu")]),
)
def test_within_the_calendar_it_is_what_python_says(moment: datetime, zone: tzinfo) -> None:
    there = moment.astimezone(zone)
    assert local_day(moment, zone) == there.date()
    assert local_text(moment, zone) == there.replace(tzinfo=None).isoformat(" ", "seconds")


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("9999-12-31T23:59", NEW_YORK, LAST),
        ("9999-12-31T23:59", UTC, datetime(9999, 12, 31, 23, 59, tzinfo=UTC)),
        ("9999-12-31T23:59-00:01", KOLKATA, LAST),
        ("0001-01-01", KOLKATA, FIRST),
        ("0001-01-01", NEW_YORK, datetime(1, 1, 1, 4, 56, 2, tzinfo=UTC)),
        ("0001-01-01T00:00+05:30", UTC, FIRST),
        ("0999-12-31T12:00Z", KOLKATA, datetime(999, 12, 31, 12, tzinfo=UTC)),
    ],
)
def test_any_time_of_the_calendar_can_be_asked_for(text: str, zone: tzinfo, moment: datetime) -> None:
    assert parse_time(text, zone) == moment
    assert parse_time(text, zone).tzinfo is UTC


def test_a_time_with_an_offset_is_put_into_utc_exactly() -> None:
    assert utc(datetime(2026, 11, 22, 8, tzinfo=timezone(timedelta(hours=9)))) == datetime(2026, 11, 21, 23, tzinfo=UTC)


def test_days_in_sql_have_four_digits_of_the_year() -> None:
    assert literal(date(1, 1, 1)) == "DATE '0001-01-01'"
    assert aggregates.day_condition(TENDANCES, [date(999, 12, 31), date(1, 1, 1)]) == (
        "jour IN (DATE'0001-01-01', DATE'0999-12-31')"
    )


def test_a_sale_of_the_first_day_is_compared_in_a_zone_behind_utc() -> None:
    """``jour`` is the calendar's first day there, as Bronze has it."""
    place = {"kafka_partition": 0, "kafka_offset": 0, "kafka_timestamp": datetime(2026, 11, 22, tzinfo=UTC)}
    fields = {"vente_id": "v", "timestamp": "0001-01-01T00:00:00Z", "montant": "10.50"}
    sent = Sent("v", fields=fields, acknowledged=True, partition=0, offset=0)
    row = {"vente_id": "v", "timestamp": FIRST, "montant": Decimal("10.50"), "jour": date(1, 1, 1), "est_tardif": True}
    assert compare([sent], [{**row, **place}], [], timezone=NEW_YORK) == []
    (found,) = compare([sent], [{**row, **place, "jour": date(1, 1, 2)}], [], timezone=NEW_YORK)
    assert (found.column, found.expected, found.found) == ("jour", "0001-01-01", "0001-01-02")
