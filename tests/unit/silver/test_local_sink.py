"""The local engine's writes against arithmetic in plain Python: any split into batches, repeated or not, gives the same cells.

The twin of ``tests/spark/silver/test_aggregates.py``, with the same sales; no JVM.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from lakehouse import config
from lakehouse.config import Config
from lakehouse.contract.tables import CORRECTIONS, MEMBRES, PAR_PAYS, SILVER, VENTES, TableSpec
from lakehouse.lake import delta_tables, table_changes
from lakehouse.lake.table_changes import Position
from lakehouse.silver import aggregates, local_sales
from lakehouse.silver.aggregates import Aggregate, Thresholds
from lakehouse.silver.local_sink import LocalSink
from tests.support import lakes

LIMITS = Thresholds(Decimal(500), Decimal(100), 2, "UTC")
ENTRIES = aggregates.aggregates(LIMITS)


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    # a folder whose name means something in an address
    return config.load(env={"VENTES_DELTA__BASE_PATH": str(tmp_path / "la ke é")})


class Sales:
    """Bronze, to which each call of ``merge`` appends one batch's rows."""

    def __init__(self, settings: Config) -> None:
        self.config = settings

    def append(self, rows: Sequence[lakes.Row]) -> tuple[Position, Position]:
        before = self.version
        lakes.write_spec(self.config.delta.base_path, VENTES, rows)
        return Position(before + 1), Position(self.version + 1)

    @property
    def version(self) -> int:
        there = delta_tables.exists(VENTES, self.config)
        return delta_tables.opened(VENTES, self.config).version() if there else -1

    def merge(self, sink: LocalSink, between: tuple[Position, Position], number: int) -> None:
        files = table_changes.added(VENTES, self.config, *between, skip_removals=False)
        with table_changes.as_table(files, VENTES, self.config) as sales:
            sink(local_sales.LocalNetSales(sales), number)

    def table(self) -> local_sales.LocalNetSales:
        return local_sales.LocalNetSales(delta_tables.opened(VENTES, self.config))


@pytest.fixture
def bronze(settings: Config) -> Sales:
    return Sales(settings)


def version(settings: Config, spec: TableSpec) -> int:
    return delta_tables.opened(spec, settings).version()


def versions(settings: Config) -> list[int]:
    return [version(settings, spec) for spec in (*SILVER, MEMBRES)]


def cells(rows: Sequence[lakes.Row], entry: Aggregate) -> list[tuple[object, ...]]:
    def plain(value: object) -> object:
        return tuple(plain(item) for item in value.values()) if isinstance(value, dict) else value

    names = (*entry.table.keys, *entry.compared)
    return sorted((tuple(plain(row[name]) for name in names) for row in rows), key=repr)


def utc(rows: list[lakes.Row]) -> list[lakes.Row]:
    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {name: plain(item) for name, item in value.items()}
        return value.astimezone(UTC) if isinstance(value, datetime) else value

    return [{name: plain(value) for name, value in row.items()} for row in rows]


def assert_equal_to_arithmetic(rows: Sequence[lakes.Row], settings: Config) -> None:
    expected = lakes.silver(rows)
    for entry in ENTRIES:
        found = utc(lakes.contents(delta_tables.opened(entry.table, settings)).to_pylist())
        assert cells(found, entry) == cells(expected[entry.table.name], entry), entry.table.name


def test_batches_merged_and_repeated_equal_plain_arithmetic(settings: Config, bronze: Sales) -> None:
    """Keys shared between batches, new keys, late days, and each batch applied twice: once merged, once refused."""
    rows = lakes.sales(240, days=4)
    random.Random(3).shuffle(rows)
    batches = [rows[:100], rows[100:101], rows[101:240]]
    sink = LocalSink(settings, ENTRIES, "g1")
    bronze.append(batches[0])
    sink.build(bronze.table())
    assert_equal_to_arithmetic(batches[0], settings)
    for number, batch in enumerate(batches[1:]):
        between = bronze.append(batch)
        bronze.merge(sink, between, number)
        before = versions(settings)
        bronze.merge(sink, between, number)
        assert versions(settings) == before
    assert_equal_to_arithmetic(rows, settings)


def test_a_build_replaces_what_was_there_in_one_version(settings: Config, bronze: Sales) -> None:
    rows = lakes.sales(60, days=2)
    bronze.append(rows[:30])
    LocalSink(settings, ENTRIES, "g1").build(bronze.table())
    before = version(settings, PAR_PAYS)
    bronze.append(rows[30:])
    second = LocalSink(settings, ENTRIES, "g2")
    second.build(bronze.table())
    second.build(bronze.table())  # the repeat of an interrupted build
    assert version(settings, PAR_PAYS) == before + 1
    assert_equal_to_arithmetic(rows, settings)


