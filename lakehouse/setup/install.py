"""Installs what a run needs: the packages of a lock into ``.venv``, a Java, the JARs, each beside the others where it can be.

    python -m lakehouse.setup.install                  what make run and make demo need
    python -m lakehouse.setup.install --development    the packages of make test and make lint instead

Only the standard library, since nothing is installed yet. uv installs where it stands, pip otherwise, both against the
hashes of the lock. Exit codes: 0 all is there, 1 a step failed (its last lines are shown), 130 interrupted.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

from lakehouse.status_line import StatusLine

PROJECT = Path(__file__).resolve().parents[2]
VENV = PROJECT / ".venv"
BUILD, RUNTIME, DEVELOPMENT = "requirements-build.lock", "requirements.lock", "requirements-dev.lock"
FETCHES_JARS = ("pyspark", "py4j", "filelock", "rich", "markdown-it-py", "mdurl", "pygments", "setuptools")
"""Packages that fetching the JARs needs (Ivy lies inside pyspark). They come first, so that the rest comes beside the JARs."""
_SHOWN = 15


class Failed(Exception):
    """A step ended badly; the text is what to show."""


def venv_python(venv: Path = VENV) -> Path:
    """The Python of the virtual environment."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def entries(lock: str) -> dict[str, str]:
    """Name → its whole entry in the lock, hashes included."""
    parts = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)
    return {re.split("[=;<> ]", part, maxsplit=1)[0]: part for part in parts if "==" in part.split("\n", 1)[0]}


def excerpt(lock: str, names: Iterable[str]) -> str:
    """The lock's entries of these packages."""
    known = entries(lock)
    return "".join(known[name] for name in names if name in known)


