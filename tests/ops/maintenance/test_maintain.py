"""``maintain`` over real Delta tables: what it merges, removes and keeps, and that nothing that counts is changed by it."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from lakehouse import config
from lakehouse.contract.tables import REJETS, VENTES, TableSpec, checkpoint
from lakehouse.lake import writer_lock
from lakehouse.maintenance import scheduler
from tests.support import job_lake
from tests.support.kills import killed_at
from tests.support.maintained import Run, age, by_table, clean_record, on_disk, rows

# --- dead files, log entries, checkpoints ----------------------------------------------------------------------------


def test_dead_files_go_when_their_time_has_come_and_what_that_costs_is_said_before(run: Run, base: str) -> None:
    run("maintain", "bronze", "--json")
    before, files = rows(base), on_disk(base)
    assert by_table(run("maintain", "bronze", "--dry-run", "--json")[1])["ventes_stream"]["dead_files"] == 0
    age(base, VENTES, 8 * 24)  # [DELTA] deleted_file_retention is 7 days
    code, out = run("maintain", "bronze", "--dry-run", "--json")
    seen = by_table(out)["ventes_stream"]
    live = len(job_lake.table(base, VENTES).file_uris())
    assert code == 0 and seen["dead_files"] == files - live > 0 and seen["dead_bytes"] > 0
    assert seen["versions_lost"][0] == 0 and on_disk(base) == files
    assert "will be told that its files were removed" in run("maintain", "bronze", "--dry-run")[1]

    assert run("maintain", "bronze", "--json")[0] == 0
    assert (on_disk(base), rows(base)) == (live, before)
    with pytest.raises(Exception, match=r"not found|No such file"):
        DeltaTable(VENTES.path(base), version=0).to_pyarrow_table()


def test_a_file_that_no_version_names_yet_is_young_and_stays(run: Run, base: str) -> None:
    orphan = Path(VENTES.path(base), "jour=2026-11-10", "part-9.parquet")
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"x")
    assert run("maintain", "bronze", "--json")[0] == 0 and orphan.exists()


def test_what_silver_has_not_taken_in_yet_is_kept_for_it(run: Run, base: str) -> None:
    job_lake.append(base, VENTES, [{**rows(base)[0], "vente_id": "new"}], job_lake.CLOCK + timedelta(minutes=5), 2)
    run("maintain", "bronze", "--json")
    age(base, VENTES, 8 * 24)
    seen = by_table(run("maintain", "bronze", "--dry-run", "--json")[1])["ventes_stream"]
    assert "Silver has merged version 1" in seen["held"]
    assert (seen["dead_files"], seen["versions_lost"]) == (0, None)
    folder = Path(checkpoint(base, "silver-g1"))
    (folder / "commits").mkdir(parents=True)
    (folder / "commits" / "0").write_text("v1\n{}")
    seen = by_table(run("maintain", "bronze", "--dry-run", "--json")[1])["ventes_stream"]
    assert "cannot be read" in seen["held"] and seen["dead_files"] == 0


def many_commits(base: str, spec: TableSpec, count: int, every: int = 10) -> None:
    row = rows(base, spec)[0]
    for number in range(count):
        job_lake.append(base, spec, [row], job_lake.CLOCK + timedelta(hours=1, seconds=number), 100 + number)
        if number % every == 0:
            DeltaTable(spec.path(base)).create_checkpoint()


def log_files(base: str, spec: TableSpec) -> list[int]:
    return sorted(int(path.name[:20]) for path in Path(spec.path(base), "_delta_log").glob("0*.json"))


def test_the_log_keeps_as_many_versions_as_the_settings_say_and_each_can_be_opened(
    run: Run, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_commits(base, REJETS, 60)
    before = rows(base, REJETS)
    monkeypatch.setenv("VENTES_DELTA__MAX_VERSIONS", "20")
    newest = job_lake.table(base, REJETS).version()
    assert run("maintain", "bronze", "--json")[0] == 0
    kept = log_files(base, REJETS)
    now = job_lake.table(base, REJETS).version()
    assert kept == list(range(kept[0], now + 1)), "the log has a gap"
    assert newest - 20 - 10 <= kept[0] <= newest - 20
    assert rows(base, REJETS) == before
    assert DeltaTable(REJETS.path(base), version=newest - 20).version() == newest - 20
    assert not [path for path in Path(REJETS.path(base), "_delta_log").iterdir() if path.name[:20] < f"{kept[0]:020}"]


@pytest.mark.parametrize(
    ("function", "number"), [("lakehouse.maintenance.compaction:_forget_removed_files", 1), ("pathlib:Path.unlink", 9)]
)
def test_a_clean_up_that_is_killed_leaves_a_log_without_a_gap_and_can_be_repeated(
    run: Run, base: str, monkeypatch: pytest.MonkeyPatch, function: str, number: int
) -> None:
    many_commits(base, REJETS, 60)
    before = rows(base, REJETS)
    monkeypatch.setenv("VENTES_DELTA__MAX_VERSIONS", "20")
    killed_at(base, function, ["maintain", "bronze"], number=number)
    kept = log_files(base, REJETS)
    assert kept == list(range(kept[0], kept[-1] + 1)) and rows(base, REJETS) == before
    assert run("maintain", "bronze", "--json")[0] == 0
    assert len(log_files(base, REJETS)) <= 20 + 10 + 10 and rows(base, REJETS) == before


def test_checkpoints_that_no_query_goes_on_from_go_when_they_are_old(run: Run, base: str) -> None:
    folder = Path(checkpoint(base, "bronze")).parent
    old = [
        folder / "bronze.broken-20260101T000000Z",
        folder / "silver-abc",
        folder / "silver-abc.broken-20260101T000000Z",
    ]
    for path in (*old, folder / "silver-g1", folder / "mine"):
        (path / "state").mkdir(parents=True)
        os.utime(path, (time.time() - 8 * 86400,) * 2)
    (folder / "silver-def").mkdir()
    assert run("maintain", "--json")[0] == 0
    assert sorted(path.name for path in folder.iterdir()) == ["bronze", "mine", "silver-def", "silver-g1"]


# --- beside the jobs -------------------------------------------------------------------------------------------------


def test_a_running_job_does_its_own_tables_and_the_command_says_so(run: Run, base: str) -> None:
    with writer_lock.writer_lock(config.load(), "bronze"):
        code, out = run("maintain", "--json")
        assert code == 0 and json.loads(out)["running"] == ["bronze"] and list(json.loads(out)["done"]) == ["silver"]
        assert run("maintain", "bronze", "--dry-run")[0] == 0, "looking is no writing"
        code, out = run("maintain", "bronze")
    assert rows(base)
    assert code == 4 and "The bronze job runs and maintains its own tables between two batches (every 1 hour)" in out


def test_a_job_does_its_round_when_one_is_due_and_goes_on_when_it_fails(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENTES_DELTA__MAINTENANCE_INTERVAL", "10 ms")
    schedule = scheduler.Schedule(config.load(), "bronze")
    files = len(job_lake.table(base, VENTES).file_uris())
    time.sleep(0.02)
    assert schedule.between_batches() and len(job_lake.table(base, VENTES).file_uris()) < files
    monkeypatch.setattr(scheduler, "run", lambda *_: (_ for _ in ()).throw(OSError("injected")))
    time.sleep(0.02)
    assert schedule.between_batches()
    for interval in ("0 ms", "1 hour"):
        monkeypatch.setenv("VENTES_DELTA__MAINTENANCE_INTERVAL", interval)
        assert not scheduler.Schedule(config.load(), "bronze").between_batches()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_maintenance_that_is_killed_can_be_repeated(run: Run, base: str, when: str) -> None:
    before = rows(base)
    killed_at(base, "lakehouse.maintenance.compaction:_compact", ["maintain", "bronze"], when=when)
    assert rows(base) == before
    assert run("maintain", "bronze")[0] == 0
    assert rows(base) == before and clean_record(run)
    assert len(job_lake.table(base, VENTES).file_uris()) == len({row["jour"] for row in before})


def test_rounds_between_one_second_batches_keep_the_number_of_files_bounded(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reduced: benchmarks/maintenance.py runs a whole day. After each round the table is no larger than after the first."""
    monkeypatch.setenv("VENTES_DELTA__MAX_VERSIONS", "30")
    found = []
    for _ in range(4):
        many_commits(base, REJETS, 50)
        age(base, REJETS, 24)
        scheduler.run(config.load(), "bronze")
        log = Path(REJETS.path(base), "_delta_log")
        found.append((len(job_lake.table(base, REJETS).file_uris()), len(list(log.iterdir()))))
    days = len({row["jour"] for row in rows(base, REJETS)})
    assert all(live <= days and entries <= 60 for live, entries in found), found
