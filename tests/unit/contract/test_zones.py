"""The business time zones on record in Bronze: one entry for each change, and a sentence for people when there was one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from lakehouse.contract.table_properties import with_zone, zones_of, zones_sentence

MORNING = datetime(2026, 11, 27, 9, tzinfo=UTC)


def test_each_change_is_on_record_with_its_time() -> None:
    first = with_zone(None, "UTC", MORNING, empty=True)
    assert first == "UTC 2026-11-27T09:00:00Z" == with_zone(first, "UTC", MORNING + timedelta(days=1), empty=False)
    second = with_zone(first, "Europe/Paris", MORNING.astimezone(timezone(timedelta(hours=3))), empty=False)
    assert second == "UTC 2026-11-27T09:00:00Z,Europe/Paris 2026-11-27T09:00:00Z"
    back = with_zone(second, "UTC", MORNING, empty=False)
    assert back.count("UTC ") == 2 and zones_of(back) == ("UTC", "Europe/Paris")


def test_rows_of_before_are_of_an_unknown_zone() -> None:
    noted = with_zone(None, "UTC", MORNING, empty=False)
    assert zones_of(noted) == ("?", "UTC") and zones_of(None) == zones_of("") == ("?",)
    assert zones_sentence(noted) == "", "most likely the same one"


def test_people_are_told_of_a_change_alone() -> None:
    one = with_zone(None, "UTC", MORNING, empty=True)
    assert zones_sentence(None) == zones_sentence(one) == ""
    two = with_zone(one, "Europe/Paris", MORNING, empty=False)
    assert zones_sentence(two) == (
        "The days of sales are of several time zones: UTC, Europe/Paris for sales ingested from 2026-11-27T09:00:00Z on. Days "
        "around a change hold sales of both zones' days."
    )
    three = with_zone(with_zone(None, "UTC", MORNING, empty=False), "Asia/Tokyo", MORNING, empty=False)
    assert zones_sentence(three).startswith("The days of sales are of several time zones: an unknown one, UTC for ")
