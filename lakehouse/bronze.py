"""PURE. Kafka rows → decoded rows → accepted sales and rejected messages (DataFrame → DataFrame).

The input is Spark's Kafka source: ``key value topic partition offset timestamp``. The session's time zone must be UTC,
and it must know the function ``DECODER`` (``session`` sees to both).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import arrow_udf
from pyspark.sql.types import StringType, StructField, StructType

from lakehouse import sale
from lakehouse.tables import CHAMPS_INCONNUS, REJETS, VENTES

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = "_cle"
CLOCK = "_horloge"
OLD = "_ancien"
UNKNOWN = "_inconnus"

DECODER = "lire_vente"
"""The SQL function that reads one message: bytes → ``DECODED``, null when they are against the contract
(``lakehouse/java_src/SaleDecoder.java``)."""
DECODED = ", ".join(
    (sale.JSON_DDL.replace("`timestamp` STRING", "`timestamp` BIGINT"), "inconnus STRING", "champs STRING")
)
"""What it returns: the sale's fields, ``timestamp`` in microseconds since 1970, then what the contract does not know."""

REFUSED = "a_expliquer"
"""The ``motif`` of a message that the decoder refused, until ``explained`` has found out why."""

_REASON = StructType([StructField("motif", StringType()), StructField("explication", StringType())])


@arrow_udf(_REASON)  # type: ignore[call-overload,untyped-decorator]
def _judge(values: pa.Array) -> pa.Array:
    """The reasons of ``sale.judge`` for a column of messages; null in, null out."""
    verdicts = (None if value is None else sale.judge(value) for value in values.to_pylist())
    return pa.array(
        [None if v is None else (v.motif, v.explication) for v in verdicts],
        type=pa.struct([(name, pa.string()) for name in _REASON.names]),
    )


def decoded(
    messages: DataFrame,
    *,
    watermark_delay: timedelta,
    future_tolerance: timedelta,
    timezone: str,
    ingested: Column | None = None,
) -> DataFrame:
    """One row per Kafka message, judged by the contract of ``sale``. ``ingested`` is the micro-batch's own time, which
    Spark's ``current_timestamp`` is in a stream.

    Adds the sale's fields (null in a bad message), ``motif`` and ``explication`` (null in a valid one; ``REFUSED`` and
    null in a bad one, but for a sale from the future), ``jour`` in the business time zone, ``date_ingestion`` (the
    micro-batch's own time), ``est_tardif`` (the sender was late: event time before the broker's time minus
    ``watermark_delay``) and, for the stream's own use, ``_cle``, ``_horloge`` (the clamped event time that carries the
    watermark), ``_ancien`` (too old for the state to know its duplicates) and ``_inconnus`` (names of fields that the
    contract does not know, as JSON); and ``champs_inconnus``, these fields with their values, as JSON.
    """
    delay, tolerance = F.lit(watermark_delay), F.lit(future_tolerance)
    ingested, broker_time = F.current_timestamp() if ingested is None else ingested, F.col("timestamp")
    read = messages.withColumn("_vente", F.call_function(DECODER, F.col("value")))
    event = F.timestamp_micros(F.col("_vente.timestamp"))
    too_early = event > broker_time + tolerance
    reason = F.when(F.col("_vente").isNull(), REFUSED).when(too_early, sale.FUTUR)
    sentence = F.when(
        too_early,
        F.concat(
            F.lit("The field timestamp is "), F.date_format(event, "yyyy-MM-dd'T'HH:mm:ss'Z'"),
            F.lit(f": more than {int(future_tolerance.total_seconds())} s after the broker's clock, "),
            F.date_format(broker_time, "yyyy-MM-dd'T'HH:mm:ss'Z'."),
        ),
    )  # fmt: skip
    day = F.to_date(F.from_utc_timestamp(F.when(reason.isNull(), event).otherwise(broker_time), timezone))
    position = F.concat_ws("-", F.lit("r"), "topic", "partition", "offset")
    key = F.when(reason.isNull(), F.concat(F.lit("v-"), F.col("_vente.vente_id"))).otherwise(position)
    clamped = F.coalesce(F.least(F.greatest(event, ingested - delay), ingested), ingested)
    fields: Sequence[Column] = [
        F.when(reason.isNull(), event if name == "timestamp" else F.col(f"_vente.{name}")).alias(name)
        for name in sale.FIELDS
    ]
    return read.select(
        *fields,
        day.alias("jour"),
        ingested.alias("date_ingestion"),
        F.col("partition").alias("kafka_partition"),
        F.col("offset").alias("kafka_offset"),
        broker_time.alias("kafka_timestamp"),
        F.when(reason.isNull(), event < broker_time - delay).alias("est_tardif"),
        reason.alias("motif"),
        sentence.alias("explication"),
        # a valid sale's bytes are not kept: its fields say all of it
        F.when(reason.isNotNull(), F.col("value")).alias("valeur"),
        F.when(reason.isNotNull(), F.col("key")).alias("cle"),
        F.when(reason.isNotNull(), F.col("topic")).alias("topic"),
        key.alias(KEY),
        F.when(reason.isNull(), clamped).otherwise(ingested).alias(CLOCK),
        F.when(reason.isNull(), event < ingested - delay).otherwise(False).alias(OLD),
        F.col("_vente.inconnus").alias(UNKNOWN),
        F.col("_vente.champs").alias(CHAMPS_INCONNUS),
    )