def installer(uv: str | None, python: Path, requirements: Path, *, isolated: bool = False) -> list[str]:
    """The command that installs ``requirements``, every file by its hash."""
    chosen = (
        [uv, "pip", "install", "--python", str(python)]
        if uv
        else [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
    )
    return [*chosen, "--require-hashes", *([] if isolated else ["--no-build-isolation"]), "-r", str(requirements)]


class Step:
    """One program that runs in the background; its last line is its progress."""

    def __init__(self, title: str, commands: Sequence[Sequence[str]]) -> None:
        self.title = title
        self._commands = commands
        self._lines: deque[str] = deque(maxlen=_SHOWN)
        self._process: subprocess.Popen[str] | None = None
        self._began = time.monotonic()
        self.seconds = 0.0
        self.code: int | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        code = 0
        for command in self._commands:
            if self._stopped or code:
                break
            with subprocess.Popen(
                command, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, encoding="utf-8", errors="replace",
            ) as self._process:  # fmt: skip
                assert self._process.stdout is not None
                for line in self._process.stdout:
                    if line.strip():
                        self._lines.append(line.strip())
            code = self._process.returncode
        self.seconds = time.monotonic() - self._began
        self.code = code

    @property
    def progress(self) -> str:
        """``1/4 Python packages: Collecting pyarrow … (12 s)``."""
        last = f": {self._lines[-1]}" if self._lines else ""
        return f"{self.title}{last[:70]} ({time.monotonic() - self._began:.0f} s)"

    def stop(self) -> None:
        """End the program that runs, and begin no other."""
        self._stopped = True
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
        self._thread.join(10)

    def why(self) -> str:
        """The last lines of a step that failed."""
        return "\n".join([f"{self.title}: failed with exit code {self.code}. The last lines:", *self._lines])


class Setup:
    """One installation, with one line for each step."""

    def __init__(self, line: StatusLine, uv: str | None, development: bool) -> None:
        self._line, self._uv, self._development = line, uv, development
        self._running: list[Step] = []
        self._python = venv_python()

    def run(self) -> None:
        """All steps. Raises ``Failed``."""
        lock = (PROJECT / (DEVELOPMENT if self._development else RUNTIME)).read_text(encoding="utf-8")
        tool = "uv" if self._uv else "pip"
        self._line.say(
            f"1/4 Python packages: {len(entries(lock))} into .venv with {tool}, each checked by its hash (a minute or two; Spark "
            "is most of it)"
        )
        self._make_venv()
        with tempfile.TemporaryDirectory(prefix="lakehouse-setup-") as text:
            first = Path(text) / "first.txt"
            first.write_text(excerpt(lock, FETCHES_JARS), encoding="utf-8")
            packages = self._start(
                "1/4 Python packages",
                installer(self._uv, self._python, PROJECT / BUILD, isolated=True),
                installer(self._uv, self._python, first),
            )
            if self._development:
                self._wait(packages)
                self._wait(self._start(*self._all_packages(DEVELOPMENT)))
                return
            self._line.say("2/4 Java 17 or newer: the machine's, or one that is fetched (Spark and Kafka run on it)")
            # with the Python that runs now: to find a Java needs no package, and so waits for none
            java = self._start("2/4 Java", [sys.executable, "setup_utils.py", "java"])
            self._wait(packages, java, may_fail=java)
            rest = self._start(*self._all_packages(RUNTIME))
            if java.code:  # its last resort needs a package of ours
                self._wait(rest)
                self._wait(self._start("2/4 Java", [str(self._python), "setup_utils.py", "java"]))
            self._line.say("3/4 JARs: Kafka, Delta and Spark's connector, each checked by its hash (half a minute)")
            jars = self._start("3/4 JARs", [str(self._python), "-m", "lakehouse.jvm.jars"])
            self._wait(jars, *([] if rest.code == 0 else [rest]))
            self._wait(self._start("3/4 JARs, our own Java", [str(self._python), "setup_utils.py", "jars"]))
        self._line.say("4/4 Ready: all that a run needs is there")

    def _all_packages(self, lock: str) -> tuple[str, list[str]]:
        return "1/4 Python packages", installer(self._uv, self._python, PROJECT / lock)

    def _make_venv(self) -> None:
        if not self._python.is_file():
            self._wait(
                self._start(
                    "1/4 Python packages, .venv",
                    [sys.executable, "-m", "venv", *(["--without-pip"] if self._uv else []), str(VENV)],
                )
            )
        if self._uv is None and not any(VENV.glob("**/site-packages/pip/__init__.py")):
            self._wait(self._start("1/4 Python packages, pip", [str(self._python), "-m", "ensurepip"]))

    def _start(self, title: str, *commands: Sequence[str]) -> Step:
        step = Step(title, commands)
        self._running.append(step)
        return step

    def _wait(self, *steps: Step, may_fail: Step | None = None) -> None:
        while any(step.code is None for step in steps):
            self._line.show(" · ".join(step.progress for step in self._running if step.code is None))
            time.sleep(0.1)
        self._line.clear()
        for step in steps:
            self._running.remove(step)
            if step.code and step is not may_fail:
                raise Failed(step.why())
            if not step.code:
                self._line.say(f"{step.title}: done in {step.seconds:.0f} s")

    def stop(self) -> None:
        """End what runs."""
        for step in self._running:
            step.stop()


def install(development: bool, line: StatusLine) -> int:
    """Install all with uv, where there is one and it can; with pip otherwise. The exit code."""
    uv = shutil.which("uv")
    for tool in (uv, None) if uv else (None,):
        setup = Setup(line, tool, development)
        try:
            setup.run()
        except KeyboardInterrupt:
            setup.stop()
            line.clear()
            line.say("interrupted. What is installed stays; type the same command again to go on")
            return 130
        except Failed as failure:
            setup.stop()
            line.clear()
            if tool is None:
                line.say(f"{failure}\nCheck the network and the free disk, then type the same command again.")
                return 1
            line.say(f"{failure}\nuv could not, so pip tries.")
        else:
            return 0
    return 1


def main(argv: Sequence[str]) -> int:
    """See the module's docstring."""
    if list(argv) not in ([], ["--development"]):
        print(__doc__, file=sys.stderr)
        return 2
    return install(bool(argv), StatusLine(sys.stderr))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
