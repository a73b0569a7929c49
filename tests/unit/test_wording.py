"""Numbers of things and amounts, as every tool writes them."""

from __future__ import annotations

import codecs
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from lakehouse.config import PROJECT
from lakehouse.wording import counted, euros, instant, plain, showable


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 sales"), (1, "1 sale"), (2, "2 sales"), (1_234_567, "1,234,567 sales")]
)
def test_a_number_of_things(number: int, text: str) -> None:
    assert counted(number, "sale") == text
    assert counted(1, "entry", "entries") == "1 entry" and counted(3, "entry", "entries") == "3 entries"


def test_an_amount_keeps_every_digit() -> None:
    assert euros(Decimal("1234567.50")) == "€1,234,567.50" and euros(Decimal("-0.05")) == "-€0.05"


def test_the_verbs_write_no_number_before_a_plural_of_their_own() -> None:
    own = re.compile(r"\{[^{}]*\} (?:sales|rows|messages|entries|differences|files|items)\b")
    for path in (PROJECT / "lakehouse" / "operations" / "commands").glob("*.py"):
        assert own.findall(path.read_text()) == [], path


def test_no_tool_writes_an_amount_or_a_moment_in_a_way_of_its_own() -> None:
    own = re.compile(r"\} (?:EUR|€)|€\{|%H:%M(?::%S)?\} UTC")
    for path in (PROJECT / "lakehouse").rglob("*.py"):
        if path.name != "wording.py" and path.parent.name != "dashboard":  # a page writes them in its own language
            assert own.findall(path.read_text(encoding="utf-8")) == [], path


def test_a_moment_is_to_the_second_and_in_utc() -> None:
    paris = timezone(timedelta(hours=1))
    assert instant(datetime(2026, 11, 22, 21, 43, 11, 5, tzinfo=paris)) == "2026-11-22 20:43:11 UTC"
    assert instant(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01 00:00:00 UTC"


def test_an_output_without_utf8_shows_what_it_can_and_escapes_the_rest() -> None:
    codecs.register_error("showable", showable)
    assert "€5 · Zoé".encode("ascii", "showable") == b"EUR5 | Zo\\xe9"
    assert plain("Revenue (€)") == "Revenue (EUR)"
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("ascii", "showable")
