"""A round does what its plan found, number by number: ``maintain --dry-run`` and ``maintain`` make the same decisions."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psutil
import pytest

from lakehouse import config
from lakehouse.contract.tables import AGGREGES, REJETS, VENTES
from lakehouse.maintenance import retention, scheduler
from lakehouse.observability import provenance, run_files
from tests.support import job_lake
from tests.support.maintained import Run, age, rows, silver_has_all


def twice(base: str) -> None:
    """Each day of a few tables has two small files at least."""
    for number, spec in enumerate((VENTES, REJETS, AGGREGES)):
        held = rows(base, spec)
        moment = job_lake.CLOCK + timedelta(minutes=5 + number)
        job_lake.append(
            base, spec, [{**row, "vente_id": f"{row.get('vente_id')}-2"} for row in held], moment, 40 + number
        )


def keep_from_the_middle(base: str, patch: pytest.MonkeyPatch) -> None:
    """Retention takes half of the days, whose sales arrived on their own days."""
    days = sorted({row["jour"] for row in rows(base)})
    kept = str((datetime.now(UTC).date() - days[len(days) // 2]).days)
    patch.setattr(retention.Removal, "where", lambda self, alias="": f"{alias}jour < DATE '{self.day}'")
    patch.setenv("VENTES_KAFKA__RETENTION", "1 second")
    for what in ("BRONZE", "REJECTS", "SILVER"):
        patch.setenv(f"VENTES_DELTA__RETENTION_DAYS_{what}", kept)
    silver_has_all(base)


def old_files(base: str, _patch: pytest.MonkeyPatch) -> None:
    lakes_before = job_lake.table(base, VENTES)
    lakes_before.optimize.compact()
    age(base, VENTES, 8 * 24)


def few_versions(base: str, patch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        job_lake.append(
            base, REJETS, rows(base, REJETS)[:1], job_lake.CLOCK + timedelta(hours=1, seconds=number), 100 + number
        )
        if number % 10 == 9:
            job_lake.table(base, REJETS).create_checkpoint()
    patch.setenv("VENTES_DELTA__MAX_VERSIONS", "5")


STATES: dict[str, tuple[Callable[[str, pytest.MonkeyPatch], None], ...]] = {
    "small files": (), "retention": (keep_from_the_middle,), "dead files": (old_files,), "versions": (few_versions,),
    "all": (few_versions, old_files, keep_from_the_middle),
}  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_a_round_does_what_the_dry_run_said(run: Run, base: str, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    twice(base)
    for step in STATES[state]:
        step(base, monkeypatch)
    said = json.loads(run("maintain", "--dry-run", "--json")[1])["jobs"]
    planned = {job: scheduler.plan(config.load(), job) for job in ("bronze", "silver")}
    code, out = run("maintain", "--yes", "--json")
    assert code == 0
    done = json.loads(out)["done"]
    for one in said:
        job = done[one["job"]]
        for table in one["tables"]:
            did = job["tables"][table["table"]]
            assert (did["dead"], did["log"]) == (table["dead_files"], table["log_files"]), table["table"]
            (small,) = [found.small for found in planned[one["job"]].tables if found.spec.name == table["table"]]
            assert table["to_merge"] == sum(part.files for part in small)
            assert did["merged"] == sum(part.files - 1 for part in small), table["table"]
        assert job["removed"] == {due["table"]: 0 if due["waits"] else due["rows"] for due in one["retention"]}
    again = json.loads(run("maintain", "--dry-run", "--json")[1])["jobs"]
    assert not any(table["to_merge"] for one in again for table in one["tables"])


@pytest.mark.usefixtures("base")
def test_the_dry_run_says_which_job_would_do_it_itself(run: Run) -> None:
    own = config.load()
    run_files.folder(own).mkdir(parents=True, exist_ok=True)
    facts = run_files.RunFile(
        "silver", "silver", os.getpid(), psutil.Process().create_time(), socket.gethostname(), "127.0.0.1", None, provenance.RUN_ID, "0", "x", datetime.now(UTC)
    )  # fmt: skip
    run_files.write(own, facts)
    code, out = run("maintain", "--dry-run")
    assert code == 0 and "The silver job runs and maintains its own tables" in out
    assert "The bronze job runs" not in out
    run_files.write(own, dataclasses.replace(facts, ended=datetime.now(UTC), exit_code=0, pid=2**22 - 1))
    assert "The silver job runs" not in run("maintain", "--dry-run")[1]
