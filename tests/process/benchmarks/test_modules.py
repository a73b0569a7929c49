"""Benchmarks that are typed as modules of their own: each runs to its end over a small lake."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from lakehouse.config import PROJECT


def _ran(module: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *words], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_reconciliation_of_a_made_lake_finds_everything() -> None:
    said = _ran("reconcile", "2_000")
    assert said.count("Everything that was consumed is accounted for, and Silver equals Bronze.") == 2
    assert "first run: 2,000 sales" in said and "after a signed record: 2,000 sales" in said


@pytest.mark.skipif(shutil.which("cc") is None, reason="cc is missing: the simulated clock is compiled")
def test_the_simulated_day_of_batches_has_a_round_in_it() -> None:
    (line, _) = _ran("maintenance", "--hours", "0.05").splitlines()
    version, live = (int(found) for found in re.findall(r"(?:version|live files) +(\d+)", line))
    assert version >= 180 and live <= 60, line
