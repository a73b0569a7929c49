"""The dashboard in a real headless Chromium: every page, the live update, a filter, a download, empty and hostile data.

It needs Chromium or Chrome on the PATH (``apt-get install chromium``) and no JVM.
"""

from __future__ import annotations

import csv
import re
import shutil
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from lakehouse.dashboard.request import PAGES
from tests.support import lakes
from tests.support.browsers import chromium
from tests.support.dashboards import COMPLETE, Served, dashboard

SCRIPT = "<script>alert(1)</script>"
PERIOD = "du=2026-11-10&au=2026-11-21"
DESKTOP, PHONE = {"width": 1360, "height": 900}, {"width": 390, "height": 844}
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One Chromium for the file."""
    with chromium("the dashboard was") as launched:
        yield launched


def hostile(rows: list[lakes.Row]) -> list[lakes.Row]:
    """Client 2 is called like a script."""
    return [{**row, "client_nom": SCRIPT} if row["client_id"] == 2 else row for row in rows]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = str(tmp_path_factory.mktemp("lake"))
    lakes.build(made, hostile(lakes.sales()))
    return made


@pytest.fixture(scope="module")
def served(base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with dashboard(base, tmp_path_factory.mktemp("log") / "dashboard.log") as found:
        yield found


class Tab:
    """A page, with what it asked for and what went wrong in it."""

    def __init__(self, context: Any) -> None:
        self.page = context.new_page()
        self.page.set_default_timeout(60_000)
        self.requests: list[str] = []
        self.faults: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.faults.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("console", lambda line: self.faults.append(line.text) if line.type == "error" else None)

    def open(self, address: str) -> Any:
        """Go there and wait until every card has its figures."""
        self.page.goto(address)
        self.page.locator(COMPLETE).wait_for()
        return self.page


@pytest.fixture
def tab(browser: Any) -> Iterator[Tab]:
    context = browser.new_context(viewport=DESKTOP, locale="en-GB", accept_downloads=True)
    made = Tab(context)
    yield made
    context.close()
    assert made.faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_page_fits_and_asks_this_machine_alone(browser: Any, served: Served, size: Any, scheme: Any) -> None:
    context = browser.new_context(viewport=size, color_scheme=scheme, locale="fr-FR")
    tab = Tab(context)
    for name in PAGES:
        page = tab.open(f"{served.address}{name}?{PERIOD}&client=2")
        assert page.locator("html").get_attribute("lang") == "fr", "the browser's own language"
        assert page.locator("section.card").count() >= 5
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the screen"
        ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (max(map(int, re.findall(r"\d+", ground)[:3])) < 80) == (scheme == "dark")
        if name == "sales":
            box = page.locator("svg.map use.shade5").first.bounding_box()
            assert box and box["width"] > 5, "France is drawn from the local shapes"
    assert {urlsplit(url).netloc for url in tab.requests} == {urlsplit(served.address).netloc}
    assert tab.faults == []
    context.close()


def test_a_phone_shows_what_matters_without_scrolling_sideways(browser: Any, base: str, tmp_path: Path) -> None:
    """Amounts, reasons and raw messages stand inside the card, beside long names and on rare tables too."""
    own = str(tmp_path / "own")
    shutil.copytree(base, own)
    moment = lakes.START
    lakes.write(own, "corrections", [{
        "date_correction": moment, "jour": moment.date(), "pays": "Côte d'Ivoire", "segment": "Particulier", "transactions": -1,
        "montant": Decimal("-1234.50"), "articles": 3, "generation": "f7c1e2d3-9c1d-4e7a-8b0f-1234567890ab", "lot": 7,
    }])  # fmt: skip
    lakes.write(own, "rejets_rejoues", [{
        "topic": "ventes_stream", "kafka_partition": 0, "kafka_offset": 1000, "kafka_timestamp": moment, "resultat": "vente",
        "vente_id": "f7c1e2d3-9c1d-4e7a-8b0f-1234567890ab", "corrige": True, "correction": '{"pays": "France"}',
        "date_rejeu": moment, "operateur": "marie", "run": "8d1c",
    }])  # fmt: skip
    with dashboard(own, tmp_path / "log") as found:
        for language in ("en", "fr"):
            context = browser.new_context(viewport=PHONE)
            tab = Tab(context)
            for name in PAGES:
                page = tab.open(f"{found.address}{name}?{PERIOD}&client=2&lang={language}")
                wide = page.evaluate(
                    """() => [...document.querySelectorAll('.scroll')].filter(one => one.scrollWidth > one.clientWidth + 1)
                      .map(one => one.closest('.card').id + ' by ' + (one.scrollWidth - one.clientWidth))"""
                )
                assert wide == [], f"{name} in {language}"
            context.close()


def test_new_sales_appear_by_themselves_and_nothing_else_moves(browser: Any, base: str, tmp_path: Path) -> None:
    own = str(tmp_path / "own")
    shutil.copytree(base, own)
    with dashboard(own, tmp_path / "log", stops=False) as found:
        context = browser.new_context(viewport=DESKTOP, locale="en-GB")
        tab = Tab(context)
        page = tab.open(f"{found.address}sales?{PERIOD}")
        revenue = page.locator("#key-figures .value").first
        before = revenue.inner_text()
        page.evaluate(
            """() => { window.mark = document.querySelector('#key-figures .value'); window.removed = 0;
            new MutationObserver(seen => { for (const one of seen) for (const node of one.removedNodes)
                if (node.nodeType === 1) window.removed++; }).observe(document.body, {childList: true, subtree: true}); }"""
        )
        page.locator("#by-day summary").click()
        page.locator("#pays").focus()
        page.evaluate("scrollTo(0, 300)")
        sale = {**lakes.sales(1)[0], "vente_id": "new", "montant": Decimal("1000000.01"), "produit_nom": "Souris"}
        lakes.write(own, "ventes_stream", [sale])
        page.locator("#key-figures .value", has_text=before).wait_for(state="detached")
        exact = Decimal(re.sub(r"[€,]", "", revenue.inner_text())) - Decimal(re.sub(r"[€,]", "", before))
        assert exact == Decimal("1000000.01")
        page.locator("#key-figures .source", has_text="ventes_stream version 2,").wait_for()
        assert page.evaluate("window.mark === document.querySelector('#key-figures .value')"), (
            "the page was not loaded again"
        )
        assert page.evaluate("window.removed") == 0, "an element was thrown away and made anew: that flickers"
        assert page.evaluate("document.querySelector('#by-day details').open")
        assert page.evaluate("document.activeElement.id") == "pays"
        assert page.evaluate("scrollY") == 300
        assert tab.requests.count(page.url) >= 2 and tab.faults == []
        found.child.process.kill()
        page.locator("#unreachable").wait_for(state="visible")
        assert "python dashboard.py" in page.locator("#unreachable").inner_text()
        context.close()


def test_a_filter_changes_the_figures_and_stays_on_every_page(tab: Tab, served: Served) -> None:
    page = tab.open(f"{served.address}sales?{PERIOD}")
    countries = page.locator("#revenue-by-country tbody tr")
    assert countries.count() == len(lakes.PLACES)
    page.get_by_label("Country", exact=True).select_option("Japon")
    page.wait_for_url(re.compile("pays=Japon"))
    page.get_by_label("Segment", exact=True).select_option("Entreprise")
    page.wait_for_url(re.compile("segment=Entreprise"))
    page.locator(COMPLETE).wait_for()
    wanted = [row for row in lakes.sales() if row["pays"] == "Japon" and row["segment"] == "Entreprise"]
    revenue = sum(row["montant"] for row in wanted)
    assert page.locator("#key-figures .value").first.inner_text() == f"€{revenue:,}"
    assert countries.count() == 1 and "Japan" in countries.first.inner_text()
    page.get_by_role("link", name="Can I trust the figures?").click()
    page.locator(COMPLETE).wait_for()
    assert (
        page.get_by_label("Country", exact=True).input_value() == "Japon"
        and page.get_by_label("From", exact=True).input_value() == "2026-11-10"
    )
    assert "Not filtered by country, segment" in page.locator("#latest-rejects").inner_text()
    page.get_by_role("link", name="Reset").click()
    assert page.get_by_label("Country", exact=True).input_value() == ""


def test_a_download_holds_every_row(tab: Tab, served: Served) -> None:
    page = tab.open(f"{served.address}trust?{PERIOD}")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download as CSV: Late sales", exact=True).click()
    assert waiting.value.suggested_filename == "late-sales_v1.csv"
    rows = list(csv.DictReader(Path(waiting.value.path()).read_text(encoding="utf-8").splitlines()))
    late = [row for row in lakes.sales() if row["est_tardif"]]
    assert {(row["vente_id"], Decimal(row["montant"])) for row in rows} == {
        (row["vente_id"], row["montant"]) for row in late
    }


def test_a_hostile_name_and_a_raw_message_are_shown_as_text(tab: Tab, served: Served) -> None:
    page = tab.open(f"{served.address}clients?{PERIOD}&client=2")
    assert page.locator("#client-sales tbody td", has_text=SCRIPT).first.is_visible()
    assert page.locator("main script").count() == 0
    page = tab.open(f"{served.address}trust?{PERIOD}")
    assert "{oops" in page.locator("#latest-rejects").inner_text()  # the fault list of the tab shows that nothing ran


def test_a_client_is_followed_from_the_list_with_the_keyboard_alone(tab: Tab, served: Served) -> None:
    page = tab.open(f"{served.address}clients?{PERIOD}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "live"
    link = page.locator("#top-clients tbody a").first
    number = link.inner_text()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == number:
            break
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(rf"client={number}"))
    page.locator(COMPLETE).wait_for()
    bought = [row for row in lakes.sales() if row["client_id"] == int(number)]
    assert page.locator("#client-sales tbody tr").count() == min(12, len(bought))


@pytest.mark.parametrize("name", PAGES)
def test_everything_has_a_name_for_a_screen_reader(tab: Tab, served: Served, name: str) -> None:
    page = tab.open(f"{served.address}{name}?{PERIOD}&client=2")
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('input:not([type=hidden]), select')].filter(one => !one.labels.length)
          .concat([...document.querySelectorAll('svg:not([aria-hidden]):not([aria-hidden] svg):not([aria-label])')])
          .concat([...document.querySelectorAll('th:not([scope])')])
          .concat([...document.querySelectorAll('nav:not([aria-label])')])
          .concat([...document.querySelectorAll('a, button')].filter(one => !one.textContent.trim() && !one.ariaLabel))
          .map(one => one.outerHTML.slice(0, 120))"""
    )
    assert unnamed == []
    headings = page.evaluate("[...document.querySelectorAll('h1,h2')].map(one => one.tagName)")
    assert headings[0] == "H1" and headings.count("H1") == 1
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))


