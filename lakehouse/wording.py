"""How every tool writes a number of things and an amount in its sentences: ``1 sale``, ``1,234 sales``, ``1,234.50 EUR``."""

from __future__ import annotations

from decimal import Decimal


def counted(number: int, noun: str, plural: str = "") -> str:
    """The number with its noun; ``plural`` when that is not the noun with an s."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def euros(amount: Decimal) -> str:
    """An amount in EUR, every digit of it."""
    return f"{amount:,f} EUR"
