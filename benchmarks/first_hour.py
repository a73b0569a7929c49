"""A new user's first minutes, as shares: packages, Java, JARs, start, first sale, first Silver figure; then the second start.

The project is copied without ``.venv`` and ``.cache`` and set up there from nothing; what the package manager's own cache
holds is used, as on a user's machine. Both runs are ``setup_utils.py run``, which ``make run`` is, in that copy.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lakehouse.child_processes import end_group
from lakehouse.config import PROJECT
from lakehouse.contract.tables import PAR_PAYS, VENTES
from lakehouse.errors import LakehouseError
from lakehouse.kafka.broker.properties import free_port
from lakehouse.observability.metrics import PROCESSES

PATIENCE = 900.0
"""Seconds until a figure must be there; a bound for a run that never comes so far, no goal."""
_COPIED = ("Makefile", "config.ini", "Procfile", "pyproject.toml", "check_setup.sh")
_STEP = re.compile(r"^(\d)/4 (Python packages|Java|JARs)[^:]*: done in (\d+) s$", re.MULTILINE)


def clone(folder: Path) -> Path:
    """The project as it is cloned: scripts, package, locks."""
    shutil.copytree(PROJECT / "lakehouse", folder / "lakehouse", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (
        *PROJECT.glob("*.py"),
        *PROJECT.glob("*.lock"),
        *PROJECT.glob("*.txt"),
        *(PROJECT / n for n in _COPIED),
    ):
        shutil.copy(path, folder)
    return folder


def shares(said: str) -> dict[str, float]:
    """Seconds of each kind of set-up step, from what ``setup.install`` printed. Steps that ran beside each other overlap."""
    found = {"packages": 0.0, "Java": 0.0, "JARs": 0.0}
    for _, what, seconds in _STEP.findall(said):
        found["packages" if what == "Python packages" else what] += float(seconds)
    return found


def _environment(home: Path) -> dict[str, str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("VENTES_")}
    ports = {f"VENTES_MONITORING__{name.upper()}_METRICS_PORT": "0" for name in PROCESSES}
    return {
        **clean, **ports,
        "VENTES_DELTA__BASE_PATH": str(home / "data"),
        "VENTES_KAFKA__BOOTSTRAP_SERVERS": f"localhost:{free_port()}",
        "VENTES_MONITORING__DASHBOARD_PORT": str(free_port()),
    }  # fmt: skip


@contextmanager
def _running(project: Path, environment: Mapping[str, str], log: Path) -> Iterator[Callable[[], str]]:
    """``make run`` without set-up, in a session of its own; it is stopped as Ctrl-C stops it. Gives what it has said."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [str(project / ".venv" / "bin" / "python"), "setup_utils.py", "run"], cwd=project, env=environment,
            stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

        def said() -> str:
            if process.poll() is not None:
                raise LakehouseError(f"make run ended with {process.returncode}:\n{log.read_text()[-2000:]}")
            return log.read_text(encoding="utf-8", errors="replace")

        try:
            yield said
        finally:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(120)
            end_group(process.pid, 1.0)


def _commits(table: Path) -> int:
    """The commits in a table's log that add rows; the making of a table may, or may not, be one of them."""
    return sum('"add":{' in entry.read_text(encoding="utf-8") for entry in (table / "_delta_log").glob("0*.json"))


def start_shares(project: Path, environment: Mapping[str, str], log: Path) -> dict[str, float]:
    """Seconds from the command until all processes are started, the first new commit of Bronze, the first of Silver."""
    base = environment["VENTES_DELTA__BASE_PATH"]
    bronze, silver = Path(VENTES.path(base)), Path(PAR_PAYS.path(base))
    before = _commits(bronze), _commits(silver)
    began = time.monotonic()
    reached: dict[str, Callable[[str], bool]] = {
        "start": lambda said: "running: " in said,
        "first sale": lambda _said: _commits(bronze) > before[0],
        "first Silver figure": lambda _said: _commits(silver) > before[1],
    }
    found: dict[str, float] = {}
    with _running(project, environment, log) as said:
        while len(found) < len(reached):
            text = said()
            for name, there in reached.items():
                if name not in found and there(text):
                    found[name] = time.monotonic() - began
            if time.monotonic() - began > PATIENCE:
                raise LakehouseError(f"after {PATIENCE:g} s there is no {', '.join(set(reached) - set(found))}")
            time.sleep(0.05)
    return found


def measure(home: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Both runs' shares, and the class archive's seconds between them."""
    project = clone_into(home)
    environment = _environment(home)
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "lakehouse.setup.install"], cwd=project, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise LakehouseError(f"set-up failed:\n{done.stderr[-2000:]}")
    cold = {**shares(done.stderr), "set-up": time.monotonic() - began}
    say(f"  set-up: {cold['set-up']:.0f} s")
    cold |= start_shares(project, environment, home / "first.log")
    say(f"  first run: first sale {cold['first sale']:.0f} s, first Silver figure {cold['first Silver figure']:.0f} s")
    began = time.monotonic()
    subprocess.run(
        [str(project / ".venv" / "bin" / "python"), "setup_utils.py", "archive"], cwd=project, env=environment,
        capture_output=True, check=True,
    )  # fmt: skip
    archive = time.monotonic() - began
    warm = start_shares(project, environment, home / "second.log")
    say(f"  second run: first sale {warm['first sale']:.0f} s, first Silver figure {warm['first Silver figure']:.0f} s")
    return {"tool": "uv" if "with uv" in done.stderr else "pip", "cold": cold, "archive": archive, "warm": warm}


def clone_into(home: Path) -> Path:
    """A new clone below ``home``."""
    (home / "data").mkdir(parents=True)
    return clone(home / "project")
