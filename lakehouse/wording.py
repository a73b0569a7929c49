"""How every tool writes a number of things, an amount and a moment: ``1,234 sales``, ``€1,234.50``, ``2026-11-22 20:43:11 UTC``.

A page in French writes them as French does (``dashboard.amounts``). A file for programs has plain digits, and its times in ISO 8601.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

EURO = "€"
PLAIN = {EURO: "EUR", "·": "|", "–": "-", "−": "-", "’": "'", "…": "...", "→": "->", "×": "x", "÷": "/"}
"""What stands in place of a sign that an output cannot show."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """The number with its noun; ``plural`` when that is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def euros(amount: Decimal) -> str:
    """An amount in EUR, every digit of it."""
    return f"{'-' if amount < 0 else ''}{EURO}{abs(amount):,f}"


def instant(time: datetime) -> str:
    """An aware time in a sentence, to the second and in UTC; a table has its times in the business zone, which it names."""
    utc = time.astimezone(UTC)
    return f"{utc.year:04}-{utc:%m-%d %H:%M:%S} UTC"


def plain(text: str) -> str:
    """The text for an output without UTF-8, with every sign that has a plain one replaced by it."""
    return text.translate({ord(char): instead for char, instead in PLAIN.items()})


def showable(error: UnicodeError) -> tuple[str, int]:
    """A handler of ``codecs``, for an output whose encoding lacks a character: the plain one, or its escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    text = "".join(
        PLAIN.get(char) or char.encode("unicode_escape", "surrogatepass").decode("ascii") for char in missing
    )
    return text, error.end
