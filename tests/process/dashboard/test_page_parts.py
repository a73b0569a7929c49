"""Addresses, amounts, texts and charts of the dashboard, without a server."""

from __future__ import annotations

import re
from datetime import UTC, date
from decimal import Decimal

import pytest

from lakehouse.config import PROJECT
from lakehouse.contract import tables
from lakehouse.dashboard import (
    amounts,
    charts,
    column_titles,
    pages,
    process_facts,
    translations,
)
from lakehouse.dashboard.country_shapes import key
from lakehouse.dashboard.html import PageRenderer
from lakehouse.dashboard.request import Language, View, read
from lakehouse.explorer.formats import titles
from lakehouse.explorer.queries import registry
from lakehouse.explorer.queries.clients import RFM_RULES
from lakehouse.explorer.queries.model import Filters
from lakehouse.lake.result import Column, Result
from tests.support.dashboard_lake import TODAY, config_of

# --- addresses -------------------------------------------------------------------------------------------------------


def test_an_address_is_a_view_and_a_view_is_an_address() -> None:
    view = read(
        "clients", {"pays": "Côte d'Ivoire", "client": "17", "periode": "30d"}, today=TODAY, accepted="fr-CH,en;q=0.5"
    )
    assert (view.language, view.du, view.au, view.client) == ("fr", date(2026, 10, 24), TODAY, 17)
    again = view.address().partition("?")[2]
    import urllib.parse

    assert read("clients", dict(urllib.parse.parse_qsl(again)), today=TODAY) == view
    assert view.address(page="sales", pays="").startswith("/sales?") and "pays" not in view.address(pays="")


def test_the_period_before_has_as_many_days_and_ends_the_day_before() -> None:
    view = read("sales", {"du": "2026-11-10", "au": "2026-11-12", "segment": "Entreprise"}, today=TODAY)
    assert view.period == "dates"
    assert view.before == Filters(date(2026, 11, 7), date(2026, 11, 9), segment=("Entreprise",))
    assert read("sales", {"periode": "today"}, today=TODAY).before == Filters(date(2026, 11, 21), date(2026, 11, 21))
    assert read("sales", {"periode": "all"}, today=TODAY).before is None
    assert read("sales", {"au": "2026-11-12"}, today=TODAY).before is None
    assert read("sales", {"du": "0001-01-02", "au": "0001-01-03"}, today=TODAY).before is None


@pytest.mark.parametrize(
    "given",
    [{"du": "22/11/2026"}, {"du": "2026-11-22", "au": "2026-11-01"}, {"periode": "ever"}, {"client": "1 OR 1=1"}, {"client": "0"}, {"client": "9223372036854775808"}, {"pays": "x" * 201}],
)  # fmt: skip
def test_a_wrong_address_is_said_and_shows_the_default_period(given: dict[str, str]) -> None:
    view = read("sales", given, today=TODAY)
    assert view.mistake and (view.du, view.au, view.pays, view.client) == (date(2026, 11, 16), TODAY, "", None)


# --- amounts and words -----------------------------------------------------------------------------------------------


def test_money_keeps_every_digit_in_both_languages() -> None:
    most = Decimal("99999999999999999999999999.99")  # no float holds it
    assert amounts.euros(most, "en") == "€99,999,999,999,999,999,999,999,999.99"
    assert amounts.euros(most, "fr").replace(amounts.NARROW, " ").replace(amounts.HARD, " ") == (
        "99 999 999 999 999 999 999 999 999,99 €"
    )
    assert amounts.euros(Decimal("-0.10"), "en") == "−€0.10"
    shown = [
        amounts.shown(value, Column(name, kind), UTC, "fr")  # type: ignore[arg-type]
        for value, name, kind in (
            (1234567, "messages", "integer"), (1234567, "client_id", "integer"), (Decimal("12.5"), "part_pct", "decimal"),
            (None, "montant", "decimal"), (True, "est_tardif", "boolean"), (b"\xff<b>", "valeur", "binary"), (2.0, "valeur_mesuree", "float"),
        )
    ]  # fmt: skip
    assert [text.replace(amounts.NARROW, " ").replace(amounts.HARD, " ") for text in shown] == [
        "1 234 567", "1234567", "12,5 %", "–", "oui", "\\xff<b>", "2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [(Decimal("110.00"), Decimal("100.00"), "+10.0%"), (1, 3, "−66.7%"), (2, 2, "±0.0%"), (Decimal("100.05"), Decimal(100), "+0.1%"),
     (5, 0, ""), (5, None, ""), (0, 4, "−100.0%")],
)  # fmt: skip
def test_a_change_is_per_cent_half_up(now: object, before: object, text: str) -> None:
    assert amounts.change(now, before, "en") == text


def test_every_card_and_column_has_its_words() -> None:
    for cards in pages.CARDS.values():
        for card in cards:
            for name in (card.name, card.none, *([card.note] if card.note else [])):
                assert all(translations.TEXTS[name]), name
            if not card.fact:
                assert registry.entry(card.question)
    template = (PROJECT / "lakehouse/dashboard/templates/page.html").read_text() + (
        PROJECT / "lakehouse/dashboard/templates/cards.html"
    ).read_text()
    assert set(re.findall(r"""say\(["']([a-z-]+)["'][,)]""", template)) <= set(translations.TEXTS)
    assert all(len(pair) == 2 and all(pair) for pair in (*translations.TEXTS.values(), *titles.COLUMNS.values()))


