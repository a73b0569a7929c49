"""QUICKSTART.md, executed: every command of its ```bash blocks, in the document's order, against a real broker and Spark.

What runs until stopped runs in the background, is waited for by its effect, and is ended by SIGTERM with exit code 0.
Everything else runs to its end with exit code 0. Two things differ from what a person types: a ``make`` command runs
as ``make -n`` (the tests already run inside what set-up made), and addresses and folders are free ones, through the
environment for the first pipeline and in place of the two literals of the second.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pexpect
import pytest

from lakehouse import config as settings
from lakehouse.config import PROJECT, Config
from lakehouse.contract.tables import GENERATIONS, PAR_PAYS, REJETS, VENTES
from lakehouse.kafka.broker.properties import answers, free_port
from lakehouse.kafka.clients import earliest_and_latest_offsets
from lakehouse.operations.reconcile import producer_truth
from tests.support.harness import SHORT_LIVED

PATIENCE = 600  # seconds until an effect must show; no assertion rests on it
SECOND = {"address": "localhost:19092", "folder": "data/essai"}  # the document's literals for the second pipeline


@dataclass
class Section:
    """One heading of the document: its commands, and the assignments that stand before them in their block."""

    title: str
    commands: list[tuple[str, str]] = field(default_factory=list)


def sections(text: str) -> Iterator[Section]:
    """Each section with (assignments before it in its block, command), in order."""
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        found = Section(part.splitlines()[0])
        for block in re.findall(r"^```bash\n(.*?)^```", part, re.MULTILINE | re.DOTALL):
            before = ""
            for line in filter(None, map(str.strip, block.replace("\\\n", " ").splitlines())):
                if line.startswith(("export ", ". ")):
                    before += f"{line} && "
                else:
                    found.commands.append((before, line))
        yield found


class Terminals:
    """The terminals of one person: a folder for what they say, and the environment that they share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, tuple[subprocess.Popen[bytes], Path]] = {}
        self._count = 0
        clean = {name: text for name, text in os.environ.items() if not name.startswith(settings.ENV_PREFIX)}
        self.port, self.second_port, self.dashboard_port = free_port(), free_port(), free_port()
        self.environment = {
            **clean,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "VENTES_KAFKA__BOOTSTRAP_SERVERS": f"localhost:{self.port}",
            "VENTES_DELTA__BASE_PATH": str(folder / "data"),
            "JDK_JAVA_OPTIONS": SHORT_LIVED,  # those too that spark-submit starts
            "VENTES_MONITORING__DASHBOARD_PORT": str(self.dashboard_port),
        }

    @property
    def first(self) -> Config:
        return settings.load(env={k: v for k, v in self.environment.items() if k.startswith(settings.ENV_PREFIX)})

    @property
    def second(self) -> Config:
        names = {
            "VENTES_KAFKA__BOOTSTRAP_SERVERS": f"localhost:{self.second_port}",
            "VENTES_DELTA__BASE_PATH": str(self._folder / "essai"),
        }
        return settings.load(env=names)

    def _shell(self, before: str, command: str) -> list[str]:
        script = f"{before}exec {command}"
        script = script.replace(SECOND["address"], f"localhost:{self.second_port}")
        return ["bash", "-c", script.replace(SECOND["folder"], str(self._folder / "essai"))]

    def _start(self, before: str, command: str) -> tuple[subprocess.Popen[bytes], Path]:
        self._count += 1
        said = self._folder / f"{self._count:02}.log"
        with said.open("wb") as sink:
            process = subprocess.Popen(
                self._shell(before, command), cwd=PROJECT, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=sink, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return process, said

    def run(self, before: str, command: str) -> str:
        """To the end, which must be exit code 0; what it said."""
        process, said = self._start(before, command)
        try:
            code = process.wait(PATIENCE)
        finally:
            _end(process)
        assert code == 0, f"{command} ended with {code}:\n{said.read_text()[-3000:]}"
        return said.read_text()

    def keep_running(self, before: str, command: str, effect: Callable[[], object]) -> None:
        """In the background, from the moment its effect shows."""
        process, said = self._start(before, command)
        self._running[command] = process, said
        deadline = time.monotonic() + PATIENCE
        while not effect():
            assert process.poll() is None, f"{command} ended by itself:\n{said.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"{command} has shown no effect:\n{said.read_text()[-3000:]}"
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.2)

    def menu(self, before: str, command: str) -> None:
        """On a terminal, as a person would: the menu opens, ``q`` leaves it."""
        shell, *arguments = self._shell(before, command)
        child = pexpect.spawn(shell, arguments, cwd=str(PROJECT), env=self.environment, timeout=60)  # type: ignore[arg-type]
        try:
            child.expect("q leave")
            child.sendline("q")
            child.expect(pexpect.EOF)
        finally:
            child.close()
        assert child.exitstatus == 0

    def stop(self, *commands: str) -> None:
        """SIGTERM, in the order given (default: the last started first); each must end with exit code 0."""
        for command in commands or [*reversed(self._running)]:
            process, said = self._running.pop(command)
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(PATIENCE)
            finally:
                _end(process)
            assert code == 0, f"{command} stopped with {code}:\n{said.read_text()[-3000:]}"

    def abandon(self) -> None:
        """Leave nothing behind when a step has failed."""
        for process, _ in self._running.values():
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _sent(config: Config) -> int:
    return sum(end for _, end in earliest_and_latest_offsets(config).values())


