"""The resources of a command that is measured, whose child outlives it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.measured import Measured
from lakehouse.config import PROJECT
from lakehouse.errors import LakehouseError


def started(script: str, log: Path) -> Measured:
    return Measured([sys.executable, "-c", script], env=os.environ, folder=log.parent, log=log, inherits=False)


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are inherited on Linux only")
def test_an_orphan_is_in_the_account(tmp_path: Path) -> None:
    """As Spark's JVM: it outlives its parent, which never waits for it. In a process of its own: pytest inherits none."""
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {burn!r}])"
    measure = (
        "import os, sys\nfrom pathlib import Path\nfrom benchmarks.measured import Measured, inherit_orphans\n"
        f"command, folder = [sys.executable, '-c', {parent!r}], Path({str(tmp_path)!r})\n"
        "with Measured(command, env=os.environ, folder=folder, log=folder / 'log', inherits=inherit_orphans()) as child:\n"
        "    usage = child.wait(60)\n"
        "print(usage.cpu_seconds, usage.peak_mb)"
    )
    done = subprocess.run([sys.executable, "-c", measure], cwd=PROJECT, capture_output=True, text=True, check=True)
    cpu_seconds, peak_mb = map(float, done.stdout.split())
    assert cpu_seconds >= 0.5
    assert peak_mb > 1


def test_nothing_is_left_of_a_command_that_is_given_up(tmp_path: Path) -> None:
    sleep = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    script = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {sleep!r}]); {sleep}"
    log = tmp_path / "stubborn.log"
    with started(script, log) as child:
        while log.read_text().count("up") < 2:
            time.sleep(0.02)
        session = child._process.pid
        with pytest.raises(LakehouseError, match=r"stubborn was stopped after 0 s. Its last lines:\n  up\n  up"):
            child.wait(0)
    left = [process for process in psutil.process_iter() if _session(process.pid) == session]
    assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []


def test_a_command_that_fails_shows_its_last_lines(tmp_path: Path) -> None:
    with (
        started("import sys; print('the reason'); sys.exit(3)", tmp_path / "ours.log") as child,
        pytest.raises(LakehouseError, match=r"ours ended with exit code 3. Its last lines:\n  the reason"),
    ):
        child.wait(60)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None
