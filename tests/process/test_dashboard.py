"""The dashboard without a browser: addresses, amounts, drawings, one answer for many readers, and the server over HTTP."""

from __future__ import annotations

import csv
import html
import io
import json
import os
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psutil
import pytest

import dashboard as script
from lakehouse import config as settings
from lakehouse.config import PROJECT, Config
from lakehouse.contract import tables
from lakehouse.dashboard import (
    amounts,
    answer_cache,
    charts,
    column_titles,
    download,
    pages,
    process_facts,
    translations,
)
from lakehouse.dashboard.answer_cache import AnswerCache
from lakehouse.dashboard.country_shapes import key
from lakehouse.dashboard.html import PageRenderer
from lakehouse.dashboard.query_process import LakeQueries, QueryProcess, Question, Reply
from lakehouse.dashboard.request import PAGES, Language, View, read
from lakehouse.explorer import command
from lakehouse.explorer.queries import registry
from lakehouse.explorer.queries.clients import RFM_RULES
from lakehouse.explorer.queries.model import Filters
from lakehouse.kafka.broker import certificates
from lakehouse.kafka.broker.properties import free_port
from lakehouse.lake.reader import Lake
from lakehouse.lake.result import Column, Result
from lakehouse.operations.status import ProcessState
from lakehouse.setup.pipeline import dashboard_address, with_free_port
from tests import lakes
from tests.children import eventually
from tests.dashboards import Served
from tests.dashboards import dashboard as serving

TODAY = date(2026, 11, 22)
SCRIPT = "<script>alert(1)</script>"
FORMULA = "=HYPERLINK(1)"
PERIOD = "du=2026-11-10&au=2026-11-21"


