"""Results → what the templates draw: texts, and positions. Only a position is ever rounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from lakehouse.dashboard.amounts import change, euros, grouped, is_number, shown
from lakehouse.dashboard.column_titles import FIELDS, FIGURES, RFM_SEGMENTS, titled
from lakehouse.dashboard.pages import Card
from lakehouse.dashboard.request import Language, View
from lakehouse.dashboard.scales import Tick, day, per_cent, scale, short, short_euros, spread, ticks
from lakehouse.dashboard.translations import counted, say
from lakehouse.dashboard.verdicts import quantity
from lakehouse.lake.result import Column, Result

DAYS = 366
"""Days in the chart at most, the newest; the table under it has all that were asked for."""
AT_LEAST = 12
"""Hours in the chart of a young lake at least, where its first day has as many."""
SPAN = timedelta(hours=2)
"""Of a process's curves, when there is as much."""
SHORT = timedelta(minutes=10)
FULL = 1000
LONG = frozenset({"explication", "raisons", "derniere_erreur", "mesures", "contenu"})


Sold = Mapping[Any, tuple[Decimal, int]]


@dataclass(frozen=True)
class Cell:
    """``bar`` is a length in thousandths; ``level`` a shade from 0 to 5."""

    text: str
    number: bool = False
    wide: bool = False
    bar: int | None = None
    link: str = ""
    raw: bool = False
    state: str = ""
    steady: bool = False
    """Never broken over two lines: a time, a number."""
    long: bool = False
    """A sentence: it needs room, also on a phone."""


@dataclass(frozen=True)
class Head:
    """Header of a table's column."""

    text: str
    number: bool
    wide: bool


@dataclass(frozen=True)
class Table:
    """A table as texts; ``cut`` says that rows were left out."""

    heads: list[Head]
    rows: list[list[Cell]]
    cut: str = ""


@dataclass(frozen=True)
class Kpi:
    """One figure with its change since the period before."""

    label: str
    value: str
    change: str
    rises: bool | None
    before: str
    spark: str = ""


@dataclass(frozen=True)
class Bar:
    """One column of a chart, in per cent of the chart: ``x`` and ``width`` of the column, ``left`` and ``thick`` of the bar in
    it, ``top`` and ``height``. ``open``: its time is not over."""

    x: str
    width: str
    left: str
    thick: str
    top: str
    height: str
    hint: str
    open: bool = False


@dataclass(frozen=True)
class Label:
    """A text under the chart, at a place from its left."""

    x: str
    text: str


@dataclass(frozen=True)
class BarChart:
    """Bars, the lines behind them, and the labels below."""

    bars: list[Bar]
    ticks: list[Tick]
    labels: list[Label]
    label: str
    unit: str = ""


@dataclass(frozen=True)
class Curve:
    """A line over the last two hours: ``points`` as SVG's, in thousandths; ``marks`` are the places that show a value."""

    title: str
    last: str
    points: str
    bars: list[Bar]
    ticks: list[Tick]
    labels: list[Label]


@dataclass(frozen=True)
class Matrix:
    """``rows``: recency 5 to 1, each with frequency 1 to 5: (text, shade, hint)."""

    rows: list[tuple[int, list[tuple[str, int, str]]]] = field(default_factory=list)


def table(card: Card, result: Result, view: View, zone: tzinfo, place: Callable[[str], str] = str) -> Table:
    """The card's columns, cut to its rows; ``place`` gives a country's name in the page's language."""
    names = [name for name in (card.columns or result.names) if name in result.names]
    picked = [result.names.index(name) for name in names]
    columns = [result.columns[index] for index in picked]
    rows = result.rows[: card.rows]
    most = max((row[result.names.index(card.bar)] or 0 for row in rows), default=0) if card.bar else 0
    heads = [Head(titled(one.name, view.language), is_number(one), one.name in card.wide) for one in columns]
    cells = [
        [_cell(card, place(row[index]) if result.columns[index].name == "pays" and row[index] else row[index],
               result.columns[index], most, view, zone) for index in picked]
        for row in rows
    ]  # fmt: skip
    return Table(heads, cells, _cut(card, result, view.language))


def _cut(card: Card, result: Result, language: Language) -> str:
    if card.rows is None or len(result.rows) <= card.rows:
        return ""
    if len(result.rows) == card.rows + 1:  # a list: one more was asked for, to know that there are more
        return say("first-cut", language, card.rows)
    return say("first-rows", language, card.rows, grouped(f"{len(result.rows):,}", language))


