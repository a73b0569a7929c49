"""``history`` and ``restore-table``: where each commit came from, and a rollback that leaves nothing half done."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse import config
from lakehouse.contract.table_properties import TOPIC_SINCE
from lakehouse.contract.tables import GENERATIONS, PAR_PAYS, REJETS, VENTES
from lakehouse.lake import job_progress, writer_lock
from lakehouse.observability import provenance
from lakehouse.observability.audit_log import AuditLog
from lakehouse.observability.provenance import read_origin
from tests.support import job_lake, lakes
from tests.support.kills import killed_at

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(operate: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("VENTES_KAFKA__BOOTSTRAP_SERVERS", "localhost:1")
    return operate


# --- history ---------------------------------------------------------------------------------------------------------


def test_history_shows_who_what_run_code_and_rows(run: Run, base: str) -> None:
    job_lake.build(base)
    job_lake.table(base, VENTES).delete("pays = 'Japon'")
    code, out = run("history", "ventes_stream", "--json")
    deleted, second, first = json.loads(out)["commits"]
    assert code == 0 and (first["added"], second["added"]) == (150, 150)
    assert (first["who"], first["what"], first["run"]) == (provenance.who(), "bronze batch 0", provenance.RUN_ID)
    assert first["code"] == provenance.code_version() and second["what"] == "bronze batch 1"
    japan = sum(row["pays"] == "Japon" for row in job_lake.placed(lakes.sales(300)))
    assert (deleted["operation"], deleted["who"], deleted["deleted"]) == ("DELETE", None, japan)
    assert "bronze batch 1" in run("history", "ventes_stream", "--limit", "2")[1]


def test_history_shows_the_rows_of_one_commit(run: Run, base: str) -> None:
    rows = job_lake.build(base)
    code, out = run("history", "ventes_stream", "--version", "0", "--json", "--limit", "1000")
    shown = json.loads(out)["rows"]
    assert code == 0 and {row["change"] for row in shown} == {"+"}
    assert {row["vente_id"] for row in shown} == {row["vente_id"] for row in rows[:150]}
    moments = {row["vente_id"]: row["timestamp"].isoformat().replace("+00:00", "Z") for row in rows[:150]}
    assert all(row["timestamp"] == moments[row["vente_id"]] for row in shown)
    table = job_lake.table(base, PAR_PAYS)
    table.update(updates={"items_sold": "items_sold + 5"}, predicate="pays = 'Japon'")
    table.optimize.compact()
    shown = json.loads(run("history", "ventes_par_pays", "--version", "1", "--json")[1])["rows"]
    assert [(row["change"], row["pays"]) for row in shown] in (
        [("-", "Japon"), ("+", "Japon")],
        [("+", "Japon"), ("-", "Japon")],
    )
    was, now = (next(row["items_sold"] for row in shown if row["change"] == sign) for sign in "-+")
    assert now - was == 5
    for dead in table.vacuum(retention_hours=0, dry_run=True, enforce_retention_duration=False):
        Path(PAR_PAYS.path(base), dead).unlink()
    code, out = run("history", "ventes_par_pays", "--version", "1")
    assert code == 1 and "can no longer be shown" in out
    code, out = run("history", "rejets_rejoues")
    assert code == 1 and "replays a reject" in out


@pytest.mark.parametrize("version", ["-1", "99"])
def test_a_version_that_never_was_is_not_said_to_have_been_cleaned_up(run: Run, base: str, version: str) -> None:
    job_lake.build(base)
    code, out = run("history", "ventes_stream", "--version", version)
    assert code == 1 and f"Version {version} of ventes_stream does not exist: the newest is 1." in out


@pytest.mark.parametrize(
    ("commit", "rows"),
    [
        ({"operation": "MERGE", "operationMetrics": {"numTargetRowsInserted": "2", "numTargetRowsUpdated": "3", "numTargetRowsDeleted": "0"}}, (2, 3, 0)),
        ({"operation": "WRITE", "operationMetrics": {"numOutputRows": "7"}}, (7, None, None)),
        ({"operation": "WRITE", "operationMetrics": {"num_added_rows": 7}}, (7, None, None)),
        ({"operation": "OPTIMIZE", "operationMetrics": {"numAddedFiles": "1"}}, (0, 0, 0)),
        ({"operation": "CONVERT"}, (None, None, None)),
    ],
)  # fmt: skip
def test_rows_are_read_from_what_each_writer_counts(commit: dict[str, Any], rows: tuple[int | None, ...]) -> None:
    origin = read_origin({**commit, "userMetadata": "by hand, no JSON"})
    assert (origin.added, origin.updated, origin.deleted) == rows
    assert origin.who is None and origin.rows_at() == (None, None)


# --- restore-table ---------------------------------------------------------------------------------------------------


def checkpoints(base: str) -> list[str]:
    return sorted(
        path.name.split("T")[0] for path in (Path(base) / "checkpoints").iterdir() if path.name.startswith("bronze")
    )


def states(base: str) -> list[str]:
    rows = lakes.contents(job_lake.table(base, GENERATIONS)).to_pylist()
    return [row["etat"] for row in sorted(rows, key=lambda row: row["date_etat"])]


def count(base: str, spec: Any = VENTES) -> int:
    return int(lakes.contents(job_lake.table(base, spec)).num_rows)


def test_a_dry_run_says_rows_and_what_follows_and_changes_nothing(run: Run, base: str) -> None:
    job_lake.build(base)
    code, out = run("restore-table", "ventes_stream", "--version", "0", "--dry-run")
    assert code == 0 and "goes from version 1 back to version 0: 150 rows leave it, 0 rows come back." in out
    assert (
        "reads the topic again" in out
        and "builds all six tables anew" in out
        and "it does not answer, or rows cannot be counted" in out
    )
    assert (count(base), states(base), checkpoints(base)) == (300, ["debut", "fin"], ["bronze"])
    code, out = run("restore-table", "ventes_stream", "--version", "0")
    assert code == 2 and "add --yes" in out and count(base) == 300


def test_a_restore_of_bronze_leaves_a_state_that_the_jobs_make_right(run: Run, base: str) -> None:
    job_lake.build(base)
    job_lake.table(base, VENTES).alter.set_table_properties(
        {TOPIC_SINCE: "topic-1 2026-01-01T00:00:00+00:00"}, raise_if_not_exists=False
    )
    code, out = run("restore-table", "ventes_stream", "--version", "0", "--yes")
    assert code == 0, out
    assert (count(base), checkpoints(base)) == (
        150,
        ["bronze.before-restore-20" + out.split("before-restore-20")[1][:6]],
    )
    assert states(base) == ["debut", "fin", "invalide"]
    assert job_progress.silver(config.load()) is None
    table = job_lake.table(base, VENTES)
    assert table.metadata().configuration[TOPIC_SINCE].startswith("topic-1 ")
    restored = next(commit for commit in table.history() if commit["operation"] == "RESTORE")
    origin = read_origin(restored)
    assert (origin.what, origin.added, origin.deleted) == ("restore-table", 0, 150)
    assert [entry["state"] for entry in AuditLog(Path(base) / "audit").entries()][-2:] == ["begin", "end"]


@pytest.mark.parametrize(
    ("function", "rows"),
    [
        ("lakehouse.operations.recovery.restore:_invalidate_silver", 300),
        ("lakehouse.operations.recovery.restore:_move_checkpoint", 300),
        ("lakehouse.lake.delta_tables:restore", 150),
    ],
)
def test_a_restore_that_is_killed_leaves_no_silver_that_goes_on_and_can_be_repeated(
    run: Run, base: str, function: str, rows: int
) -> None:
    job_lake.build(base)
    killed_at(base, function, ["restore-table", "ventes_stream", "--version", "0", "--yes"])
    assert (count(base), states(base)[-1]) == (rows, "invalide")
    assert checkpoints(base) == (["bronze"] if function.endswith("_silver") else [checkpoints(base)[0]])
    assert run("restore-table", "ventes_stream", "--version", "0", "--yes")[0] == 0
    assert (count(base), states(base).count("invalide")) == (150, 1)
    assert "bronze" not in checkpoints(base)


def test_a_silver_table_and_the_rejects_each_need_their_own_steps(run: Run, base: str) -> None:
    job_lake.build(base)
    job_lake.table(base, PAR_PAYS).delete("pays = 'Japon'")
    code, out = run("restore-table", "ventes_par_pays", "--version", "0", "--yes")
    assert code == 0 and "0 rows leave it, 1 row comes back" in out
    assert (count(base, PAR_PAYS), states(base)[-1], checkpoints(base)) == (4, "invalide", ["bronze"])

    job_lake.append(
        base,
        REJETS,
        [{**lakes.rejects()[0], "topic": "t", "kafka_offset": 9}],
        job_lake.CLOCK + timedelta(minutes=9),
        9,
    )
    code, out = run("restore-table", "ventes_rejetees", "--version", "0", "--yes")
    assert code == 0 and count(base, REJETS) == 4 and "bronze" not in checkpoints(base)
    assert states(base).count("invalide") == 1


def test_what_may_not_be_rolled_back_is_refused(run: Run, base: str) -> None:
    job_lake.build(base)
    code, out = run("restore-table", "pertes_declarees", "--version", "0", "--yes")
    assert code == 2 and "is not rolled back" in out
    code, out = run("restore-table", "ventes_stream", "--version", "7", "--yes")
    assert code == 1 and "Version 7 of ventes_stream does not exist" in out
    code, out = run("restore-table", "ventes_stream", "--version", "1", "--yes")
    assert code == 2 and "name an earlier one" in out
    for job in ("bronze", "silver"):
        with writer_lock.writer_lock(config.load(), job):
            code, out = run("restore-table", "ventes_stream", "--version", "0", "--yes")
        assert code == 4 and f"writes the {job} tables" in out
    assert count(base) == 300
