"""A lake of a few hours: one bar of a week would say nothing, so that it is shown by the hour whatever the period."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from lakehouse.dashboard import charts, entries, pages
from lakehouse.dashboard.request import View
from lakehouse.explorer.queries.model import Filters
from lakehouse.lake.reader import Lake
from lakehouse.lake.result import Column, Result
from tests.support import lakes

NOW = datetime(2026, 11, 4, 9, 15, tzinfo=UTC)
COLUMNS = tuple(Column(name, "integer") for name in ("jour", "heure", "revenue_total", "total_transactions"))


def test_it_begins_with_its_first_hour_and_ends_with_the_present_one() -> None:
    view = View("sales", du=date(2026, 10, 29), au=NOW.date())
    rows = [(NOW.date(), hour, Decimal("10.00"), 2) for hour in (8, 9)]
    chart = charts.young_hours(Result(COLUMNS, rows), view, NOW)
    assert chart is not None and [len(chart.bars), chart.bars[-1].open] == [10, True]
    assert chart.bars[-1].hint == "2026-11-04 09:00: €10.00, 2 sales (not over)"
    before = (NOW.date() - timedelta(days=1), 10, Decimal("5.00"), 1)
    chart = charts.young_hours(Result(COLUMNS, [before, *rows]), view, NOW)
    assert chart is not None and len(chart.bars) == 24
    assert chart.bars[0].hint == "2026-11-03 10:00: €5.00, 1 sale"
    assert charts.young_hours(Result(COLUMNS, []), view, NOW) is None


def test_it_is_asked_for_by_every_longer_period_and_answers_for_a_young_lake_only(tmp_path: Path) -> None:
    week = View("sales", du=date(2026, 11, 8), au=date(2026, 11, 14))
    day = View("sales", du=date(2026, 11, 14), au=date(2026, 11, 14))
    assert pages.young(week) in pages.questions(week) and pages.young(day) not in pages.questions(day)
    lakes.build(str(tmp_path), [row for row in lakes.sales() if row["jour"] <= date(2026, 11, 12)])
    asked = entries.entry("young-hours").query(Filters(du=date(2026, 11, 11)), ())
    days = {row[0] for row in Lake(str(tmp_path)).read(asked).rows}
    assert days == {date(2026, 11, 11), date(2026, 11, 12)}
    lakes.write(str(tmp_path), "tendances_horaires", [{
        "jour": date(2026, 11, 13), "heure": 1, "pays": "France", "segment": "Entreprise", "total_transactions": 1,
        "revenue_total": Decimal(1), "items_sold": 1,
    }])  # fmt: skip
    assert Lake(str(tmp_path)).read(asked).rows == [], "four days: the oldest is that of 10 November"
