"""The supervisor with small shell children: order of stopping, new starts, giving up, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lakehouse.config import PROJECT
from lakehouse.errors import ConfigError, SetupError
from lakehouse.setup.procfile import read_procfile
from lakehouse.setup.supervisor import Limits, Supervisor, WhenIdle

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the children are shell scripts")
QUICK = Limits(stop=10, leftovers=1, ready=10, restarts=2, window=60, first_delay=0.01)


class Screen:
    """Keeps what is shown; ``when(text, act)`` acts once, as soon as a line holds the text."""

    def __init__(self) -> None:
        self.text = ""
        self._acts: list[tuple[str, Callable[[], None]]] = []

    def when(self, text: str, act: Callable[[], None]) -> None:
        self._acts.append((text, act))

    def write(self, text: str) -> None:
        self.text += text
        for entry in [entry for entry in self._acts if entry[0] in self.text]:
            self._acts.remove(entry)
            entry[1]()

    def flush(self) -> None:
        pass

    def at(self, text: str) -> int:
        assert text in self.text, self.text
        return self.text.index(text)


@pytest.fixture
def screen() -> Screen:
    return Screen()


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def patient(name: str) -> list[str]:
    """Runs until SIGTERM, then ends well."""
    return sh(f"trap 'echo {name} stops; exit 0' TERM; echo {name} ready; while :; do sleep 0.02; done")


def supervise(
    commands: dict[str, list[str]], screen: Screen, folder: Path, *, limits: Limits = QUICK, restart: bool = True,
    ready: Callable[[int], bool] = lambda _pid: True,
) -> Supervisor:  # fmt: skip
    return Supervisor(
        commands, env=os.environ, folder=folder, ready=ready, restart=restart, limits=limits, output=screen
    )


def interrupt(sign: signal.Signals = signal.SIGINT) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), sign)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_in_order_with_kafka_last_and_code_0(
    screen: Screen, tmp_path: Path, sign: signal.Signals
) -> None:
    screen.when("bronze ready", interrupt(sign))
    commands = {name: patient(name) for name in ("bronze", "kafka")}
    before = signal.getsignal(sign)
    served = supervise(commands, screen, tmp_path, ready=lambda _pid: "kafka ready" in screen.text)
    assert served.run() == 0
    assert screen.at("kafka ready") < screen.at("bronze ready"), "kafka starts first, wherever it stands"
    assert screen.at(f"{sign.name}: stopping bronze, kafka") < screen.at("bronze stops") < screen.at("kafka stops")
    assert signal.getsignal(sign) is before


def test_a_child_that_was_killed_starts_again(screen: Screen, tmp_path: Path) -> None:
    screen.when("second life", interrupt())
    once = sh("test -e mark || { touch mark; kill -9 $$; }; echo second life; while :; do sleep 0.02; done")
    assert supervise({"bronze": once}, screen, tmp_path).run() == 0
    assert "bronze was ended by SIGKILL: starting it again in 0.01 s" in screen.text


def test_what_a_killed_child_left_running_is_ended_before_the_new_start(screen: Screen, tmp_path: Path) -> None:
    script = "test -e jvm || { sleep 600 & echo $! > jvm; kill -9 $$; }; kill -0 $(cat jvm) 2>/dev/null && echo beside || echo alone"
    assert supervise({"bronze": sh(script)}, screen, tmp_path).run() == 0
    left = int((tmp_path / "jvm").read_text())
    deadline = time.monotonic() + 5
    while psutil.pid_exists(left) and psutil.Process(left).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline


@pytest.mark.parametrize("code", [2, 3, 4])
def test_a_child_that_needs_a_decision_stops_all_with_its_code(screen: Screen, tmp_path: Path, code: int) -> None:
    commands = {"kafka": patient("kafka"), "producer": patient("producer"), "bronze": sh(f"echo why; exit {code}")}
    assert supervise(commands, screen, tmp_path).run() == code
    assert screen.at("why") < screen.at(f"bronze ended with code {code}: it needs you")
    assert "kafka stops" in screen.text


def test_a_child_that_keeps_dying_gives_up(screen: Screen, tmp_path: Path) -> None:
    assert supervise({"bronze": sh("echo life; exit 1")}, screen, tmp_path).run() == 1
    assert screen.text.count("life") == 3, "the first start and two new ones"
    assert "in 0.01 s" in screen.text and "in 0.02 s" in screen.text, "each pause is twice the last"
    assert "bronze ended with code 1, after 2 new starts" in screen.text


def test_without_restarts_the_first_death_stops_all(screen: Screen, tmp_path: Path) -> None:
    assert supervise({"bronze": sh("exit 1")}, screen, tmp_path, restart=False).run() == 1
    assert "restart_children is false" in screen.text


def test_children_that_end_well_are_reported_and_the_run_ends(screen: Screen, tmp_path: Path) -> None:
    assert supervise({"a": sh("printf 'no newline'"), "b": sh("exit 0")}, screen, tmp_path).run() == 0
    assert "no newline" in screen.text
    assert "a has finished" in screen.text and "b has finished" in screen.text


def test_kafka_that_ends_well_by_itself_is_started_again(screen: Screen, tmp_path: Path) -> None:
    screen.when("again", interrupt())
    once = sh(
        "test -e mark && { echo again; exec sleep 600; }; touch mark; while test ! -e go; do sleep 0.01; done; exit 0"
    )
    commands = {"kafka": once, "bronze": sh("touch go; exec sleep 600")}
    assert supervise(commands, screen, tmp_path).run() == 0
    assert "kafka ended with code 0: starting it again" in screen.text


def test_the_rest_waits_until_kafka_is_ready_and_stays_out_when_it_dies(screen: Screen, tmp_path: Path) -> None:
    asked: list[int] = []

    def ready(pid: int) -> bool:
        asked.append(pid)
        return False

    commands = {"kafka": sh("echo port taken; exit 1"), "bronze": sh("echo bronze runs")}
    assert supervise(commands, screen, tmp_path, ready=ready).run() == 1
    assert "port taken" in screen.text and "bronze runs" not in screen.text
    assert len(set(asked)) == 1, "it is asked about the very child that was started"


def test_a_child_that_ignores_sigterm_is_killed_after_the_bound(screen: Screen, tmp_path: Path) -> None:
    screen.when("deaf", interrupt())
    deaf = sh("trap '' TERM; echo deaf; while :; do sleep 0.02; done")
    assert supervise({"bronze": deaf}, screen, tmp_path, limits=Limits(stop=0.2, leftovers=0)).run() == 0
    assert "bronze: no end within 0.2 s, killed" in screen.text


def test_a_second_ctrl_c_says_who_is_awaited_and_kills_nobody(screen: Screen, tmp_path: Path) -> None:
    screen.when("slow ready", interrupt())
    screen.when("slow stops", interrupt())
    screen.when("still waiting for bronze", lambda: (tmp_path / "go").touch())
    slow = sh("trap 'echo slow stops; while test ! -e go; do sleep 0.02; done; echo in order; exit 0' TERM; "
              "echo slow ready; while :; do sleep 0.02; done")  # fmt: skip
    assert supervise({"bronze": slow}, screen, tmp_path).run() == 0
    assert "in order" in screen.text


def test_the_wait_for_a_stop_is_said_with_how_far_the_work_is_and_the_last_line_ends_it(
    screen: Screen, tmp_path: Path
) -> None:
    screen.when("silver ready", interrupt())
    screen.when("waiting for silver (3 of 6 tables)", lambda: (tmp_path / "go").touch())
    slow = sh(
        "trap 'while test ! -e go; do sleep 0.02; done; exit 0' TERM; echo silver ready; while :; do sleep 0.02; done"
    )
    served = Supervisor(
        {"silver": slow}, env=os.environ, folder=tmp_path, ready=lambda _pid: True, output=screen,
        limits=replace(QUICK, silent=0.01), stopping=lambda name: "3 of 6 tables" if name == "silver" else "",
        kept="the data is kept in data",
    )  # fmt: skip
    assert served.run() == 0
    assert screen.text.splitlines()[-1].endswith(" s; the data is kept in data")
    assert "make run | all has stopped, in " in screen.text.splitlines()[-1]


def test_the_status_stands_below_the_lines_and_is_printed_elsewhere_than_on_a_terminal_too(
    screen: Screen, tmp_path: Path
) -> None:
    screen.when("lag 0", interrupt())
    served = Supervisor(
        {"bronze": patient("bronze")}, env=os.environ, folder=tmp_path, ready=lambda _pid: True, output=screen,
        limits=replace(QUICK, silent=0.01), status=lambda: "lag 0",
    )  # fmt: skip
    assert served.run() == 0
    assert screen.text.count("lag 0\n") == 1


def test_work_for_an_idle_moment_runs_once_at_the_lowest_priority_and_a_stop_does_not_wait_for_it(
    screen: Screen, tmp_path: Path
) -> None:
    screen.when("idle has begun", interrupt())
    seen: list[bool] = []

    def due() -> bool:
        seen.append(True)
        return len(seen) > 2

    wait = "while test ! -s pid; do sleep 0.01; done; echo idle has begun; while :; do sleep 0.02; done"
    idle = sh("trap '' TERM; ps -o nice= -p $$ > nice; echo $$ > pid; exec sleep 600")
    served = Supervisor(
        {"bronze": sh(f"trap 'exit 0' TERM; {wait}")}, env=os.environ, folder=tmp_path, ready=lambda _pid: True,
        output=screen, limits=QUICK, when_idle=WhenIdle(idle, due, "archived in the background"),
    )  # fmt: skip
    assert served.run() == 0
    assert screen.text.count("archived in the background") == 1 and len(seen) == 3, "it is asked until it is due"
    assert (tmp_path / "nice").read_text().strip() == "19"
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_python_is_the_running_interpreter_and_its_lines_come_at_once(screen: Screen, tmp_path: Path) -> None:
    command = ["python", "-c", "import os, sys; print(sys.executable, os.environ['PYTHONUNBUFFERED'])"]
    assert supervise({"a": command}, screen, tmp_path).run() == 0
    assert f"{Path(sys.executable).parent}" in screen.text


def test_a_command_that_does_not_exist_stops_what_was_started(screen: Screen, tmp_path: Path) -> None:
    commands = {"kafka": patient("kafka"), "bronze": ["/no/such/program"]}
    with pytest.raises(SetupError, match=r"bronze: /no/such/program cannot be started"):
        supervise(commands, screen, tmp_path).run()
    assert screen.text.count("stops") <= 1 and "still waiting" not in screen.text


def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("the death signal is Linux's")
    code = (
        "import os, sys; from pathlib import Path; from lakehouse.setup.supervisor import Supervisor\n"
        "Supervisor({'a': ['sh', '-c', 'echo $$ > pid.tmp; mv pid.tmp pid; exec sleep 600']}, env=os.environ, "
        "folder=Path(sys.argv[1]), ready=lambda pid: True).run()"
    )
    root = PROJECT
    keeper = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=root)
    deadline = time.monotonic() + 20
    while not (tmp_path / "pid").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child = psutil.Process(int((tmp_path / "pid").read_text()))
    keeper.kill()
    keeper.wait()
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_the_projects_procfile_starts_kafka_and_the_three_jobs() -> None:
    commands = read_procfile(PROJECT / "Procfile")
    assert list(commands)[:4] == ["kafka", "producer", "bronze", "silver"]
    assert commands["bronze"] == ["python", "spark_streaming_delta.py"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# nothing\n", "names no process"),
        ("a: true\na: false\n", "must be unique"),
        ("a: echo 'open\n", "No closing quotation"),
    ],
)
def test_a_bad_procfile_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "Procfile").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_procfile(tmp_path / "Procfile")


def test_a_missing_procfile_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: No such file or directory\. Give one with --procfile"):
        read_procfile(tmp_path / "Procfile")