def config_of(base: str, **env: str) -> Config:
    return settings.load(
        env={"VENTES_DELTA__BASE_PATH": base, **{f"VENTES_{name}": text for name, text in env.items()}}
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake whose client 2 is a script and client 3 a formula."""
    made = str(tmp_path_factory.mktemp("lake"))
    rows = lakes.sales()
    for row in rows:
        row["client_nom"] = {2: SCRIPT, 3: FORMULA}.get(row["client_id"], row["client_nom"])
    lakes.build(made, rows)
    return made


@pytest.fixture(scope="module")
def served(base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(base, tmp_path_factory.mktemp("log") / "dashboard.log") as found:
        yield found


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
    assert all(len(pair) == 2 and all(pair) for pair in (*translations.TEXTS.values(), *column_titles.COLUMNS.values()))


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


# --- the board -------------------------------------------------------------------------------------------------------


class Counting(AnswerCache):
    """Notes each question that is really asked; ``gate`` holds them up."""

    def __init__(self, config: Config) -> None:
        self._queries = LakeQueries(config)
        super().__init__(config, ask=self.noted)
        self.asked: list[Question] = []
        self.gate = threading.Event()
        self.gate.set()

    def noted(self, question: Question) -> Reply:
        assert self.gate.wait(60)
        self.asked.append(question)
        return self._queries.ask(question)


@pytest.fixture
def own(base: str, tmp_path: Path) -> str:
    shutil.copytree(base, tmp_path / "own")
    return str(tmp_path / "own")


@pytest.fixture
def counting(own: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    monkeypatch.setattr(answer_cache, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(answer_cache, "REST", 0.0)
    made = Counting(config_of(own))
    made.start()
    yield made
    made.gate.set()
    made.stop()


TOTALS = Question("totals", Filters())


def test_many_readers_share_one_answer_until_the_table_has_a_new_version(counting: Counting, own: str) -> None:
    with ThreadPoolExecutor(20) as readers:
        found = [
            one.result() for one in [readers.submit(counting.answers, [TOTALS], first=60, later=60) for _ in range(20)]
        ]
    assert counting.asked == [TOTALS]
    assert len({answer[TOTALS].serial for answer in found if answer[TOTALS]}) == 1
    again = counting.answers([TOTALS], first=60, later=60)[TOTALS]
    assert counting.asked == [TOTALS] and again is found[0][TOTALS], "nothing was written: nothing is asked again"
    before = found[0][TOTALS]
    assert before and before.result and before.result.sources[0].version == 1
    sale = {**lakes.sales(1)[0], "vente_id": "new", "montant": Decimal("0.01")}
    lakes.write(own, "ventes_stream", [sale])
    after = counting.answers([TOTALS], first=60, later=60)[TOTALS]
    assert after and after.result and after.result.sources[0].version == 2
    assert after.result.column("revenue_total")[0] == before.result.column("revenue_total")[0] + Decimal("0.01")
    assert counting.asked == [TOTALS] * 2


def test_a_page_does_not_wait_for_a_slow_answer(counting: Counting) -> None:
    counting.gate.clear()
    assert counting.answers([TOTALS], first=0.01, later=0.01) == {TOTALS: None}
    counting.gate.set()
    assert eventually(lambda: counting.answers([TOTALS], first=0.01, later=0.01)[TOTALS])


def test_after_a_costly_answer_the_board_rests(own: str) -> None:
    """The rule itself, with its numbers: no wall time is judged."""
    now = [1000.0]
    made = AnswerCache(config_of(own), ask=LakeQueries(config_of(own)).ask, clock=lambda: now[0])
    made.tables()
    question = TOTALS
    made._answers[question] = answer_cache.Answer(1, None, "", False, "another version", at=1000.0, cost=0.4)
    now[0] = 1000.0 + 0.4 * answer_cache.REST - 0.01
    assert not made._is_due(question, now[0])
    now[0] += 0.02
    assert made._is_due(question, now[0])


def test_a_table_that_appears_or_breaks_or_is_made_anew_is_seen(counting: Counting, own: str) -> None:
    missing = Question("pertes-declarees")
    answer = counting.answers([missing], first=60, later=60)[missing]
    assert answer and answer.missing and "accepts a loss" in answer.problem
    loss = {
        "topic": "t",
        "kafka_partition": 0,
        "premier_offset": 1,
        "dernier_offset": 2,
        "date_declaration": lakes.START,
        "operateur": "x",
    }
    lakes.write(own, "pertes_declarees", [loss])
    answer = counting.answers([missing], first=60, later=60)[missing]
    assert answer and answer.result and len(answer.result.rows) == 1

    assert (answer := counting.answers([TOTALS], first=60, later=60)[TOTALS]) and answer.result
    shutil.rmtree(Path(own, "bronze", "ventes_stream"))
    answer = counting.answers([TOTALS], first=60, later=60)[TOTALS]
    assert answer and answer.missing
    for row in (lakes.sales(3), lakes.sales(2)):  # version 1 again, as before, with other sales
        lakes.write(own, "ventes_stream", row)
    answer = counting.answers([TOTALS], first=60, later=60)[TOTALS]
    assert answer and answer.result and answer.result.rows[0][0] == 5

    log = Path(own, "bronze", "ventes_stream", "_delta_log", f"{1:020}.json")
    log.write_text("{broken")
    answer = counting.answers([TOTALS], first=60, later=60)[TOTALS]
    assert answer and "cannot be opened" in answer.problem and not answer.missing
    assert "ventes_stream" in counting.tables().broken


def test_the_process_that_reads_the_lake_is_replaced_when_it_was_killed(base: str) -> None:
    made = QueryProcess(config_of(base))
    first = made.ask(TOTALS)
    assert first.result and first.cost > 0
    assert made._pool is not None
    (victim,) = made._pool._processes
    os.kill(victim, signal.SIGKILL)
    said = eventually(lambda: made.ask(TOTALS).problem, 60)
    assert "was killed while it answered totals" in said
    again = made.ask(TOTALS)
    assert again.result and again.result.rows == first.result.rows
    made.stop()


def test_no_process_outlives_a_killed_dashboard(base: str, tmp_path: Path) -> None:
    with serving(base, tmp_path / "log", stops=False) as found:
        children = psutil.Process(found.child.process.pid).children(recursive=True)
        assert children
        found.child.process.kill()
        gone, alive = psutil.wait_procs(children, timeout=60)
        assert len(gone) == len(children) and not alive


# --- what the pages say about the pipeline ------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that are made here, not in the script, hear of no process unless a test says so."""
    monkeypatch.setattr(process_facts.status, "processes", lambda _: [])
    monkeypatch.setattr(process_facts, "MAX_AGE", -1.0)


def page_text(base: str, page: str = "running", now: datetime | None = None, **given: str) -> str:
    """One page made directly, tags taken off."""
    config = config_of(base)
    made = AnswerCache(config, ask=LakeQueries(config).ask)
    made.start()
    try:
        view = read(page, {"lang": "en", **given}, today=TODAY)
        answers = made.answers([Question(*asked) for asked in pages.questions(view)], first=60, later=60)
        body = PageRenderer(config).page(view, answers, made.tables(), now or datetime.now(UTC)).body.decode()
    finally:
        made.stop()
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def test_each_process_has_the_state_that_its_health_data_says(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    since = datetime(2026, 11, 22, 8, tzinfo=UTC)
    states = [
        ProcessState("bronze", "running", 42, since, figures={"lag_records": 12.0, "batch_seconds": 1.25}),
        ProcessState("silver", "dead", 43, since, ("no heartbeat for 90 s",), "DataLoss: gone"),
    ]
    monkeypatch.setattr(process_facts.status, "processes", lambda _: states)
    text = page_text(base)
    assert "Not everything is running. silver: dead. Start it again with: make run" in text
    assert "silver dead 43 2026-11-22 08:00:00 no heartbeat for 90 s DataLoss: gone" in text
    assert (
        "bronze running 42" in text and "bronze Kafka lag (messages) 12" in text and "bronze Last batch (s) 1.2" in text
    )


def test_an_old_lake_an_empty_one_and_an_empty_period_say_what_to_do(base: str, tmp_path: Path) -> None:
    assert "The newest sales are old" not in page_text(base)
    old = page_text(base, now=datetime.now(UTC) + timedelta(minutes=5))
    assert "Nothing was written to Bronze since" in old and "make run" in old
    empty = page_text(str(tmp_path / "nothing"), "sales")
    assert "No data yet. Nothing has been written to" in empty and "Start the pipeline: make run." in empty
    period = page_text(base, "sales", du="2020-01-01", au="2020-01-02")
    assert "No sale in this period. The lake holds sales from 2026-11-10 to 2026-11-21. Show all days" in period


def test_an_empty_place_has_no_table_rather_than_none_in_this_period(tmp_path: Path) -> None:
    text = page_text(str(tmp_path / "lake"))
    assert text.count("No table has been written yet.") == 2


def test_the_last_reconciliation_is_shown_or_how_to_make_one(tmp_path: Path, base: str) -> None:
    base = shutil.copytree(base, tmp_path / "lake").as_posix()
    assert "Never run. Type: python ops_utils.py reconcile" in page_text(base, "trust")
    record = {
        "finished": "2026-11-22T08:00:00+00:00",
        "differences": 0,
        "versions": {"ventes_stream": 3},
        "per_day": ["a line a day"],
    }
    folder = Path(base) / "audit" / "reconciliations"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "20261122T080000.000000Z-essai.json").write_text(json.dumps(record))
    text = page_text(base, "trust")
    assert (
        "Finished 2026-11-22T08:00:00+00:00 Differences 0 Record 20261122T080000.000000Z-essai.json Versions ventes_stream: 3"
        in text
        and "a line a day" not in text
    )


# --- over HTTP -------------------------------------------------------------------------------------------------------


def cells(text: str, card: str) -> list[list[str]]:
    """The table of a card, as texts."""
    section = re.search(rf'<section class="card[^"]*" id="{card}".*?</section>', text, re.DOTALL)
    assert section, card
    rows = re.findall(r"<tr>(.*?)</tr>", section[0].partition("<tbody>")[2], re.DOTALL)
    return [
        [
            html.unescape(re.sub(r"<[^>]*>", "", cell)).strip()
            for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)
        ]
        for row in rows
    ]


