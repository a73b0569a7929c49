"""The Silver job on the local engine, without a JVM: passes, builds, faults at every step, what operators do in between."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lakehouse import config
from lakehouse.config import Config
from lakehouse.contract.table_properties import ERASE, INVALID, RETENTION
from lakehouse.contract.tables import AGGREGES, CORRECTIONS, GENERATIONS, MEMBRES, PAR_PAYS, SILVER, VENTES, TableSpec
from lakehouse.errors import CheckpointInvalid, DefinitionChanged, LakehouseError, TableMissing
from lakehouse.lake import delta_tables, job_progress, spark_session
from lakehouse.maintenance import compaction, erasure
from lakehouse.observability.provenance import read_origin
from lakehouse.silver import engine_choice
from lakehouse.silver.job import SilverJob
from lakehouse.silver.local_engine import LocalEngine
from lakehouse.silver.local_sink import LocalSink
from tests.support import job_lake, lakes

ROWS = lakes.sales(160, days=4)


class Silver:
    """A lake with the local engine's job over it."""

    def __init__(self, base: Path, **texts: str) -> None:
        given = {"DELTA__BASE_PATH": str(base), "ANALYTICS__ENGINE": "local", **texts}
        self.config: Config = config.load(env={f"VENTES_{name}": text for name, text in given.items()})
        self.batches = 0
        self.rows: list[lakes.Row] = []

    def bronze(self, rows: list[lakes.Row]) -> None:
        clock = job_lake.CLOCK + timedelta(minutes=self.batches)
        job_lake.append(self.config.delta.base_path, VENTES, rows, clock, self.batches)
        self.batches += 1
        self.rows += rows

    def run(self, *, full: bool = False) -> None:
        assert SilverJob(self.config).run(full=full) == 0

    def table(self, spec: TableSpec) -> DeltaTable:
        return delta_tables.opened(spec, self.config)

    def contents(self, spec: TableSpec) -> list[lakes.Row]:
        return lakes.contents(self.table(spec)).to_pylist()

    def versions(self) -> list[int]:
        return [self.table(spec).version() for spec in (*SILVER, MEMBRES)]

    def differences(self) -> list[Any]:
        """By the local engine itself: this file needs no JVM. The other engine's view: tests/spark/silver."""
        job = SilverJob(self.config)
        return job._verify(LocalEngine(self.config, job._entries), 20)

    def exact(self) -> bool:
        """Equal to the recompute, and to arithmetic in plain Python."""
        expected = lakes.silver(self.rows)
        figures = (
            "pays",
            "total_transactions",
            "revenue_total",
            "transaction_moyenne",
            "items_sold",
            "unique_customers",
        )
        found = sorted(tuple(row[name] for name in figures) for row in self.contents(PAR_PAYS))
        plain = sorted(tuple(row[name] for name in figures) for row in expected[PAR_PAYS.name])
        return self.differences() == [] and found == plain

    def position(self) -> job_progress.SilverPosition:
        found = job_progress.silver(self.config)
        assert found is not None
        return found


@pytest.fixture
def lake(tmp_path: Path) -> Silver:
    return Silver(tmp_path)


@pytest.fixture
def filled(lake: Silver) -> Iterator[Silver]:
    """Built, and Bronze one version ahead."""
    lake.bronze(ROWS[:60])
    lake.run()
    lake.bronze(ROWS[60:110])
    yield lake


def test_a_build_then_passes_then_nothing_to_do(filled: Silver) -> None:
    filled.run()
    assert filled.exact()
    assert filled.position().settled and filled.position().bronze_version == 1
    before = filled.versions()
    filled.run()
    assert filled.versions() == before
    filled.bronze(ROWS[110:])
    filled.run()
    assert filled.exact()


def test_a_pass_makes_one_commit_a_table_and_says_what_made_it(filled: Silver) -> None:
    before = filled.versions()
    filled.run()
    assert [after - old for after, old in zip(filled.versions(), before, strict=True)] == [1] * 7
    for spec in (*SILVER, MEMBRES):
        origin = read_origin(filled.table(spec).history(1)[0])
        assert origin.what == "silver batch" and origin.facts == {"batch": 0, "engine": "local"}
    assert Path(AGGREGES.path(filled.config.delta.base_path), "_delta_log", f"{before[0] + 1:020}.crc").exists()


