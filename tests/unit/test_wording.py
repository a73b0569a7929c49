"""Numbers of things and amounts, as every tool writes them."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from lakehouse.config import PROJECT
from lakehouse.wording import counted, euros


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 sales"), (1, "1 sale"), (2, "2 sales"), (1_234_567, "1,234,567 sales")]
)
def test_a_number_of_things(number: int, text: str) -> None:
    assert counted(number, "sale") == text
    assert counted(1, "entry", "entries") == "1 entry" and counted(3, "entry", "entries") == "3 entries"


def test_an_amount_keeps_every_digit() -> None:
    assert euros(Decimal("1234567.50")) == "1,234,567.50 EUR" and euros(Decimal("-0.05")) == "-0.05 EUR"


def test_the_verbs_write_no_number_before_a_plural_of_their_own() -> None:
    own = re.compile(r"\{[^{}]*\} (?:sales|rows|messages|entries|differences|files|items)\b|\} EUR\b")
    for path in (PROJECT / "lakehouse" / "operations" / "commands").glob("*.py"):
        assert own.findall(path.read_text()) == [], path
