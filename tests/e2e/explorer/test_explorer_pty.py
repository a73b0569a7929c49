"""query_utils.py as a person types: a real process on a pseudo-terminal, and into a pipe."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pexpect
import pytest

from lakehouse.config import PROJECT
from lakehouse.explorer.queries import registry
from tests.support import lakes
from tests.support.children import eventually

ROOT = PROJECT
PROMPT = r"question \(\? help, q leave\)> "
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """query_utils.py on a terminal of a given size."""

    def __init__(self, base: str, *argv: str, rows: int = 24, columns: int = 100, **env: str) -> None:
        kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
        kept.update({"VENTES_DELTA__BASE_PATH": base, "TERM": "xterm-256color", "PYTHONUTF8": "1", **env})
        self.child: pexpect.spawn[str] = pexpect.spawn(
            sys.executable, ["query_utils.py", *argv], cwd=str(ROOT), env=kept, dimensions=(rows, columns), encoding="utf-8",
            timeout=60,
        )  # fmt: skip

    def until(self, pattern: str) -> str:
        """What was printed before the pattern, without escapes."""
        self.child.expect(pattern)
        return ESCAPES.sub("", self.child.before or "").replace("\r", "")

    def type(self, line: str) -> None:
        self.child.sendline(line)

    def end(self) -> tuple[int | None, str]:
        """Exit code and the last words."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus, ESCAPES.sub("", self.child.before or "").replace("\r", "")


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.child.close(force=True)


def test_a_visit(base: str, terminals: list[Terminal]) -> None:
    """Menu, help, a question by number and by name, pages, filters, an error, leaving."""
    terminal = Terminal(base, columns=100)
    terminals.append(terminal)
    menu = terminal.until(PROMPT)
    for number, entry in enumerate(registry.ENTRIES, 1):
        assert f"{number} {entry.title}" in menu
    terminal.type("?")
    assert "A number or a name asks a question" in terminal.until(PROMPT)

    number = [entry.name for entry in registry.ENTRIES].index("revenue-by-country") + 1
    terminal.type(str(number))
    answer = terminal.until(PROMPT)
    assert re.search(r"France +136 +112,718\.57 +828\.81 +406 +8 +41\.1", answer)
    assert re.search(r"Japon +█+", answer)
    assert "read: ventes_par_pays version 0" in answer

    terminal.type("latest-sales")
    first = terminal.until(r"rows 1-15 \(Enter next, f filters, q menu\)> ")
    terminal.type("")
    second = terminal.until(r"rows 16-25 \(Enter next, p before, f filters, q menu\)> ")
    assert 17 <= second.strip("\n").count("\n") < 24 - 1 and second.lstrip("\n").startswith("Latest sales\nTime ")
    assert re.findall(r"v\d{5}", first) != re.findall(r"v\d{5}", second)
    terminal.type("p")
    assert re.findall(r"v\d{5}", terminal.until(r"rows 1-15 .*> ")) == re.findall(r"v\d{5}", first)
    terminal.type("f")
    for prompt, line in (
        ("from day", "2026-11-12"),
        ("to day", "soon"),
        ("to day", "2026-11-12"),
        ("country", "Japon"),
        ("segment", ""),
    ):
        terminal.until(rf"{prompt}.*\]> ")
        terminal.type(line)
    answer = terminal.until(PROMPT)
    assert "Latest sales (from 2026-11-12, to 2026-11-12, pays Japon)" in answer
    assert "Belgique" not in answer
    terminal.type("c")
    terminal.until(PROMPT)
    terminal.type("latest-sales")
    terminal.until(r"rows 1-\d+ .*> ")
    terminal.type("totals")
    assert "\nTotals\n" in terminal.until(PROMPT), "the pager takes the next question"
    terminal.type("client-sales")
    terminal.until(r"client, number or name> ")
    terminal.type("zoe")
    assert "Sales of one client" in terminal.until(r"> $")
    terminal.child.sendintr()
    terminal.until(PROMPT)
    terminal.type("nothing")
    assert "There is no question 'nothing'" in terminal.until(PROMPT)
    terminal.type("q")
    assert terminal.end()[0] == 0


def test_ctrl_c_leaves_the_page_then_the_explorer(base: str, terminals: list[Terminal]) -> None:
    terminal = Terminal(base)
    terminals.append(terminal)
    terminal.until(PROMPT)
    terminal.type("ventes-aggreges")
    terminal.until(r"rows 1-\d+ .*> ")
    terminal.child.sendintr()
    terminal.until(PROMPT)
    terminal.child.sendintr()
    code, words = terminal.end()
    assert code == 130
    assert words.strip().endswith("query_utils.py: interrupted")
    assert "Traceback" not in words


def test_on_a_terminal_client_sales_asks_for_its_client(base: str, terminals: list[Terminal]) -> None:
    terminal = Terminal(base, "client-sales", "--limit", "3")
    terminals.append(terminal)
    terminal.until(r"client, number or name> ")
    terminal.type("Client 1")
    assert "Client 19" in terminal.until(r"client, number or name> ")
    terminal.type("19")
    code, answer = terminal.end()
    assert (code, "Sales of one client (client 19)" in answer, "3 rows" in answer) == (0, True, True)


