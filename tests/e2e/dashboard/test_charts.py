"""Charts, map, filters and columns in a real headless Chromium: values on hover, tap and focus, at every size."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lakehouse.dashboard.request import PAGES
from tests.e2e.dashboard.test_dashboard import DESKTOP, PERIOD, PHONE, Tab
from tests.support import lakes
from tests.support.browsers import chromium
from tests.support.dashboards import COMPLETE, Served, dashboard

pytestmark = pytest.mark.timeout(300)
WIDE = {"width": 2560, "height": 1440}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium("the dashboard's charts were") as launched:
        yield launched


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = str(tmp_path_factory.mktemp("lake"))
    lakes.build(made)
    with dashboard(made, tmp_path_factory.mktemp("log") / "dashboard.log") as found:
        yield found


@pytest.fixture
def tab(browser: Any) -> Iterator[Tab]:
    context = browser.new_context(viewport=DESKTOP, locale="en-GB")
    made = Tab(context)
    yield made
    context.close()
    assert made.faults == []


def sold_on(day: str) -> str:
    rows = [row for row in lakes.sales() if row["jour"].isoformat() == day]
    return f"{day}: €{sum((row['montant'] for row in rows), Decimal(0)):,}, {len(rows)} sales"


def test_a_bars_value_is_shown_on_focus_hover_and_tap(tab: Tab, served: Served, browser: Any) -> None:
    page = tab.open(f"{served.address}sales?{PERIOD}")
    tip = page.locator("#tip")
    assert tip.is_hidden()
    page.locator("#by-day summary").focus()
    page.keyboard.press("Shift+Tab")
    assert tip.inner_text() == sold_on("2026-11-21"), "the last bar, by the keyboard alone"
    page.keyboard.press("ArrowLeft")
    assert tip.inner_text() == sold_on("2026-11-20")
    page.keyboard.press("Home")
    assert tip.inner_text() == sold_on("2026-11-10")
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    page.locator("#by-day .plot [data-hint]").nth(3).hover()
    assert tip.inner_text() == sold_on("2026-11-13")
    context = browser.new_context(viewport=PHONE, has_touch=True)
    phone = Tab(context).open(f"{served.address}sales?{PERIOD}")
    phone.locator("#by-day .plot [data-hint]").nth(3).tap()
    assert phone.locator("#tip").inner_text() == sold_on("2026-11-13")
    box = phone.locator("#tip").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= PHONE["width"]
    context.close()


def test_a_country_on_the_map_filters_and_a_second_click_takes_it_back(tab: Tab, served: Served) -> None:
    page = tab.open(f"{served.address}sales?{PERIOD}&lang=en")
    page.locator("#map a[data-hint^=Japan]").focus()
    assert page.locator("#tip").inner_text().startswith("Japan: €")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("pays=Japon"))
    page.locator(COMPLETE).wait_for()
    assert page.locator("#revenue-by-country tbody tr").count() == 1
    page.locator("#map a[data-hint^=Japan]").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("!location.search.includes('pays')")


def test_columns_sort_both_ways_and_stay_sorted(tab: Tab, served: Served) -> None:
    page = tab.open(f"{served.address}sales?{PERIOD}&lang=en")
    names = page.locator("#revenue-by-country tbody tr td:first-child")
    before = names.all_inner_texts()
    page.get_by_role("button", name="Sort by Country").click()
    assert names.all_inner_texts() == sorted(before)
    page.get_by_role("button", name="Sort by Country").click()
    assert names.all_inner_texts() == sorted(before, reverse=True)
    page.evaluate("document.dispatchEvent(new Event('live'))")
    assert names.all_inner_texts() == sorted(before, reverse=True)
    page.locator("#revenue-by-country").get_by_role("button", name="Sort by Revenue").click()
    assert names.all_inner_texts() == before, "the largest first"


def test_chips_choose_a_period_and_filters_fit_two_lines_on_a_phone(browser: Any, served: Served) -> None:
    context = browser.new_context(viewport=PHONE)
    tab = Tab(context)
    page = tab.open(f"{served.address}sales?lang=en")
    page.get_by_role("link", name="This month").click()
    page.wait_for_url(re.compile("periode=month"))
    lines = page.evaluate(
        """() => new Set([...document.querySelectorAll('.chips, #pays, #segment')].map(one => Math.round(one.getBoundingClientRect().top))).size"""
    )
    assert lines == 2
    page.goto(f"{served.address}clients?lang=fr")
    boxes = page.evaluate(
        "[...document.querySelectorAll('#pays, #segment, #client, .dates summary')].map(one => one.getBoundingClientRect().toJSON())"
    )
    assert all(one["right"] <= next_["left"] for one, next_ in pairwise(boxes)), "nothing stands on another"
    page.goto(f"{served.address}running?lang=en")
    assert page.locator("form.filters").count() == 0, "they would change nothing there"
    assert tab.faults == []
    context.close()


@pytest.mark.parametrize("size", [PHONE, {"width": 1440, "height": 900}, WIDE], ids=["390", "1440", "2560"])
def test_no_card_leaves_a_hole_and_nothing_is_wider_than_the_screen(browser: Any, served: Served, size: Any) -> None:
    context = browser.new_context(viewport=size, locale="fr-FR")
    tab = Tab(context)
    for name in PAGES:
        page = tab.open(f"{served.address}{name}?{PERIOD}&client=2")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        holes = page.evaluate(
            """() => { const grid = document.querySelector('.cards').getBoundingClientRect(), rows = new Map();
            for (const card of document.querySelectorAll('.cards > .card')) { const box = card.getBoundingClientRect();
              rows.set(Math.round(box.top), (rows.get(Math.round(box.top)) || 0) + box.width); }
            return [...rows.values()].filter(width => width < grid.width * .95).length; }"""
        )
        assert holes == 0, name
    context.close()


def test_live_goes_out_when_nothing_comes_in(browser: Any, tmp_path: Path) -> None:
    own = str(tmp_path / "own")
    lakes.build(own)
    for entry in Path(own, "bronze", "ventes_stream", "_delta_log").glob("*.json"):
        entry.write_text(re.sub(r'"timestamp":\d{13}', '"timestamp":1700000000000', entry.read_text()))
    with dashboard(own, tmp_path / "log") as found:
        context = browser.new_context(viewport=DESKTOP)
        page = Tab(context).open(f"{found.address}sales?{PERIOD}&lang=en")
        assert page.locator("#live-mark.out").inner_text() == "Nothing comes in"
        lakes.write(own, "ventes_stream", [{**lakes.sales(1)[0], "vente_id": "new"}])
        page.locator("#live-mark:not(.out)").wait_for()
        context.close()
    shutil.rmtree(own)
