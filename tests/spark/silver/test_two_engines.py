"""Silver by two engines: the same cells from either, alternating on one lake, each repeating what the other began."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse import config
from lakehouse.config import Config
from lakehouse.contract.tables import CORRECTIONS, MEMBRES, SILVER, VENTES, TableSpec
from lakehouse.errors import LakehouseError
from lakehouse.lake import delta_tables, job_progress, spark_tables
from lakehouse.observability.provenance import read_origin
from lakehouse.silver.aggregates import PROCESSING_TIME
from lakehouse.silver.job import SilverJob
from lakehouse.silver.local_engine import LocalEngine
from lakehouse.silver.local_sink import LocalSink
from lakehouse.silver.sink import SilverSink
from tests.support import job_lake, lakes

ODD = (
    "Côte d'Ivoire",
    'a "b" \\c/',
    "tab\tnew\nline\r\x08\x0c\x1f\x00\x7f",
    "日本 \U0001f600 \u2028",
    "{}",
    "A",
    "a",
    "é",
    "e\u0301",
)
"""Countries whose JSON text is easily got wrong, and whose order is."""


def rows() -> list[lakes.Row]:
    """Sales of every kind: odd texts, ties in time, extreme amounts, days at both ends of the calendar."""
    made = lakes.sales(90, days=4)
    rng = random.Random(5)
    for number, row in enumerate(made):
        row["pays"] = ODD[number % len(ODD)]
        if number % 7 == 0:
            row["timestamp"] = made[0]["timestamp"]  # a tie: the greater id names the client
            row["jour"] = row["timestamp"].date()
        if number % 11 == 0:
            row["montant"] = rng.choice([Decimal("0.00"), Decimal("9999999999999999.99"), Decimal("0.01")])
        if number % 13 == 0:
            row["quantite"] = 2**31 - 1
    ends = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1899, 12, 31, 23, 59, 59, 999999, UTC),
        datetime(9999, 12, 31, 23, 30, tzinfo=UTC),
    ]
    for row, moment in zip(made[-3:], ends, strict=True):
        row["timestamp"], row["jour"] = moment, moment.date()
    return made


class Both:
    """One lake, and the job over it on either engine."""

    def __init__(self, base: Path, spark: SparkSession, **texts: str) -> None:
        given = {"DELTA__BASE_PATH": str(base), "ANALYTICS__ENGINE": "local", **texts}
        self.config: Config = config.load(env={f"VENTES_{name}": text for name, text in given.items()})
        self._spark = spark
        self.batches = 0

    def bronze(self, sales: Sequence[lakes.Row]) -> None:
        clock = job_lake.CLOCK + timedelta(minutes=self.batches)
        job_lake.append(self.config.delta.base_path, VENTES, sales, clock, self.batches)
        self.batches += 1

    def run(self, engine: str, *, full: bool = False) -> None:
        assert SilverJob(self.config).run(full=full, spark=self._spark if engine == "spark" else None) == 0

    def differences(self, engine: str) -> list[Any]:
        job = SilverJob(self.config)
        if engine == "spark":
            return job.verify(spark=self._spark)
        return job._verify(LocalEngine(self.config, job._entries), 20)

    def cells(self, spec: TableSpec) -> list[str]:
        """Every row of a table, but for what is of its own run."""
        left_out = {PROCESSING_TIME, "date_correction", "generation"}
        found = lakes.contents(delta_tables.opened(spec, self.config)).to_pylist()
        return sorted(repr([(name, row[name]) for name in spec.names if name not in left_out]) for row in found)

    def batches_of(self, spec: TableSpec) -> list[int]:
        """The batch of each commit that merged one: not of Delta's automatic compaction, which says the same of itself."""
        commits = delta_tables.opened(spec, self.config).history()
        batches = [read_origin(each).facts.get("batch") for each in commits if each["operation"] != "OPTIMIZE"]
        return sorted(each for each in batches if each is not None)

    def made_by(self, spec: TableSpec) -> object:
        """The engine of the newest batch or build; Delta's own compaction of small files may have come after it."""
        commits = (read_origin(commit).facts for commit in delta_tables.opened(spec, self.config).history())
        return next((facts["engine"] for facts in commits if "engine" in facts), None)

    def settled(self) -> bool:
        position = job_progress.silver(self.config)
        return position is not None and position.settled


@pytest.fixture
def both(tmp_path: Path, spark: SparkSession) -> Both:
    return Both(tmp_path / "lake", spark)


def test_two_lakes_built_and_merged_by_one_engine_each_are_equal_in_every_cell(
    tmp_path: Path, spark: SparkSession
) -> None:
    """Public and internal tables, corrections and members too; the files of either are read by both."""
    sales = rows()
    found = {}
    for engine in ("spark", "local"):
        lake = Both(tmp_path / engine, spark, ANALYTICS__TIMEZONE="Europe/Paris")
        for number, batch in enumerate((sales[:40], sales[40:41], sales[41:70], sales[70:])):
            lake.bronze(batch)
            lake.run(engine)
            assert lake.made_by(SILVER[0]) == engine, number
        assert [lake.differences(each) for each in ("spark", "local")] == [[], []]
        found[engine] = {spec.name: lake.cells(spec) for spec in (*SILVER, MEMBRES, CORRECTIONS)}
        for spec in (*SILVER, MEMBRES, CORRECTIONS):
            assert spark_tables.read(spark, spec, lake.config).count() == len(found[engine][spec.name])
    assert found["spark"] == found["local"]


