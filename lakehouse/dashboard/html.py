"""Renders a view and its answers as HTML. Everything from the lake goes through Jinja's autoescape."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lakehouse.config import Config
from lakehouse.contract.sale import SEGMENTS
from lakehouse.contract.tables import SILVER, VENTES
from lakehouse.dashboard import charts, country_map, pages, verdicts
from lakehouse.dashboard.amounts import grouped
from lakehouse.dashboard.answer_cache import DROPPED, Answer, Tables
from lakehouse.dashboard.column_titles import titled
from lakehouse.dashboard.country_shapes import key
from lakehouse.dashboard.pages import Card
from lakehouse.dashboard.process_history import History
from lakehouse.dashboard.question import Question
from lakehouse.dashboard.reconciler import Reconciler
from lakehouse.dashboard.request import PAGES, PERIODS, Language, View
from lakehouse.dashboard.translations import say
from lakehouse.errors import one_line
from lakehouse.explorer.formats.values import visible
from lakehouse.lake.cuts import Cut, Waiting
from lakehouse.lake.result import Result, Source
from lakehouse.observability import log
from lakehouse.observability.metrics import PROCESSES

_log = log.get("dashboard")
HERE = Path(__file__).resolve().parent
OLD = timedelta(seconds=60)
"""Age of Bronze's newest commit from which the page says that nothing comes in."""
BUSY = 5
"""Seconds after which a page of which a question was dropped asks again."""
DOWN = verdicts.DOWN
CHIPS = ("today", "7d", "30d", "month", "all")
WITHOUT_CSV = frozenset({"trust", "running", "tiles", "curves", "minutes", "client", "client-days"})
CURVES: tuple[tuple[str, tuple[tuple[str, str], ...], str], ...] = (
    ("lag", (("bronze", "lag_records"),), "messages"),
    ("rate", (("bronze", "rows_per_second"),), "per-s"),
    ("batch", (("bronze", "batch_seconds"),), "s"),
    ("pass", (("silver", "pass_seconds"),), "s"),
    ("memory", tuple((process, "memory") for process in PROCESSES), "MiB"),
)
"""(name, figures whose sum it is, unit)."""
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
    title: str = ""
    table: charts.Table | None = None
    plots: list[charts.BarChart] = field(default_factory=list)
    curves: list[charts.Curve] = field(default_factory=list)
    verdict: verdicts.PageVerdict | None = None
    tiles: list[verdicts.Tile] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    lines: list[tuple[datetime, str, str]] = field(default_factory=list)
    map: country_map.Map | None = None
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
    """Renders pages from the templates; knows the country codes of the map. ``history``: the processes' last two hours;
    ``reconciler``: what the page's button starts."""

    def __init__(self, config: Config, history: History | None = None, reconciler: Reconciler | None = None) -> None:
        self._config = config
        self._history, self._reconciler = history, reconciler
        self._zone = config.analytics.timezone
        self._codes: dict[str, str] = json.loads((HERE / "countries.json").read_text(encoding="utf-8"))
        self._names: dict[str, tuple[str, str]] = json.loads((HERE / "country_names.json").read_text(encoding="utf-8"))
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._mark = secrets.token_hex(16)  # where the tag goes: no text of the lake can say the same
        self._template = self._environment.get_template("page.html")
        self._card_template = self._environment.get_template("card.html")

    def page(self, view: View, answers: Answers, tables: Tables, now: datetime, cut: Cut | None = None) -> Page:
        """The whole page; the tag is a hash of it. ``cut``: the moment that its figures have in common."""
        bronze = tables.sources.get(VENTES.name)
        now = now.astimezone(self._zone)
        cards = [
            self._safe_card(card, view, answers, now, bronze.committed if bronze else None)
            for card in pages.CARDS[view.page]
            if _stands(card, view)
        ]
        cards, folded = _folded(cards, view)
        start = self._start(answers, tables, view.language)
        running = self._reconciler is not None and self._reconciler.running
        problem = self._reconciler.problem if self._reconciler else ""
        doing = {"can_reconcile": self._reconciler is not None, "reconciling": running, "reconcile_problem": problem}
        bodies = {card.name: self._body(card, view, doing) for card in cards}
        text = self._template.render(
            view=view,
            pages=PAGES,
            periods=PERIODS,
            chips=CHIPS,
            cards=[] if start else cards,
            folded=folded if not start else "",
            start=start,
            pending=any(card.pending for card in cards),
            busy=BUSY if DROPPED in answers.values() else 0,
            live=not is_old(tables.sources.get(VENTES.name), now) and VENTES.name in tables.sources,
            notices=self._notices(view, answers, tables, now, begins=bool(start)),
            cut=cut,
            waiting=tables.waiting,
            waiting_text=_waiting(tables.waiting, view.language),
            countries=self._countries(view, answers),
            segments=sorted({*SEGMENTS, *([view.segment] if view.segment else [])}),
            bodies=bodies,
            **self._common(view.language),
        )
        tag = f'"{hashlib.sha256(text.replace(self._mark, "").encode()).hexdigest()[:20]}"'
        body = text.replace(self._mark, tag.replace('"', "&quot;")).encode()
        return Page(body, tag, complete=DROPPED not in answers.values())

    def _common(self, language: Language) -> dict[str, Any]:
        return {
            "say": lambda key, *parts: say(key, language, *parts),
            "visible": visible,
            "moment": lambda moment: f"{moment.astimezone(self._zone):%Y-%m-%d %H:%M:%S}",
            "zone": str(self._zone),
            "tag": self._mark,
        }

    def error(self, view: View, status: int, what: str) -> bytes:
        """A page in place of one that does not exist, or that could not be made."""
        kind = "error-404" if status == 404 else "error-500"
        text = self._environment.get_template("error.html").render(
            view=view, pages=PAGES, status=status, title=say(kind, view.language),
            text=say(f"{kind}-text", view.language, visible(what)), **self._common(view.language),
        )  # fmt: skip
        return text.encode()

    def _safe_card(
        self, card: Card, view: View, answers: Answers, now: datetime, committed: datetime | None
    ) -> RenderedCard:
        """A card whatever happens: what cannot be drawn says so in its place, and the others stand."""
        try:
            return self._card(card, view, answers, now, committed)
        except Exception as error:  # noqa: BLE001  # one part must not take the page away
            _log.warning("a card could not be drawn", card=card.name, fault=one_line(error) or type(error).__name__)
            broken = RenderedCard(card.name, "table", card.full, title=self._title(card, view))
            broken.problem = say("card-failed", view.language, one_line(error) or type(error).__name__)
            return broken

    def _body(self, card: RenderedCard, view: View, more: Mapping[str, Any]) -> Markup:
        """The inside of a card, as HTML; the sentence when it cannot be drawn."""
        try:
            return Markup(self._card_template.render(card=card, view=view, **more, **self._common(view.language)))
        except Exception as error:  # noqa: BLE001  # as in ``_safe_card``
            _log.warning("a card could not be drawn", card=card.name, fault=one_line(error) or type(error).__name__)
            said = say("card-failed", view.language, one_line(error) or type(error).__name__)
            return Markup('<p class="none">{}</p>').format(said)

    def _title(self, card: Card, view: View) -> str:
        if card.name == "client-totals":
            return say("client-totals", view.language, view.client)
        return say("by-day-hour" if card.shape == "days" and pages.by_hour(view) else card.name, view.language)

    def _place(self, view: View) -> Callable[[str], str]:
        """A country's name, as a sale has it → in the page's language."""

        def named(pays: str) -> str:
            code = self._codes.get(key(pays))
            return country_map.country(code, self._names, view.language) if code in self._names else pays

        return named

    def _card(
        self, card: Card, view: View, answers: Answers, now: datetime, committed: datetime | None
    ) -> RenderedCard:
        drawn = RenderedCard(card.name, card.shape, card.full, title=self._title(card, view))
        if card.shape not in WITHOUT_CSV:
            drawn.csv = f"/csv/{card.question}.csv?{view.address().partition('?')[2]}"
        if card.note:
            drawn.note = say(card.note, view.language)
        asked = pages.question(card, view)
        if asked is None:
            drawn.choose, drawn.csv = "client-none", ""
            return drawn
        if not card.fact and not card.live and (left := pages.left_out(card.question, view)):
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
            if card.shape in ("trust", "running"):
                drawn.verdict = _verdict(card.shape, answer.result, view, now, committed)
            else:
                self._fill(drawn, card, answer.result, view, answers, now)
        return drawn

    def _fill(
        self, drawn: RenderedCard, card: Card, result: Result, view: View, answers: Answers, now: datetime
    ) -> None:
        if card.shape == "minutes":
            drawn.plots = charts.minutes(result, now, view.language)
            drawn.nothing = "" if result.rows else "now-none"
            return
        if not result.rows or (card.name in pages.COUNTS and not any(result.column(pages.COUNTS[card.name]))):
            drawn.nothing = card.none
            return
        if card.shape == "kpis":
            before = answers.get(Question(card.question, view.before)) if view.before else None
            series = answers.get(_series(view))
            drawn.kpis = charts.kpis(result, before.result if before else None, series.result if series else None, view)
            hints = [say("compared", view.language, view.before.du, view.before.au)] if view.before else []
            hints += [say("not-over", view.language)] if view.period in ("today", "7d", "30d") else []
            drawn.hint = " ".join(hints)
        elif card.shape == "map":
            drawn.map = country_map.world(result, self._codes, self._names, view)
            drawn.note = say("map-click", view.language)
        elif card.shape == "matrix":
            drawn.matrix = charts.matrix(result, view.language)
        elif card.shape == "client":
            drawn.facts = charts.client(result, view, self._zone)
        elif card.shape == "client-days":
            one = dataclasses.replace(view, du=None, au=now.date())
            drawn.plots = [made] if (made := charts.days(result, one, now)) else []
            drawn.nothing = "" if drawn.plots else card.none
        elif card.shape == "tiles":
            drawn.tiles = self._tiles(result, view)
            drawn.nothing = "" if drawn.tiles else card.none
        elif card.shape == "curves":
            drawn.curves = self._curves(view, now)
            drawn.nothing = "" if drawn.curves else card.none
        elif card.shape == "commits":
            drawn.lines = charts.done(result, view.language)
        else:
            made = None
            if card.shape == "hours":
                made = charts.hours(result, view)
            elif (
                card.shape == "days"
                and (young := answers.get(pages.young(view)))
                and young.result
                and young.result.rows
            ):
                result, drawn.title = young.result, say("by-day-hour", view.language)
                made = charts.young_hours(result, view, now)
            elif card.shape == "days":
                made = charts.span_hours(result, view, now) if pages.by_hour(view) else charts.days(result, view, now)
            drawn.plots = [made] if made else []
            drawn.table = charts.table(card, result, view, self._zone, self._place(view))

    def _tiles(self, result: Result, view: View) -> list[verdicts.Tile]:
        monitoring = self._config.monitoring
        limits = {("silver", "age_seconds"): monitoring.silver_stale_after.total_seconds()}
        titles = {name: titled(name, view.language).partition(" (")[0] for _, name, _, _ in verdicts.TILES}
        return verdicts.tiles({(row[0], row[1]): row[2] for row in result.rows}, limits, titles, view.language)

    def _curves(self, view: View, now: datetime) -> list[charts.Curve]:
        if self._history is None:
            return []
        made = [
            charts.curve(
                say(f"curve-{name}", view.language), self._history.curve(figures, now), unit, now, view.language
            )
            for name, figures, unit in CURVES
        ]
        return [one for one in made if one]

    def _start(self, answers: Answers, tables: Tables, language: Language) -> list[tuple[str, bool]]:
        """The steps to the first figures, while the lake has none; each with whether it is done."""
        if (
            tables.broken
            or DROPPED in answers.values()
            or (VENTES.name in tables.sources and any(spec.name in tables.sources for spec in SILVER))
        ):
            return []
        known, told = answers.get(pages.PROCESSES), answers.get(pages.BEGUN)
        rows = known.result.rows if known and known.result else []
        runs = {name for name, state, *_ in rows if state in ("running", "starting")}
        if VENTES.name in tables.sources and not runs:
            return []  # somebody writes these tables by hand, or stopped in between
        begun = {name for (name,) in told.result.rows} if told and told.result else set()
        bronze = "bronze" in begun  # not its table, which is there before the first batch is written to it
        done = (bool(runs & {"bronze", "kafka"}), bronze or "producer" in begun, bronze, False)
        steps = ("start-run", "start-sent", "start-bronze", "start-silver")
        return [(say(step, language), one) for step, one in zip(steps, done, strict=True)]

    def _countries(self, view: View, answers: Answers) -> list[tuple[str, str]]:
        """(as the sales have it, in the page's language)."""
        answer = answers.get(pages.COUNTRIES)
        known = set(answer.result.column("pays")) if answer and answer.result else set()
        named = self._place(view)
        return sorted(
            ((name, named(name)) for name in {*known, *([view.pays] if view.pays else [])}), key=lambda one: key(one[1])
        )

    def _notices(self, view: View, answers: Answers, tables: Tables, now: datetime, *, begins: bool) -> list[Notice]:
        """``begins``: the page is the card of an empty lake, of which nothing is old."""
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
        empty = begins or (bronze is None and not tables.broken)
        down = self._down(answers, language)
        if view.page == "running" or empty:
            pass  # the page begins with the answer
        elif down:
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


