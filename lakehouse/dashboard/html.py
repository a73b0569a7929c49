"""Renders a view and its answers as HTML. Everything from the lake goes through Jinja's autoescape."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lakehouse.config import Config
from lakehouse.contract.sale import SEGMENTS
from lakehouse.contract.tables import VENTES
from lakehouse.dashboard import charts, pages
from lakehouse.dashboard.amounts import grouped
from lakehouse.dashboard.answer_cache import DROPPED, Answer, Tables
from lakehouse.dashboard.pages import Card
from lakehouse.dashboard.question import Question
from lakehouse.dashboard.request import PAGES, PERIODS, Language, View
from lakehouse.dashboard.translations import say
from lakehouse.explorer.formats.values import visible
from lakehouse.lake.cuts import Cut, Waiting
from lakehouse.lake.result import Result, Source

HERE = Path(__file__).resolve().parent
OLD = timedelta(seconds=60)
"""Age of Bronze's newest commit from which the page says that nothing comes in."""
BUSY = 5
"""Seconds after which a page of which a question was dropped asks again."""
DOWN = ("failing", "stopped", "dead")
Answers = Mapping[Question, Answer | None]


@dataclass(frozen=True)
class Notice:
    """A message at the top of a page."""

    kind: str
    title: str
    text: str
    link: str = ""
    link_text: str = ""


@dataclass
class RenderedCard:
    """One card as the template takes it."""

    name: str
    shape: str
    full: bool
    csv: str = ""
    problem: str = ""
    missing: bool = False
    pending: bool = False
    dropped: bool = False
    choose: str = ""
    nothing: str = ""
    note: str = ""
    unfiltered: str = ""
    hint: str = ""
    table: charts.Table | None = None
    chart: charts.BarChart | None = None
    map: charts.Map | None = None
    matrix: charts.Matrix | None = None
    kpis: list[charts.Kpi] = field(default_factory=list)
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True)
class Page:
    """The bytes, and a tag that changes with them. ``complete``: no question of it was dropped."""

    body: bytes
    tag: str
    complete: bool = True


