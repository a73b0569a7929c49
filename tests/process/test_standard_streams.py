"""What a caller does with a script's standard streams changes neither its exit code nor ends in a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import job_lake
from tests.unit.test_layers import MODULES, ROOT

COMMANDS = {
    "help": (("query_utils.py", "--help"), 0),
    "question": (("query_utils.py", "row-counts"), 0),
    "report": (("query_utils.py", "--batch"), 0),
    "table": (("query_utils.py", "ventes_stream", "--limit", "0", "--format", "csv"), 0),
    "sql": (("query_utils.py", "--sql", "SELECT pays FROM ventes_stream"), 0),
    "no such question": (("query_utils.py", "nonsense"), 2),
    "status": (("ops_utils.py", "status"), 0),
    "verb": (("ops_utils.py", "history", "ventes_stream"), 0),
    "verb in json": (("ops_utils.py", "maintain", "--dry-run", "--json"), 0),
    "verb that finds a difference": (("ops_utils.py", "audit", "verify", "--head", "0" * 64), 1),
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    base = str(tmp_path_factory.mktemp("streams") / "lake")
    job_lake.build(base)
    return {**os.environ, "VENTES_DELTA__BASE_PATH": base}


def without_reader(
    words: list[str], env: dict[str, str], *, also_errors: bool = False
) -> subprocess.CompletedProcess[str]:
    """As ``script | true``, whose reader has gone before the first line."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            words,
            cwd=ROOT,
            env=env,
            stdout=writer,
            stderr=writer if also_errors else subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)


def by_shell(redirection: str) -> Callable[[list[str], dict[str, str]], subprocess.CompletedProcess[str]]:
    def started(words: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        command = ["sh", "-c", f'exec "$@" {redirection}', "sh", *words]
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)

    return started


MODES = {
    "no reader": without_reader,
    "no reader of anything": lambda words, env: without_reader(words, env, also_errors=True),
    "closed output": by_shell(">&-"),
    "all closed": by_shell("<&- >&- 2>&-"),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", COMMANDS)
def test_the_exit_code_is_that_of_the_work(lake: dict[str, str], name: str, mode: str) -> None:
    words, code = COMMANDS[name]
    done = MODES[mode]([sys.executable, *words], lake)
    assert "Traceback" not in (done.stderr or "") and "BrokenPipe" not in (done.stderr or ""), done.stderr
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize("name", ["question", "report", "table", "verb in json"])
def test_an_output_that_is_not_all_there_is_a_failure(lake: dict[str, str], name: str) -> None:
    done = by_shell(">/dev/full")([sys.executable, *COMMANDS[name][0]], lake)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "disk is full" in done.stderr or "output cannot be written: No space left on device" in done.stderr


def test_every_console_on_stdout_is_ours() -> None:
    """rich's own ends the process with exit code 1 where the reader has gone."""
    made = {name for name, path in MODULES.items() if "Console(" in path.read_text(encoding="utf-8")}
    assert made == {"lakehouse.jvm.jars"}  # on stderr; the class in lakehouse.cli is made without naming rich's


@pytest.mark.parametrize("script", sorted(path.name for path in ROOT.glob("*.py")))
def test_every_script_explains_itself_to_nobody(script: str) -> None:
    assert without_reader([sys.executable, script, "--help"], dict(os.environ)).returncode == 0
    assert Path(ROOT, script).exists()
