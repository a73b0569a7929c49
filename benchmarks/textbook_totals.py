"""The textbook job over Bronze, as tutorials have it: totals by country and day, the whole result written anew each minute.

Spark's and Delta's default settings. One aggregate where ours keeps six tables; imports nothing of the project.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from delta.tables import DeltaTable
from pyspark.sql import SparkSession
from pyspark.sql import functions as F


def main(argv: Sequence[str] | None = None) -> int:
    """Run until killed."""
    parser = argparse.ArgumentParser(description="Delta → groupBy → a Delta table in complete mode")
    for name in ("bronze", "table", "checkpoint", "jars", "driver-memory"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args(argv)

    spark = (
        SparkSession.builder.appName("textbook-totals")
        .config("spark.jars", args.jars)
        .config("spark.driver.memory", args.driver_memory)
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .getOrCreate()
    )
    while not DeltaTable.isDeltaTable(spark, args.bronze):
        time.sleep(1)
    totals = (
        spark.readStream.format("delta")
        .load(args.bronze)
        .groupBy("jour", "pays")
        .agg(F.count("*").alias("nb_ventes"), F.sum("montant").alias("chiffre_affaires"))
    )
    writer = totals.writeStream.format("delta").outputMode("complete").option("checkpointLocation", args.checkpoint)
    writer.trigger(processingTime="1 minute").start(args.table).awaitTermination()
    return 0


if __name__ == "__main__":
    sys.exit(main())
