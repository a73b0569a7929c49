"""Results → what the templates draw: texts, and positions in whole thousandths. Only a position is ever rounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta, tzinfo
from decimal import Decimal
from typing import Any

from lakehouse.dashboard.amounts import change, euros, grouped, is_number, shown
from lakehouse.dashboard.column_titles import FIELDS, FIGURES, RFM_SEGMENTS, titled
from lakehouse.dashboard.country_shapes import key
from lakehouse.dashboard.pages import Card
from lakehouse.dashboard.request import Language, View
from lakehouse.dashboard.translations import counted, say
from lakehouse.explorer.formats.values import visible
from lakehouse.lake.result import Column, Result

DAYS = 366
"""Days in the chart at most, the newest; the table under it has all that were asked for."""
FULL = 1000
LONG = frozenset({"explication", "raisons", "derniere_erreur", "mesures", "contenu"})


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


@dataclass(frozen=True)
class Bar:
    """One column of a chart: its place and height in thousandths of the chart's own units."""

    x: int
    height: int
    hint: str


@dataclass(frozen=True)
class BarChart:
    """Bars with the labels of the axis."""

    bars: list[Bar]
    width: int
    scale: list[str]
    ends: list[str]
    label: str


@dataclass(frozen=True)
class CountryShape:
    """A country on the map: its code, colour level and tooltip."""

    code: str
    level: int
    hint: str


@dataclass(frozen=True)
class Map:
    """The world map; ``off`` names what is not on it."""

    shapes: list[CountryShape]
    off: str
    label: str


@dataclass(frozen=True)
class Matrix:
    """``rows``: recency 5 to 1, each with frequency 1 to 5: (text, shade, hint)."""

    rows: list[tuple[int, list[tuple[str, int, str]]]] = field(default_factory=list)


def table(card: Card, result: Result, view: View, zone: tzinfo) -> Table:
    """The card's columns, cut to its rows."""
    names = [name for name in (card.columns or result.names) if name in result.names]
    picked = [result.names.index(name) for name in names]
    columns = [result.columns[index] for index in picked]
    rows = result.rows[: card.rows]
    most = max((row[result.names.index(card.bar)] or 0 for row in rows), default=0) if card.bar else 0
    heads = [Head(titled(one.name, view.language), is_number(one), one.name in card.wide) for one in columns]
    cells = [[_cell(card, row[index], result.columns[index], most, view, zone) for index in picked] for row in rows]
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


def kpis(now: Result, before: Result | None, view: View) -> list[Kpi]:
    """Revenue, sales, basket, customers, each beside the period before."""
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
        found.append(Kpi(say(label, view.language), value, difference, rises, text))
    return found


def _amount(value: Any, language: Language) -> str:
    if isinstance(value, Decimal):
        return euros(value, language)
    return grouped(f"{value:,}", language) if value is not None else "–"


def ceiling(most: Decimal) -> int:
    """The next 1, 2, 3, 4, 5, 6 or 8 times a power of ten: the top of a scale whose half is a whole number too."""
    top = 10
    while top < most:
        for factor in (2, 3, 4, 5, 6, 8, 10):
            if top * factor >= most:
                return top * factor
        top *= 10
    return top


def chart(
    name: str, places: Sequence[tuple[str, Decimal | None, int | None]], ends: list[str], language: Language
) -> BarChart:
    """Columns from left to right: (label, revenue, sales); None where nothing was sold."""
    top = ceiling(max((amount for _, amount, _ in places if amount is not None), default=Decimal(0)))
    bars = [
        Bar(index * 10, length(amount, top) if amount else 0,
            f"{label}: {euros(amount or Decimal('0.00'), language)}, {counted('sale', language, count or 0, grouped(f'{count or 0:,}', language))}")
        for index, (label, amount, count) in enumerate(places)
    ]  # fmt: skip
    scale = [euros(Decimal(top), language), euros(Decimal(top // 2), language), euros(Decimal(0), language)]
    return BarChart(bars, len(places) * 10, scale, ends, say(name, language))


def days(result: Result, view: View) -> BarChart | None:
    """Every calendar day of the period, those without a sale too; the newest ``DAYS``."""
    sold: dict[date, tuple[Decimal, int]] = {
        jour: (revenue, count)
        for jour, revenue, count in zip(
            result.column("jour"), result.column("revenue_total"), result.column("total_transactions"), strict=True
        )
    }
    if not sold:
        return None
    first, last = view.du or min(sold), view.au or max(sold)
    first = date.fromordinal(max(first.toordinal(), last.toordinal() - (DAYS - 1)))
    span = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    places = [(day.isoformat(), *sold.get(day, (None, None))) for day in span]
    middle = [span[len(span) // 2].isoformat()] if len(span) > 2 else []
    ends = [span[0].isoformat(), *middle, *([span[-1].isoformat()] if len(span) > 1 else [])]
    return chart("by-day", places, ends, view.language)


def hours(result: Result, view: View) -> BarChart | None:
    """The 24 hours of the day."""
    sold: dict[int, tuple[Decimal, int]] = {
        heure: (revenue, count)
        for heure, revenue, count in zip(
            result.column("heure"), result.column("revenue_total"), result.column("total_transactions"), strict=True
        )
    }
    if not sold:
        return None
    places = [(f"{hour:02}:00", *sold.get(hour, (None, None))) for hour in range(24)]
    return chart("by-hour", places, ["00:00", "12:00", "23:00"], view.language)


def world(result: Result, codes: Mapping[str, str], language: Language) -> Map | None:
    """Countries shaded by their share of the highest revenue: 5 from a half on, 4 from a quarter, and so on."""
    rows = list(zip(result.column("pays"), result.column("revenue_total"), strict=True))
    if not rows:
        return None
    most = max(amount for _, amount in rows)
    shapes: dict[str, list[tuple[str, Decimal]]] = {}
    off = []
    for name, amount in rows:
        code = codes.get(key(name))
        if code is None:
            off.append(f"{visible(name)} ({euros(amount, language)})")
        else:
            shapes.setdefault(code, []).append((name, amount))
    drawn = [
        CountryShape(code, shade(sum((amount for _, amount in found), Decimal(0)), most),
              "; ".join(f"{name}: {euros(amount, language)}" for name, amount in found))
        for code, found in shapes.items()
    ]  # fmt: skip
    return Map(drawn, say("off-map", language, ", ".join(off)) if off else "", say("map", language))


def shade(amount: Any, most: Any) -> int:
    """Colour level of an amount, in proportion to the largest."""
    if amount <= 0:
        return 0
    return next((level for level, parts in ((5, 2), (4, 4), (3, 8), (2, 16)) if amount * parts >= most), 1)


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
