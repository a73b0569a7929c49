"""The menu: questions by number or name, pages, filters, time travel; everything is typed and ended by Enter.

Each question is asked at the newest versions; its pages all come from the versions of its first page. Ctrl-C leaves
a page or a prompt for the menu, and in the menu it leaves the explorer; Ctrl-D and ``q`` leave with exit code 0.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence

from rich.text import Text

from lakehouse.contract.business_time import local_text
from lakehouse.contract.sale import SEGMENTS
from lakehouse.contract.tables import PAR_PAYS, VENTES
from lakehouse.errors import ConfigError, LakehouseError
from lakehouse.explorer import prompts
from lakehouse.explorer.answers import Answers
from lakehouse.explorer.arguments import MAX_ROWS, TIMEOUT, find, parse_time, parse_versions
from lakehouse.explorer.formats import terminal
from lakehouse.explorer.formats.titles import with_titles
from lakehouse.explorer.queries import registry
from lakehouse.explorer.queries.model import Entry, Filters
from lakehouse.lake.reader import SPECS
from lakehouse.lake.result import Result

HELP = """\
A number or a name asks a question: 14 or revenue-by-country. A table's own name lists the table.
  f         filters: days, countries, segments (kept for all questions)
  c         clear all filters
  t         time travel: read all tables as they were at a time
  g NAME    what a column or a table means; g alone lists all of them
  l         column titles in the other language
  ? NAME    what a question answers       ?  this help
  m         the menu again                q  leave (also Ctrl-C, Ctrl-D)
In a long answer: Enter or n next page, p page before, f filters, q back to the menu; or the next question's number or name.
Wherever names are listed, a name's number does as well."""


