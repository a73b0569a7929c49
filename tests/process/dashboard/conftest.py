"""A lake with hostile names, and the dashboard that serves it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.dashboard import (
    process_facts,
)
from tests.support import lakes
from tests.support.dashboard_lake import FORMULA, SCRIPT
from tests.support.dashboards import Served
from tests.support.dashboards import dashboard as serving


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A lake whose client 2 is a script and client 3 a formula."""
    made = str(tmp_path_factory.mktemp("lake"))
    rows = lakes.sales()
    for row in rows:
        row["client_nom"] = {2: SCRIPT, 3: FORMULA}.get(row["client_id"], row["client_nom"])
    lakes.build(made, rows)
    return made


@pytest.fixture(scope="module")
def served(base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(base, tmp_path_factory.mktemp("log") / "dashboard.log") as found:
        yield found


@pytest.fixture
def own(base: str, tmp_path: Path) -> str:
    shutil.copytree(base, tmp_path / "own")
    return str(tmp_path / "own")


# --- what the pages say about the pipeline ------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that are made here, not in the script, hear of no process unless a test says so."""
    monkeypatch.setattr(process_facts.status, "processes", lambda _: [])
    monkeypatch.setattr(process_facts, "MAX_AGE", -1.0)