def test_no_data_a_broken_table_and_a_stopped_pipeline_say_what_to_do(browser: Any, base: str, tmp_path: Path) -> None:
    own = tmp_path / "own"
    with dashboard(str(own), tmp_path / "log") as found:
        context = browser.new_context(viewport=DESKTOP, locale="en-GB")
        tab = Tab(context)
        page = tab.open(f"{found.address}sales?{PERIOD}")
        assert "The pipeline is started: make run" in page.locator("#start").inner_text()
        assert page.locator("#live .notice").count() == 0, "one calm card"
        shutil.copytree(base, own, dirs_exist_ok=True)
        page.locator("#key-figures .value").first.wait_for()  # by itself
        table = own / "bronze" / "ventes_stream" / "_delta_log"
        (table / f"{1:020}.json").write_text("{broken")
        page.locator("#live .notice.bad", has_text="cannot be read").first.wait_for()
        said = page.locator("#live .notice.bad", has_text="cannot be read").first.inner_text()
        assert "A table cannot be read." in said and "ventes_stream" in said and "ops_utils.py backup list" in said
        assert "bronze: stopped" in page.locator("#live .notice.bad", has_text="Not everything is running").inner_text()
        page.locator("#key-figures", has_text="docs/TROUBLESHOOTING.md").wait_for()
        assert page.locator("#by-day svg.plot").count() == 1, "the other cards go on"
        context.close()