def test_ctrl_d_leaves(base: str, terminals: list[Terminal]) -> None:
    terminal = Terminal(base)
    terminals.append(terminal)
    terminal.until(PROMPT)
    terminal.child.sendeof()
    assert terminal.end()[0] == 0


def test_ctrl_c_stops_a_statement_that_would_not_end(base: str, terminals: list[Terminal]) -> None:
    """The engine cannot be interrupted; its process is ended, and none is left behind."""
    import psutil

    terminal = Terminal(base)
    terminals.append(terminal)
    terminal.until(PROMPT)
    terminal.type("sql")
    terminal.until(r"SELECT …> ")
    terminal.type(
        "COUNT(*) FROM " + ", ".join(f"ventes_stream t{n}" for n in range(6)) + " WHERE t0.montant < t5.montant"
    )
    process = psutil.Process(terminal.child.pid)
    terminal.child.expect("\n")
    while not process.children():
        assert terminal.child.isalive()
    [engine] = process.children()
    terminal.child.sendintr()
    terminal.until(PROMPT)
    # killed; or, when Ctrl-C met it before it had its order, its input is closed and it ends by itself
    eventually(
        lambda: not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE,
        20,
        "the end of the engine's process",
    )
    terminal.type("q")
    assert terminal.end()[0] == 0


@pytest.mark.parametrize("columns", [30, 60])
def test_a_narrow_terminal_shows_every_amount(base: str, terminals: list[Terminal], columns: int) -> None:
    terminal = Terminal(base, "revenue-by-country", columns=columns)
    terminals.append(terminal)
    code, text = terminal.end()
    assert code == 0
    assert re.search(r"Revenue \(EUR\)? +112,718\.57\n", text)
    assert all(len(line) <= columns for line in text.splitlines())


def test_eighty_columns_hold_a_table(base: str, terminals: list[Terminal]) -> None:
    """The usual width: one line a sale, the amount among it, and what is left out is named."""
    terminal = Terminal(base, "latest-sales", "--limit", "5", columns=80)
    terminals.append(terminal)
    code, text = terminal.end()
    assert code == 0
    newest = sorted(lakes.sales(), key=lambda row: (row["timestamp"], row["vente_id"]), reverse=True)[:5]
    for row in newest:
        assert re.search(rf"^{row['timestamp']:%Y-%m-%d %H:%M:%S} .* {row['montant']:,} ", text, re.MULTILINE)
    assert "left out, too narrow: Sale (" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_colours_only_on_a_terminal_that_wants_them(base: str, terminals: list[Terminal]) -> None:
    for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        terminal = Terminal(base, "loyalty", **env)
        terminals.append(terminal)
        terminal.child.expect(pexpect.EOF)
        assert bool(re.search(r"\x1b\[[0-9;]*3\dm", terminal.child.before or "")) is coloured


@pytest.mark.parametrize("kind", ["table", "csv", "json"])
def test_a_nasty_name_sends_no_escape_to_the_terminal(base: str, terminals: list[Terminal], kind: str) -> None:
    terminal = Terminal(base, "top-clients", "--limit", "0", "--format", kind, columns=200, NO_COLOR="1")
    terminals.append(terminal)
    terminal.child.expect(pexpect.EOF)
    raw = terminal.child.before or ""
    assert "[red]Zoé[/red]" in raw
    assert "\x1b[31m" not in raw
    assert "\u202e" not in raw
    assert "\x07" not in raw


def test_watch_draws_again_until_ctrl_c(base: str, terminals: list[Terminal]) -> None:
    terminal = Terminal(base, "totals", "--watch", "0.2")
    terminals.append(terminal)
    for _ in range(3):
        terminal.child.expect("read: ventes_stream version 1")
    terminal.child.sendintr()
    code, words = terminal.end()
    assert (code, "Traceback" in words) == (0, False)


def piped(base: str, *argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "query_utils.py", *argv],
        cwd=ROOT, env={**os.environ, "VENTES_DELTA__BASE_PATH": base, **env}, capture_output=True, text=True, encoding="utf-8",
        timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_into_a_pipe_lines_are_whole_and_plain(base: str) -> None:
    done = piped(base, "ventes-stream", "--limit", "5")
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert len([line for line in lines if re.match(r"v\d{5}", line)]) == 5
    assert len(lines) == 9


def test_a_reader_that_leaves_early_is_no_error(base: str) -> None:
    done = subprocess.run(
        f"{sys.executable} query_utils.py ventes-stream --limit 0 --format csv 2>&1 | head -1",
        shell=True, cwd=ROOT, env={**os.environ, "VENTES_DELTA__BASE_PATH": base}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.startswith("vente_id,")
    assert done.stderr == ""


def test_without_utf8_nothing_breaks(base: str) -> None:
    done = piped(base, "revenue-by-country", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert done.stdout.isascii()


def test_the_menu_off_a_terminal_is_refused(base: str) -> None:
    done = piped(base)
    assert (done.returncode, done.stdout) == (2, "")
    assert "The menu needs a terminal" in done.stderr
