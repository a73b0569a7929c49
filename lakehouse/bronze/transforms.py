"""Kafka rows → decoded rows → accepted sales and rejected messages (DataFrame → DataFrame).

The input is Spark's Kafka source: ``key value topic partition offset timestamp``. The session's time zone must be UTC,
and it must know the functions ``DECODER`` and ``IS_STALE`` (``decoder`` registers both).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import arrow_udf
from pyspark.sql.pandas.types import to_arrow_type
from pyspark.sql.types import (
    DataType,
    DecimalType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from lakehouse.contract import sale
from lakehouse.contract.tables import CHAMPS_INCONNUS, OPERATIONS, REJETS, VENTES
from lakehouse.lake.expressions import day, evaluated

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY = "_cle"
CLOCK = "_horloge"
STALE = "_ancien"
UNKNOWN = "_inconnus"
NEEDS_EXACT_DEDUP = "_exact"

DECODER = "lire_vente"
"""The SQL function that reads one message: its bytes, the broker's and the batch's time, the watermark's delay, the future's
tolerance and the business time zone → ``DECODED`` (``lakehouse/jvm/java_src/BronzeRow.java``). Times in microseconds."""
DECODED = ", ".join(
    (
        sale.JSON_DDL.replace("`timestamp` STRING", "`timestamp` BIGINT"), "inconnus STRING", "champs STRING",
        "jour INT", "tardif BOOLEAN", "ancien BOOLEAN", "horloge BIGINT", "motif STRING", "explication STRING",
        "ingere BIGINT",
    )
)  # fmt: skip
"""What it returns: the sale's fields (null in a bad message), ``timestamp`` in microseconds since 1970; what the contract
does not know; then ``decoded``'s columns of the same names, ``jour`` in days, ``horloge`` and ``ingere`` in microseconds."""

IS_STALE = "vente_ancienne"
"""The SQL function that says whether a message is certainly not an on-time sale, without decoding it; its arguments are
the first five of ``DECODER``, with the future's tolerance last (``lakehouse/jvm/java_src/StaleSale.java``)."""

REFUSED = "a_expliquer"
"""The ``motif`` of a message that the decoder refused, until ``explained`` has found out why."""

_REASON = ("motif", "explication")
OPERATION = "_operation"
"""The fields of a valid operation, ``timestamp`` in microseconds since 1970; null in any other message."""
_KINDS: dict[str, DataType] = {
    "timestamp": LongType(), "quantite": IntegerType(), "montant": DecimalType(18, 2), "revision": LongType(),
    "client_id": LongType(), "produit_id": LongType(),
}  # fmt: skip
_OPERATION = StructType([StructField(name, _KINDS.get(name, StringType())) for name in sale.OPERATION_FIELDS])
_VERDICT = StructType([*(StructField(name, StringType()) for name in _REASON), StructField("operation", _OPERATION)])
_VERDICT_ARROW = to_arrow_type(_VERDICT)


@arrow_udf(_VERDICT)  # type: ignore[call-overload,untyped-decorator]
def _validate(values: pa.Array, broker: pa.Array, tolerance: pa.Array) -> pa.Array:
    """``sale.refused`` for a column of messages; null in, null out."""
    columns = zip(values.to_pylist(), broker.to_pylist(), tolerance.to_pylist(), strict=True)
    return pa.array(
        [None if value is None else sale.refused(value, received, allowed) for value, received, allowed in columns],
        type=_VERDICT_ARROW,
    )


def decoded(
    messages: DataFrame,
    *,
    watermark_delay: timedelta,
    future_tolerance: timedelta,
    timezone: str,
    floor_us: int | None = None,
    ingested: Column | None = None,
) -> DataFrame:
    """One row per Kafka message, validated by the contract of ``sale``. ``ingested`` is the micro-batch's own time, which
    Spark's ``current_timestamp`` is in a stream. Sales before ``floor_us`` (microseconds since 1970) are stale too.

    Has the sale's fields (null in a bad message), ``motif`` and ``explication`` (null in a valid one; ``REFUSED`` and
    null in a bad one, but for a sale from the future), ``jour`` in the business time zone, ``date_ingestion`` (the
    micro-batch's own time), ``est_tardif`` (the sender was late: event time before the broker's time minus
    ``watermark_delay``) and, for the stream's own use, ``_cle`` (null in a bad message), ``_horloge`` (the clamped event
    time that carries the watermark), ``_ancien`` (stale: too old for the deduplication state) and ``_inconnus`` (names of
    fields that the contract does not know, as JSON); and ``champs_inconnus``, these fields with their values, as JSON.
    """
    now = F.current_timestamp() if ingested is None else ingested
    times = _times(now, watermark_delay, future_tolerance)
    read = messages.withColumn("_lu", F.call_function(DECODER, F.col("value"), *times, F.lit(timezone)))
    bad = F.col("_lu.motif").isNotNull()
    event = F.timestamp_micros(F.col("_lu.timestamp"))
    stale, clock = F.col("_lu.ancien"), F.col("_lu.horloge")
    if floor_us is not None:
        stale, clock = stale | (F.col("_lu.timestamp") < F.lit(floor_us)), F.greatest(clock, F.lit(floor_us))
    return read.select(
        *((event if name == "timestamp" else F.col(f"_lu.{name}")).alias(name) for name in sale.FIELDS),
        F.date_from_unix_date(F.col("_lu.jour")).alias("jour"),
        F.timestamp_micros(F.col("_lu.ingere")).alias("date_ingestion"),
        F.col("partition").alias("kafka_partition"),
        F.col("offset").alias("kafka_offset"),
        F.col("timestamp").alias("kafka_timestamp"),
        F.col("_lu.tardif").alias("est_tardif"),
        F.col("_lu.motif").alias("motif"),
        F.col("_lu.explication").alias("explication"),
        # a valid sale's bytes are not kept: its fields hold all of them
        F.when(bad, F.col("value")).alias("valeur"),
        F.when(bad, F.col("key")).alias("cle"),
        F.when(bad, F.col("topic")).alias("topic"),
        F.concat(F.lit("v-"), F.col("_lu.vente_id")).alias(KEY),
        F.timestamp_micros(clock).alias(CLOCK),
        stale.alias(STALE),
        F.col("_lu.inconnus").alias(UNKNOWN),
        F.col("_lu.champs").alias(CHAMPS_INCONNUS),
    )


