"""Silver against arithmetic in plain Python: any split into batches, repeated or not, gives the same cells."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse import config
from lakehouse.config import Config
from lakehouse.contract.tables import AGGREGES, CORRECTIONS, PAR_PAYS, SILVER, VENTES
from lakehouse.lake import spark_tables
from lakehouse.lake.net_sql import SOURCE_COLUMNS
from lakehouse.silver import aggregates, spark_plans, spark_sales
from lakehouse.silver.aggregates import Aggregate, Thresholds
from lakehouse.silver.sink import SilverSink
from tests.support import lakes

LIMITS = Thresholds(Decimal(500), Decimal(100), 2, "UTC")
ENTRIES = aggregates.aggregates(LIMITS)
BY_NAME = {entry.table.name: entry for entry in ENTRIES}


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    return config.load(env={"VENTES_DELTA__BASE_PATH": str(tmp_path)})


def frame(spark: SparkSession, rows: Sequence[lakes.Row]) -> DataFrame:
    return spark.createDataFrame([tuple(row[name] for name in VENTES.names) for row in rows], VENTES.ddl).select(
        *SOURCE_COLUMNS
    )


def sold(spark: SparkSession, rows: Sequence[lakes.Row]) -> spark_sales.SparkNetSales:
    return spark_sales.without_operations(frame(spark, rows))


def cells(rows: Sequence[lakes.Row], entry: Aggregate) -> list[tuple[object, ...]]:
    """The compared columns as sorted tuples; timestamps without a zone, as Spark hands them out."""

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return tuple(plain(item) for item in value.values())
        return value.replace(tzinfo=None) if hasattr(value, "tzinfo") else value

    names = (*entry.table.keys, *entry.compared)
    return sorted((tuple(plain(row[name]) for name in names) for row in rows), key=repr)


def written(spark: SparkSession, entry: Aggregate, settings: Config) -> list[tuple[object, ...]]:
    return cells(
        [row.asDict(recursive=True) for row in spark_tables.read(spark, entry.table, settings).collect()], entry
    )


def assert_equal_to_arithmetic(spark: SparkSession, rows: Sequence[lakes.Row], settings: Config) -> None:
    expected = lakes.silver(rows)
    for entry in ENTRIES:
        assert written(spark, entry, settings) == cells(expected[entry.table.name], entry), entry.table.name


def test_every_silver_table_has_one_entry_and_its_columns_are_all_made() -> None:
    assert [entry.table for entry in ENTRIES] == list(SILVER)
    for entry in ENTRIES:
        assert tuple(aggregates.insert_values(entry)) == entry.table.names


def test_batches_merged_and_repeated_equal_plain_arithmetic(spark: SparkSession, settings: Config) -> None:
    """Keys shared between batches, new keys, late days, and each batch applied twice: once merged, once refused."""
    rows = lakes.sales(240, days=4)
    random.Random(3).shuffle(rows)
    batches = [rows[:100], rows[100:101], rows[101:240]]
    sink = SilverSink(settings, ENTRIES, "g1")
    sink.build(sold(spark, batches[0]))
    assert_equal_to_arithmetic(spark, batches[0], settings)
    for number, batch in enumerate(batches[1:]):
        sink(frame(spark, batch), number)
        versions = {entry.table.name: spark_tables.version(spark, entry.table, settings) for entry in ENTRIES}
        sink(frame(spark, batch), number)
        assert versions == {entry.table.name: spark_tables.version(spark, entry.table, settings) for entry in ENTRIES}
    assert_equal_to_arithmetic(spark, rows, settings)


def test_a_build_replaces_what_was_there_in_one_version(spark: SparkSession, settings: Config) -> None:
    rows = lakes.sales(60, days=2)
    SilverSink(settings, ENTRIES, "g1").build(sold(spark, rows[:30]))
    before = spark_tables.version(spark, PAR_PAYS, settings)
    second = SilverSink(settings, ENTRIES, "g2")
    second.build(sold(spark, rows))
    second.build(sold(spark, rows))  # the repeat of an interrupted build
    assert spark_tables.version(spark, PAR_PAYS, settings) == before + 1
    assert_equal_to_arithmetic(spark, rows, settings)


def corrections(spark: SparkSession, settings: Config) -> dict[tuple[object, ...], tuple[int, Decimal, int]]:
    rows = spark_tables.read(spark, CORRECTIONS, settings).collect()
    keyed = {(r.generation, r.lot, r.jour, r.pays, r.segment): (r.transactions, r.montant, r.articles) for r in rows}
    assert len(keyed) == len(rows)
    return keyed


def by_place(rows: Sequence[lakes.Row]) -> dict[tuple[object, ...], tuple[int, Decimal, int]]:
    return {
        key: (len(found), sum((r["montant"] for r in found), Decimal(0)), sum(r["quantite"] for r in found))
        for key, found in lakes.group(rows, "jour", "pays", "segment").items()
    }


def test_what_changes_a_day_that_had_ended_is_on_record_once(spark: SparkSession, settings: Config) -> None:
    """By increments and by a build; sales of the present day are none of it."""
    now = datetime.now(UTC)
    past = lakes.sales(60, days=3)
    past = [{**row, "jour": row["jour"] - timedelta(days=400)} for row in past]
    present = [{**row, "jour": now.date() + timedelta(days=1), "timestamp": now} for row in past[:5]]
    first = SilverSink(settings, ENTRIES, "g1")
    first.build(sold(spark, past[:20]))
    assert not spark_tables.exists(spark, CORRECTIONS, settings)  # the first build changes no figure: there was none
    first(frame(spark, present), 0)
    assert not spark_tables.exists(spark, CORRECTIONS, settings)
    late = past[20:40] + present
    first(frame(spark, late), 1)
    first(frame(spark, late), 1)
    expected = {("g1", 1, *key): figures for key, figures in by_place(past[20:40]).items()}
    assert corrections(spark, settings) == expected
    second = SilverSink(settings, ENTRIES, "g2")
    second.build(sold(spark, past[10:] + present))  # ten sales gone, twenty more
    gone, came = by_place(past[:10]), by_place(past[40:])
    for key in gone | came:
        minus, plus = gone.get(key, (0, Decimal(0), 0)), came.get(key, (0, Decimal(0), 0))
        figures = tuple(a - b for a, b in zip(plus, minus, strict=True))
        if any(figures):
            expected["g2", 0, *key] = figures  # type: ignore[assignment]
    assert corrections(spark, settings) == expected


def merged(spark: SparkSession, rows: Sequence[lakes.Row], entry: Aggregate) -> DataFrame:
    """The entry's measures over sales without an operation."""
    return spark_plans.partial(sold(spark, rows).rows, entry, plain=True)