def _verdict(shape: str, result: Result, view: View, now: datetime, committed: datetime | None) -> verdicts.PageVerdict:
    if shape == "trust":
        last = dict(zip(result.names, result.rows[0], strict=True)) if result.rows else None
        return verdicts.trust(last, view.language)
    processes = [(row[0], row[1], row[4] or "") for row in result.rows]
    old = committed is not None and now - committed > OLD
    return verdicts.running(processes, committed, is_old=old, language=view.language)


def _stands(card: Card, view: View) -> bool:
    """Whether the card is on the page: those of one client need one."""
    return view.client is not None or card.name not in pages.OF_A_CLIENT or card.name == "client-sales"


def _series(view: View) -> Question:
    card = next(card for card in pages.CARDS["sales"] if card.shape == "days")
    return pages.question(card, view) or pages.DAYS


def _folded(cards: list[RenderedCard], view: View) -> tuple[list[RenderedCard], str]:
    """The cards that have something to show, and one line that names the others."""
    if view.page != "trust":
        return cards, ""
    empty = [card for card in cards if card.name in pages.FOLDED and card.nothing and not card.problem]
    names = ", ".join(card.title.lower() for card in empty)
    return [card for card in cards if card not in empty], say("folded", view.language, names) if empty else ""


def _waiting(waiting: Waiting, language: Language) -> str:
    digits = grouped(f"{waiting.sales:,}", language)
    return say("one-waiting" if waiting.sales == 1 else "many-waiting", language, digits) if waiting.sales else ""


def is_old(bronze: Source | None, now: datetime) -> bool:
    """Whether Bronze was written to long ago, as far as its log tells."""
    return bronze is not None and bronze.committed is not None and now.astimezone(UTC) - bronze.committed > OLD
