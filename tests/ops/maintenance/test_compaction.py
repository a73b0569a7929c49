"""Compaction: small files are merged, and no row and no stream sees it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from lakehouse import config
from lakehouse.contract.tables import PAR_PAYS, VENTES, TableSpec
from lakehouse.lake import table_settings
from lakehouse.maintenance import compaction, small_files
from tests.support import job_lake
from tests.support.maintained import Run, by_table, reconciled, rows

# --- compaction ------------------------------------------------------------------------------------------------------


def test_days_that_have_ended_are_merged_and_no_row_and_no_stream_sees_it(run: Run, base: str) -> None:
    today = datetime.now(UTC).date()
    row = {**rows(base)[0], "jour": today}
    for number in range(3):  # today's small files stay: more come
        job_lake.append(base, VENTES, [{**row, "vente_id": f"now-{number}"}], datetime.now(UTC), 10 + number)
    before, version = rows(base), job_lake.table(base, VENTES).version()
    days = len({one["jour"] for one in before})
    seen = by_table(run("maintain", "bronze", "--dry-run", "--json")[1])["ventes_stream"]
    assert seen["files"] > days + 2 and job_lake.table(base, VENTES).version() == version

    code, out = run("maintain", "bronze", "--json")
    assert code == 0
    assert rows(base) == before
    table = job_lake.table(base, VENTES)
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
        job_lake.append(base, VENTES, added, datetime.now(UTC), 10 + number)
        small.written(VENTES, 1, before=number, after=number + 1)
        if number < 3:
            assert small.between_batches() == 0, "fewer were written than start it"
    before, files, version = (
        rows(base),
        len(job_lake.table(base, VENTES).file_uris()),
        job_lake.table(base, VENTES).version(),
    )
    said = reconciled(run)
    assert small.between_batches() == 3 and rows(base) == before
    table = job_lake.table(base, VENTES)
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
    properties = table_settings.wanted_properties(spec, config.load())
    assert table_settings.maintained_by_writer(spec, config.load()) is ours
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
        job_lake.append(base, VENTES, [{**row, "vente_id": f"old-{number}"}], datetime.now(UTC), 10 + number)
    found = compaction.survey(config.load(), VENTES)
    assert "1500-01-01" not in repr(found.small) and len(found.small) == 1