class Menu:
    """One conversation. ``read`` prompts for a line, as ``input`` does."""

    def __init__(self, answers: Answers, filters: Filters, *, read: Callable[[str], str] | None = None) -> None:
        self.answers = answers
        self.filters = dataclasses.replace(filters, limit=None)
        self.limit = filters.limit
        self.out = terminal.console()
        self._scripted = read is not None
        self.read = read or input

    def run(self, first: Entry | None = None) -> int:
        """Until the person leaves; 0. Raises ``ConfigError`` off a terminal and ``KeyboardInterrupt`` for Ctrl-C."""
        if not self._scripted:
            if not (sys.stdin.isatty() and sys.stdout.isatty()):
                raise ConfigError(
                    "The menu needs a terminal. Name a question, such as query_utils.py top-clients, or use --batch "
                    "or --sql; query_utils.py --help lists all."
                )
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401  # line editing and history for input()
        with contextlib.suppress(EOFError):
            if first is not None:
                self._guarded(lambda: self._choose(first))
                return 0
            self._list()
            while True:
                typed = self.read("question (? help, q leave)> ").strip()
                if typed in ("q", "quit", "exit"):
                    return 0
                self._guarded(lambda typed=typed: self._command(typed))  # type: ignore[misc]
        self.out.print()
        return 0

    def _guarded(self, act: Callable[[], None]) -> None:
        """An expected error is a sentence, Ctrl-C the way back; the conversation goes on."""
        try:
            act()
        except LakehouseError as error:
            self._say(str(error))
        except KeyboardInterrupt:
            self.out.print()

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        """An expected error of the block is a sentence."""
        try:
            yield
        except LakehouseError as error:
            self._say(str(error))

    def _say(self, text: str) -> None:
        self.out.print(Text(text))

    def _list(self) -> None:
        width = min(self.out.width, 110)
        group = ""
        line = ""
        for number, entry in enumerate(registry.ENTRIES, 1):
            item = f"{number:>3} {entry.title:<24}"
            if entry.group != group or len(line) + len(item) > width:
                if line:
                    self._say(line.rstrip())
                line = ""
            if entry.group != group:
                group = entry.group
                terminal.heading(self.out, group)
            line += item
        self._say(line.rstrip())
        self._state()

    def _state(self) -> None:
        if self.filters.narrowed:
            self._say(f"filters: {self.filters}")
        if self.answers.lake.at:
            self._say(f"time travel: {local_text(self.answers.lake.at, self.answers.zone)} {self.answers.zone}")
        if self.answers.lake.versions:
            named = (f"{table} version {version}" for table, version in self.answers.lake.versions.items())
            self._say(f"time travel: {', '.join(named)}")

    def _command(self, typed: str) -> None:
        if typed in ("", "m"):
            self._list()
        elif typed.startswith("?"):
            self._help(typed[1:].strip())
        elif typed == "f":
            self._ask_filters()
        elif typed == "c":
            self.filters = Filters()
            self._say("no filters")
        elif typed == "t":
            self._travel()
        elif typed == "l":
            self.answers.language = "fr" if self.answers.language == "en" else "en"
            self._say(f"column titles: {self.answers.language}")
        elif typed == "g" or typed.startswith("g "):
            self._choose(registry.entry("glossary"), typed[1:].strip())
        else:
            self._choose(self._entry(typed))

    def _entry(self, typed: str) -> Entry:
        if typed.isdecimal():
            if 1 <= int(typed) <= len(registry.ENTRIES):
                return registry.ENTRIES[int(typed) - 1]
            raise ConfigError(f"There is no question {typed}: 1 to {len(registry.ENTRIES)}. Type m for the menu.")
        return find(typed)

    def _help(self, name: str) -> None:
        if not name:
            self._say(HELP)
            return
        entry = self._entry(name)
        takes = ", ".join(sorted(entry.filters)) or "none"
        self._say(f"{entry.title} ({entry.name}): {entry.help}. Filters: {takes}.")

    def _choose(self, entry: Entry, subject: str = "") -> None:
        following = self._asked(entry, subject)
        while following is not None:
            following = self._asked(following)

    def _asked(self, entry: Entry, subject: str = "") -> Entry | None:
        """Answer one question; the next one, when it was typed while the answer was shown."""
        if entry.kind == "travel":
            self._travel()
        elif entry.kind == "sql":
            self._sql()
        elif entry.kind == "history":
            return self._pages(entry, prompts.one("table", list(SPECS), "ventes_stream", self.read, self._say))
        elif "client" in entry.filters:
            client = prompts.client(self.filters.client, self.answers.clients, self.read, self._say)
            self.filters = dataclasses.replace(self.filters, client=client)
            return self._pages(entry)
        else:
            return self._pages(entry, subject)
        return None

    def _pages(self, entry: Entry, subject: str = "") -> Entry | None:
        self.answers = self.answers.again()
        offset = 0
        before: list[int] = []  # where the pages before begin
        while True:
            most = min(self.limit or self.out.height, self.out.height)  # a row takes a line or more
            filters = self._usable(entry)
            result = self.answers.ask(
                entry, dataclasses.replace(filters, limit=most + 1, offset=offset), subject=subject
            )
            result = with_titles(result, self.answers.language)
            remarks = self.answers.remarks(result, filters)
            if unused := self.filters.used - entry.filters - {"client"}:
                remarks.append(f"not used here: {', '.join(sorted(unused))}")

            def lines(rows: int) -> str:
                """The page with that many rows, as it is printed."""
                page = dataclasses.replace(result, rows=result.rows[:rows])  # noqa: B023  # called within this turn
                with self.out.capture() as printed:
                    self._page(entry, page, filters, remarks)  # noqa: B023
                return printed.get()

            size = _most_rows(lambda rows: lines(rows).count("\n"), min(most, len(result.rows)), self.out.height - 1)
            sys.stdout.write(lines(size))
            more = len(result.rows) > size
            if not more and not offset:
                return None
            step = self._step(offset, offset + size, more)
            if isinstance(step, Entry):
                return step
            if step == "q":
                return None
            if step == "f":
                self._ask_filters()
                offset, before = 0, []
            elif step == "p":
                offset = before.pop()
            else:
                before.append(offset)
                offset += size

    def _page(self, entry: Entry, page: Result, filters: Filters, remarks: Sequence[str]) -> None:
        """Print one page: its heading, its rows below the columns' titles, its drawing, and what is to be said about it."""
        terminal.heading(self.out, entry.title + (f" ({filters})" if filters.narrowed else ""))
        wanted = entry.chart if self.answers.chart else None
        terminal.show(self.out, page, zone=self.answers.zone, wanted=wanted, less=entry.less)
        for remark in remarks:
            self._say(remark)

    def _usable(self, entry: Entry) -> Filters:
        """The filters that this question takes."""
        kept = self.filters
        return Filters(
            du=kept.du if "dates" in entry.filters else None,
            au=kept.au if "dates" in entry.filters else None,
            pays=kept.pays if "pays" in entry.filters else (),
            segment=kept.segment if "segment" in entry.filters else (),
            client=kept.client if "client" in entry.filters else None,
        )

    def _step(self, first: int, last: int, more: bool) -> str | Entry:
        """n, p, f or q; or the question that was typed instead."""
        ways = [*(["Enter next"] if more else []), *(["p before"] if first else []), "f filters", "q menu"]
        while True:
            typed = self.read(f"rows {first + 1:,}-{last:,} ({', '.join(ways)})> ").strip()
            if typed in ("", "n"):
                return "n" if more else "q"
            if typed == "p" and not first:
                self._say("this is the first page")
            elif typed in ("p", "f", "q"):
                return typed
            elif len(typed) == 1 and not typed.isdecimal():
                self._say(
                    "Enter or n: next page. p: page before. f: filters. q: back to the menu. Or another question."
                )
            else:
                with self._said():
                    return self._entry(typed)

    def _ask_filters(self) -> None:
        countries = self.answers.countries(PAR_PAYS.name) or self.answers.countries(VENTES.name)
        self.filters = prompts.filters(self.filters, countries, SEGMENTS, self.read, self._say)
        self._say(f"filters: {self.filters}" if self.filters.narrowed else "no filters")

    def _travel(self) -> None:
        typed = self.read("time such as 2026-11-22T08:00, or TABLE=VERSION; empty for now> ").strip()
        lake = self.answers.lake
        if not typed:
            lake.at, lake.versions, lake.version = None, {}, None
        elif "=" in typed:
            lake.at, lake.versions = None, {**lake.versions, **parse_versions([typed])[1]}
        else:
            lake.at, lake.versions, lake.version = parse_time(typed, self.answers.zone), {}, None
        self.answers = self.answers.again()
        self._say("reading the newest versions") if not typed else self._state()

    def _sql(self) -> None:
        self._say(f"tables: {', '.join(SPECS)}")
        typed = self.read("SELECT …> ").strip()
        if not typed:
            return
        if not typed.lower().startswith(("select", "with", "(")):
            typed = f"SELECT {typed}"
        self.answers = self.answers.again()
        result = self.answers.sql(typed, max_rows=MAX_ROWS, timeout=TIMEOUT)
        terminal.show(self.out, result, zone=self.answers.zone)


def _most_rows(height: Callable[[int], int], rows: int, room: int) -> int:
    """As many rows as fit a page of ``room`` lines: at least one, when there is one."""
    low, high = min(1, rows), rows
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if height(middle) <= room else (low, middle - 1)
    return low