def _built(config: Config) -> bool:
    return any(row["etat"] == "fin" for row in producer_truth.held(GENERATIONS, config.delta.base_path))


BROKER = "python setup_utils.py kafka"
PRODUCER = "python producer_ventes.py"
BRONZE = "python spark_streaming_delta.py"
SILVER = "python streaming_silver.py --every 60"
WHOLE = "python setup_utils.py run"
DASHBOARD = "python dashboard.py"
MENU = "python query_utils.py"
VERIFY = "python streaming_silver.py --verify"

# What runs until stopped, and the effect that shows that it works.
EFFECTS: dict[str, Callable[[Terminals], object]] = {
    BROKER: lambda t: answers(t.first) and "Kafka answers" in (t._running[BROKER][1].read_text()),
    PRODUCER: lambda t: _sent(t.first),
    BRONZE: lambda t: producer_truth.held(VENTES, t.first.delta.base_path),
    SILVER: lambda t: _built(t.first),
    DASHBOARD: lambda t: f"http://127.0.0.1:{t.dashboard_port}/" in t._running[DASHBOARD][1].read_text(),
    WHOLE: lambda t: _built(t.second),
}
# What a command's output must hold.
ANSWERS = {
    "python setup_utils.py check": "Nothing is missing",
    "python setup_utils.py topic": "ventes_stream: exists",
    "python query_utils.py --batch": "Revenue by country",
    VERIFY: "Silver equals the full recompute of Bronze, cell by cell.",
    "python query_utils.py row-counts": "ventes_stream",
    "python ops_utils.py reconcile": "Everything that was consumed is accounted for, and Silver equals Bronze.",
    "python ops_utils.py status": "stopped",
}


@pytest.mark.timeout(1500)
def test_every_command_of_the_quickstart_works(tmp_path: Path) -> None:
    terminals = Terminals(tmp_path)
    done: list[str] = []
    try:
        for section in sections((PROJECT / "QUICKSTART.md").read_text(encoding="utf-8")):
            for before, command in section.commands:
                if command == VERIFY:
                    terminals.stop(SILVER, BRONZE, PRODUCER)  # as the document says there
                if command.startswith("make "):
                    terminals.run(before, command.replace("make ", "make -n ", 1))
                elif command == MENU:
                    terminals.menu(before, command)
                elif command in EFFECTS:
                    terminals.keep_running(before, command, lambda command=command: EFFECTS[command](terminals))
                else:
                    assert ANSWERS.get(command, "") in terminals.run(before, command)
                done.append(command)
        assert set(EFFECTS) | set(ANSWERS) | {MENU} <= set(done), "the document has lost a command"
        assert sum("spark-submit" in command for command in done) == 2
        _assert_all_sales_are_there(terminals.first)
        terminals.stop()
    finally:
        terminals.abandon()


def _assert_all_sales_are_there(config: Config) -> None:
    """Through Ctrl-C, plain python and spark-submit: what Kafka holds is in Bronze once, and all of it in Silver."""
    base = config.delta.base_path
    sales = producer_truth.held(VENTES, base)
    assert len(sales) == len({row["vente_id"] for row in sales}) == _sent(config)
    assert not producer_truth.held(REJETS, base)
    assert sum(row["total_transactions"] for row in producer_truth.held(PAR_PAYS, base)) == len(sales)


def test_the_blocks_are_read_in_order_with_their_assignments() -> None:
    text = "intro\n\n## One\n\n```bash\nmake setup\n. venv\nexport A=1\nfirst\n```\n\n```bash\nsecond\n```\n\n## Two\n"
    one, two = sections(text)
    assert one.commands == [("", "make setup"), (". venv && export A=1 && ", "first"), ("", "second")]
    assert two == Section("Two")
