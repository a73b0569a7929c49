"""SIGKILL of the Silver job on the local engine, between whichever two steps: the next start makes it good."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse import config
from lakehouse.contract.tables import GENERATIONS, MEMBRES, SILVER, VENTES
from lakehouse.lake import delta_tables, job_progress
from lakehouse.silver.job import SilverJob
from lakehouse.silver.local_engine import LocalEngine
from tests.support import job_lake, lakes
from tests.support.kills import killed_at, killed_at_commit

ROWS = lakes.sales(120, days=4)
SINK = "lakehouse.silver.local_sink:LocalSink"
CHECKPOINT = "lakehouse.lake.local_checkpoint:LocalCheckpoint"

PASS = [
    (f"{CHECKPOINT}.plan", 1, "before"),
    (f"{CHECKPOINT}._create", 1, "after"),  # the query's id stands, and no plan
    (f"{CHECKPOINT}.plan", 1, "after"),
    (f"{SINK}._record", 1, "after"),
    (f"{SINK}._append", 2, "after"),
    (f"{SINK}._merge", 1, "before"),
    (f"{SINK}._committed", 4, "before"),  # a table's commit stands, and no checksum beside it
    (f"{SINK}._merge", 4, "after"),
    (f"{SINK}._merge", len(SILVER), "after"),
    (f"{CHECKPOINT}.finish", 1, "after"),
]
BUILD = [
    ("lakehouse.silver.local_engine:LocalEngine.record", 1, "after"),
    (f"{SINK}._replace", 1, "after"),
    (f"{SINK}._replace", 5, "after"),
    ("lakehouse.silver.local_engine:LocalEngine.record", 2, "before"),
]


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, text in {"DELTA__BASE_PATH": str(tmp_path / "lake"), "ANALYTICS__ENGINE": "local"}.items():
        monkeypatch.setenv(f"VENTES_{name}", text)
    for process in ("SILVER",):
        monkeypatch.setenv(f"VENTES_MONITORING__{process}_METRICS_PORT", "0")
    return str(tmp_path / "lake")


def run() -> None:
    assert SilverJob(config.load()).run() == 0


def exact() -> bool:
    settings = config.load()
    job = SilverJob(settings)
    position = job_progress.silver(settings)
    return position is not None and position.settled and job._verify(LocalEngine(settings, job._entries), 20) == []


def bronze(base: str, rows: list[lakes.Row], batch: int) -> None:
    job_lake.append(base, VENTES, rows, job_lake.CLOCK, batch)


@pytest.mark.parametrize(("function", "number", "when"), PASS)
def test_a_pass_that_was_killed_is_taken_up_again(base: str, function: str, number: int, when: str) -> None:
    bronze(base, ROWS[:50], 0)
    run()
    bronze(base, ROWS[50:80], 1)
    killed_at(base, function, [], number=number, when=when, script="streaming_silver")
    bronze(base, ROWS[80:], 2)
    run()
    assert exact()
    settings = config.load()
    for spec in (*SILVER, MEMBRES):
        commits = [each for each in delta_tables.opened(spec, settings).history() if "silver batch" in str(each)]
        assert len(commits) == len({str(each["userMetadata"]).split('"batch"')[1][:4] for each in commits}) <= 2


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 4, len(SILVER)])
def test_a_pass_that_was_killed_within_a_merge_is_taken_up_again(base: str, number: int, when: str) -> None:
    bronze(base, ROWS[:50], 0)
    run()
    bronze(base, ROWS[50:80], 1)
    killed_at_commit(base, [], '"operation":"MERGE"', number, when, script="streaming_silver.py")
    assert not exact(), "the kill met no merge"
    bronze(base, ROWS[80:], 2)
    run()
    assert exact()


@pytest.mark.parametrize(("function", "number", "when"), BUILD)
def test_a_build_that_was_killed_is_finished(base: str, function: str, number: int, when: str) -> None:
    bronze(base, ROWS[:50], 0)
    killed_at(base, function, [], number=number, when=when, script="streaming_silver")
    bronze(base, ROWS[50:], 1)
    run()
    assert exact()
    states = lakes.contents(delta_tables.opened(GENERATIONS, config.load())).to_pylist()
    assert sorted(row["etat"] for row in states) == ["debut", "fin"] and len({row["generation"] for row in states}) == 1
