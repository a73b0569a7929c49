"""What people type: each form that is taken, and the nearest forms that are not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from lakehouse.contract.tables import VENTES
from lakehouse.errors import ConfigError
from lakehouse.explorer.arguments import (
    choose,
    find,
    folded,
    parse_count,
    parse_day,
    parse_identity,
    parse_seconds,
    parse_versions,
)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_day, "2026-11-01", date(2026, 11, 1)), (parse_day, "0001-01-01", date(1, 1, 1)),
        (parse_count, "0", 0), (parse_count, "007", 7), (parse_count, "999999999", 999_999_999),
        (parse_identity, "1", 1), (parse_identity, "0042", 42), (parse_identity, "9223372036854775807", 2**63 - 1),
        (parse_seconds, "1", 1.0), (parse_seconds, "0.001", 0.001), (parse_seconds, "999999.999", 999_999.999),
    ],
)  # fmt: skip
def test_what_is_taken(parse: Callable[[str], Any], text: str, value: object) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "expected", "texts"),
    [
        (parse_day, "a day such as 2026-11-01", ["", "20261101", "2026-11-01x", "2026-11-31", "2026-13-01", "2026-W45-1", " 2026-11-01"]),
        (parse_count, "a whole number of 0 or more", ["", "-1", "1.0", "1e3", "1x", "1234567890"]),
        (parse_identity, "a whole number of 1 to 9223372036854775807", ["", "0", "-1", "1x", "9223372036854775808", "00000000000000000001", "٣"]),
        (parse_seconds, "a number of seconds above 0", ["", "0", "0.000", "-1", "1s", "1.2345", "1234567", ".5", "1.", "nan"]),
    ],
)  # fmt: skip
def test_what_is_not_taken_says_what_is(parse: Callable[[str], Any], expected: str, texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(ValueError) as refused:
            parse(text)
        assert str(refused.value) == expected, text


def test_versions_are_numbers_alone_or_of_a_table() -> None:
    assert parse_versions([]) == (None, {})
    assert parse_versions(["3"]) == (3, {}) and parse_versions(["3", "4"]) == (4, {})
    assert parse_versions(["Ventes-Stream=0", "7"]) == (7, {VENTES.name: 0})
    for text in ("", "x", "-1", "3x", "1" * 19, f"{VENTES.name}="):
        with pytest.raises(ConfigError, match="expected a number such as 3, or TABLE=3"):
            parse_versions([text])
    with pytest.raises(ConfigError, match="There is no table 'ventes'"):
        parse_versions(["ventes=3"])


def test_a_question_is_found_by_what_looks_alike() -> None:
    assert find("top_clients") is find("TOP  clients") is find("top-clients")
    with pytest.raises(ConfigError) as refused:
        find("top-client")
    assert str(refused.value) == "There is no question 'top-client'. Did you mean top-clients?"
    with pytest.raises(ConfigError, match=r"^There is no question 'xyzzy'\. Questions: "):
        find("xyzzy")


def test_names_are_folded_for_comparing() -> None:
    assert folded("  Côte_d’Ivoire -x ") == "cote d'ivoire x" and folded("ẞ") == "ss"


def test_a_name_is_itself_or_the_only_one_that_looks_alike() -> None:
    assert choose("a", ["A", "a"], "country") == "a"
    assert choose("É", ["E", "F"], "country") == "E"
    with pytest.raises(ConfigError) as refused:
        choose("à", ["A", "a", "b"], "country")
    assert str(refused.value) == "There is no country 'à'. Did you mean A? Countries: A, a."
    with pytest.raises(ConfigError, match=r"There is no segment 'x'\. Segments: none\.$"):
        choose("x", [], "segment")


@pytest.mark.parametrize(("known", "end"), [(40, "n39."), (41, "n39 and 1 more."), (50, "n39 and 10 more.")])
def test_a_refusal_lists_forty_names_and_counts_the_others(known: int, end: str) -> None:
    with pytest.raises(ConfigError) as refused:
        choose("?", [f"n{number}" for number in range(known)], "country")
    assert str(refused.value).endswith(f", {end}")