def test_a_pass_reads_only_the_new_files_and_rewrites_only_the_touched_days(filled: Silver) -> None:
    filled.run()
    day = ROWS[0]["jour"]
    files = {action["path"] for action in lakes.arrow_actions(filled.table(AGGREGES)).to_pylist()}
    filled.bronze([row for row in ROWS[110:] if row["jour"] == day])
    filled.run()
    after = {action["path"] for action in lakes.arrow_actions(filled.table(AGGREGES)).to_pylist()}
    assert all(f"jour={day}" in path for path in files ^ after) and files ^ after


STEPS = [
    ("_record", 1, True),
    ("_add_members", 1, False),
    ("_add_members", 1, True),
    ("_merge", 1, False),
    ("_merge", 1, True),
    ("_merge", 3, True),
    ("_merge", len(SILVER), True),
]


def crash(monkeypatch: pytest.MonkeyPatch, method: str, at: int, *, after: bool) -> list[int]:
    """A fault injected in this process: the ``at``-th call of a ``LocalSink`` method raises, before or after its work."""
    real, calls, fired = getattr(LocalSink, method), [], []

    def step(sink: LocalSink, *args: Any, **options: Any) -> Any:
        calls.append(method)
        if len(calls) == at:
            fired.append(at)
            if after:
                real(sink, *args, **options)
            raise OSError("injected: the machine stopped here")
        return real(sink, *args, **options)

    monkeypatch.setattr(LocalSink, method, step)
    return fired


