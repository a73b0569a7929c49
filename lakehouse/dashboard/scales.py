"""Scales of the charts: round values for their lines, short amounts beside them, places in per cent. Pure; a value stays
Decimal, only places are rounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from lakehouse.dashboard.amounts import HARD, grouped
from lakehouse.dashboard.request import Language

STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))
_SHORT: tuple[tuple[int, str, str], ...] = ((10**9, "bn", "Md"), (10**6, "M", "M"), (10**3, "k", "k"))
_MONTHS = {
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "fr": ("janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."),
}


@dataclass(frozen=True)
class Tick:
    """A line across the chart: ``place`` from its top, in per cent."""

    place: str
    text: str


def ticks(most: Decimal, *, whole: bool = False) -> list[Decimal]:
    """Four to six values from 0 to the first one that is not below ``most``, with a round step; ``whole``: no fractions."""
    if most <= 0 or (whole and most < 4):
        most = Decimal(4)
    unit = Decimal(10) ** (most / 5).adjusted()
    step = next(
        factor * unit
        for factor in (*STEPS, Decimal(20))
        if most <= factor * unit * 5 and (not whole or factor * unit % 1 == 0)
    )
    values = [step * number for number in range(6)]
    last = next(index for index, value in enumerate(values) if value >= most)
    return values[: max(last, 3) + 1]


def per_cent(part: Decimal | int, whole: Decimal | int) -> str:
    """A place as SVG takes it, to a hundredth of a per cent."""
    return f"{round(part * 10_000 / whole) / 100:g}%"


def scale(values: Sequence[Decimal], texts: Sequence[str]) -> list[Tick]:
    """The lines of a chart, whose bottom is the first value and whose top is the last."""
    top = values[-1]
    return [Tick(per_cent(top - value, top), text) for value, text in zip(values, texts, strict=True)]


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


def short(value: Decimal, language: Language) -> str:
    """``1.5 M``, ``250 k``, ``40``: a round number of at most four digits."""
    for size, english, french in _SHORT:
        if abs(value) >= size:
            return f"{grouped(_plain(value / size), language)}{HARD}{english if language == 'en' else french}"
    return grouped(_plain(value), language)


def short_euros(value: Decimal, language: Language) -> str:
    """``€1.5 M``; in French ``1,5 M€``."""
    text = short(value, language)
    if language == "en":
        return f"€{text}"
    return f"{text}€" if text[-1].isalpha() else f"{text}{HARD}€"


def rounded_down(value: Decimal) -> Decimal:
    """The largest 1, 2, 2.5 or 5 times a power of ten that is not above ``value``."""
    unit = Decimal(10) ** value.adjusted()
    return max(factor * unit for factor in STEPS if factor * unit <= value)


def day(moment: date, language: Language) -> str:
    """``21 Nov``."""
    return f"{moment.day} {_MONTHS[language][moment.month - 1]}"


def spread(count: int, most: int = 6) -> list[int]:
    """Which of ``count`` places get a label: evenly, the first among them, and no more than ``most``."""
    step = -(-count // most) if count else 1
    return list(range(0, count, step))