def _cell(card: Card, value: Any, column: Column, most: Any, view: View, zone: tzinfo) -> Cell:
    text = shown(value, column, zone, view.language)
    bar = None
    if card.bar == column.name and value is not None and most > 0:
        bar = length(value, most)
    link = ""
    if column.name == "client_id" and value is not None:
        link = view.address(page="clients", client=str(value)) + "#client-sales"
    if (column.name == "mesure" and value in FIGURES) or (column.name == "champ" and value in FIELDS):
        text = titled(value, view.language)
    if column.name == "segment_rfm" and value in RFM_SEGMENTS:
        text = RFM_SEGMENTS[value][view.language == "fr"]
    state = ""
    if column.name == "etat":
        state, text = str(value), say(f"state-{value}", view.language)
    raw, steady = column.name == "valeur", column.kind in ("date", "timestamp")
    return Cell(text, is_number(column), column.name in card.wide, bar, link, raw, state, steady, column.name in LONG)


def length(value: Any, most: Any) -> int:
    """Thousandths of the most; what is not zero stays visible."""
    return max(4, int(value * FULL / most)) if value > 0 else 0


def kpis(now: Result, before: Result | None, series: Result | None, view: View) -> list[Kpi]:
    """Revenue, sales, basket, customers, each beside the period before; ``series``: the period by day or by hour."""
    found = []
    for label, name in (
        ("kpi-revenue", "revenue_total"), ("kpi-sales", "total_transactions"), ("kpi-basket", "transaction_moyenne"),
        ("kpi-customers", "unique_customers"),
    ):  # fmt: skip
        value = _amount(now.column(name)[0], view.language)
        difference, rises, text = "", None, say("before-never", view.language)
        if before is not None:
            old = before.column(name)[0]
            difference = change(now.column(name)[0] or 0, old, view.language)
            rises = None if not difference or difference[0] == "±" else difference[0] == "+"
            text = say("before", view.language, _amount(old, view.language))
            if not before.column("total_transactions")[0]:
                text = say("before-none", view.language)
        line = spark(_in_order(series, name)) if series is not None else ""
        found.append(Kpi(say(label, view.language), value, difference, rises, text, line))
    return found


def _in_order(series: Result, name: str) -> list[Decimal | int | None]:
    """A figure of each day or hour, the oldest first; none for a figure that they do not have."""
    by = [key_ for key_ in ("jour", "heure") if key_ in series.names]
    rows = sorted(zip(*(series.column(one) for one in (*by, "revenue_total", "total_transactions")), strict=True))
    if name == "transaction_moyenne":
        return [revenue / count if count else None for *_, revenue, count in rows]
    if name not in ("revenue_total", "total_transactions"):
        return []
    return [row[-2] if name == "revenue_total" else row[-1] for row in rows]


def client(result: Result, view: View, zone: tzinfo) -> list[tuple[str, str]]:
    """A client's totals, first and last purchase, as (label, text)."""
    values = dict(zip(result.names, result.rows[0], strict=True))
    kinds = {column.name: column for column in result.columns}
    named = (
        ("spent", "total_depense"), ("purchases", "nb_achats"), ("kpi-basket", "panier_moyen"), ("first-purchase", "premier_achat"),
        ("last-purchase", "dernier_achat"),
    )  # fmt: skip
    return [(say(label, view.language), shown(values[name], kinds[name], zone, view.language)) for label, name in named]


def done(result: Result, language: Language) -> list[tuple[datetime, str, str]]:
    """(moment, sentence, tables) of what was done to the tables: ``Silver pass 31: 76 sales, 2.1 s``."""
    found = []
    for moment, what, number, sales, seconds, tables in result.rows:
        name = {"silver pass": "done-silver", "bronze batch": "done-bronze"}.get(what)
        text = say(name, language, number) if name else what
        parts = [counted("sale", language, sales, grouped(f"{sales:,}", language))] if sales is not None else []
        parts += [say("done-seconds", language, grouped(f"{seconds:.1f}", language))] if seconds else []
        colon = ": " if language == "en" else "\u00a0: "
        found.append((moment, text + (colon + ", ".join(parts) if parts else ""), "" if name else tables or ""))
    return found


def _amount(value: Any, language: Language) -> str:
    if isinstance(value, Decimal):
        return euros(value, language)
    return grouped(f"{value:,}", language) if value is not None else "–"