def _micros(duration: timedelta) -> Column:
    return F.lit(duration // timedelta(microseconds=1)).cast("bigint")


def _times(
    now: Column, watermark_delay: timedelta, future_tolerance: timedelta
) -> tuple[Column, Column, Column, Column]:
    """What ``DECODER`` and ``IS_STALE`` take as times, in microseconds: the broker's, the batch's, which is the same in a whole
    batch and another in the next one, and the two durations."""
    return (
        F.unix_micros("timestamp"),
        evaluated(F.unix_micros(now)),
        _micros(watermark_delay),
        _micros(future_tolerance),
    )


def perhaps_on_time(messages: DataFrame, *, watermark_delay: timedelta, future_tolerance: timedelta) -> DataFrame:
    """Without the messages that are certainly not ``on_time`` sales, which is known before they are decoded: nearly all of a
    backlog. Never drops an on-time sale."""
    times = _times(F.current_timestamp(), watermark_delay, future_tolerance)
    return messages.where(~F.call_function(IS_STALE, F.col("value"), *times))


def on_time(rows: DataFrame) -> DataFrame:
    """The valid sales that are not stale: those that the deduplication state has to know."""
    return rows.where(_is_on_time())


def others(rows: DataFrame) -> DataFrame:
    """The rows that ``on_time`` drops: stale sales, which are compared with Bronze, and bad messages. Without the columns that only
    the state uses."""
    return rows.where(~_is_on_time()).drop(KEY, CLOCK)


def _is_on_time() -> Column:
    return F.col("motif").isNull() & ~F.col(STALE)


def is_stale(watermark_delay: timedelta, floor_us: int | None = None) -> Column:
    """Whether a row of ``ventes_stream`` was stale when it was ingested."""
    oldest = F.unix_micros("date_ingestion") - _micros(watermark_delay)
    return F.unix_micros("timestamp") < (oldest if floor_us is None else F.greatest(oldest, F.lit(floor_us)))


def is_far_ahead(watermark_delay: timedelta) -> Column:
    """Whether the deduplication state may forget a sale before its copies are stale: only when the clocks differ by more than
    the delay allows for."""
    return F.unix_micros("timestamp") > F.unix_micros("date_ingestion") + _micros(watermark_delay)


def deduplicated(rows: DataFrame, *, watermark_delay: timedelta) -> DataFrame:
    """Drop the copies of keys that the watermark's state still holds, and the columns that it needed for it.

    The clamp in ``decoded`` keeps every row above the watermark, so that the operator never drops a row as late.
    """
    seconds = watermark_delay / timedelta(milliseconds=1)
    marked = rows.withWatermark(CLOCK, f"{seconds:.0f} milliseconds")
    return marked.dropDuplicatesWithinWatermark([KEY]).drop(KEY, CLOCK)


def accepted(rows: DataFrame, *, keep_unknown: bool = False) -> DataFrame:
    """The valid sales, as the columns of ``ventes_stream``; with ``keep_unknown``, ``champs_inconnus`` after them."""
    kept = (CHAMPS_INCONNUS,) if keep_unknown else ()
    return rows.where(F.col("motif").isNull()).select(*VENTES.names, *kept)


def explained(rows: DataFrame, future_tolerance: timedelta) -> DataFrame:
    """The rows of ``decoded`` with the reason and the sentence of each refused message, or with the operation that it is
    (``OPERATION``), and neither."""
    unread = F.lit(sale.JSON_INVALIDE), F.lit("The stream's decoder does not read this message.")
    refused = F.col("motif") == REFUSED
    value = F.when(refused, F.coalesce("valeur", F.lit(b"")))
    validated = rows.withColumn("_avis", _validate(value, F.unix_micros("kafka_timestamp"), _micros(future_tolerance)))
    # Python's validation accepts as a sale what the decoder refused: it is rejected all the same, so that nothing is lost
    accepted_by_python = refused & F.col("_avis.motif").isNull() & F.col("_avis.operation").isNull()
    for name, instead in zip(_REASON, unread, strict=True):
        found = F.when(accepted_by_python, instead).when(refused, F.col(f"_avis.{name}")).otherwise(F.col(name))
        validated = validated.withColumn(f"_{name}", found)
    others = [name for name in rows.columns if name not in _REASON]
    named = validated.select(
        *others, *(F.col(f"_{name}").alias(name) for name in _REASON), F.col("_avis.operation").alias(OPERATION)
    )
    return named.select(*rows.columns, OPERATION)


def refused(rows: DataFrame, future_tolerance: timedelta) -> DataFrame:
    """The messages that are no sales, ``explained``: as the columns of ``ventes_rejetees``, and ``OPERATION``."""
    return explained(rows.where(F.col("motif").isNotNull()), future_tolerance).select(*REJETS.names, OPERATION)


def rejected(rows: DataFrame) -> DataFrame:
    """The bad messages among the ``refused``, as the columns of ``ventes_rejetees``."""
    return rows.where(F.col("motif").isNotNull()).select(*REJETS.names)


def operations(rows: DataFrame, *, watermark_delay: timedelta, timezone: str) -> DataFrame:
    """The operations among the ``refused``, as the columns of ``ventes_operations``."""
    event = F.timestamp_micros(F.col(f"{OPERATION}.timestamp"))
    local = F.to_date(F.from_utc_timestamp(event, timezone))
    within = F.least(F.greatest(local, day(date.min)), day(date.max))  # a zone may lead out of the calendar
    late = F.col(f"{OPERATION}.timestamp") < F.unix_micros("kafka_timestamp") - _micros(watermark_delay)
    made = {"timestamp": event, "jour": within, "est_tardif": late}
    of_message = {name: F.col(f"{OPERATION}.{name}") for name in sale.OPERATION_FIELDS}
    columns = {**{name: F.col(name) for name in rows.columns}, **of_message, **made}
    return rows.where(F.col(OPERATION).isNotNull()).select(*(columns[name].alias(name) for name in OPERATIONS.names))


def unknown(rows: DataFrame, known: DataFrame, keys: Sequence[str]) -> DataFrame:
    """The rows whose ``keys`` are not in ``known``."""
    return rows.join(known.select(*keys), on=list(keys), how="left_anti").select(*rows.columns)


def are_distinct(ids: DataFrame) -> bool:
    """Whether each value of the column ``vente_id`` is there once. False may be wrong, once in a million batches of a
    million ids; True never is: equal texts have equal hashes, and numbers are counted in half the time."""
    hashed = ids.select(F.xxhash64("vente_id").alias("h"))
    found = hashed.agg(F.count(F.lit(1)).alias("n"), F.count_distinct("h").alias("distinct")).first()
    assert found is not None
    return bool(found.n == found["distinct"])


def suspects(asked: DataFrame, known: DataFrame) -> DataFrame:
    """The ids of ``asked`` that are in ``known`` too (``connu``), or more than once in ``asked`` itself; both have one
    column, ``vente_id``."""
    marked = asked.withColumn("la", F.lit(False)).unionByName(known.withColumn("la", F.lit(True)))
    counted = marked.groupBy("vente_id").agg(F.count_if(~F.col("la")).alias("ici"), F.max("la").alias("connu"))
    return counted.where((F.col("ici") > 0) & (F.col("connu") | (F.col("ici") > 1))).select("vente_id", "connu")


def first_copies(rows: DataFrame, doubtful: DataFrame) -> DataFrame:
    """The rows whose id is not ``connu`` among the ``suspects``; of several with one id, the first that Kafka received."""
    twice = rows.join(doubtful.where(~F.col("connu")).select("vente_id"), "vente_id", "left_semi").select(*rows.columns)
    return unknown(rows, doubtful, VENTES.keys).unionByName(first_of_each(twice, "vente_id"))


def first_of_each(rows: DataFrame, name: str) -> DataFrame:
    """Of the rows with one value of the column ``name``, the first that Kafka received."""
    order = Window.partitionBy(name).orderBy("kafka_timestamp", "kafka_partition", "kafka_offset")
    return rows.withColumn("_rang", F.row_number().over(order)).where(F.col("_rang") == 1).drop("_rang")


def around(days: Sequence[date]) -> list[date]:
    """The days that the same moments may have in any time zone: those of two zones differ by two at most."""
    numbers = {each.toordinal() + apart for each in days for apart in range(-2, 3)}
    return [date.fromordinal(each) for each in sorted(numbers) if date.min.toordinal() <= each <= date.max.toordinal()]


def on_days(days: Sequence[date]) -> Column:
    """A condition that prunes partitions: the days by name, or their span when there are very many."""
    if len(days) <= 1000:
        return F.col("jour").isin([day(each) for each in days])
    return F.col("jour").between(day(min(days)), day(max(days)))
