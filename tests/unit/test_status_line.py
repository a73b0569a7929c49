"""The status line on a terminal and elsewhere; a wait that is said."""

from __future__ import annotations

import io
import threading

import pytest

from lakehouse import status_line
from lakehouse.status_line import StatusLine, waiting


class Terminal(io.StringIO):
    """A terminal's screen as text: what was written, control characters included."""

    def isatty(self) -> bool:
        return True

    def line(self) -> str:
        """What the last line shows now."""
        return self.getvalue().split("\n")[-1].split("\r\x1b[K")[-1]


@pytest.fixture
def now() -> list[float]:
    return [100.0]


def test_on_a_terminal_it_renews_itself_and_events_stand_above_it() -> None:
    screen = Terminal()
    line = StatusLine(screen)
    line.show("lag 1")
    line.show("lag 2")
    line.say("bronze: built")
    assert screen.line() == "lag 2"
    assert screen.getvalue().count("\n") == 1 and "\r\x1b[Kbronze: built\n" in screen.getvalue()
    line.clear()
    assert screen.line() == ""


def test_a_status_longer_than_the_terminal_is_cut_not_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    screen = Terminal()
    StatusLine(screen).show("0123456789abc")
    assert screen.line() == "01234567…"


def test_elsewhere_it_is_a_line_after_a_while_and_then_each_half_minute(now: list[float]) -> None:
    out = io.StringIO()
    line = StatusLine(out, clock=lambda: now[0])
    seen = []
    for second in range(64):
        now[0] = 100.0 + second
        line.show(f"second {second}")
        seen.append(out.getvalue().count("\n"))
    assert out.getvalue() == "second 3\nsecond 33\nsecond 63\n"
    line.say("an event")
    line.clear()
    assert out.getvalue().endswith("second 63\nan event\n")


def test_a_short_wait_says_nothing_and_a_long_one_says_what_it_waits_for() -> None:
    out = io.StringIO()
    with waiting("waiting for Kafka", stream=out, first=60):
        pass
    assert out.getvalue() == ""
    said = threading.Event()

    class Told(io.StringIO):
        def flush(self) -> None:
            said.set()

    told = Told()
    with waiting("waiting for Kafka, 120 s at most", stream=told, first=0.0):
        assert said.wait(60)
    assert told.getvalue().startswith("waiting for Kafka, 120 s at most (0 s)\n")


def test_the_limits_are_those_that_the_documents_name() -> None:
    assert (status_line.FIRST, status_line.EVERY) == (3.0, 30.0)