def complete(served: Served, path: str) -> str:
    """The page when every card has its answer."""
    return str(eventually(lambda: (text := served.get(path).text) and "data-pending" not in text and text))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_page_in_both_languages_is_complete_safe_and_local(served: Served, page: str, language: str) -> None:
    reply = served.get(f"/{page}?{PERIOD}&lang={language}&client=2")
    text = complete(served, f"/{page}?{PERIOD}&lang={language}&client=2")
    assert reply.status == 200 and f'<html lang="{language}">' in text
    assert translations.say(page, language) in html.unescape(text)  # type: ignore[arg-type]
    assert reply.headers["content-security-policy"].startswith("default-src 'self';")
    assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", text), "another host"
    assert not re.search(r"\son[a-z]+=|\sstyle=|<script>", text), "inline code, which the policy forbids"
    assert "This part cannot be read" not in text and "ne peut pas être lue" not in text


def test_a_hostile_name_is_text(served: Served) -> None:
    text = complete(served, f"/clients?{PERIOD}")
    assert SCRIPT not in text
    assert any(row[1] == SCRIPT for row in cells(text, "top-clients"))
    hostile = served.get("/clients?pays=%3Cscript%3Ealert(1)%3C/script%3E&client=%22%3E%3Cb%3E").text
    assert SCRIPT not in hostile and "<b>" not in hostile and "is not accepted" in hostile