def on_time(rows: DataFrame) -> DataFrame:
    """The valid sales that are not old: those whose copies the stream's memory has to know."""
    return rows.where(_is_on_time())


def others(rows: DataFrame) -> DataFrame:
    """All that ``on_time`` leaves out: old sales, which Bronze itself is asked about, and bad messages."""
    return rows.where(~_is_on_time())


def _is_on_time() -> Column:
    return F.col("motif").isNull() & ~F.col(OLD)


def deduplicated(rows: DataFrame, *, watermark_delay: timedelta) -> DataFrame:
    """Drop the copies of keys that the watermark's state still holds.

    The clamp in ``decoded`` keeps every row above the watermark, so that the operator never drops a row as late.
    """
    seconds = watermark_delay / timedelta(milliseconds=1)
    return rows.withWatermark(CLOCK, f"{seconds:.0f} milliseconds").dropDuplicatesWithinWatermark([KEY])


def accepted(rows: DataFrame, *, keep_unknown: bool = False) -> DataFrame:
    """The valid sales, as the columns of ``ventes_stream``; with ``keep_unknown``, ``champs_inconnus`` after them."""
    kept = (CHAMPS_INCONNUS,) if keep_unknown else ()
    return rows.where(F.col("motif").isNull()).select(*VENTES.names, *kept)


def explained(rows: DataFrame) -> DataFrame:
    """The rows of ``decoded`` with the reason and the sentence of each refused message."""
    unread = F.lit(sale.JSON_INVALIDE), F.lit("The stream's decoder does not read this message.")
    refused = F.col("motif") == REFUSED
    judged = rows.withColumn("_avis", _judge(F.when(refused, F.coalesce("valeur", F.lit(b"")))))
    # the judge finds nothing wrong: the two disagree, and nothing is lost over it
    accepted_by_judge = refused & F.col("_avis.motif").isNull()
    for name, instead in zip(_REASON.names, unread, strict=True):
        found = F.when(accepted_by_judge, instead).when(refused, F.col(f"_avis.{name}")).otherwise(F.col(name))
        judged = judged.withColumn(f"_{name}", found)
    others = [name for name in rows.columns if name not in _REASON.names]
    return judged.select(*others, *(F.col(f"_{name}").alias(name) for name in _REASON.names)).select(*rows.columns)


def rejected(rows: DataFrame) -> DataFrame:
    """The bad messages with their reasons, as the columns of ``ventes_rejetees``."""
    return explained(rows.where(F.col("motif").isNotNull())).select(*REJETS.names)


def unknown(rows: DataFrame, known: DataFrame, keys: Sequence[str]) -> DataFrame:
    """The rows whose ``keys`` are not in ``known``."""
    return rows.join(known.select(*keys), on=list(keys), how="left_anti").select(*rows.columns)


def suspects(asked: DataFrame, known: DataFrame) -> DataFrame:
    """The ids of ``asked`` that stand in ``known`` too (``connu``), or more than once in ``asked`` itself; both have one
    column, ``vente_id``."""
    marked = asked.withColumn("la", F.lit(False)).unionByName(known.withColumn("la", F.lit(True)))
    counted = marked.groupBy("vente_id").agg(F.count_if(~F.col("la")).alias("ici"), F.max("la").alias("connu"))
    return counted.where((F.col("ici") > 0) & (F.col("connu") | (F.col("ici") > 1))).select("vente_id", "connu")


def first_copies(rows: DataFrame, doubtful: DataFrame) -> DataFrame:
    """The rows whose id is not ``connu`` among the ``suspects``; of several with one id, the first that Kafka got."""
    order = Window.partitionBy("vente_id").orderBy("kafka_timestamp", "kafka_partition", "kafka_offset")
    twice = rows.join(doubtful.where(~F.col("connu")).select("vente_id"), "vente_id", "left_semi").select(*rows.columns)
    first = twice.withColumn("_rang", F.row_number().over(order)).where(F.col("_rang") == 1).drop("_rang")
    return unknown(rows, doubtful, VENTES.keys).unionByName(first)


def on_days(days: Sequence[date]) -> Column:
    """A condition that prunes partitions: the days by name, or their span when there are very many."""
    if len(days) <= 1000:
        return F.col("jour").isin(list(days))
    return F.col("jour").between(F.lit(min(days)), F.lit(max(days)))