@dataclass(frozen=True)
class Place:
    """One column of a chart: what it is called, its amount (None: nothing was sold), its sales, whether its time is over."""

    name: str
    amount: Decimal | None
    sales: int | None
    open: bool = False


def hint(place: Place, language: Language) -> str:
    """What a column says when it is pointed at."""
    digits = grouped(f"{place.sales or 0:,}", language)
    text = f"{place.name}: {euros(place.amount or Decimal('0.00'), language)}, {counted('sale', language, place.sales or 0, digits)}"
    return f"{text} ({say('open', language)})" if place.open else text


def columns(heights: Sequence[Decimal], hints: Sequence[str], top: Decimal, opens: Sequence[bool] = ()) -> list[Bar]:
    """Bars from left to right; what is not zero stays visible."""
    count = len(heights)
    found = []
    for number, (height, text) in enumerate(zip(heights, hints, strict=True)):
        high = max(height, top / 200) if height > 0 else Decimal(0)
        found.append(
            Bar(
                per_cent(number, count), per_cent(1, count),
                per_cent(Decimal(number) + Decimal("0.1"), count), per_cent(Decimal("0.8"), count),
                per_cent(top - high, top), per_cent(high, top), text, opens[number] if opens else False,
            )
        )  # fmt: skip
    return found


def chart(name: str, places: Sequence[Place], labels: Mapping[int, str], language: Language) -> BarChart:
    """Columns of revenue; ``labels``: the texts under some of them."""
    amounts = [place.amount or Decimal(0) for place in places]
    values = ticks(max(amounts, default=Decimal(0)))
    return BarChart(
        columns(amounts, [hint(place, language) for place in places], values[-1], [place.open for place in places]),
        scale(values, [short_euros(value, language) for value in values]),
        [Label(per_cent(2 * number + 1, 2 * len(places)), text) for number, text in labels.items()],
        say(name, language),
    )


def _sold(result: Result, *keys: str) -> Sold:
    """(revenue, sales) of each key, summed."""
    found: dict[Any, tuple[Decimal, int]] = {}
    names = [result.column(name) for name in (*keys, "revenue_total", "total_transactions")]
    for *parts, revenue, count in zip(*names, strict=True):
        place = tuple(parts) if len(parts) > 1 else parts[0]
        before = found.get(place, (Decimal(0), 0))
        found[place] = (before[0] + revenue, before[1] + count)
    return found


def _place(sold: Sold, where: Any, name: str, *, open_: bool) -> Place:
    amount, sales = sold.get(where, (None, None))
    return Place(name, amount, sales, open_)


def days(result: Result, view: View, now: datetime) -> BarChart | None:
    """Every calendar day of the period, those without a sale too; the newest ``DAYS``. ``now`` in the business zone."""
    sold = _sold(result, "jour")
    if not sold:
        return None
    first, last = view.du or min(sold), view.au or max(sold)
    first = date.fromordinal(max(first.toordinal(), last.toordinal() - (DAYS - 1)))
    span = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    places = [_place(sold, each, each.isoformat(), open_=each == now.date()) for each in span]
    return chart("by-day", places, {at: day(span[at], view.language) for at in spread(len(span), 8)}, view.language)


def span_hours(result: Result, view: View, now: datetime) -> BarChart | None:
    """Every hour of a period of at most ``HOURLY`` days, up to the present one."""
    sold = _sold(result, "jour", "heure")
    if not sold or view.du is None or view.au is None:
        return None
    return _hours_of(sold, view.du, view.au, view, now)


def young_hours(result: Result, view: View, now: datetime) -> BarChart | None:
    """Every hour of a lake that is young, from its first one on, but ``AT_LEAST`` of them."""
    sold = _sold(result, "jour", "heure")
    return _hours_of(sold, min(sold)[0], max(sold)[0], view, now, since=min(sold)) if sold else None


def _hours_of(
    sold: Sold, first: date, last: date, view: View, now: datetime, since: tuple[date, int] | None = None
) -> BarChart:
    hours_ = [
        (each, hour)
        for each in (first + timedelta(days=number) for number in range((last - first).days + 1))
        for hour in range(24)
        if (each, hour) <= (now.date(), now.hour)
    ]
    if since in hours_:
        hours_ = hours_[min(hours_.index(since), max(0, len(hours_) - AT_LEAST)) :]
    places = [
        _place(sold, (each, hour), f"{each} {hour:02}:00", open_=(each, hour) == (now.date(), now.hour))
        for each, hour in hours_
    ]
    texts = {at: f"{hours_[at][1]:02}:00" if len(hours_) <= 24 else f"{day(hours_[at][0], view.language)}, {hours_[at][1]:02}:00"
             for at in spread(len(hours_), 6 if len(hours_) <= 24 else 5)}  # fmt: skip
    return chart("by-span-hour", places, texts, view.language)