@pytest.mark.parametrize(
    "given", [PERIOD, f"{PERIOD}&pays=France", "periode=all", f"{PERIOD}&segment=Entreprise&pays=Japon"]
)
def test_the_figures_are_those_of_the_explorer_at_the_same_version(served: Served, base: str, given: str) -> None:
    text = complete(served, f"/sales?{given}")
    filters = read("sales", dict(pair.split("=") for pair in given.split("&")), today=TODAY).filters
    lake = Lake(base)
    for card in pages.CARDS["sales"]:
        result = lake.read(registry.entry(card.question).query(filters))
        if card.shape == "kpis":
            (row,) = result.rows
            values = dict(zip(result.names, row, strict=True))
            shown = re.findall(r'<dd class="value">(.*?)</dd>', text)
            wanted = [amounts.euros(values["revenue_total"], "en"), f"{values['total_transactions']:,}",
                      amounts.euros(values["transaction_moyenne"], "en"), f"{values['unique_customers']:,}"]  # fmt: skip
            assert shown == wanted
        elif card.shape == "table":
            columns = [result.columns[result.names.index(name)] for name in card.columns]
            rows = [
                [amounts.shown(value, column, UTC, "en") for value, column in zip(picked, columns, strict=True)]
                for picked in zip(*(result.column(name) for name in card.columns), strict=True)
            ]
            assert cells(text, card.name) == rows, card.name
        for source in result.sources:
            assert f"{source.table} version {source.version}," in text


def test_an_unchanged_page_is_304_and_a_changed_one_is_not(own: str, tmp_path: Path) -> None:
    with serving(own, tmp_path / "log") as found:
        path = f"/sales?{PERIOD}"
        complete(found, path)
        tag = found.get(path).headers["etag"]
        assert (again := found.get(path, If_None_Match=tag)).status == 304 and again.text == ""
        lakes.write(own, "ventes_stream", [{**lakes.sales(1)[0], "vente_id": "n"}])
        changed = eventually(lambda: (reply := found.get(path, If_None_Match=tag)).status == 200 and reply)
        assert "ventes_stream version 2," in eventually(lambda: (t := found.get(path).text) and "version 2," in t and t)
        assert changed.headers["etag"] != tag