def test_the_engines_alternate_on_one_lake(both: Both) -> None:
    """From a lake that Spark began, with its checkpoint, and through a build by each."""
    sales = rows()
    both.bronze(sales[:30])
    both.run("spark")
    for number, engine in enumerate(("spark", "local", "local", "spark", "local", "spark")):
        both.bronze(sales[30 + 8 * number : 38 + 8 * number])
        both.run(engine)
        assert both.made_by(SILVER[0]) == engine and both.settled()
    assert [both.differences(each) for each in ("spark", "local")] == [[], []]
    (folder,) = Path(both.config.delta.base_path, "checkpoints").glob("silver-*")
    assert sorted(int(each.name) for each in (folder / "commits").iterdir() if each.name.isdigit()) == list(range(6))
    assert len({json.loads((folder / "metadata").read_text())["id"]}) == 1
    both.run("local", full=True)
    both.bronze(sales[78:84])
    both.run("spark")
    both.bronze(sales[84:])
    both.run("local")
    assert [both.differences(each) for each in ("spark", "local")] == [[], []]


@pytest.mark.parametrize(("first", "second"), [("spark", "local"), ("local", "spark")])
@pytest.mark.parametrize(("method", "at"), [("_add_members", 1), ("_merge", 3)])
def test_a_batch_that_one_engine_broke_off_in_is_repeated_by_the_other(
    both: Both, monkeypatch: pytest.MonkeyPatch, first: str, second: str, method: str, at: int
) -> None:
    sales = rows()
    both.bronze(sales[:40])
    both.run(first)
    both.bronze(sales[40:70])
    sink = {"spark": SilverSink, "local": LocalSink}[first]
    real, calls = getattr(sink, method), []

    def step(*args: Any, **options: Any) -> Any:
        calls.append(method)
        done = real(*args, **options)
        if len(calls) == at:
            raise OSError("injected: the machine stopped here")
        return done

    with monkeypatch.context() as patch, pytest.raises(LakehouseError, match="The Silver pass failed"):
        patch.setattr(sink, method, step)
        both.run(first)
    assert len(calls) == at and not both.settled()
    done = SILVER[: at if method == "_merge" else 0]
    for spec in SILVER:
        assert both.batches_of(spec) == ([0] if spec in done else []), spec.name
    both.bronze(sales[70:])  # the planned batch does not grow by it
    both.run(second)
    assert both.settled()
    assert [both.differences(each) for each in ("spark", "local")] == [[], []]
    for spec in SILVER:  # those that the first engine had merged got the second batch alone
        assert both.batches_of(spec) == [0, 1], spec.name


def test_a_batch_that_ended_inside_a_bronze_version_is_gone_on_from_by_the_other(
    tmp_path: Path, spark: SparkSession
) -> None:
    """One file a batch; each engine reads some files of one version."""
    both = Both(tmp_path, spark, PERFORMANCE__MAX_FILES_PER_TRIGGER="1")
    sales = lakes.sales(90, days=5)
    both.bronze(sales[:40])
    both.run("spark")
    both.bronze(sales[40:])
    whole = SilverSink.__call__

    def killed_after_the_first(self: SilverSink, batch: Any, batch_id: int) -> None:
        if batch_id:
            raise OSError("injected: the machine stopped here")
        whole(self, batch, batch_id)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(LakehouseError, match="The Silver pass failed"):
        patch.setattr(SilverSink, "__call__", killed_after_the_first)
        both.run("spark")
    both.run("local")
    assert both.settled()
    assert [both.differences(each) for each in ("spark", "local")] == [[], []]


def test_each_engine_finds_what_is_wrong(both: Both) -> None:
    both.bronze(lakes.sales(60))
    both.run("local")
    delta_tables.opened(SILVER[1], both.config).update(
        updates={"items_sold": "items_sold + 1"}, predicate="pays = 'Japon'"
    )
    found = [both.differences(each) for each in ("spark", "local")]
    assert found[0] == found[1] and [cell.column for cell in found[0]] == ["items_sold"]


def test_days_that_retention_took_stay_away_with_either_engine(both: Both) -> None:
    sales = lakes.sales(90, days=4)
    both.bronze(sales[:40])
    both.run("spark")
    since = date(2026, 11, 12)
    for spec in SILVER:
        if "jour" in spec.keys:
            delta_tables.delete(spec, both.config, f"jour < DATE '{since}'", what="retention")
            delta_tables.set_properties(spec, both.config, {"ventes.conserveDepuis": str(since)}, what="retention")
    for number, engine in enumerate(("spark", "local")):
        both.bronze(sales[40 + 25 * number : 65 + 25 * number])
        both.run(engine)
        for spec in SILVER:
            if "jour" in spec.keys:
                days = {row["jour"] for row in lakes.contents(delta_tables.opened(spec, both.config)).to_pylist()}
                assert min(days) >= since
