"""The menu with a scripted person; the same on a real terminal is in tests/e2e."""

from __future__ import annotations

import dataclasses

import pytest
from rich.console import ConsoleDimensions

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
    prompts = converse(base, "client-sales", "", "nobody", "0", "2", "q", "client-sales", "", "q", "totals", "q")
    text = capsys.readouterr().out
    assert prompts.count("client, number or name> ") == 4 and prompts.count("client, number or name [2]> ") == 1
    assert "'0' is not accepted: expected a whole number of 1 to 9223372036854775807" in text
    assert "No client has 'nobody' in the name." in text
    assert text.count("Sales of one client (client 2)") == 2
    assert "Client 3" not in text
    assert "not used here" not in text


def test_a_client_is_found_by_a_part_of_the_name_without_case_and_accents(
    base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    converse(base, "client-sales", "ZOE", "q", "client-sales", "client 1", "3", "q", "q", filters=Filters(limit=5))
    text = capsys.readouterr().out
    assert "Sales of one client (client 1)" in text and "Sales of one client (client 3)" in text
    assert all(f"{number:>12}  Client {number}\n" in text for number in (10, 19)) and "  Client 2\n" not in text


def test_a_number_or_a_name_does_at_every_prompt(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    """At the pager the next question; at a list what it lists."""
    number = [entry.name for entry in registry.ENTRIES].index("totals") + 1
    prompts = converse(
        base, "latest-sales", str(number), "latest-sales", "Revenue by country", "latest-sales", "nothing", "q",
        "history", "1", "history", "ventes par pays", "history", "nowhere",
        "f", "", "", "2, atlantis", "1", "particulier", "totals", "q", filters=Filters(limit=5),
    )  # fmt: skip
    text = capsys.readouterr().out
    for found in ("Totals\n", "Revenue by country\n", "There is no question 'nothing'", "There is no table 'nowhere'"):
        assert found in text
    assert sum("country [any]> " in prompt for prompt in prompts) == 2
    assert "There is no country 'atlantis'. Countries: Belgique, Côte d'Ivoire, France, Japon." in text
    assert "filters: pays Belgique, segment Particulier" in text
    assert prompts.count("table [ventes_stream]> ") == 3 and "1 ventes_stream  2 ventes_rejetees" in text


def test_column_titles_and_the_glossary_are_there_in_both_languages(
    base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    converse(base, "revenue-by-country", "l", "revenue-by-country", "g est_tardif", "g nosuch", "q")
    text = capsys.readouterr().out
    assert "Revenue (€)" in text and "column titles: fr" in text and "Chiffre d’affaires (€)" in text
    assert "est_tardif" in text and "its sender was late" in text and "There is no name 'nosuch'" in text


@pytest.mark.parametrize(("height", "width"), [(24, 80), (12, 80), (40, 100), (24, 30), (60, 200)])
@pytest.mark.parametrize(
    "name", ["latest-sales", "latest-rejects", "statistics-by-category", "by-day", "glossary", "rfm"]
)
def test_a_page_is_never_longer_than_the_terminal_and_begins_with_its_columns(
    base: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, height: int, width: int
) -> None:
    monkeypatch.setattr("rich.console.Console.size", property(lambda _: ConsoleDimensions(width, height)))
    monkeypatch.setattr("rich.console.Console.width", property(lambda _: width))
    begins = {
        "latest-sales": "Time", "latest-rejects": "Taken in", "statistics-by-category": "Category", "by-day": "Day",
        "glossary": "Name", "rfm": "Client",
    }  # fmt: skip
    pages: list[str] = []

    def read(prompt: str) -> str:
        pages.append(capsys.readouterr().out)
        if len(pages) == 1:
            return name
        return "" if prompt.startswith("rows") and len(pages) < 60 else "q"

    config = dataclasses.replace(Config(), delta=Delta(base_path=FilePath(base)))
    Menu(Answers(config), Filters(), read=read).run()
    shown = [page for page in pages[1:] if page]
    rows = [page.count("\n") for page in shown]
    assert max(rows) < height or max(page.count(begins[name]) for page in shown) == 1, "one row is longer, or none"
    assert all(any(begins[name] in line for line in page.splitlines()[1:4]) for page in shown)
    if len(shown) > 2 and width >= 80:
        assert max(rows) >= height - 8, "room is left unused"


def test_each_group_stands_once_in_the_menu() -> None:
    groups = [entry.group for entry in registry.ENTRIES]
    assert [group for number, group in enumerate(groups) if group not in groups[:number]] == [
        group for number, group in enumerate(groups) if number == 0 or groups[number - 1] != group
    ]
