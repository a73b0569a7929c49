"""EDGE. The only place that builds a SparkSession."""

from __future__ import annotations

import os
import sys

from pyspark import cloudpickle
from pyspark.sql import SparkSession

from lakehouse import jars, java, sale
from lakehouse.config import Config


def _settings(config: Config) -> dict[str, str]:
    spark, delta = config.spark, config.delta
    return {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": str(spark.shuffle_partitions),
        "spark.ui.enabled": str(spark.ui).lower(),
        "spark.ui.port": str(spark.ui_port),
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": spark.log_level,
        # one task rebuilds a table's state: the default of 50 made a micro-batch of 1 s take 4.5 s on 2 cores
        "spark.databricks.delta.snapshotPartitions": str(delta.snapshot_partitions),
        "spark.databricks.delta.autoCompact.minNumFiles": str(delta.auto_compact_min_files),
        "spark.sql.maxConcurrentOutputFileWriters": str(config.performance.open_writers),
        # a bad message may be as large as the topic allows: bound what is sent to a Python worker at once
        "spark.sql.execution.arrow.maxBytesPerBatch": "16m",
        "spark.sql.streaming.stopTimeout": "60s",
        # without it a lone micro-batch would be followed by an empty one that only evicts state
        "spark.sql.streaming.noDataMicroBatches.enabled": "false",
        "spark.sql.adaptive.coalescePartitions.enabled": "true",
        "spark.cleaner.referenceTracking.cleanCheckpoints": "true",
    }


def build(config: Config, job: str) -> SparkSession:
    """Start Spark for ``job``. Under spark-submit its own options (master, JARs, memory) win.

    Raises ``SetupError`` when there is no Java or a JAR is missing.
    """
    under_submit = "PYSPARK_GATEWAY_PORT" in os.environ
    builder = SparkSession.builder.appName(f"{config.spark.app_name}-{job}")
    for key, value in _settings(config).items():
        builder = builder.config(key, value)
    if not under_submit:
        os.environ.update(java.environment(config))
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        builder = builder.master(config.spark.master).config("spark.driver.memory", config.spark.driver_memory)
        # a small heap that gives memory back: two Spark drivers and a broker share one laptop
        builder = builder.config(
            "spark.driver.extraJavaOptions", "-XX:+UseSerialGC -XX:MinHeapFreeRatio=20 -XX:MaxHeapFreeRatio=40"
        )
        if config.development.jars == "lock":
            builder = builder.config("spark.jars", ",".join(str(path) for path in jars.resolve(config, "spark")))
    for line in filter(None, map(str.strip, config.spark.conf.splitlines())):
        key, _, value = line.partition("=")
        builder = builder.config(key.strip(), value.strip())
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel(config.spark.log_level)
    # The judge travels with the plan, so that executors need none of our files.
    cloudpickle.register_pickle_by_value(sale)  # type: ignore[no-untyped-call]
    return session
