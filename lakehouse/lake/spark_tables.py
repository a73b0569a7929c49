"""Writes to Delta tables by the jobs: rows through Spark, and what else a commit may say of a local table without it.

Spark takes a second and a half to make a first table, and half a second to set a property: a job's start does both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from lakehouse import crash_points
from lakehouse.config import Config, paths
from lakehouse.contract.tables import CHAMPS_INCONNUS, TableSpec
from lakehouse.jvm import spark_internals
from lakehouse.lake import append as append_steps
from lakehouse.lake import delta_tables, log_entry
from lakehouse.lake.append import Target
from lakehouse.lake.table_settings import wanted_properties
from lakehouse.observability import log, provenance
from lakehouse.observability.provenance import read_origin

_log = log.get("delta")


def ensure(spark: SparkSession, spec: TableSpec, config: Config) -> None:
    """Create the table when it is missing; bring an existing one in line with the settings: its properties, and the
    columns that they ask for."""
    path = spec.path(config.delta.base_path)
    properties = wanted_properties(spec, config)
    if exists(spark, spec, config):
        set_properties(spark, spec, config, properties)
    else:
        if paths.is_remote(config) or not delta_tables.can_create(spec):
            _create(spark, spec, config, properties)
        else:
            delta_tables.create(spec, config, properties, what=f"{spec.layer} job")
        _log.info("table created", table=spec.name, path=path)
    add_columns(spark, spec, config, [column for column in spec.optional if _asked_for(column[0], config)])


def _create(spark: SparkSession, spec: TableSpec, config: Config, properties: Mapping[str, str]) -> None:
    builder = DeltaTable.createIfNotExists(spark).location(spec.path(config.delta.base_path))
    builder = builder.addColumns(_schema(spark, spec))
    if spec.partition_by:
        builder = builder.partitionedBy(*spec.partition_by)
    for key, value in properties.items():
        builder = builder.property(key, value)
    builder.execute()


def _asked_for(name: str, config: Config) -> bool:
    return name == CHAMPS_INCONNUS and config.streaming.champs_inconnus == "garder"


def add_columns(spark: SparkSession, spec: TableSpec, config: Config, wanted: Sequence[tuple[str, str]]) -> None:
    """Add the columns that are missing, in one commit; rows that are there have null in them."""
    there = read(spark, spec, config).columns if wanted else []
    missing = [f"`{name}` {kind}" for name, kind in wanted if name not in there]
    if missing:
        path = spec.path(config.delta.base_path)
        spark.sql(f"ALTER TABLE delta.`{path}` ADD COLUMNS ({', '.join(missing)})")
        _log.info("columns added", table=spec.name, columns=missing)


def _schema(spark: SparkSession, spec: TableSpec) -> StructType:
    return spark.createDataFrame([], spec.ddl).schema


def set_properties(spark: SparkSession, spec: TableSpec, config: Config, wanted: Mapping[str, str]) -> None:
    """Set the table properties that differ; no commit when none does."""
    path = spec.path(config.delta.base_path)
    current = properties(spark, spec, config)
    changed = {key: value for key, value in wanted.items() if current.get(key) != value}
    if changed and not paths.is_remote(config):
        delta_tables.set_properties(spec, config, changed, what=f"{spec.layer} job")
    elif changed:
        pairs = ", ".join(f"'{key}' = '{value}'" for key, value in changed.items())
        spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ({pairs})")


def _snapshot(spark: SparkSession, spec: TableSpec, config: Config) -> Any:
    """The table's latest state, asked of Delta's own log: ``detail()`` and ``history()`` each run Spark jobs for it."""
    jvm = spark_internals.jvm(spark)
    none = jvm.scala.Option.empty()
    log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(
        spark_internals.java_session(spark), spec.path(config.delta.base_path)
    )
    return log.update(False, none, none)


def properties(spark: SparkSession, spec: TableSpec, config: Config) -> dict[str, str]:
    """The table's properties, as they are now."""
    if not paths.is_remote(config):
        return delta_tables.properties(spec, config)
    jvm = spark_internals.jvm(spark)
    found = _snapshot(spark, spec, config).metadata().configuration()
    return dict(jvm.scala.jdk.javaapi.CollectionConverters.asJava(found))


def version(spark: SparkSession, spec: TableSpec, config: Config) -> int:
    """The table's latest version."""
    return int(_snapshot(spark, spec, config).version())


def table_id(spark: SparkSession, spec: TableSpec, config: Config) -> str:
    """The table's own id: one that was removed and made anew has another."""
    return str(_snapshot(spark, spec, config).metadata().id())


