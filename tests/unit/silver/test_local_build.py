"""A build by the local engine takes some days at a time: the same cells, in memory for those days alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lakehouse import config
from lakehouse.config import Config
from lakehouse.contract.tables import AGGREGES, MEMBRES, PAR_PAYS, SILVER, TENDANCES, VENTES, TableSpec
from lakehouse.lake import delta_tables
from lakehouse.silver import engine_choice, job, local_sink
from lakehouse.silver.aggregates import PROCESSING_TIME
from lakehouse.silver.local_engine import LocalEngine
from lakehouse.silver.local_sales import LocalNetSales
from lakehouse.silver.local_sink import LocalSink
from tests.support import job_lake, lakes

ROWS = lakes.sales(200, days=12)
DAYS = sorted({row["jour"] for row in ROWS})


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    base = str(tmp_path / "lake")
    for number in range(2):
        job_lake.append(base, VENTES, ROWS[100 * number : 100 * number + 100], job_lake.CLOCK, number)
    return config.load(env={"VENTES_DELTA__BASE_PATH": base, "VENTES_ANALYTICS__ENGINE": "local"})


def built(settings: Config, name: str) -> dict[str, list[str]]:
    """Every cell of every table after a build."""
    assert LocalSink(settings, job.entries(settings), name).build(LocalNetSales(delta_tables.opened(VENTES, settings)))
    found = {}
    for spec in (*SILVER, MEMBRES):
        rows = lakes.contents(delta_tables.opened(spec, settings)).to_pylist()
        found[spec.name] = sorted(
            repr([(key, row[key]) for key in spec.names if key != PROCESSING_TIME]) for row in rows
        )
    return found


def test_a_build_by_days_has_the_cells_of_one_at_once(settings: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: dict[str, int] = {}
    real = LocalSink._pieces

    def counted(self: LocalSink, ask: Any, queries: Iterable[str], spec: TableSpec) -> pa.RecordBatchReader:
        given = list(queries)
        pieces[spec.name] = len(given)
        return real(self, ask, given, spec)

    monkeypatch.setattr(LocalSink, "_pieces", counted)
    at_once = built(settings, "one")
    assert pieces[AGGREGES.name] == 1
    monkeypatch.setattr(engine_choice, "chunk_bytes", lambda _config: 1)
    assert built(settings, "two") == at_once
    assert pieces[AGGREGES.name] == pieces[TENDANCES.name] == len(DAYS) and pieces[PAR_PAYS.name] == 1
    assert all(at_once.values())


def test_days_are_grouped_with_their_neighbours(settings: Config) -> None:
    sales = delta_tables.opened(VENTES, settings)
    assert local_sink._spans(sales, 2**40) == [(DAYS[0], DAYS[-1])]
    assert local_sink._spans(sales, 1) == [(day, day) for day in DAYS]
    largest = max(file.bytes for file in LocalEngine(settings, ()).bronze_files())
    spans = local_sink._spans(sales, 5 * largest)
    assert 1 < len(spans) < len(DAYS) and spans[0][0] == DAYS[0] and spans[-1][1] == DAYS[-1]
    assert all(one[1] < other[0] for one, other in pairwise(spans))
    assert {day for first, last in spans for day in DAYS if first <= day <= last} == set(DAYS)


def test_the_rows_that_a_build_writes_are_part_of_what_it_needs(
    settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = LocalEngine(settings, job.entries(settings))
    files, version = engine.bronze_files(), engine.bronze_version()
    assert engine.too_large_to_build(version, files) is None
    rows = len({(row["client_id"], row["jour"]) for row in ROWS})
    monkeypatch.setattr(engine_choice, "_WRITTEN", settings.analytics.engine_memory * 2**20 // (rows * 2))
    assert engine.too_large_to_build(version, files) is None
    monkeypatch.setattr(engine_choice, "_WRITTEN", settings.analytics.engine_memory * 2**20 * 2 // rows)
    assert "engine_memory is 1024" in (engine.too_large_to_build(version, files) or "")


def test_no_sale_makes_no_group(settings: Config) -> None:
    day = lakes.START.date() - timedelta(days=1)
    delta_tables.delete(VENTES, settings, f"jour > DATE '{day}'", what="erase")
    assert local_sink._spans(delta_tables.opened(VENTES, settings), 1) == []
    assert not any(built(settings, "none").values())
