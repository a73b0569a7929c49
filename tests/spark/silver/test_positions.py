"""Silver's position beside Bronze: a batch that ended inside a Bronze version, and rows that stand twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from lakehouse import config
from lakehouse.config import Config
from lakehouse.contract import tables
from lakehouse.contract.tables import PAR_PAYS, VENTES
from lakehouse.errors import LakehouseError
from lakehouse.lake import checkpoint_files, job_progress
from lakehouse.silver.job import SilverJob
from lakehouse.silver.sink import SilverSink
from tests.support import job_lake, lakes


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    return config.load(
        env={
            "VENTES_DELTA__BASE_PATH": str(tmp_path),
            "VENTES_PERFORMANCE__MAX_FILES_PER_TRIGGER": "1",
            "VENTES_ANALYTICS__TIMEZONE": "UTC",
        }
    )


def append(settings: Config, rows: list[lakes.Row], batch: int) -> None:
    job_lake.append(settings.delta.base_path, VENTES, rows, job_lake.CLOCK + timedelta(minutes=batch), batch)


def test_a_stop_between_two_batches_of_one_bronze_version_is_no_settled_moment(
    spark: SparkSession, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version has a file for each day, and each file is a batch: the job is killed after the first of them."""
    rows = lakes.sales(60, days=4)
    append(settings, rows[:30], 0)
    assert SilverJob(settings).run(spark=spark) == 0
    append(settings, rows[30:], 1)
    whole = SilverSink.__call__

    def killed_after_the_first(self: SilverSink, batch: DataFrame, batch_id: int) -> None:
        if batch_id:
            raise RuntimeError("killed here")
        whole(self, batch, batch_id)

    with monkeypatch.context() as patch, pytest.raises(LakehouseError, match="The Silver pass failed"):
        patch.setattr(SilverSink, "__call__", killed_after_the_first)
        SilverJob(settings).run(spark=spark)
    generation = job_progress.generation(settings)
    assert generation is not None
    folder = Path(tables.checkpoint(settings.delta.base_path, f"silver-{generation['generation']}"))
    for name in ("1", ".1.crc"):  # it had not been planned yet
        (folder / "offsets" / name).unlink()
    position = job_progress.silver(settings)
    assert position is not None and not position.settled
    with pytest.raises(LakehouseError, match="broke off between two batches of one Bronze version"):
        SilverJob(settings).verify(spark=spark)

    assert SilverJob(settings).run(spark=spark) == 0
    position = job_progress.silver(settings)
    assert position is not None and position.settled
    assert SilverJob(settings).verify(spark=spark) == []


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ({"reservoirVersion": 8, "index": -1}, (7, True)),
        ({"reservoirVersion": 8, "index": -100}, (7, True)),
        ({"reservoirVersion": 8}, (7, True)),
        ({"reservoirVersion": 8, "index": 0}, (7, False)),
        ({"reservoirVersion": 8, "index": 3}, (7, False)),
    ],
)
def test_the_end_of_a_batch_says_what_was_read_whole(end: dict[str, int], expected: tuple[int, bool]) -> None:
    read = checkpoint_files.delta_offset({"reservoirId": "-", **end}, "offsets/0")
    assert (read.whole_version, not read.is_inside_version) == expected


def test_verify_names_the_keys_that_stand_twice(spark: SparkSession, settings: Config) -> None:
    settings = replace(settings, performance=replace(settings.performance, max_files_per_trigger=1000))
    append(settings, lakes.sales(60, days=4), 0)
    assert SilverJob(settings).run(spark=spark) == 0
    assert SilverJob(settings).verify(spark=spark) == []
    base = settings.delta.base_path
    lakes.write(base, PAR_PAYS.name, lakes.contents(job_lake.table(base, PAR_PAYS)).to_pylist()[:1])
    member = lakes.contents(job_lake.table(base, tables.MEMBRES)).to_pylist()[0]
    lakes.write_spec(base, tables.MEMBRES, [member])
    found = SilverJob(settings).verify(spark=spark)
    assert {(one.table, one.column, one.expected, one.found) for one in found} == {
        ("ventes_par_pays", "*", "1 row", "2 rows"),
        ("_membres", "*", "1 row", "2 rows"),
    }
    assert {one.key for one in found if one.table == "ventes_par_pays"} <= {f"pays={place}" for place in lakes.PLACES}