def last_version(spark: SparkSession, spec: TableSpec, config: Config) -> int:
    """The newest version that this process knows: after a write of its own, that write's. Reads nothing."""
    jvm = spark_internals.jvm(spark)
    log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(
        spark_internals.java_session(spark), spec.path(config.delta.base_path)
    )
    return int(log.unsafeVolatileSnapshot().version())


def written(spark: SparkSession, spec: TableSpec, config: Config, *, after: int, upto: int) -> tuple[int, int]:
    """The rows and files that the appends of versions ``after`` + 1 to ``upto`` added, as Delta counted them while it
    wrote."""
    rows = files = 0
    for version in range(after + 1, upto + 1):
        info = log_entry.commit_info_in(log_entry.lines(_entry(spark, spec, config, version)))
        if info.get("operation") in ("WRITE", "STREAMING UPDATE"):  # not OPTIMIZE, which rewrites rows
            counted = info.get("operationMetrics", {})
            rows += int(counted.get("numOutputRows", 0))
            files += int(counted.get("numFiles", 0))
    return rows, files


def removals(
    spark: SparkSession, spec: TableSpec, config: Config, *, after: int, upto: int
) -> Iterator[tuple[int, str, str | None]]:
    """(version, operation, what its origin says) of the commits of versions ``after`` + 1 to ``upto`` that took rows away."""
    for version in range(after + 1, upto + 1):
        text = _entry(spark, spec, config, version)
        if '"remove"' in text and log_entry.takes_rows(actions := log_entry.actions(text)):
            info = log_entry.commit_info(actions)
            yield version, str(info.get("operation")), read_origin(info).what


def _entry(spark: SparkSession, spec: TableSpec, config: Config, version: int) -> str:
    """The text of one commit."""
    jvm = spark_internals.jvm(spark)
    path = jvm.org.apache.hadoop.fs.Path(log_entry.place(spec.path(config.delta.base_path), version))
    stream = path.getFileSystem(spark_internals.hadoop_configuration(spark)).open(path)
    try:
        return str(jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
    finally:
        stream.close()


def read(spark: SparkSession, spec: TableSpec, config: Config, *, version: int | None = None) -> DataFrame:
    """The table, at ``version`` or as it is now."""
    reader = spark.read.format("delta")
    if version is not None:
        reader = reader.option("versionAsOf", version)
    return reader.load(spec.path(config.delta.base_path))


def is_empty(spark: SparkSession, spec: TableSpec, config: Config) -> bool:
    """Whether the table holds no row. For one that was just created the only commit tells: a query would take seconds."""
    if version(spark, spec, config) == 0:
        return '"add":' not in _entry(spark, spec, config, 0)
    return read(spark, spec, config).isEmpty()


def append(
    rows: DataFrame,
    spec: TableSpec,
    config: Config,
    *,
    app_id: str,
    batch_id: int,
    facts: Mapping[str, object] | None = None,
) -> None:
    """Append ``rows`` once: a repeat with the same ``app_id`` and ``batch_id`` changes nothing. ``facts`` about the batch
    go into the commit itself, beside its origin."""
    target = Target(rows.sparkSession, spec, config, app_id, batch_id)
    append_steps.once(rows, target, facts)


def exists(spark: SparkSession, spec: TableSpec, config: Config) -> bool:
    """Whether there is such a Delta table."""
    if not paths.is_remote(config):
        return delta_tables.exists(spec, config)
    return bool(DeltaTable.isDeltaTable(spark, spec.path(config.delta.base_path)))


def replace(
    rows: DataFrame,
    spec: TableSpec,
    config: Config,
    *,
    app_id: str,
    batch_id: int,
    facts: Mapping[str, object] | None = None,
) -> None:
    """Make ``rows`` the whole table, in one commit, which also creates a table that is missing. A repeat changes nothing."""
    writer = rows.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
    writer = writer.partitionBy(*spec.partition_by)
    if exists(rows.sparkSession, spec, config):
        ensure(rows.sparkSession, spec, config)
    else:  # Delta takes these for the table's properties when the write creates it, and only then
        writer = writer.options(**wanted_properties(spec, config))
    origin = provenance.commit_metadata(f"{spec.layer} build", **(facts or {}))
    writer = writer.option("txnAppId", app_id).option("txnVersion", batch_id).option("userMetadata", origin)
    crash_points.step(f"before {spec.name} is replaced")
    writer.save(spec.path(config.delta.base_path))
    crash_points.step(f"after {spec.name} was replaced")