class PageRenderer:
    """Renders pages from the templates; knows the country codes of the map."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._zone = config.analytics.timezone
        self._codes: dict[str, str] = json.loads((HERE / "countries.json").read_text(encoding="utf-8"))
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._mark = secrets.token_hex(16)  # where the tag goes: no text of the lake can say the same
        self._template = self._environment.get_template("page.html")

    def page(self, view: View, answers: Answers, tables: Tables, now: datetime, cut: Cut | None = None) -> Page:
        """The whole page; the tag is a hash of it. ``cut``: the moment that its figures have in common."""
        cards = [self._card(card, view, answers) for card in pages.CARDS[view.page]]
        text = self._template.render(
            view=view,
            pages=PAGES,
            periods=PERIODS,
            cards=cards,
            pending=any(card.pending for card in cards),
            busy=BUSY if DROPPED in answers.values() else 0,
            notices=self._notices(view, answers, tables, now),
            cut=cut,
            waiting=tables.waiting,
            waiting_text=_waiting(tables.waiting, view.language),
            countries=self._countries(view, answers),
            segments=sorted({*SEGMENTS, *([view.segment] if view.segment else [])}),
            say=lambda key, *parts: say(key, view.language, *parts),
            visible=visible,
            moment=lambda moment: f"{moment.astimezone(self._zone):%Y-%m-%d %H:%M:%S}",
            zone=str(self._zone),
            tag=self._mark,
        )
        tag = f'"{hashlib.sha256(text.replace(self._mark, "").encode()).hexdigest()[:20]}"'
        body = text.replace(self._mark, tag.replace('"', "&quot;")).encode()
        return Page(body, tag, complete=DROPPED not in answers.values())

    def _card(self, card: Card, view: View, answers: Answers) -> RenderedCard:
        drawn = RenderedCard(card.name, card.shape, card.full)
        drawn.csv = f"/csv/{card.question}.csv?{view.address().partition('?')[2]}"
        if card.note:
            drawn.note = say(card.note, view.language)
        asked = pages.question(card, view)
        if asked is None:
            drawn.choose, drawn.csv = "client-none", ""
            return drawn
        if not card.fact and (left := pages.left_out(card.question, view)):
            drawn.unfiltered = say(
                "not-filtered", view.language, ", ".join(say(name, view.language).lower() for name in left)
            )
        answer = answers.get(asked)
        if answer is None:
            drawn.pending = True
        elif answer is DROPPED:
            drawn.dropped, drawn.csv = True, ""
        elif answer.result is None:
            drawn.problem, drawn.missing, drawn.csv = answer.problem, answer.missing, ""
            if answer.missing and card.name in pages.RARE:
                drawn.problem, drawn.nothing = "", card.none
        else:
            drawn.sources = answer.result.sources
            self._fill(drawn, card, answer.result, view, answers)
        return drawn

    def _fill(self, drawn: RenderedCard, card: Card, result: Result, view: View, answers: Answers) -> None:
        if not result.rows:
            drawn.nothing = card.none
            return
        if card.shape == "kpis":
            before = answers.get(Question(card.question, view.before)) if view.before else None
            drawn.kpis = charts.kpis(result, before.result if before else None, view)
            hints = [say("compared", view.language, view.before.du, view.before.au)] if view.before else []
            hints += [say("not-over", view.language)] if view.period in ("today", "7d", "30d") else []
            drawn.hint = " ".join(hints)
        elif card.shape == "map":
            drawn.map = charts.world(result, self._codes, view.language)
        elif card.shape == "matrix":
            drawn.matrix = charts.matrix(result, view.language)
        else:
            if card.shape in ("days", "hours"):
                drawn.chart = (charts.days if card.shape == "days" else charts.hours)(result, view)
            drawn.table = charts.table(card, result, view, self._zone)

    def _countries(self, view: View, answers: Answers) -> list[str]:
        answer = answers.get(pages.COUNTRIES)
        known = set(answer.result.column("pays")) if answer and answer.result else set()
        return sorted({*known, *([view.pays] if view.pays else [])})

    def _notices(self, view: View, answers: Answers, tables: Tables, now: datetime) -> list[Notice]:
        found = []

        def add(kind: str, title: str, text: str, **more: str) -> None:
            found.append(Notice(kind, title, text, **more))

        language = view.language
        if view.mistake:
            add("warn", say("filters", language), say("mistake", language, visible(view.mistake)))
        for sentence in tables.broken.values():
            add("bad", say("broken", language), sentence)
        if DROPPED in answers.values():
            add("warn", say("busy", language), say("busy-do", language, BUSY))
        bronze = tables.sources.get(VENTES.name)
        if bronze is None and not tables.broken:
            add("warn", say("no-lake", language), say("no-lake-do", language, self._config.delta.base_path))
        down = self._down(answers, language)
        if down:
            add("bad", say("down", language), say("down-do", language, down))
        elif is_old(bronze, now):
            assert bronze is not None and bronze.committed is not None
            since = f"{bronze.committed.astimezone(self._zone):%Y-%m-%d %H:%M:%S}"
            add("warn", say("old", language), say("old-do", language, since))
        if span := self._empty_period(view, answers):
            add("info", say("sales", language), say("none-in-period", language, *span),
                link=view.address(periode="all"), link_text=say("show-all", language))  # fmt: skip
        return found

    def _down(self, answers: Answers, language: Any) -> str:
        """``bronze: dead``, of the processes that say, or are found, not to work."""
        answer = answers.get(pages.PROCESSES)
        rows = answer.result.rows if answer and answer.result else []
        return ", ".join(
            say("one-down", language, name, say(f"state-{state}", language))
            for name, state, *_ in rows
            if state in DOWN
        )

    def _empty_period(self, view: View, answers: Answers) -> tuple[Any, Any] | None:
        """The lake's first and last day, when there are some and none of them lies in the period."""
        answer = answers.get(pages.DAYS)
        if view.page != "sales" or view.du is None or not answer or not answer.result or not answer.result.rows:
            return None
        known = answer.result.column("jour")
        inside = any(view.du <= day and (view.au is None or day <= view.au) for day in known)
        return None if inside else (min(known), max(known))


def _waiting(waiting: Waiting, language: Language) -> str:
    digits = grouped(f"{waiting.sales:,}", language)
    return say("one-waiting" if waiting.sales == 1 else "many-waiting", language, digits) if waiting.sales else ""


def is_old(bronze: Source | None, now: datetime) -> bool:
    """Whether Bronze was written to long ago, as far as its log tells."""
    return bronze is not None and bronze.committed is not None and now.astimezone(UTC) - bronze.committed > OLD