def test_only_this_machines_names_are_answered(served: Served) -> None:
    assert served.get("/sales", Host="evil.example").status == 400
    assert served.get("/nothing").status == 404 and served.get("/csv/nothing.csv").status == 404
    assert served.get("/static/../server.py").status == 404 and served.get("/static/%2e%2e/server.py").status == 404


def luminance(colour: str) -> float:
    """WCAG 2's relative luminance of ``#rgb`` or ``#rrggbb``."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_ground(scheme: str) -> None:
    """WCAG 2 AA: 4.5 for texts, 3 for edges and bars; and a country that sold little is no bare land."""
    css = (PROJECT / "lakehouse/dashboard/static/style.css").read_text()
    marker = "@media (prefers-color-scheme: dark)"
    bright, dark = css.split(marker)[0], css.split(marker)[1]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", bright))
    inks = dict.fromkeys(("s4", "s5"), "#fff") | dict.fromkeys(("s1", "s2", "s3"), "#10151b")
    assert ".heat4, .heat5 { color: #fff; } .heat1, .heat2, .heat3 { color: #10151b; }" in css
    if scheme == "dark":
        colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", dark))
        inks = dict.fromkeys(("s1", "s2"), "#fff") | dict.fromkeys(("s3", "s4", "s5"), "#10151b")
        assert ".heat1, .heat2 { color: #fff; } .heat3, .heat4, .heat5 { color: #10151b; }" in css
    texts = [
        (name, ground) for name in ("ink", "soft", "accent", "good", "bad", "warn") for ground in ("paper", "ground")
    ]
    texts += [("bad", "bad-ground"), ("warn", "warn-ground"), ("paper", "accent")]
    faint = [pair for pair in texts if contrast(colours[pair[0]], colours[pair[1]]) < 4.5]
    faint += [(ink, shade) for shade, ink in inks.items() if contrast(colours[shade], ink) < 4.5]
    faint += [(name, "paper") for name in ("bar", "edge") if contrast(colours[name], colours["paper"]) < 3]
    faint += [("s1", "land")] * (contrast(colours["s1"], colours["land"]) < 1.3)
    assert faint == []


def test_every_download_that_a_page_offers_is_there(served: Served) -> None:
    """A table that does not exist offers none; a question without a table of its own is no download."""
    for page in PAGES:
        text = served.get(f"/{page}?{PERIOD}&client=2").text
        offered = re.findall(r'class="csv" href="([^"]+)"', text)
        assert offered and not any(name in link for link in offered for name in pages.RARE)
        assert {html.unescape(link): served.get(html.unescape(link)).status for link in offered} == {
            html.unescape(link): 200 for link in offered
        }
    assert {served.get(f"/csv/{name}.csv").status for name in ("row-counts", "history", "sql", "corrections")} == {404}


ASKED = sorted({card.question for cards in pages.CARDS.values() for card in cards if not card.fact} - pages.RARE)


@pytest.mark.parametrize("name", ASKED)
def test_a_download_is_the_explorers_csv_but_for_formulas(
    served: Served, base: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reply = served.get(f"/csv/{name}.csv?{PERIOD}&segment=Particulier")
    assert reply.status == 200 and reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert re.search(rf'filename="{name}_v\d+(_v\d+)?\.csv"', reply.headers["content-disposition"])
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", base)
    takes = registry.entry(name).filters
    options = ["--du", "2026-11-10", "--au", "2026-11-21"] if "dates" in takes else []
    options += ["--segment", "Particulier"] if "segment" in takes else []
    assert command.main([name, *options, "--limit", "0", "--format", "csv"]) == 0
    exact = capsys.readouterr().out
    assert reply.text.replace(f"'{FORMULA}", FORMULA) == exact
    if "client_nom" in exact:
        assert f",{FORMULA}" not in reply.text


def test_a_formula_gets_an_apostrophe_and_a_number_never_does() -> None:
    assert [download.harmless(value) for value in ("=1+1", "+1", "-1", "@SUM(1)", "\t=1", "＝1", b"=1", ["x"], "a=1", "", "'x")] == [
        "'=1+1", "'+1", "'-1", "'@SUM(1)", "'\t=1", "'＝1", "'=1", '["x"]', "a=1", "", "'x",
    ]  # fmt: skip
    assert [download.harmless(value) for value in (Decimal("-1.50"), -3, None, True, TODAY)] == [
        "-1.50",
        -3,
        None,
        "true",
        "2026-11-22",
    ]


def test_facts_can_be_downloaded_too(served: Served) -> None:
    rows = list(csv.DictReader(io.StringIO(served.get("/csv/tables.csv").text)))
    assert {row["table"]: (row["lignes"], row["version"], row["fichiers"]) for row in rows}["ventes_rejetees"] == (
        "4",
        "0",
        "1",
    )
    assert served.get("/csv/processes.csv").text.splitlines()[0].startswith("processus,etat,pid")


# --- starting --------------------------------------------------------------------------------------------------------


def test_it_listens_where_the_settings_say(base: str, tmp_path: Path) -> None:
    port = free_port()
    with serving(
        base, tmp_path / "log", MONITORING__DASHBOARD_HOST="127.0.0.2", MONITORING__DASHBOARD_PORT=str(port)
    ) as found:
        assert found.address == f"http://127.0.0.2:{port}/" and found.get("/sales").status == 200
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_port_that_is_taken_is_one_sentence_and_exit_code_2(
    base: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lakehouse.child_processes.interrupt_on_signals", lambda: None)  # pytest keeps its own
    monkeypatch.setenv("VENTES_MONITORING__METRICS", "false")
    with socket.create_server(("127.0.0.1", port := free_port())):
        monkeypatch.setenv("VENTES_DELTA__BASE_PATH", base)
        monkeypatch.setenv("VENTES_MONITORING__DASHBOARD_PORT", str(port))
        assert script.main([]) == 2
        said = capsys.readouterr().err
        assert f"The dashboard cannot listen on 127.0.0.1 port {port}" in said and "DASHBOARD_PORT=0" in said
        # beside another pipeline, make run takes a free one and says which
        config = config_of(base, MONITORING__DASHBOARD_PORT=str(port))
        free = with_free_port(config).monitoring.dashboard_port
        assert free not in (0, port)
    assert with_free_port(config).monitoring.dashboard_port == port
    certificate = Path(base).parent / "web.pem"
    certificates.write_private(certificate, b"")
    open_ = {"DASHBOARD_HOST": "0.0.0.0", "WEB_PASSWORD": "x", "WEB_CERTIFICATE": str(certificate)}
    served = config_of(base, **{f"MONITORING__{key}": text for key, text in open_.items()})
    assert dashboard_address(served) == "https://127.0.0.1:8501/"


def test_the_lake_keeps_open_what_nobody_wrote_to(own: str) -> None:
    lake = Lake(own)
    first = {name: lake.snapshot(name) for name in ("ventes_stream", "ventes_par_pays")}
    time.sleep(0.002)  # a commit's time has milliseconds
    lakes.write(own, "ventes_stream", [{**lakes.sales(1)[0], "vente_id": "n"}])
    fresh = lake.advanced()
    assert fresh.snapshot("ventes_par_pays") is first["ventes_par_pays"]
    assert fresh.snapshot("ventes_stream").source.version == first["ventes_stream"].source.version + 1
    assert lake.snapshot("ventes_stream") is first["ventes_stream"]