# --- drawings --------------------------------------------------------------------------------------------------------


def days_of(*rows: tuple[date, str]) -> Result:
    columns = (Column("jour", "date"), Column("revenue_total", "decimal"), Column("total_transactions", "integer"))
    return Result(columns, [(day, Decimal(revenue), 1) for day, revenue in rows])


def test_days_at_the_calendars_beginning_are_drawn() -> None:
    """The newest ``DAYS`` before 0001-01-01 would begin before the calendar does."""
    view = View("sales", period="all")
    chart = charts.days(days_of((date(1, 1, 1), "150.00"), (date(1, 1, 3), "75.50")), view)
    assert chart is not None and chart.ends == ["0001-01-01", "0001-01-02", "0001-01-03"]


def test_a_day_without_a_sale_is_an_empty_place_in_the_chart() -> None:
    view = View("sales", du=date(2026, 11, 1), au=date(2026, 11, 4), period="dates")
    chart = charts.days(days_of((date(2026, 11, 4), "150.00"), (date(2026, 11, 2), "75.50")), view)
    assert chart is not None
    assert [bar.height for bar in chart.bars] == [0, 377, 0, 750]  # of a scale that ends at 200
    assert chart.bars[1].hint == "2026-11-02: €75.50, 1 sale" and chart.bars[0].hint.startswith("2026-11-01: €0.00")
    assert chart.scale == ["€200", "€100", "€0"]


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", ["0 sales", "1 sale", "2 sales"]), ("fr", ["0 vente", "1 vente", "2 ventes"])],
)
def test_one_is_not_many(language: Language, said: list[str]) -> None:
    assert [translations.counted("sale", language, count, str(count)) for count in range(3)] == said
    columns = tuple(Column(name, "integer") for name in ("recence", "frequence", "clients"))
    made = charts.matrix(Result(columns, [(5, 1, 1), (5, 2, 1200)]), language)
    hints = [hint for _, _, hint in made.rows[0][1]]
    assert hints[0].endswith(": 1 client") and hints[1].endswith("200 clients")


def test_every_rfm_segment_has_a_name_in_french() -> None:
    assert set(column_titles.RFM_SEGMENTS) == {name for name, _ in RFM_RULES}
    assert column_titles.RFM_SEGMENTS["Lost"] == ("Lost", "Perdus")


def test_a_process_number_is_a_name_and_a_minus_is_a_minus() -> None:
    assert amounts.shown(26091, Column("pid", "integer"), UTC, "en") == "26091"
    assert amounts.shown(-1200, Column("transactions", "integer"), UTC, "fr") == "−1\u202f200"
    assert amounts.shown(Decimal("-1.50"), Column("montant", "decimal"), UTC, "en") == "−€1.50"


def test_every_column_and_field_that_is_shown_has_a_title() -> None:
    """A name of the code on a page that people read: in both languages."""
    shown = set(process_facts.RECORD)
    for card in (card for cards in pages.CARDS.values() for card in cards if not card.fact):
        listed = [spec.public for spec in tables.PUBLIC if spec.name == card.question.replace("-", "_")]
        shown |= {*card.columns, *(listed[0] if listed and not card.columns else ())}
    assert {name for name in shown if column_titles.titled(name, "en") == name} == set()
    assert {name for name in shown if column_titles.titled(name, "fr") == name} == set()


@pytest.mark.parametrize(
    ("most", "top"),
    [("0", 10), ("10", 10), ("10.01", 20), ("49", 50), ("51", 60), ("81", 100), ("1000000.01", 2000000)],
)
def test_a_scale_ends_at_the_next_round_number(most: str, top: int) -> None:
    assert charts.ceiling(Decimal(most)) == top


def test_the_map_shades_by_share_and_names_what_it_cannot_place(base: str) -> None:
    columns = (Column("pays", "text"), Column("revenue_total", "decimal"))
    rows = [("France", Decimal(160)), ("états-unis", Decimal(50)), ("USA?", Decimal("7.10")), ("Japon", Decimal(1))]
    codes = PageRenderer(config_of(base))._codes
    made = charts.world(Result(columns, rows), codes, "en")
    assert made is not None
    assert [(shape.code, shape.level) for shape in made.shapes] == [("FR", 5), ("US", 4), ("JP", 1)]
    assert made.off == "Not on the map: USA? (€7.10)"
    shapes = (PROJECT / "lakehouse/dashboard/static/world.svg").read_text()
    assert all(f'id="{code}"' in shapes for code in codes.values())


def test_every_country_of_the_catalogue_is_on_the_map(base: str) -> None:
    from lakehouse.producer.catalogue import _COUNTRIES

    codes = PageRenderer(config_of(base))._codes
    assert {pays for _, pays, _ in _COUNTRIES if key(pays) not in codes} == set()