def hours(result: Result, view: View) -> BarChart | None:
    """The 24 hours of the day."""
    sold = _sold(result, "heure")
    if not sold:
        return None
    places = [_place(sold, hour, f"{hour:02}:00", open_=False) for hour in range(24)]
    return chart("by-hour", places, {hour: f"{hour:02}:00" for hour in range(0, 24, 4)}, view.language)


def minutes(result: Result, now: datetime, language: Language) -> list[BarChart]:
    """The last 60 minutes and the present one, which is not over: revenue, and sales. ``now`` in the business zone."""
    sold = _sold(result, "minute")
    end = now.replace(second=0, microsecond=0)
    span = [end - timedelta(minutes=number) for number in range(60, -1, -1)]
    places = [_place(sold, each.astimezone(UTC), f"{each:%H:%M}", open_=each == end) for each in span]
    labels = {at: f"{span[at]:%H:%M}" for at in range(len(span)) if span[at].minute % 15 == 0}
    revenue = chart("minute-revenue", places, labels, language)
    counts = [Decimal(place.sales or 0) for place in places]
    values = ticks(max(counts), whole=True)
    sales = BarChart(
        columns(counts, [hint(place, language) for place in places], values[-1], [place.open for place in places]),
        scale(values, [short(value, language) for value in values]), revenue.labels, say("minute-sales", language),
    )  # fmt: skip
    return [sales, revenue]


def curve(
    title: str, points: Sequence[tuple[datetime, float]], unit: str, now: datetime, language: Language
) -> Curve | None:
    """A line of the last two hours, or since the first point, but of ``SHORT`` at least; None of fewer than two points. ``now`` in the business zone."""
    if len(points) < 2:
        return None
    began = max(now - SPAN, min(points[0][0], now - SHORT))
    span = now - began
    values = ticks(max(Decimal(f"{value:.3f}") for _, value in points))
    top = values[-1]
    places = [
        (int((moment - began) / span * FULL), int(FULL - Decimal(f"{value:.3f}") * FULL / top))
        for moment, value in points
    ]
    bars = []
    for number, ((moment, value), (x, y)) in enumerate(zip(points, places, strict=True)):
        left = (places[number - 1][0] + x) // 2 if number else max(0, x - 4)
        text = f"{moment.astimezone(now.tzinfo):%H:%M}: {quantity(value, unit, language)}"
        bars.append(
            Bar(
                per_cent(left, FULL),
                per_cent(max(1, x - left) * 2, FULL),
                per_cent(x, FULL),
                "0",
                per_cent(y, FULL),
                "0",
                text,
            )
        )
    labels = [
        Label(per_cent(part, 4), f"{(began + part * span / 4).astimezone(now.tzinfo):%H:%M}") for part in range(1, 4)
    ]
    line = " ".join(f"{x},{y}" for x, y in places)
    texts = [short(value, language) for value in values]
    return Curve(title, quantity(points[-1][1], unit, language), line, bars, scale(values, texts), labels)


def spark(values: Sequence[Decimal | int | None]) -> str:
    """A small line under a key figure, as SVG's points in thousandths; empty when there are not three of them."""
    if len(values) < 3:
        return ""
    known = [Decimal(value or 0) for value in values]
    most = max(known) or Decimal(1)
    return " ".join(
        f"{round(number * FULL / (len(known) - 1))},{int(FULL - value * FULL / most)}"
        for number, value in enumerate(known)
    )


def matrix(result: Result, language: Language) -> Matrix:
    """Clients by recency (down, best first) and frequency (across)."""
    rows = result.names.index
    found = {(row[rows("recence")], row[rows("frequence")]): row[rows("clients")] for row in result.rows}
    most = max(found.values(), default=0)
    return Matrix([
        (recency, [
            (digits := grouped(f"{(count := found.get((recency, frequency), 0)):,}", language), min(5, 1 + int(count * 5 / most)) if count else 0,
             say("matrix-cell", language, recency, frequency, counted("client", language, count, digits)))
            for frequency in range(1, 6)
        ])
        for recency in range(5, 0, -1)
    ])  # fmt: skip