def test_money_adds_up_to_the_cent_where_floats_do_not(spark: SparkSession) -> None:
    row = lakes.sales(1)[0]
    rows = [{**row, "vente_id": f"v{n}", "montant": Decimal("0.10")} for n in range(3)]
    rows.append({**row, "vente_id": "v9", "montant": Decimal("9999999999999999.99")})
    (found,) = spark_plans.complete(
        merged(spark, rows, BY_NAME["ventes_par_pays"]), BY_NAME["ventes_par_pays"]
    ).collect()
    assert found.revenue_total == Decimal("10000000000000000.29")
    assert found.transaction_moyenne == Decimal("2500000000000000.07")  # …00.0725, half up to the cent


def test_thresholds_decide_segments_and_loyalty(spark: SparkSession) -> None:
    row = lakes.sales(1)[0]
    amounts = {1: "99.99", 2: "100.00", 3: "499.99", 4: "500.00"}
    rows = [{**row, "client_id": client, "montant": Decimal(amount)} for client, amount in amounts.items()]
    rows.append({**rows[0], "vente_id": "again", "montant": Decimal("0.00")})
    entry = BY_NAME["ventes_aggreges"]
    found = spark_plans.complete(merged(spark, rows, entry), entry).orderBy("client_id").collect()
    assert [(r.segment_depense, r.est_client_fidele) for r in found] == [
        ("Economy", True), ("Standard", False), ("Standard", False), ("Premium", False),
    ]  # fmt: skip
    other = aggregates.aggregates(replace(LIMITS, premium=Decimal(450), loyal=3))[0]
    found = spark_plans.complete(merged(spark, rows, other), other).orderBy("client_id").collect()
    assert [(r.segment_depense, r.est_client_fidele) for r in found] == [
        ("Economy", False), ("Standard", False), ("Premium", False), ("Premium", False),
    ]  # fmt: skip


def test_an_unknown_amount_falls_into_no_segment(spark: SparkSession) -> None:
    entry = BY_NAME["ventes_aggreges"]
    values = aggregates.insert_values(entry)
    row = spark.sql("SELECT CAST(NULL AS DECIMAL(28,2)) total_depense").selectExpr(
        values["segment_depense"].replace("s.`total_depense`", "total_depense")
    ).first()  # fmt: skip
    assert row is not None and row[0] is None


def test_the_hour_is_the_business_time_zones(spark: SparkSession) -> None:
    paris = aggregates.aggregates(replace(LIMITS, timezone="Europe/Paris"))[4]
    row = lakes.sales(1)[0]
    (found,) = merged(spark, [row], paris).collect()
    assert found.heure == (row["timestamp"].hour + 1) % 24


def test_differences_names_each_differing_cell_and_each_missing_row(spark: SparkSession) -> None:
    rows = lakes.sales(50)
    entry = BY_NAME["ventes_par_pays"]
    right = spark_plans.complete(merged(spark, rows, entry), entry)
    assert spark_plans.differences(right, right, entry).isEmpty()
    more = F.expr("revenue_total + IF(pays = 'France', 0.01, 0)")
    wrong = right.withColumn("revenue_total", more).where("pays <> 'Japon'")
    found = {(r.cle, r.colonne) for r in spark_plans.differences(right, wrong, entry).collect()}
    assert found == {("pays=France", "revenue_total"), ("pays=Japon", "*")}


def test_merges_prune_to_the_touched_days() -> None:
    entry = BY_NAME["ventes_aggreges"]
    days = [date(2026, 11, 22), date(1997, 7, 4)]
    assert aggregates.merge_condition(entry, days) == (
        "t.jour IN (DATE'1997-07-04', DATE'2026-11-22') AND t.`client_id` = s.`client_id` AND t.`jour` = s.`jour`"
    )
    many = [date.fromordinal(730_000 + n) for n in range(1001)]
    assert aggregates.day_condition(AGGREGES, many) == f"jour BETWEEN DATE'{many[0]}' AND DATE'{many[-1]}'"
    assert aggregates.day_condition(PAR_PAYS, days) is None


def test_the_definition_changes_with_a_threshold_and_not_by_itself() -> None:
    assert aggregates.definition(ENTRIES) == aggregates.definition(aggregates.aggregates(LIMITS))
    assert aggregates.definition(ENTRIES) != aggregates.definition(aggregates.aggregates(replace(LIMITS, loyal=3)))
