"""EDGE. What Bronze's batches leave out because it was erased for a person's sake: copies that come later, and what a new
checkpoint reads again."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse import bronze, delta_io
from lakehouse.config import Config
from lakehouse.marks import SALT
from lakehouse.tables import EFFACES, REJETS


def without_erased_sales(rows: DataFrame, config: Config) -> DataFrame:
    """``rows`` (with a vente_id) but for those whose sale was erased, whatever offset they come from."""
    spark = rows.sparkSession
    if not delta_io.exists(spark, EFFACES, config):
        return rows
    salt = delta_io.properties(spark, EFFACES, config)[SALT]
    hashed = rows.withColumn("empreinte", F.sha2(F.concat(F.lit(salt), F.col("vente_id")), 256))
    erased = delta_io.read(spark, EFFACES, config).where(F.col("empreinte").isNotNull())
    return bronze.unknown(hashed, F.broadcast(erased), ("empreinte",)).drop("empreinte")


def known_rejects(spark: SparkSession, config: Config) -> DataFrame:
    """The places of the bad messages that stand in the reject table or were erased from it, as its keys and the broker's
    time."""
    places = (*REJETS.keys, "kafka_timestamp")
    known = delta_io.read(spark, REJETS, config).select(*places)
    if not delta_io.exists(spark, EFFACES, config):
        return known
    erased = delta_io.read(spark, EFFACES, config).where(F.col("table_effacee") == REJETS.name)
    return known.unionAll(erased.select(*places))