def test_tables_that_it_creates_have_the_columns_properties_and_statistics_of_the_specification(
    settings: Config, bronze: Sales
) -> None:
    bronze.append(lakes.sales(30))
    LocalSink(settings, ENTRIES, "g1").build(bronze.table())
    for spec in (*SILVER, MEMBRES):
        table = delta_tables.opened(spec, settings)
        fields = table.schema().fields
        assert [field.name for field in fields] == list(spec.names)
        assert all(field.nullable for field in fields)
        assert table.metadata().partition_columns == list(spec.partition_by)
        assert table.metadata().configuration["delta.checkpointInterval"]
        named = set(lakes.arrow_actions(table).column_names)
        kept = [name for name in spec.stats if name not in spec.partition_by]
        assert {f"min.{name}" for name in kept} <= named
        assert not {name for name in named if name.startswith("min.")} - {f"min.{name}" for name in kept}


def corrections(settings: Config) -> dict[tuple[object, ...], tuple[int, Decimal, int]]:
    rows = lakes.contents(delta_tables.opened(CORRECTIONS, settings)).to_pylist()
    keys = ("generation", "lot", "jour", "pays", "segment")
    keyed = {tuple(r[key] for key in keys): (r["transactions"], r["montant"], r["articles"]) for r in rows}
    assert len(keyed) == len(rows)
    return keyed


def by_place(rows: Sequence[lakes.Row]) -> dict[tuple[object, ...], tuple[int, Decimal, int]]:
    return {
        key: (len(found), sum((r["montant"] for r in found), Decimal(0)), sum(r["quantite"] for r in found))
        for key, found in lakes.group(rows, "jour", "pays", "segment").items()
    }


def test_what_changes_a_day_that_had_ended_is_on_record_once(settings: Config, bronze: Sales) -> None:
    """By increments and by a build; sales of the present day are none of it."""
    now = datetime.now(UTC)
    past = [{**row, "jour": row["jour"] - timedelta(days=400)} for row in lakes.sales(60, days=3)]
    present = [{**row, "jour": now.date() + timedelta(days=1), "timestamp": now} for row in past[:5]]
    bronze.append(past[:20])
    first = LocalSink(settings, ENTRIES, "g1")
    first.build(bronze.table())
    assert not delta_tables.exists(CORRECTIONS, settings)  # the first build changes no figure: there was none
    bronze.merge(first, bronze.append(present), 0)
    assert not delta_tables.exists(CORRECTIONS, settings)
    between = bronze.append([*past[20:40], *present])
    bronze.merge(first, between, 1)
    bronze.merge(first, between, 1)
    expected = {("g1", 1, *key): figures for key, figures in by_place(past[20:40]).items()}
    assert corrections(settings) == expected
    other = Sales(config.load(env={"VENTES_DELTA__BASE_PATH": f"{settings.delta.base_path}-2"}))
    other.append(past[10:] + present)  # ten sales gone, twenty more
    LocalSink(settings, ENTRIES, "g2").build(other.table())
    gone, came = by_place(past[:10]), by_place(past[40:])
    for key in gone | came:
        minus, plus = gone.get(key, (0, Decimal(0), 0)), came.get(key, (0, Decimal(0), 0))
        figures = tuple(a - b for a, b in zip(plus, minus, strict=True))
        if any(figures):
            expected["g2", 0, *key] = figures  # type: ignore[assignment]
    assert corrections(settings) == expected


def test_money_adds_up_to_the_cent_where_floats_do_not(settings: Config, bronze: Sales) -> None:
    row = lakes.sales(1)[0]
    rows = [{**row, "vente_id": f"v{n}", "montant": Decimal("0.10")} for n in range(3)]
    rows.append({**row, "vente_id": "v9", "montant": Decimal("9999999999999999.99")})
    bronze.append(rows)
    LocalSink(settings, ENTRIES, "g1").build(bronze.table())
    (found,) = lakes.contents(delta_tables.opened(PAR_PAYS, settings)).to_pylist()
    assert found["revenue_total"] == Decimal("10000000000000000.29")
    assert found["transaction_moyenne"] == Decimal("2500000000000000.07")  # …00.0725, half up to the cent


def test_the_days_that_retention_took_are_not_written_again(settings: Config, bronze: Sales) -> None:
    rows = lakes.sales(60, days=4)
    bronze.append(rows[:30])
    sink = LocalSink(settings, ENTRIES, "g1")
    sink.build(bronze.table())
    since = date(2026, 11, 12)
    for spec in SILVER:
        if "jour" in spec.keys:
            delta_tables.delete(spec, settings, f"jour < DATE '{since}'", what="retention")
            delta_tables.set_properties(spec, settings, {"ventes.conserveDepuis": str(since)}, what="retention")
    bronze.merge(sink, bronze.append(rows[30:]), 0)
    expected = lakes.silver(rows)
    for entry in ENTRIES:
        wanted = [row for row in expected[entry.table.name] if row.get("jour", since) >= since]
        found = utc(lakes.contents(delta_tables.opened(entry.table, settings)).to_pylist())
        assert cells(found, entry) == cells(wanted, entry), entry.table.name


def test_the_hour_is_the_business_time_zones(settings: Config, bronze: Sales) -> None:
    row = lakes.sales(1)[0]
    bronze.append([row])
    paris = aggregates.aggregates(replace(LIMITS, timezone="Europe/Paris"))
    LocalSink(settings, paris, "g1").build(bronze.table())
    (found,) = lakes.contents(delta_tables.opened(paris[4].table, settings)).to_pylist()
    assert found["heure"] == (row["timestamp"].hour + 1) % 24
