"""Addresses, amounts, texts and charts of the dashboard, without a server."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from lakehouse.config import PROJECT
from lakehouse.contract import tables
from lakehouse.dashboard import (
    amounts,
    charts,
    column_titles,
    country_map,
    entries,
    pages,
    process_facts,
    scales,
    translations,
    verdicts,
)
from lakehouse.dashboard.country_shapes import key
from lakehouse.dashboard.html import PageRenderer
from lakehouse.dashboard.process_history import History
from lakehouse.dashboard.request import Language, View, read
from lakehouse.explorer.formats import titles
from lakehouse.explorer.queries.clients import RFM_RULES
from lakehouse.explorer.queries.model import Filters
from lakehouse.lake.result import Column, Result
from tests.support.dashboard_lake import TODAY, config_of

NOW = datetime(2026, 11, 4, 9, 15, tzinfo=UTC)

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
                assert entries.entry(card.question)
    template = "".join(file.read_text() for file in (PROJECT / "lakehouse/dashboard/templates").glob("*.html"))
    assert set(re.findall(r"""say\(["']([a-z-]+)["'][,)]""", template)) <= set(translations.TEXTS)
    assert all(len(pair) == 2 and all(pair) for pair in (*translations.TEXTS.values(), *titles.COLUMNS.values()))


# --- drawings --------------------------------------------------------------------------------------------------------


def days_of(*rows: tuple[date, str]) -> Result:
    columns = (Column("jour", "date"), Column("revenue_total", "decimal"), Column("total_transactions", "integer"))
    return Result(columns, [(day, Decimal(revenue), 1) for day, revenue in rows])


def test_days_at_the_calendars_beginning_are_drawn() -> None:
    """The newest ``DAYS`` before 0001-01-01 would begin before the calendar does."""
    view = View("sales", period="all")
    chart = charts.days(days_of((date(1, 1, 1), "150.00"), (date(1, 1, 3), "75.50")), view, NOW)
    assert chart is not None and [bar.hint[:10] for bar in chart.bars] == ["0001-01-01", "0001-01-02", "0001-01-03"]


def test_a_day_without_a_sale_is_an_empty_place_in_the_chart() -> None:
    view = View("sales", du=date(2026, 11, 1), au=date(2026, 11, 4), period="dates")
    chart = charts.days(days_of((date(2026, 11, 4), "150.00"), (date(2026, 11, 2), "75.50")), view, NOW)
    assert chart is not None
    assert [tick.text for tick in chart.ticks] == ["€0", "€50", "€100", "€150"]
    assert [bar.height for bar in chart.bars] == ["0%", "50.33%", "0%", "100%"]
    assert [bar.open for bar in chart.bars] == [False, False, False, True], "the fourth is today"
    assert chart.bars[1].hint == "2026-11-02: €75.50, 1 sale" and chart.bars[0].hint.startswith("2026-11-01: €0.00")
    assert chart.bars[3].hint == "2026-11-04: €150.00, 1 sale (not over)"
    assert [label.text for label in chart.labels] == ["1 Nov", "2 Nov", "3 Nov", "4 Nov"]


def test_a_short_period_is_shown_by_the_hour_and_the_last_hour_by_the_minute() -> None:
    view = View("sales", du=date(2026, 11, 4), au=date(2026, 11, 4), period="today")
    assert pages.by_hour(view) and not pages.by_hour(View("sales", du=date(2026, 11, 1), au=date(2026, 11, 4)))
    columns = [Column(name, "integer") for name in ("jour", "heure", "revenue_total", "total_transactions")]
    rows = [(date(2026, 11, 4), 8, Decimal("10.00"), 2), (date(2026, 11, 4), 9, Decimal("5.50"), 1)]
    chart = charts.span_hours(Result(tuple(columns), rows), view, NOW)
    assert chart is not None and len(chart.bars) == 10, "up to the present hour"
    assert chart.bars[8].hint == "2026-11-04 08:00: €10.00, 2 sales" and chart.bars[9].open
    columns = [Column(name, "integer") for name in ("minute", "revenue_total", "total_transactions")]
    found = charts.minutes(Result(tuple(columns), [(NOW.replace(minute=13), Decimal("7.00"), 3)]), NOW, "en")
    assert [len(one.bars) for one in found] == [61, 61] and found[0].bars[60].open
    assert found[0].bars[58].hint == "09:13: €7.00, 3 sales" == found[1].bars[58].hint
    later = charts.minutes(Result(tuple(columns), []), NOW + timedelta(minutes=1), "en")
    assert later[0].bars[60].hint.startswith("09:16"), "the right end moves"


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
    assert (
        column_titles.titled("retard_minutes", "fr") == "Retard (min)"
        and column_titles.titled("montant", "en") == "Amount"
    )
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


@pytest.mark.parametrize("most", ["0.01", "3", "10", "10.01", "49", "51", "81", "99999.99", "1000000.01", "7300000"])
def test_a_scale_has_four_to_six_round_values_and_holds_the_largest(most: str) -> None:
    values = scales.ticks(Decimal(most))
    assert 4 <= len(values) <= 6 and values[0] == 0 and values[-1] >= Decimal(most)
    assert values[-1] <= Decimal(most) * 2, "the tallest bar is no stump"
    assert f"{values[1].normalize():f}".replace(".", "").strip("0") in ("1", "2", "25", "5")
    assert all(value % 1 == 0 for value in scales.ticks(Decimal(most), whole=True))


def test_amounts_beside_a_chart_are_short_in_both_languages() -> None:
    values = [Decimal(text) for text in ("0", "40", "1500", "250000", "1500000", "2000000000")]
    assert [scales.short_euros(value, "en") for value in values] == [
        "€0", "€40", "€1.5\u00a0k", "€250\u00a0k", "€1.5\u00a0M", "€2\u00a0bn",
    ]  # fmt: skip
    assert [scales.short_euros(value, "fr") for value in values][2:5] == [
        "1,5\u00a0k€", "250\u00a0k€", "1,5\u00a0M€",
    ]  # fmt: skip


def test_the_map_shades_by_round_amounts_filters_on_a_click_and_names_what_it_cannot_place(base: str) -> None:
    columns = (Column("pays", "text"), Column("revenue_total", "decimal"))
    rows = [("France", Decimal(160)), ("états-unis", Decimal(50)), ("USA?", Decimal("7.10")), ("Japon", Decimal(1))]
    renderer = PageRenderer(config_of(base))
    codes, names = renderer._codes, renderer._names
    made = country_map.world(Result(columns, rows), codes, names, View("sales"))
    assert made is not None and made.part == "world"
    assert [(shape.code, shape.level) for shape in made.shapes] == [("FR", 5), ("US", 5), ("JP", 1)]
    assert [text for _, text in made.legend] == ["below €10", "from €10", "from €20", "from €25", "from €50"]
    assert [shape.hint for shape in made.shapes] == ["France: €160", "United States: €50", "Japan: €1"]
    assert made.shapes[2].link == "/sales?pays=Japon&lang=en"
    alone = country_map.world(Result(columns, rows[:1]), codes, names, View("sales", pays="France"))
    assert alone is not None and alone.part == "europe" and alone.shapes[0].link == "/sales?lang=en", (
        "again: all of them"
    )
    assert made.off == "Not on the map: USA? (€7.10)"
    shapes = (PROJECT / "lakehouse/dashboard/static/world.svg").read_text()
    assert all(f'id="{code}"' in shapes for code in codes.values())


def test_a_curve_keeps_two_hours_and_says_its_values() -> None:
    history = History(dict)
    for minutes, lag in ((130, 5.0), (60, 1204.0), (0, 12.0)):
        history.add(NOW - timedelta(minutes=minutes), {("bronze", "lag_records"): lag, ("silver", "x"): 1.0})
    points = history.curve([("bronze", "lag_records")], NOW)
    assert [value for _, value in points] == [1204.0, 12.0]
    made = charts.curve("Lag", points, "messages", NOW, "en")
    assert made is not None and made.last == "12\u00a0messages" and made.points.startswith("0,")
    assert [bar.hint for bar in made.bars] == ["08:15: 1,204\u00a0messages", "09:15: 12\u00a0messages"]
    assert [label.text for label in made.labels] == ["08:30", "08:45", "09:00"], "from the first point on"
    soon = charts.curve("Lag", [(NOW - timedelta(minutes=1), 1.0), (NOW, 2.0)], "messages", NOW, "en")
    assert soon is not None and soon.points.startswith("900,"), "ten minutes at least"
    long = charts.curve("Lag", [(NOW - timedelta(hours=2), 1.0), (NOW, 2.0)], "messages", NOW, "en")
    assert long is not None and [label.text for label in long.labels] == ["07:45", "08:15", "08:45"]
    assert charts.curve("Lag", points[:1], "messages", NOW, "en") is None, "one point is no line"
    assert verdicts.quantity(1, "messages", "en") == "1\u00a0message" and verdicts.quantity(1, "s", "fr") == "1\u00a0s"


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_the_page_of_trust_begins_with_the_answer() -> None:
    last = {"finished": NOW, "differences": 0, "consumed": 1685, "accounted": 1685, "found": []}
    yes = verdicts.trust(last, "en")
    assert (yes.kind, yes.title) == ("good", "Yes") and yes.at == NOW
    assert yes.text.startswith("1,685 of 1,685 messages accounted for, no difference.")
    assert verdicts.trust(None, "en").kind == "warn"
    no = verdicts.trust({**last, "differences": 2, "accounted": 1683, "found": ["offset 7", "offset 9"]}, "fr")
    assert (no.kind, no.title, no.details) == ("bad", "Non\u00a0: 2 écarts", ("offset 7", "offset 9"))


def test_the_page_of_processes_begins_with_the_answer() -> None:
    well = [(name, "running", "") for name in ("kafka", "producer", "bronze", "silver")]
    assert verdicts.running(well, NOW, is_old=False, language="en").kind == "good"
    assert verdicts.running(well, NOW, is_old=True, language="en").title == "It runs, and nothing comes in"
    dead = verdicts.running([*well[:3], ("silver", "dead", "no heartbeat")], NOW, is_old=False, language="en")
    assert dead.kind == "bad" and dead.details == ("silver: dead. no heartbeat",)
    assert verdicts.running([*well[:3], ("silver", "starting", "")], NOW, is_old=False, language="en").kind == "warn"


def test_a_tile_has_a_unit_and_says_when_it_is_no_longer_well() -> None:
    titles = {name: name for _, name, _, _ in verdicts.TILES}
    found = verdicts.tiles({("bronze", "lag_seconds"): 75.0, ("bronze", "batch_seconds"): 1.26}, {}, titles, "en")
    assert [(tile.value, tile.kind) for tile in found] == [("75\u00a0s", "warn"), ("1.3\u00a0s", "good")]
    assert found[0].limit == "limit: 60\u00a0s"


def test_every_country_of_the_catalogue_is_on_the_map(base: str) -> None:
    from lakehouse.producer.catalogue import _COUNTRIES

    codes = PageRenderer(config_of(base))._codes
    assert {pays for _, pays, _ in _COUNTRIES if key(pays) not in codes} == set()
