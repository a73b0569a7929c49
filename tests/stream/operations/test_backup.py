"""A backup that is made while both jobs write, brought back, and gone on from: nothing is lost, nothing doubled."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse import config as settings
from lakehouse.contract.tables import BRONZE, OPERATIONS, VENTES
from lakehouse.operations import command
from tests.support.children import eventually
from tests.support.harness import Lake

pytestmark = pytest.mark.timeout(900)


def places(lake: Lake) -> Counter[tuple[int, int]]:
    """How often each offset stands in Bronze."""
    return Counter((row["kafka_partition"], row["kafka_offset"]) for spec in BRONZE for row in lake.rows(spec))


def test_the_restored_lake_goes_on_from_a_backup_of_running_jobs(
    lake: Lake, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(here: Lake, *words: str) -> tuple[int, dict[str, Any]]:
        for name, text in settings.as_environment(here.config).items():
            monkeypatch.setenv(name, text)
        monkeypatch.setenv("VENTES_DELTA__BACKUP_PATH", str(tmp_path / "store"))
        capsys.readouterr()
        code = command.main([*words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    lake = lake.with_settings(PRODUCER__RETURN_RATIO="0.1", PRODUCER__CORRECTION_RATIO="0.1")
    lake.produce(80, 1)
    lake.bronze(spark)
    lake.silver(spark)
    lake.produce(60, 2)
    lake.bronze(spark)
    lake.silver(spark)  # an increment: Silver has a checkpoint now
    versions = []
    with lake.streaming(spark):
        for number in range(3):  # a backup beside each piece of the stream's work
            lake.produce(150, 10 + number)
            code, made = run(lake, "backup", "create")
            assert code == 0
            versions.append(made["tables"]["ventes_stream"])
        eventually(lambda: lake.version(VENTES) > versions[0], 120, "a batch after the backup")
    lake.bronze(spark)
    ids = [row["id"] for row in run(lake, "backup", "list")[1]["backups"]]
    lake.silver(spark)
    assert lake.differences() == []

    # the oldest one, so that batches were written after it
    backup = ids[0]
    code, drill = run(lake, "backup", "verify", backup, "--restore")
    assert (code, drill["drill"]["found"]) == (0, [])
    folder = tmp_path / "restored"
    assert run(lake, "backup", "restore", backup, "--to", str(folder))[0] == 0
    restored = lake.with_settings(DELTA__BASE_PATH=str(folder))
    restored.truth_file = lake.truth_file
    assert len(places(restored)) < len(places(lake)), "the jobs wrote on after the backup"
    before = restored.committed()[-1]
    restored.bronze(spark)
    assert restored.committed()[-1] > before, "it goes on from the checkpoint"
    assert restored.differences() == [], "nothing is missing, doubled or different"
    assert max(places(restored).values()) == 1
    for spec in (VENTES, OPERATIONS):
        (name,) = spec.keys
        assert {row[name] for row in restored.rows(spec)} == {row[name] for row in lake.rows(spec)} != set()
    generation = restored.checkpoint("silver").name
    restored.silver(spark)
    assert restored.verify(spark) == []
    assert restored.checkpoint("silver").name == generation, "Silver goes on too, and builds nothing anew"
    code, record = run(restored, "reconcile")
    assert (code, record["found"]) == (0, [])
