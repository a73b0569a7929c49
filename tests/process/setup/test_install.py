"""What set-up installs, in which order, and what it says: in a clone, with a uv that only records."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from lakehouse.config import PROJECT
from lakehouse.setup import install
from lakehouse.setup.supply_chain import normal, pins
from lakehouse.status_line import StatusLine
from tests.support.clones import clone

UV = """#!{python}
import json, pathlib, sys
arguments = sys.argv[1:]
lock = pathlib.Path(arguments[-1]).read_text()
with open({record!r}, "a") as file:
    file.write(json.dumps([arguments, lock]) + chr(10))
venv = pathlib.Path(arguments[arguments.index("--python") + 1]).parents[1]
(place,) = venv.glob("lib/python*/site-packages")
(place / "all.pth").write_text({packages!r})
print("Installed")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return clone(tmp_path / "project")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A uv that notes what it is asked to install, and lends the packages of this Python instead."""
    tools = tmp_path / "tools"
    tools.mkdir()
    text = UV.format(python=sys.executable, record=str(tmp_path / "asked"), packages=sysconfig.get_paths()["purelib"])
    (tools / "uv").write_text(text, encoding="utf-8")
    (tools / "uv").chmod(0o755)
    cache = {"VENTES_DEVELOPMENT__CACHE_DIR": str(PROJECT / ".cache")}
    return {**os.environ, **cache, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}


def asked(tmp_path: Path) -> list[tuple[list[str], str]]:
    return [json.loads(line) for line in (tmp_path / "asked").read_text(encoding="utf-8").splitlines()]


def test_make_run_and_make_demo_install_the_runtime_packages_and_no_other(
    project: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    for target in ("run", "demo"):
        planned = subprocess.run(
            ["make", "-n", target, f"PYTHON={sys.executable}"], cwd=project, env=environment, capture_output=True, text=True,
            check=True,
        ).stdout  # fmt: skip
        assert planned.count("-m lakehouse.setup.install\n") == 1 and "--development" not in planned
        assert "archive" not in planned, "nobody waits for the class archive"
    done = subprocess.run(
        ["make", "setup", f"PYTHON={sys.executable}"], cwd=project, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    commands = asked(tmp_path)
    assert all("--require-hashes" in arguments for arguments, _ in commands)
    entries = {name: entry for _, lock in commands for name, entry in install.entries(lock).items()}
    assert all("--hash=sha256:" in entry for entry in entries.values())
    runtime = {pin.name for pin in pins(PROJECT / "requirements.txt")}
    assert {normal(name) for name in entries} == runtime | {"setuptools"}
    assert len(entries) == 40
    for step in ("1/4 Python packages: 39 into .venv with uv", "2/4 Java", "3/4 JARs", "4/4 Ready"):
        assert step in done.stderr, done.stderr
    again = subprocess.run(
        ["make", "-n", "run", f"PYTHON={sys.executable}"], cwd=project, capture_output=True, text=True
    )
    assert "install" not in again.stdout, "a second start installs nothing"


def test_the_jars_wait_for_no_package_that_fetching_them_does_not_need() -> None:
    """Fetching the JARs imports what the first packages hold, and no more."""
    lock = (PROJECT / install.RUNTIME).read_text(encoding="utf-8")
    first = install.entries(install.excerpt(lock, install.FETCHES_JARS))
    assert set(install.FETCHES_JARS) - set(first) == {"setuptools"}, "the build lock brings it"
    code = "import sys, lakehouse.jvm.jars, lakehouse.jvm.java, pyspark; print(*{n.split('.')[0] for n in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    modules = {"markdown_it": "markdown-it-py"}
    others = {normal(pin.name) for pin in pins(PROJECT / install.RUNTIME)} - set(first)
    assert not {modules.get(name, name) for name in map(normal, loaded.split())} & others


def test_on_a_terminal_the_progress_renews_itself(project: Path, environment: dict[str, str]) -> None:
    reading, writing = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "lakehouse.setup.install"], cwd=project, env=environment, stdin=writing, stdout=writing,
        stderr=writing, start_new_session=True,
    )  # fmt: skip
    os.close(writing)
    said = b""
    try:
        while block := os.read(reading, 4096):
            said += block
    except OSError:  # the terminal's other end is closed: the program has ended
        pass
    assert process.wait() == 0, said.decode()
    text = said.decode()
    renewed = re.findall(r"\r\x1b\[K(1/4 Python packages[^\r\n]*\(\d+ s\))", text)
    assert renewed, text
    assert "3/4 JARs" in text and text.rstrip().endswith("4/4 Ready: all that a run needs is there")


def test_a_step_that_fails_shows_its_last_lines_and_pip_tries_what_uv_could_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tools: list[str | None] = []

    class Setup(install.Setup):
        def run(self) -> None:
            tools.append(self._uv)
            self._wait(self._start("1/4 Python packages", [sys.executable, "-c", "print('no such host'); exit(7)"]))

    monkeypatch.setattr(install, "Setup", Setup)
    monkeypatch.setattr(install.shutil, "which", lambda _name: "/bin/uv")
    assert install.install(False, StatusLine()) == 1
    said = capsys.readouterr().err
    assert tools == ["/bin/uv", None]
    assert said.count("1/4 Python packages: failed with exit code 7. The last lines:\nno such host\n") == 2
    assert "uv could not, so pip tries." in said and said.rstrip().endswith("then type the same command again.")


def test_both_tools_check_every_hash() -> None:
    for uv in ("/bin/uv", None):
        command = install.installer(uv, Path("python"), Path("some.lock"))
        assert "--require-hashes" in command and command[-2:] == ["-r", "some.lock"]
