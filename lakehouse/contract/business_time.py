"""A moment as the clock of a time zone shows it, at both ends of the calendar too.

Python's calendar has the years 1 to 9999 only, and a sale may lie on its first or its last day: ``astimezone`` raises there
for a zone behind or ahead of UTC, and ``strftime`` does not pad a year below 1000.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, tzinfo

_CYCLE = 400
"""Years after which the Gregorian calendar repeats itself."""


def _clock(moment: datetime, zone: tzinfo) -> tuple[datetime, int]:
    """The local time and by how many years it was moved, to stay within Python's calendar: by none or one cycle."""
    utc = moment.astimezone(UTC)
    try:
        return utc.astimezone(zone).replace(tzinfo=None), 0
    except OverflowError:
        wall = utc.replace(tzinfo=None)
        moved = _CYCLE if wall.year == 1 else -_CYCLE
        # no zone changes its clock within a day of either end, so the offset is that of the same reading of the clock
        offset = zone.utcoffset(wall)
        assert offset is not None
        return wall.replace(year=wall.year + moved) + offset, moved


def local_text(moment: datetime, zone: tzinfo) -> str:
    """``2026-11-22 21:00:00``; the day before 0001-01-01 is ``0000-12-31``, that after 9999-12-31 ``10000-01-01``."""
    clock, moved = _clock(moment, zone)
    return f"{clock.year - moved:04}-{clock:%m-%d %H:%M:%S}"


def local_day(moment: datetime, zone: tzinfo) -> date:
    """The day in the zone, ``jour`` of a sale: for a moment beyond the calendar's end there, its first or last day."""
    clock, moved = _clock(moment, zone)
    return clock.date() if not moved else date.min if moved > 0 else date.max


def utc(moment: datetime) -> datetime:
    """An aware time in UTC: for one beyond the calendar's end there, the first or last moment that it has."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return (datetime.min if moment.year == 1 else datetime.max).replace(tzinfo=UTC)
