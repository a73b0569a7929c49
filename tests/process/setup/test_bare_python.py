"""Before set-up: every script under a Python that is too old, or has no packages, ends with one sentence and code 2."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.config import PROJECT
from tests.support.clones import clone

OLDEST_SYNTAX = (3, 8)
SCRIPTS = sorted(path.name for path in PROJECT.glob("*.py"))
BARE = ["-S", "-E", "-s"]
"""Options of Python without any installed package."""


def interpreters() -> Iterator[str]:
    """This Python, and every other one of 3.8 or newer that is installed here."""
    yield sys._base_executable  # type: ignore[attr-defined]
    managed = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(8, 20):
        found = [shutil.which(f"python3.{minor}"), *map(str, sorted(managed.glob(f"3.{minor}.*/bin/python")))]
        for python in filter(None, found):
            asked = [python, *BARE, "-c", "import sys; print(sys.executable)"]
            done = subprocess.run(asked, capture_output=True, text=True, check=False)
            if done.returncode == 0:  # a version manager's link may stand for nothing, and is not the Python itself
                yield done.stdout.strip()
                break


FOUND = list(dict.fromkeys(interpreters()))
PYTHONS = list(dict.fromkeys([FOUND[0], *FOUND[1:][:1], FOUND[-1]]))
"""This one, the oldest and the newest."""


@pytest.fixture(scope="module", name="clone")
def fresh_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clone(tmp_path_factory.mktemp("clone") / "project")


def say(command: list[str], folder: Path) -> tuple[int, str, str]:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_says_in_one_sentence_what_is_missing(clone: Path, script: str, python: str) -> None:
    code, out, err = say([python, *BARE, script], clone)
    assert (code, out) == (2, "")
    assert err.startswith(f"{script}: ") and err.count("\n") == 1 and err.endswith(" Type: make setup\n")
    assert f"is missing in {python}." in err or "Python 3.11 or newer is needed, and this is 3." in err
    assert not (clone / "data").exists(), "it has begun something"


@pytest.mark.parametrize("python", PYTHONS)
def test_check_setup_says_it_with_whatever_python_there_is(clone: Path, tmp_path: Path, python: str) -> None:
    (tmp_path / "python3").write_text(f'#!/bin/sh\nexec "{python}" -S -E -s "$@"\n', encoding="utf-8")
    (tmp_path / "python3").chmod(0o755)
    for tool in ("sh", "dirname"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    done = subprocess.run(
        ["./check_setup.sh"], cwd=clone, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("setup_utils.py: ") and done.stderr.endswith(" Type: make setup\n")


def test_check_setup_without_any_python(clone: Path, tmp_path: Path) -> None:
    for tool in ("sh", "dirname"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    done = subprocess.run(
        ["./check_setup.sh"], cwd=clone, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stderr.startswith("check_setup.sh: Python 3.11 or newer is missing. Type: ")


def test_after_set_up_the_sentence_names_the_python_that_has_the_packages(clone: Path) -> None:
    place = clone / ".venv" / "bin"
    place.mkdir(parents=True)
    (place / "python").symlink_to(sys.executable)
    try:
        code, _, err = say([PYTHONS[0], *BARE, "ops_utils.py", "status", "--watch", "3"], clone)
        assert code == 2 and err.endswith(" Type: .venv/bin/python ops_utils.py status --watch 3\n")
    finally:
        shutil.rmtree(clone / ".venv")


@pytest.mark.parametrize("name", [*SCRIPTS, "lakehouse/entry_point.py", "lakehouse/__init__.py"])
def test_what_runs_before_set_up_is_the_standard_librarys_in_the_oldest_syntax(name: str) -> None:
    tree = ast.parse((PROJECT / name).read_text(encoding="utf-8"), feature_version=OLDEST_SYNTAX)
    for node in tree.body:
        if isinstance(node, ast.Import):
            assert all(alias.name.split(".")[0] in sys.stdlib_module_names for alias in node.names), ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            assert module == "lakehouse.entry_point" or module.split(".")[0] in sys.stdlib_module_names, module


def test_a_missing_module_of_the_project_itself_is_a_fault_and_shown_whole() -> None:
    program = "from lakehouse.entry_point import execute\ndef main():\n    import lakehouse.nonsense\nexecute(main)"
    code, _, err = say([sys.executable, "-c", program], PROJECT)
    assert code == 1 and "Traceback" in err and "lakehouse.nonsense" in err
