"""The menu with a scripted person; the same on a real terminal is in tests/e2e."""

from __future__ import annotations

import dataclasses

import pytest

from lakehouse.config.fields import FilePath
from lakehouse.config.settings import Config, Delta
from lakehouse.explorer.answers import Answers
from lakehouse.explorer.menu import Menu
from lakehouse.explorer.queries import registry
from lakehouse.explorer.queries.model import Filters


def converse(base: str, *typed: str, filters: Filters | None = None) -> list[str]:
    """The menu with a person who types these lines; the prompts that were shown."""
    prompts: list[str] = []
    lines = iter(typed)

    def read(prompt: str) -> str:
        prompts.append(prompt)
        try:
            line = next(lines)
        except StopIteration:
            raise EOFError from None
        if line == "^C":
            raise KeyboardInterrupt
        return line

    config = dataclasses.replace(Config(), delta=Delta(base_path=FilePath(base)))
    assert Menu(Answers(config), filters or Filters(), read=read).run() == 0
    return prompts


def test_the_menu_shows_every_title_and_leaves(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert converse(base, "q") == ["question (? help, q leave)> "]
    text = capsys.readouterr().out
    for number, entry in enumerate(registry.ENTRIES, 1):
        assert f"{number} {entry.title}" in text


@pytest.mark.parametrize("number", [n for n, entry in enumerate(registry.ENTRIES, 1) if entry.kind != "sql"])
def test_every_number_of_the_menu_answers(base: str, capsys: pytest.CaptureFixture[str], number: int) -> None:
    entry = registry.ENTRIES[number - 1]
    converse(base, str(number), "", "q", "q")
    text = capsys.readouterr().out
    expected = "reading the newest versions" if entry.kind == "travel" else entry.title
    assert text.count(expected) >= 1
    assert "failed" not in text


def test_pages_go_forward_and_back(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    prompts = converse(base, "latest-sales", "", "p", "p", "x", "q", "q", filters=Filters(limit=15))
    assert prompts[1:6] == [
        "rows 1-15 (Enter next, f filters, q menu)> ", "rows 16-30 (Enter next, p before, f filters, q menu)> ",
        *["rows 1-15 (Enter next, f filters, q menu)> "] * 3,
    ]  # fmt: skip
    text = capsys.readouterr().out
    assert "this is the first page" in text
    assert "Enter or n: next page" in text


def test_filters_are_asked_kept_and_cleared(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    converse(
        base,
        "f",
        "soon",
        "2026-11-12",
        "2026-11-13",
        "France, Japon",
        "",
        "totals",
        "loyalty",
        "f",
        "-",
        "-",
        "-",
        "",
        "c",
        "q",
    )
    text = capsys.readouterr().out
    assert "'soon' is not accepted: expected a day such as 2026-11-01, or -" in text
    assert "Totals (from 2026-11-12, to 2026-11-13, pays France or Japon)" in text
    assert "not used here: pays" in text
    assert text.count("no filters") == 2


def test_ctrl_c_leaves_a_page_for_the_menu(base: str) -> None:
    prompts = converse(base, "latest-sales", "^C", "q", filters=Filters(limit=5))
    assert prompts[-1] == "question (? help, q leave)> "


def test_ctrl_c_in_the_menu_leaves(base: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        converse(base, "^C")


def test_an_error_is_said_and_the_menu_goes_on(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    converse(base, "99", "nope", "pertes-declarees", "?", "? rfm", "t", "2020-01-01", "totals", "t", "", "totals", "q")
    text = capsys.readouterr().out
    for sentence in (
        "There is no question 99: 1 to ", "There is no question 'nope'", "Table pertes_declarees does not exist yet",
        "A number or a name asks a question", "Filters: pays, segment", "ventes_stream did not exist at 2020-01-01",
        "1 row · read: ventes_stream version 1",
    ):  # fmt: skip
        assert sentence in text


def test_time_travel_in_the_menu(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    converse(base, "t", "ventes_stream=0", "totals", "q")
    assert "read: ventes_stream version 0" in capsys.readouterr().out
    converse(base, "t", "ventes_stream=0", "q")
    assert "time travel: ventes_stream version 0" in capsys.readouterr().out


def test_the_menu_asks_which_client(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    prompts = converse(base, "client-sales", "Zoé", "2", "q", "client-sales", "", "q", "totals", "q")
    text = capsys.readouterr().out
    assert prompts.count("client_id [all]> ") == 2 and prompts.count("client_id [2]> ") == 1
    assert "'Zoé' is not accepted: expected a whole number of 1 to 9223372036854775807, or -" in text
    assert text.count("Sales of one client (client 2)") == 2
    assert "Client 3" not in text
    assert "not used here" not in text


def test_each_group_stands_once_in_the_menu() -> None:
    groups = [entry.group for entry in registry.ENTRIES]
    assert [group for number, group in enumerate(groups) if group not in groups[:number]] == [
        group for number, group in enumerate(groups) if number == 0 or groups[number - 1] != group
    ]
