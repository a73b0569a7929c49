"""The engine that runs on Spark: distributed, for clusters, object stores and large builds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from lakehouse.config import Config
from lakehouse.contract.tables import GENERATIONS, OPERATIONS, VENTES, TableSpec
from lakehouse.lake import spark_tables
from lakehouse.lake.checkpoint import Checkpoint
from lakehouse.lake.operations_progress import NONE, OperationsStep
from lakehouse.observability import provenance
from lakehouse.silver import spark_plans, spark_sales
from lakehouse.silver.aggregates import Aggregate
from lakehouse.silver.engine import JOB, CellDifference, EngineName, Generation
from lakehouse.silver.sink import SilverSink, source_options
from lakehouse.silver.spark_sales import SparkNetSales


class SparkEngine:
    """``Engine`` in a Spark session."""

    name: EngineName = "spark"

    def __init__(self, config: Config, entries: Sequence[Aggregate], spark: SparkSession) -> None:
        self._config = config
        self._entries = entries
        self._spark = spark

    def bronze_version(self) -> int:
        return self.version(VENTES)

    def operations_version(self) -> int:
        there = spark_tables.exists(self._spark, OPERATIONS, self._config)
        return self.version(OPERATIONS) if there else NONE

    def table_id(self, spec: TableSpec) -> str:
        return spark_tables.table_id(self._spark, spec, self._config)

    def removals(self, spec: TableSpec, *, after: int, upto: int) -> Iterator[tuple[int, str, str | None]]:
        return spark_tables.removals(self._spark, spec, self._config, after=after, upto=upto)

    def last_state(self) -> Mapping[str, Any] | None:
        spark_tables.ensure(self._spark, GENERATIONS, self._config)
        rows = spark_tables.read(self._spark, GENERATIONS, self._config).orderBy("date_etat").collect()
        return rows[-1].asDict() if rows else None

    def record(self, row: Mapping[str, Any]) -> None:
        columns = [one for one in (*GENERATIONS.columns, *GENERATIONS.optional) if one[0] in row]
        ddl = ", ".join(f"`{name}` {kind}" for name, kind in columns)
        frame = self._spark.createDataFrame([tuple(row[name] for name, _ in columns)], ddl)
        origin = provenance.commit_metadata("silver job")
        frame.write.format("delta").mode("append").option("userMetadata", origin).option("mergeSchema", "true").save(
            GENERATIONS.path(self._config.delta.base_path)
        )

    def checkpoint(self, generation: Generation) -> Checkpoint:
        return Checkpoint(self._spark, generation.checkpoint(self._config.delta.base_path))

    def build(self, generation: Generation, stop: threading.Event) -> bool:
        sales = self._sales(generation.bronze_version, generation.operations_version)
        return SilverSink(self._config, self._entries, generation.name).build(sales, stop)

    def _sales(self, version: int, operations: int) -> SparkNetSales:
        return spark_sales.of_bronze(self._spark, self._config, sales=version, operations=operations)

    def gain_columns(self, generation: Generation) -> None:
        SilverSink(self._config, self._entries, generation.name).gain_columns(self._spark)

    def apply(
        self,
        generation: Generation,
        step: OperationsStep,
        merged: Callable[[str, float], None],
        beat: Callable[[], None],
    ) -> None:
        def noted(table: str, seconds: float) -> None:
            merged(table, seconds)
            beat()

        with spark_sales.changed(self._spark, self._config, step) as found:
            if found is not None:
                SilverSink(self._config, self._entries, generation.name, noted).apply(found, step.number)

    def advance(
        self,
        generation: Generation,
        *,
        operations: int,
        skip_removals: bool,
        merged: Callable[[str, float], None],
        beat: Callable[[], None],
    ) -> tuple[int, Exception | None]:
        sink = SilverSink(self._config, self._entries, generation.name, merged, operations=operations)
        query = (
            self._spark.readStream.format("delta")
            .options(**source_options(self._config, generation.bronze_version, removed=skip_removals))
            .load(VENTES.path(self._config.delta.base_path))
            .writeStream.queryName(JOB)
            .option("checkpointLocation", generation.checkpoint(self._config.delta.base_path))
            .trigger(availableNow=True)
            .foreachBatch(sink)
            .start()
        )
        # polled, so that a signal is handled; awaitTermination would raise before the job's own message
        while query.isActive:
            beat()
            time.sleep(0.1)
        return sink.rows, query.exception()

    def properties(self, spec: TableSpec) -> Mapping[str, str]:
        return spark_tables.properties(self._spark, spec, self._config)

    def version(self, spec: TableSpec) -> int:
        return spark_tables.version(self._spark, spec, self._config)

    def differences(
        self,
        entry: Aggregate,
        *,
        bronze_version: int,
        operations: int,
        version: int,
        since: date | None,
        limit: int,
    ) -> list[CellDifference]:
        sales = self._sales(bronze_version, operations)
        expected = spark_plans.complete(spark_plans.partial(sales.rows, entry, plain=sales.plain), entry)
        actual = spark_tables.read(self._spark, entry.table, self._config, version=version)
        if since:
            expected, actual = expected.where(F.col("jour") >= since), actual.where(F.col("jour") >= since)
        cells = spark_plans.differences(expected, actual, entry).orderBy("cle", "colonne").limit(limit).collect()
        return [CellDifference(entry.table.name, *cell) for cell in cells]

    def doubled(self, spec: TableSpec, *, version: int | None, limit: int) -> list[CellDifference]:
        if not spark_tables.exists(self._spark, spec, self._config):
            return []
        rows = spark_tables.read(self._spark, spec, self._config, version=version)
        cells = spark_plans.doubled(rows, spec).orderBy("cle").limit(limit).collect()
        return [CellDifference(spec.name, *cell) for cell in cells]
