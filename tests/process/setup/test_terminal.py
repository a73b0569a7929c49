"""The supervisor on a pseudo-terminal: the status line renews itself below the events, Ctrl-C stops, the last line says so."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pexpect
import pytest

from lakehouse.config import PROJECT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the children are shell scripts")

PROGRAM = """
import itertools, os, sys
from pathlib import Path
from lakehouse.setup.supervisor import Limits, Supervisor

wait = "while :; do sleep 0.02; done"
slow = f"trap 'while test ! -e go; do sleep 0.02; done; exit 0' TERM; echo silver built; {wait}"
commands = {"kafka": ["sh", "-c", f"trap 'exit 0' TERM; {wait}"], "silver": ["sh", "-c", slow]}
looks, asked = itertools.count(1), itertools.count()
supervisor = Supervisor(
    commands, env=os.environ, folder=Path(sys.argv[1]), ready=lambda _pid: next(asked) > 3, limits=Limits(silent=0.0),
    status=lambda: f"lag {next(looks)}", stopping=lambda name: "3 of 6 tables" if name == "silver" else "",
    kept="the data is kept in data",
)
sys.exit(supervisor.run(when_up=lambda: supervisor.say('all are up')))
"""
RENEWED = "\r\x1b[K"


def test_the_status_renews_itself_below_the_events_and_ctrl_c_is_explained(tmp_path: Path) -> None:
    environment = {**os.environ, "COLUMNS": "100", "PYTHONPATH": str(PROJECT)}
    terminal = pexpect.spawn(
        sys.executable, ["-c", PROGRAM, str(tmp_path)], cwd=str(PROJECT), env=environment, timeout=60,
        encoding="utf-8", dimensions=(24, 100),
    )  # type: ignore[arg-type]  # fmt: skip
    try:
        terminal.expect_exact(f"{RENEWED}waiting until kafka answers (0 s, at most 120 s)")
        terminal.expect_exact("all are up\r\n")
        terminal.expect_exact("silver built\r\n")
        assert "waiting until kafka" not in terminal.before, "that wait is over"
        for _ in range(3):
            terminal.expect(r"\r\x1b\[Klag \d+")
            assert "\n" not in terminal.before, "the same line is written again"
        terminal.sendintr()
        terminal.expect_exact(
            "SIGINT: stopping silver, kafka (10 s or less, or until the batch and the pass in hand are done)"
        )
        terminal.expect_exact(f"{RENEWED}waiting for silver (3 of 6 tables)")
        terminal.sendintr()
        terminal.expect_exact("still waiting for silver (3 of 6 tables) to end in order: what is in hand is finished")
        (tmp_path / "go").touch()
        terminal.expect(pexpect.EOF)
        last = terminal.before.split("\r\n")
        assert last[-1] == "", "the status is gone"
        assert "all has stopped, in " in last[-2] and last[-2].endswith("; the data is kept in data")
    finally:
        terminal.close()
    assert terminal.exitstatus == 0