def test_faults_at_every_step_one_after_another_are_made_good_by_the_next_pass(
    filled: Silver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, (method, at, after) in enumerate(STEPS):
        with monkeypatch.context() as patch:
            fired = crash(patch, method, at, after=after)
            with pytest.raises(LakehouseError, match=r"The Silver pass failed: .*Nothing is lost"):
                filled.run()
        assert fired == [at]
        assert not filled.position().settled
        filled.bronze(ROWS[110 + 5 * number : 115 + 5 * number])  # it goes on; the planned batch does not grow
    filled.run()
    assert filled.position().settled
    assert filled.exact()
    lots = {(row["lot"], row["jour"], row["pays"], row["segment"]) for row in filled.contents(CORRECTIONS)}
    assert len(lots) == len(filled.contents(CORRECTIONS))


def test_a_batch_whose_commit_record_is_gone_changes_nothing_when_it_runs_again(filled: Silver) -> None:
    filled.run()
    before = filled.versions()
    folder = Path(filled.config.delta.base_path, "checkpoints")
    (record,) = folder.glob("silver-*/commits/0")
    record.unlink()
    filled.run()
    assert filled.versions() == before and record.exists() and filled.exact()


def test_an_interrupted_build_is_finished_by_the_next_start_and_full_builds_anew(
    lake: Silver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TableMissing, match="There is no Bronze table"):
        lake.run()
    lake.bronze(ROWS[:60])
    with monkeypatch.context() as patch:
        fired = crash(patch, "_replace", 4, after=True)
        with pytest.raises(OSError, match="injected"):
            lake.run()
    assert fired == [4]
    with pytest.raises(TableMissing, match="not built yet"):
        lake.differences()
    lake.bronze(ROWS[60:])
    lake.run()
    assert sorted(row["etat"] for row in lake.contents(GENERATIONS)) == ["debut", "fin"]
    assert len({row["generation"] for row in lake.contents(GENERATIONS)}) == 1
    assert lake.exact()
    lake.run(full=True)
    assert len({row["generation"] for row in lake.contents(GENERATIONS)}) == 2
    assert lake.exact()


def test_other_thresholds_ask_for_a_full_build(filled: Silver) -> None:
    other = Silver(Path(filled.config.delta.base_path), ANALYTICS__ACHATS_FIDELE="3")
    with pytest.raises(DefinitionChanged, match="--full"):
        other.run()
    other.run(full=True)
    assert other.differences() == []


def test_a_batch_holds_so_many_files_and_may_end_inside_a_version(tmp_path: Path) -> None:
    """A version of Bronze has a file for each day: each batch is one of them."""
    small = Silver(tmp_path, PERFORMANCE__MAX_FILES_PER_TRIGGER="1")
    small.bronze(ROWS[:60])
    small.run()
    small.bronze(ROWS[60:])
    small.run()
    batches = len({row["jour"] for row in ROWS[60:]})
    assert small.position().settled and small.exact()
    (folder,) = Path(small.config.delta.base_path, "checkpoints").glob("silver-*")
    assert len(list((folder / "commits").iterdir())) == batches > 1


def test_rows_that_retention_took_are_skipped_those_that_erase_took_end_the_generation(filled: Silver) -> None:
    filled.run()
    day = min(row["jour"] for row in ROWS)
    delta_tables.delete(VENTES, filled.config, f"jour = DATE '{day}'", what=RETENTION)
    filled.bronze(ROWS[110:])
    filled.run()
    figures = {row["pays"]: row["total_transactions"] for row in filled.contents(PAR_PAYS)}
    assert sum(figures.values()) == len(ROWS)  # Silver keeps what Bronze no longer holds
    delta_tables.delete(VENTES, filled.config, "client_id = 3", what=ERASE)
    filled.run()
    assert len({row["generation"] for row in filled.contents(GENERATIONS)}) == 2
    left = [row for n, row in enumerate(ROWS) if row["client_id"] != 3 and (n >= 110 or row["jour"] != day)]
    assert sum(row["total_transactions"] for row in filled.contents(PAR_PAYS)) == len(left)
    assert filled.differences() == []


def test_another_writer_that_removes_rows_stops_the_pass(filled: Silver) -> None:
    delta_tables.delete(VENTES, filled.config, "client_id = 3", what="somebody")
    with pytest.raises(LakehouseError, match=r"took sales away \(DELETE by somebody\).*--full"):
        filled.run()


def test_an_erasure_that_was_asked_of_silver_alone_builds_anew(filled: Silver) -> None:
    erasure.ask_silver(filled.config)
    filled.run()
    assert not erasure.silver_is_asked(filled.config)
    assert len({row["generation"] for row in filled.contents(GENERATIONS)}) == 2 and filled.exact()


def test_a_table_that_was_rolled_back_begins_a_new_generation(filled: Silver) -> None:
    filled.run()
    last = max(filled.contents(GENERATIONS), key=lambda row: row["date_etat"])
    delta_tables.restore(PAR_PAYS, filled.config, 0, what="restore-table")
    delta_tables.append(
        [{**last, "etat": INVALID, "date_etat": datetime.now(UTC)}], GENERATIONS, filled.config, what="restore-table"
    )
    filled.run()
    assert filled.exact() and len({row["generation"] for row in filled.contents(GENERATIONS)}) == 2


def test_a_broken_checkpoint_is_refused(filled: Silver) -> None:
    filled.run()
    (metadata,) = Path(filled.config.delta.base_path, "checkpoints").glob("silver-*/metadata")
    metadata.unlink()
    filled.bronze(ROWS[110:])
    with pytest.raises(CheckpointInvalid, match="rebuild silver"):
        filled.run()


def test_bronze_files_that_are_gone_stop_the_pass_with_the_command_that_helps(filled: Silver) -> None:
    for path in Path(VENTES.path(filled.config.delta.base_path)).glob("jour=*/*.parquet"):
        path.unlink()
    with pytest.raises(LakehouseError, match=r"The Silver pass failed: .*streaming_silver.py --full"):
        filled.run()


def test_compaction_of_bronze_is_nothing_new(filled: Silver) -> None:
    filled.run()
    before = filled.versions()
    found = compaction.survey(filled.config, VENTES)
    assert compaction.maintain(filled.config, found)["merged"] > 0
    filled.run()
    assert filled.versions() == before and filled.exact()


def test_members_are_kept_in_few_files_and_the_log_gets_checkpoints(tmp_path: Path) -> None:
    small = Silver(tmp_path, DELTA__AUTO_COMPACT_MIN_FILES="4", DELTA__CHECKPOINT_INTERVAL="5")
    small.bronze(ROWS[:10])
    small.run()
    for start in range(10, 70, 5):
        small.bronze(ROWS[start : start + 5])
        small.run()
    files: dict[tuple[object, object], int] = {}
    for action in lakes.arrow_actions(small.table(MEMBRES)).to_pylist():
        part = (action["partition.mesure"], action["partition.jour"])
        files[part] = files.get(part, 0) + 1
    assert max(files.values()) < 4
    logs = Path(AGGREGES.path(str(tmp_path)), "_delta_log")
    assert len(list(logs.glob("*.checkpoint*.parquet"))) == small.table(AGGREGES).version() // 5
    assert small.exact()


def test_verify_names_the_cell_that_differs_and_the_rows_that_stand_twice(filled: Silver) -> None:
    filled.run()
    filled.table(PAR_PAYS).update(updates={"revenue_total": "revenue_total + 0.01"}, predicate="pays = 'Japon'")
    (cell,) = filled.differences()
    assert (cell.table, cell.key, cell.column) == (PAR_PAYS.name, "pays=Japon", "revenue_total")
    filled.table(PAR_PAYS).delete("pays = 'France'")
    row = filled.contents(PAR_PAYS)[0]
    lakes.write_spec(filled.config.delta.base_path, PAR_PAYS, [row])
    found = {(one.key, one.column) for one in filled.differences()}
    assert {("pays=France", "*"), (f"pays={row['pays']}", "*")} <= found


def test_a_day_is_kept_apart_from_its_hour_at_both_ends_of_the_calendar(lake: Silver) -> None:
    ends = [
        {**ROWS[0], "vente_id": "first", "timestamp": datetime(1, 1, 1, tzinfo=UTC), "jour": date(1, 1, 1)},
        {
            **ROWS[0],
            "vente_id": "last",
            "timestamp": datetime(9999, 12, 31, 23, 59, 59, 999999, UTC),
            "jour": date(9999, 12, 31),
        },
    ]
    lake.bronze(ends[:1])
    lake.run()
    lake.bronze(ends[1:])
    lake.run()
    assert lake.exact()


def test_sales_that_an_earlier_release_wrote_as_int96_outside_of_its_years_are_left_to_spark(
    lake: Silver,
) -> None:
    """deltalake takes them for times of another century."""
    old = {**ROWS[0], "vente_id": "old", "timestamp": datetime(1600, 1, 1, tzinfo=UTC), "jour": date(1600, 1, 1)}
    lake.bronze(ROWS[:20])
    lake.bronze([old])
    lake.run()  # as microseconds they are read like any other
    assert lake.exact()
    (file,) = Path(VENTES.path(lake.config.delta.base_path)).glob("jour=1600-01-01/*.parquet")
    table = pq.ParquetFile(file).read()
    pq.write_table(table, file, use_deprecated_int96_timestamps=True)
    with pytest.raises(LakehouseError, match=r"The local engine cannot go on: .*INT96.*engine = spark, or auto"):
        lake.run(full=True)


def test_a_batch_is_no_larger_than_the_memory(filled: Silver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [file.bytes for file in LocalEngine(filled.config, ()).bronze_files()]
    monkeypatch.setattr(engine_choice, "_EXPANSION", filled.config.analytics.engine_memory * 2**20 // min(files))
    assert engine_choice.too_large(filled.config, files) and engine_choice.fitting(filled.config, files) == 1
    filled.run()
    (folder,) = Path(tmp_path, "checkpoints").glob("silver-*")
    assert len(list((folder / "commits").iterdir())) == len({row["jour"] for row in ROWS[60:110]}) > 1
    assert filled.exact()


class SparkWasAsked(Exception):
    """In place of a session."""


def test_verify_takes_the_other_engine_than_the_one_that_wrote(filled: Silver, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_session(*_: object, **__: object) -> None:
        raise SparkWasAsked

    monkeypatch.setattr(spark_session, "opened", no_session)
    filled.run()
    with pytest.raises(SparkWasAsked):
        SilverJob(filled.config).verify()
    # a commit of Spark's, which an earlier release did not mark with its engine
    delta_tables.set_properties(AGGREGES, filled.config, {"ventes.x": "1"}, what="silver batch")
    assert SilverJob(filled.config).verify() == []
    tiny = dataclasses.replace(filled.config.analytics, engine_memory=1)
    monkeypatch.setattr(engine_choice, "_EXPANSION", 10**6)
    with pytest.raises(SparkWasAsked):
        SilverJob(dataclasses.replace(filled.config, analytics=tiny)).verify()


def test_auto_changes_to_spark_for_what_does_not_fit_and_local_does_not(
    filled: Silver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_session(*_: object, **__: object) -> None:
        raise SparkWasAsked

    monkeypatch.setattr(spark_session, "opened", no_session)
    monkeypatch.setattr(engine_choice, "_EXPANSION", 10**7)
    auto = Silver(Path(filled.config.delta.base_path), ANALYTICS__ENGINE="auto")
    for full in (False, True):
        with pytest.raises(SparkWasAsked):
            auto.run(full=full)
    filled.run()
    assert filled.position().settled
