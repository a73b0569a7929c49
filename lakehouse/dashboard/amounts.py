"""One value as a page shows it, in English or French. Decimals stay digits: no value goes through a float."""

from __future__ import annotations

from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any

from lakehouse.contract.business_time import local_text
from lakehouse.dashboard.request import Language
from lakehouse.dashboard.translations import say
from lakehouse.explorer.formats.titles import EUROS
from lakehouse.explorer.formats.values import NAMING, RIGHT, decoded, visible
from lakehouse.lake.result import Column

NARROW, HARD = "\u202f", "\u00a0"
NOTHING = "–"
RAW = 2_000
"""Characters of a text that a cell shows; the download has all of it."""


def grouped(digits: str, language: Language) -> str:
    """``1,234.50`` as the language writes it, with a true minus; the digits are the ones that came in."""
    digits = digits.replace("-", "−")
    return digits if language == "en" else digits.replace(",", NARROW).replace(".", ",")


def euros(value: Decimal, language: Language) -> str:
    """An amount in EUR with two decimals."""
    digits = grouped(f"{abs(value):,f}", language)
    sign = "−" if value < 0 else ""
    return f"{sign}€{digits}" if language == "en" else f"{sign}{digits}{HARD}€"


def shown(value: Any, column: Column, zone: tzinfo, language: Language) -> str:
    """The text of one cell; the template escapes it."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return say("yes" if value else "no", language)
    if isinstance(value, int):
        return str(value) if column.name.endswith(NAMING) else grouped(f"{value:,}", language)
    if isinstance(value, Decimal):
        if column.name in EUROS:
            return euros(value, language)
        return grouped(f"{value:,f}", language) + (percent(language) if column.name.endswith("_pct") else "")
    if isinstance(value, float):
        return grouped(f"{value:,.1f}".removesuffix(".0"), language)
    if isinstance(value, datetime):
        return local_text(value, zone)
    if isinstance(value, date):
        return value.isoformat()
    text = visible(decoded(value) if isinstance(value, bytes) else str(value))
    return text if len(text) <= RAW else f"{text[:RAW]}…"


def percent(language: Language) -> str:
    """The percent sign with the space that the language puts before it."""
    return "%" if language == "en" else f"{HARD}%"


def is_number(column: Column) -> bool:
    """Whether a column is aligned to the right."""
    return column.kind in RIGHT


def change(now: Any, before: Any, language: Language) -> str:
    """Per cent of change, one decimal, half up away from zero; empty when there is nothing to compare with."""
    if now is None or not before:
        return ""
    exact = (Decimal(now) - Decimal(before)) * 100 / Decimal(before)
    share = exact.quantize(Decimal("0.1"), "ROUND_HALF_UP")
    sign = "+" if share > 0 else "−" if share < 0 else "±"
    return f"{sign}{grouped(f'{abs(share):,f}', language)}{percent(language)}"
