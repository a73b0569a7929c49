"""``maintain`` over real Delta tables: what it merges, removes and keeps, and that nothing that counts is changed by it."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from lakehouse import config
from lakehouse.contract.tables import AGGREGES, PAR_PAYS, REJETS, RETRAITS, SOMMES, VENTES, TableSpec, checkpoint
from lakehouse.errors import ConfigError
from lakehouse.lake import spark_tables, writer_lock
from lakehouse.maintenance import compaction, retention, scheduler, small_files
from tests import lakes, ledgers
from tests.kills import killed_at

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", str(tmp_path / "lake"))
    ledgers.build(str(tmp_path / "lake"))
    return str(tmp_path / "lake")


@pytest.fixture
def run(operate: Run) -> Run:
    return operate


def rows(base: str, spec: TableSpec = VENTES) -> list[dict[str, Any]]:
    return sorted(lakes.contents(ledgers.table(base, spec)).to_pylist(), key=repr)


def silver_has_all(base: str) -> None:
    """Silver's checkpoint says that it has merged Bronze as it is now."""
    folder = Path(checkpoint(base, "silver-g1"))
    for name in ("offsets", "commits"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    end = {"reservoirVersion": ledgers.table(base, VENTES).version() + 1}
    (folder / "offsets" / "0").write_text(f'v1\n{{"batchTimestampMs":1}}\n{json.dumps(end)}')
    (folder / "commits" / "0").write_text("v1\n{}")


def by_table(out: str, job: int = 0) -> dict[str, dict[str, Any]]:
    return {one["table"]: one for one in json.loads(out)["jobs"][job]["tables"]}


def on_disk(base: str, spec: TableSpec = VENTES) -> int:
    return len(list(Path(spec.path(base)).rglob("*.parquet"))) - len(
        list(Path(spec.path(base), "_delta_log").glob("*.parquet"))
    )


def age(base: str, spec: TableSpec, hours: float) -> None:
    """Make everything that the table's log says happen ``hours`` earlier: a clock cannot be waited for."""
    shift = int(hours * 3_600_000)
    for file in Path(spec.path(base), "_delta_log").glob("*.json"):
        text = file.read_text(encoding="utf-8")
        file.write_text(
            re.sub(
                r'"(timestamp|deletionTimestamp|modificationTime)":(\d{13})',
                lambda found: f'"{found[1]}":{int(found[2]) - shift}',
                text,
            ),
            encoding="utf-8",
        )
    for file in Path(spec.path(base)).rglob("*.parquet"):
        os.utime(file, (time.time() - hours * 3600,) * 2)


def reconciled(run: Run) -> list[str]:
    code, out = run("reconcile", "--without-kafka", "--json")
    record = json.loads(out)
    assert code == (1 if record["found"] else 0)
    found: list[str] = record["found"]
    return found


def clean_record(run: Run) -> dict[str, Any]:
    code, out = run("reconcile", "--without-kafka", "--json")
    record: dict[str, Any] = json.loads(out)
    assert (code, record["found"]) == (0, [])
    return record


# --- compaction ------------------------------------------------------------------------------------------------------


def test_days_that_have_ended_are_merged_and_no_row_and_no_stream_sees_it(run: Run, base: str) -> None:
    today = datetime.now(UTC).date()
    row = {**rows(base)[0], "jour": today}
    for number in range(3):  # today's small files stay: more come
        ledgers.append(base, VENTES, [{**row, "vente_id": f"now-{number}"}], datetime.now(UTC), 10 + number)
    before, version = rows(base), ledgers.table(base, VENTES).version()
    days = len({one["jour"] for one in before})
    seen = by_table(run("maintain", "bronze", "--dry-run", "--json")[1])["ventes_stream"]
    assert seen["files"] > days + 2 and ledgers.table(base, VENTES).version() == version

    code, out = run("maintain", "bronze", "--json")
    assert code == 0
    assert rows(base) == before
    table = ledgers.table(base, VENTES)
    assert len(table.file_uris()) == days + 2, "one file for each day that has ended, three for today"
    merged = json.loads(out)["done"]["bronze"]["tables"]["ventes_stream"]["merged"]
    assert merged == seen["files"] - days - 2
    for number in range(version + 1, table.version() + 1):
        text = Path(VENTES.path(base), "_delta_log", f"{number:020}.json").read_text(encoding="utf-8")
        assert '"dataChange":true' not in text and '"maintain' in text.replace("\\", "")
    assert by_table(run("maintain", "bronze", "--dry-run", "--json")[1])["ventes_stream"]["to_merge"] == 0


def test_the_writer_merges_each_day_with_many_small_files_whether_it_has_ended_or_not(
    run: Run, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENTES_DELTA__AUTO_COMPACT_MIN_FILES", "4")
    today, old = datetime.now(UTC).date(), date(1500, 1, 1)
    row = rows(base)[0]
    small = small_files.SmallFiles(config.load())
    for number in range(4):  # of a day that older files cannot tell, four as well: they stay
        added = [{**row, "vente_id": f"{day}-{number}", "jour": day} for day in (today, old)]
        ledgers.append(base, VENTES, added, datetime.now(UTC), 10 + number)
        small.written(VENTES, 1, before=number, after=number + 1)
        if number < 3:
            assert small.between_batches() == 0, "fewer were written than start it"
    before, files, version = (
        rows(base),
        len(ledgers.table(base, VENTES).file_uris()),
        ledgers.table(base, VENTES).version(),
    )
    said = reconciled(run)
    assert small.between_batches() == 3 and rows(base) == before
    table = ledgers.table(base, VENTES)
    assert (len(table.file_uris()), table.version()) == (files - 3, version + 1)
    text = Path(VENTES.path(base), "_delta_log", f"{table.version():020}.json").read_text(encoding="utf-8")
    assert '"dataChange":true' not in text
    assert small.between_batches() == 0, "nothing was written since"
    assert reconciled(run) == said


@pytest.mark.usefixtures("base")
def test_small_files_that_cannot_be_merged_stop_no_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VENTES_DELTA__AUTO_COMPACT_MIN_FILES", "2")
    small = small_files.SmallFiles(config.load())
    monkeypatch.setattr(compaction, "merge_small", lambda *_, **__: (_ for _ in ()).throw(OSError("injected")))
    small.written(VENTES, 2, before=1, after=2)
    assert small.between_batches() == 0
    said = capsys.readouterr().err
    assert "small files were not merged; the job goes on" in said and "injected" in said
    monkeypatch.setenv("VENTES_DELTA__AUTO_COMPACT", "false")
    off = small_files.SmallFiles(config.load())
    off.written(VENTES, 1000, before=1, after=2)
    assert off.between_batches() == 0 and capsys.readouterr().err == ""
    monkeypatch.setattr(compaction, "checkpoint_log", lambda *_: (_ for _ in ()).throw(OSError("injected")))
    off.written(VENTES, 1, before=49, after=50)
    assert off.between_batches() == 0
    assert "no checkpoint of the log; the job goes on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "spec", "ours"), [("/lake", VENTES, True), ("s3a://lake", VENTES, False), ("/lake", PAR_PAYS, False)]
)
def test_one_of_two_merges_small_files_the_writer_or_delta(
    place: str, spec: TableSpec, ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", place)
    monkeypatch.setenv("VENTES_S3__REGION", "us-east-1")
    properties = spark_tables.wanted_properties(spec, config.load())
    assert spark_tables.maintained_by_writer(spec, config.load()) is ours
    assert properties["delta.autoOptimize.autoCompact"] == str(not ours).lower()
    assert properties["delta.checkpointInterval"] == ("10000" if ours else "50")


def test_what_was_merged_is_still_accounted_for(run: Run, base: str) -> None:
    assert reconciled(run) == [] and rows(base)
    assert run("maintain", "--json")[0] == 0
    assert reconciled(run) == []


def test_a_day_that_older_files_cannot_tell_is_left_alone(base: str) -> None:
    """Times before 1678 in the files of an earlier release are read as another century's: rewriting would keep that."""
    row = {**rows(base)[0], "jour": date(1500, 1, 1)}
    for number in range(3):
        ledgers.append(base, VENTES, [{**row, "vente_id": f"old-{number}"}], datetime.now(UTC), 10 + number)
    found = compaction.survey(config.load(), VENTES)
    assert "1500-01-01" not in repr(found.small) and len(found.small) == 1


# --- dead files, log entries, checkpoints ----------------------------------------------------------------------------


def test_dead_files_go_when_their_time_has_come_and_what_that_costs_is_said_before(run: Run, base: str) -> None:
    run("maintain", "bronze", "--json")
    before, files = rows(base), on_disk(base)
    assert by_table(run("maintain", "bronze", "--dry-run", "--json")[1])["ventes_stream"]["dead_files"] == 0
    age(base, VENTES, 8 * 24)  # [DELTA] deleted_file_retention is 7 days
    code, out = run("maintain", "bronze", "--dry-run", "--json")
    seen = by_table(out)["ventes_stream"]
    live = len(ledgers.table(base, VENTES).file_uris())
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
    ledgers.append(base, VENTES, [{**rows(base)[0], "vente_id": "new"}], ledgers.CLOCK + timedelta(minutes=5), 2)
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
        ledgers.append(base, spec, [row], ledgers.CLOCK + timedelta(hours=1, seconds=number), 100 + number)
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
    newest = ledgers.table(base, REJETS).version()
    assert run("maintain", "bronze", "--json")[0] == 0
    kept = log_files(base, REJETS)
    now = ledgers.table(base, REJETS).version()
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


# --- retention -------------------------------------------------------------------------------------------------------


def keep(monkeypatch: pytest.MonkeyPatch, what: str, before: date) -> None:
    """Set the retention so that days before ``before`` go."""
    kept = (datetime.now(UTC).date() - before).days
    monkeypatch.setenv("VENTES_KAFKA__RETENTION", "1 second")
    monkeypatch.setenv(f"VENTES_DELTA__RETENTION_DAYS_{what}", str(kept))


def split_day(base: str) -> date:
    days = sorted({row["jour"] for row in rows(base)})
    found: date = days[len(days) // 2]
    return found


@pytest.fixture
def old(base: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The sales arrived on their own days, as they would have: arrival is an age too."""
    monkeypatch.setattr(retention.Removal, "where", lambda self, alias="": f"{alias}jour < DATE '{self.day}'")
    return base


def test_by_default_everything_is_kept_for_ever(base: str) -> None:
    assert rows(base)
    assert scheduler.plan(config.load(), "bronze").due == () == scheduler.plan(config.load(), "silver").due


def test_a_retention_shorter_than_kafkas_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENTES_DELTA__RETENTION_DAYS_BRONZE", "3")
    with pytest.raises(
        ConfigError, match=r"retention_days_bronze \(3 days\) may not be shorter than \[KAFKA\] retention"
    ):
        config.load()


def test_a_sale_of_long_ago_that_came_now_stays(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All sales of the lake arrived on one day; those of the days before it go by that day and no sooner."""
    for after, gone in ((0, 0), (1, len(rows(base)))):
        keep(monkeypatch, "BRONZE", ledgers.CLOCK.date() + timedelta(days=after))
        (found,) = [one for one in scheduler.plan(config.load(), "bronze").due if one.spec is VENTES]
        assert found.rows == gone


def test_what_retention_takes_out_of_bronze_is_on_record_and_everything_still_adds_up(
    run: Run, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean_record(run)
    day, all_rows = split_day(old), rows(old)
    went = [row for row in all_rows if row["jour"] < day]
    keep(monkeypatch, "BRONZE", day)
    code, out = run("maintain", "bronze", "--dry-run")
    amount = sum((row["montant"] for row in went), Decimal(0))
    assert code == 0 and f"Retention: {len(went)} rows, {amount} EUR of ventes_stream" in out
    assert run("maintain", "bronze")[0] == 2 and rows(old) == all_rows, "it has to be confirmed"

    assert run("maintain", "bronze", "--yes")[0] == 0
    assert rows(old) == [row for row in all_rows if row["jour"] >= day]
    sums = rows(old, SOMMES)
    for dimension in ("pays", "segment"):
        mine = [one for one in sums if one["dimension"] == dimension]
        assert (sum(one["ventes"] for one in mine), sum(one["montant"] for one in mine)) == (len(went), amount)
    places = {
        (one["kafka_partition"], o)
        for one in rows(old, RETRAITS)
        for o in range(one["premier_offset"], one["dernier_offset"] + 1)
    }
    assert places == {(row["kafka_partition"], row["kafka_offset"]) for row in went}
    assert "client" not in repr(sums) + repr(rows(old, RETRAITS))

    record = clean_record(run)
    assert sum(line["removed"] for line in record["per_partition"]) == len(went)
    silver_has_all(old)
    record = clean_record(run)
    assert any("were not compared" in note for note in record["notes"])
    assert run("maintain", "bronze", "--yes")[0] == 0 and len(rows(old, SOMMES)) == len(sums), (
        "nothing is left to remove"
    )


def test_after_a_removal_one_cent_is_still_found_in_a_total_and_in_a_day_that_is_held(
    run: Run, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(monkeypatch, "BRONZE", split_day(old))
    assert run("maintain", "bronze", "--yes")[0] == 0
    silver_has_all(old)
    ledgers.table(old, PAR_PAYS).update(updates={"revenue_total": "revenue_total + 0.01"}, predicate="pays = 'Japon'")
    row = max(rows(old, AGGREGES), key=lambda one: str(one["jour"]))
    ledgers.table(old, AGGREGES).update(
        updates={"total_depense": "total_depense + 0.01"},
        predicate=f"client_id = {row['client_id']} AND jour = '{row['jour']}'",
    )
    found = reconciled(run)
    assert [text.split()[0] for text in found] == ["ventes_aggreges", "ventes_par_pays"]


def test_retention_waits_for_silver(run: Run, old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    day = split_day(old)
    row = next(row for row in rows(old) if row["jour"] < day)
    ledgers.append(
        old, VENTES, [{**row, "vente_id": "late", "kafka_offset": 900}], ledgers.CLOCK + timedelta(minutes=5), 2
    )
    count = len(rows(old))
    keep(monkeypatch, "BRONZE", day)
    code, out = run("maintain", "bronze", "--yes")
    assert code == 0 and "They stay for now: Silver has not merged 1 of them yet" in out and len(rows(old)) == count


@pytest.mark.parametrize(
    ("function", "number"),
    [
        ("lakehouse.maintenance.retention:_record", 1),
        ("lakehouse.lake.delta_tables:append", 1),
        ("lakehouse.maintenance.retention:_delete", 1),
    ],
)
def test_a_removal_that_is_killed_is_finished_by_the_next_and_counted_once(
    run: Run, base: str, monkeypatch: pytest.MonkeyPatch, function: str, number: int
) -> None:
    count = len(rows(base))
    keep(monkeypatch, "BRONZE", ledgers.CLOCK.date() + timedelta(days=1))
    killed_at(base, function, ["maintain", "bronze", "--yes"], number=number)
    record = clean_record(run)
    standing = len(rows(base))
    assert standing == (0 if function.endswith("_delete") else count)
    assert sum(line["removed"] for line in record["per_partition"]) == count - standing
    assert run("maintain", "bronze", "--yes")[0] == 0
    assert rows(base) == []
    sums = [one for one in rows(base, SOMMES) if one["dimension"] == "pays"]
    assert sum(one["ventes"] for one in sums) == count
    assert sum(line["removed"] for line in clean_record(run)["per_partition"]) == count


def test_rejects_and_silver_have_ages_of_their_own(run: Run, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    day, count = split_day(base), len(rows(base))
    keep(monkeypatch, "SILVER", day)
    monkeypatch.setenv(
        "VENTES_DELTA__RETENTION_DAYS_REJECTS", str((datetime.now(UTC).date() - ledgers.CLOCK.date()).days - 1)
    )
    totals = rows(base, PAR_PAYS)
    bad = len(rows(base, REJETS))
    assert bad and run("maintain", "--yes")[0] == 0
    assert (len(rows(base)), rows(base, REJETS), rows(base, PAR_PAYS)) == (count, [], totals)
    assert min(row["jour"] for row in rows(base, AGGREGES)) >= day
    assert retention.kept_from(config.load(), AGGREGES) == day
    record = clean_record(run)
    assert sum(line["removed"] for line in record["per_partition"]) == bad
    assert f"ventes_aggreges is compared from {day} on: retention" in record["notes"]


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
    files = len(ledgers.table(base, VENTES).file_uris())
    time.sleep(0.02)
    assert schedule.between_batches() and len(ledgers.table(base, VENTES).file_uris()) < files
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
    assert len(ledgers.table(base, VENTES).file_uris()) == len({row["jour"] for row in before})


def test_rounds_between_one_second_batches_keep_the_number_of_files_bounded(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reduced: benchmarks/upkeep.py runs a whole day. After each round the table is no larger than after the first."""
    monkeypatch.setenv("VENTES_DELTA__MAX_VERSIONS", "30")
    found = []
    for _ in range(4):
        many_commits(base, REJETS, 50)
        age(base, REJETS, 24)
        scheduler.run(config.load(), "bronze")
        log = Path(REJETS.path(base), "_delta_log")
        found.append((len(ledgers.table(base, REJETS).file_uris()), len(list(log.iterdir()))))
    days = len({row["jour"] for row in rows(base, REJETS)})
    assert all(live <= days and entries <= 60 for live, entries in found), found
