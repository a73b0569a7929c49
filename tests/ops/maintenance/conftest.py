"""A lake as the jobs leave it, to be maintained."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import job_lake
from tests.support.maintained import Run


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", str(tmp_path / "lake"))
    job_lake.build(str(tmp_path / "lake"))
    return str(tmp_path / "lake")


@pytest.fixture
def run(operate: Run) -> Run:
    return operate
