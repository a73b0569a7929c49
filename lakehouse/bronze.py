"""PURE. Kafka rows → decoded rows → accepted sales and rejected messages (DataFrame → DataFrame).

The input is Spark's Kafka source: ``key value topic partition offset timestamp``. The session's time zone must be UTC.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import Column, DataFrame
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


_VERDICT_FIELDS = ("motif", "explication", "canonique", "inconnus", "champs")
_VERDICT = StructType([StructField(name, StringType()) for name in _VERDICT_FIELDS])


@arrow_udf(_VERDICT)  # type: ignore[call-overload,untyped-decorator]
def _judge(values: pa.Array) -> pa.Array:
    """``sale.judge`` over a column of messages; null in, null out. Nearly every value of a batch is null: they are
    the messages that the plain pattern has decided already."""
    if values.null_count == len(values):
        verdicts: list[sale.Verdict | None] = [None] * len(values)
    else:
        verdicts = [None if value is None else sale.judge(value) for value in values.to_pylist()]
    return pa.array(
        [None if v is None else tuple(getattr(v, name) for name in _VERDICT_FIELDS) for v in verdicts],
        type=pa.struct([(name, pa.string()) for name in _VERDICT_FIELDS]),
    )


def decoded(
    messages: DataFrame, *, watermark_delay: timedelta, future_tolerance: timedelta, timezone: str
) -> DataFrame:
    """One row per Kafka message, judged by the contract of ``sale``.

    Adds the sale's fields (null in a bad message), ``motif`` and ``explication`` (null in a valid one), ``jour`` in the
    business time zone, ``date_ingestion`` (the micro-batch's own time), ``est_tardif`` (the sender was late: event time
    before the broker's time minus ``watermark_delay``) and, for the stream's own use, ``_cle``, ``_horloge`` (the
    clamped event time that carries the watermark), ``_ancien`` (too old for the state to know its duplicates) and
    ``_inconnus`` (names of fields that the contract does not know, as JSON); and ``champs_inconnus``, these fields with
    their values, as JSON.
    """
    read = _parsed(messages)
    return _clocked(read, watermark_delay, future_tolerance, timezone)


def _parsed(messages: DataFrame) -> DataFrame:
    text = F.col("value").cast("string")
    is_plain = (F.length("value") <= sale.PLAIN_BYTES) & text.rlike(sale.PLAIN_JAVA)
    plain = messages.withColumn("_lu", F.from_json(F.when(is_plain, text), sale.JSON_DDL))
    complete = F.lit(True)
    for name in sale.FIELDS:
        complete &= F.col(f"_lu.{name}").isNotNull()
    # The pattern knows no calendar: 31 February reads as null here and is explained by the judge.
    complete &= F.to_timestamp(F.col("_lu.timestamp").try_cast("timestamp")).isNotNull()
    decided = plain.withColumn("_decide", F.coalesce(complete, F.lit(False)))
    judged = decided.withColumn("_avis", _judge(F.when(~F.col("_decide"), F.coalesce(F.col("value"), F.lit(b"")))))
    rewritten = F.from_json(F.col("_avis.canonique"), sale.JSON_DDL)
    return judged.withColumn("_vente", F.when(F.col("_decide"), F.col("_lu")).otherwise(rewritten))


def _clocked(read: DataFrame, watermark_delay: timedelta, future_tolerance: timedelta, timezone: str) -> DataFrame:
    delay, tolerance = F.lit(watermark_delay), F.lit(future_tolerance)
    ingested, broker_time = F.current_timestamp(), F.col("timestamp")
    event = F.col("_vente.timestamp").try_cast("timestamp")
    too_early = event > broker_time + tolerance
    unread = F.col("_avis.motif").isNull() & event.isNull()  # the two judges disagree: nothing is lost over it
    reason = (
        F.when(F.col("_avis.motif").isNotNull(), F.col("_avis.motif"))
        .when(unread, sale.JSON_INVALIDE)
        .when(too_early, sale.FUTUR)
    )
    sentence = (
        F.when(F.col("_avis.motif").isNotNull(), F.col("_avis.explication"))
        .when(unread, "Spark's JSON parser does not read this message.")
        .when(
            too_early,
            F.concat(
                F.lit("The field timestamp is "), F.date_format(event, "yyyy-MM-dd'T'HH:mm:ss'Z'"),
                F.lit(f": more than {int(future_tolerance.total_seconds())} s after the broker's clock, "),
                F.date_format(broker_time, "yyyy-MM-dd'T'HH:mm:ss'Z'."),
            ),
        )
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
        F.col("_avis.inconnus").alias(UNKNOWN),
        F.col("_avis.champs").alias(CHAMPS_INCONNUS),
    )


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


def rejected(rows: DataFrame) -> DataFrame:
    """The bad messages, as the columns of ``ventes_rejetees``."""
    return rows.where(F.col("motif").isNotNull()).select(*REJETS.names)


def unknown(rows: DataFrame, known: DataFrame, keys: Sequence[str]) -> DataFrame:
    """The rows whose ``keys`` are not in ``known``."""
    return rows.join(known.select(*keys), on=list(keys), how="left_anti").select(*rows.columns)
