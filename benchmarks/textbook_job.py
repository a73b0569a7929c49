"""The textbook Structured Streaming job, as tutorials have it: the contender, which imports nothing of the project.

Spark's and Delta's default settings but for what is needed to run at all (JARs, extensions, the heap's size, which is
the same for all contenders). It neither deduplicates nor quarantines: a bad message becomes a row of nulls.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

SCHEMA = (
    "vente_id STRING, client_id BIGINT, produit_id BIGINT, timestamp TIMESTAMP, quantite INT, montant DECIMAL(18,2), "
    "client_nom STRING, produit_nom STRING, categorie STRING, pays STRING, segment STRING"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run until the topic is read (``--once``) or until killed."""
    parser = argparse.ArgumentParser(description="Kafka → from_json → to_date → a date-partitioned Delta table")
    for name in ("bootstrap-servers", "topic", "table", "checkpoint", "jars", "driver-memory"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--once", action="store_true")
    args = parser.parse_args(argv)

    spark = (
        SparkSession.builder.appName("textbook")
        .config("spark.jars", args.jars)
        .config("spark.driver.memory", args.driver_memory)
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
        .getOrCreate()
    )
    messages = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", args.bootstrap_servers)
        .option("subscribe", args.topic)
        .option("startingOffsets", "earliest")
        .load()
    )
    sales = (
        messages.select(
            F.from_json(F.col("value").cast("string"), SCHEMA).alias("vente"),
            F.col("timestamp").alias("kafka_timestamp"),
        )
        .select("vente.*", "kafka_timestamp")
        .withColumn("jour", F.to_date("timestamp"))
    )
    writer = (
        sales.writeStream.format("delta")
        .outputMode("append")
        .partitionBy("jour")
        .option("checkpointLocation", args.checkpoint)
    )
    if args.once:
        writer = writer.trigger(availableNow=True)
    writer.start(args.table).awaitTermination()
    spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
