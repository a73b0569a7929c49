"""Bronze's decoding in Spark: rows in, rows out; it agrees with the exact validator on every message."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, Row, SparkSession

from lakehouse.bronze import transforms
from lakehouse.contract import sale
from lakehouse.contract.tables import OPERATIONS, REJETS, VENTES
from tests.unit.contract.test_operations import FAULTS, SALES, WELL_FORMED, operations
from tests.unit.contract.test_sale import ACCEPTED, CASES, VALID, messages, text

KAFKA = "key binary, value binary, topic string, partition int, offset bigint, timestamp timestamp, timestampType int"
BROKER_TIME = datetime(2026, 11, 22, 20, 0, 1, tzinfo=UTC)


def kafka_rows(spark: SparkSession, values: list[bytes | None], broker_time: datetime = BROKER_TIME) -> DataFrame:
    rows = [(b"12", value, "ventes_stream", 0, offset, broker_time, 1) for offset, value in enumerate(values)]
    return spark.createDataFrame(rows, KAFKA)


def decoded(spark: SparkSession, values: list[bytes | None], *, timezone: str = "UTC", **broker: datetime) -> list[Row]:
    rows = transforms.decoded(
        kafka_rows(spark, values, **broker),
        watermark_delay=timedelta(minutes=10),
        future_tolerance=timedelta(minutes=5),
        timezone=timezone,
    )
    return transforms.explained(rows, timedelta(minutes=5)).orderBy("kafka_offset").collect()


def test_a_valid_sale_becomes_one_typed_row(spark: SparkSession) -> None:
    (row,) = decoded(spark, [text().encode()])
    assert {name: row[name] for name in (*sale.FIELDS, "jour", "est_tardif", "motif", "explication", "valeur")} == {
        **VALID,
        "timestamp": datetime(2026, 11, 22, 20, 0, 0, 123000),
        "montant": Decimal("1799.98"),
        "jour": date(2026, 11, 22),
        "est_tardif": False,
        "motif": None,
        "explication": None,
        "valeur": None,
    }
    assert (row.kafka_partition, row.kafka_offset, row.kafka_timestamp) == (0, 0, BROKER_TIME.replace(tzinfo=None))


def test_the_rows_have_the_columns_of_the_two_tables(spark: SparkSession) -> None:
    rows = transforms.decoded(
        kafka_rows(spark, []), watermark_delay=timedelta(minutes=10), future_tolerance=timedelta(0), timezone="UTC"
    )
    refused = transforms.refused(rows, timedelta(0))
    operations = transforms.operations(refused, watermark_delay=timedelta(minutes=10), timezone="UTC")
    for frame, spec in (
        (transforms.accepted(rows), VENTES),
        (transforms.rejected(refused), REJETS),
        (operations, OPERATIONS),
    ):
        wanted = spark.createDataFrame([], spec.ddl).schema
        assert [(f.name, f.dataType) for f in frame.schema] == [(f.name, f.dataType) for f in wanted]


def test_spark_and_the_exact_judge_agree_on_every_case(spark: SparkSession) -> None:
    values = [value for _, value, _ in CASES] + [value for _, value, _ in ACCEPTED]
    rows = decoded(spark, values)
    for (name, value, motif), row in zip(CASES, rows, strict=False):
        assert (row.motif, row.valeur, row.cle) == (motif, value, b"12"), name
        assert row.explication == sale.validate(value).explication
        assert row.vente_id is None
    for (name, _, fields), row in zip(ACCEPTED, rows[len(CASES) :], strict=True):
        assert row.motif is None, (name, row.explication)
        for field, value in fields.items():
            if field == "timestamp":
                value = datetime.fromisoformat(str(value)).replace(tzinfo=None)
            assert row[field] == value, name


def test_the_decoder_takes_no_operation_for_a_sale_and_no_sale_for_an_operation(spark: SparkSession) -> None:
    """Above all no cancellation that has all fields of its sale."""
    values = [*(value for _, value in WELL_FORMED), *(value for _, value, _ in FAULTS), *(value for _, value in SALES)]
    rows = decoded(spark, list(values), broker_time=datetime(2026, 11, 24, tzinfo=UTC))
    for value, row in zip(values, rows, strict=True):
        verdict = sale.validate(value)
        assert (row.motif, row.explication) == (verdict.motif, verdict.explication), value
        assert (row[transforms.OPERATION] is not None) is (verdict.operation is not None), value
        if verdict.operation is None or verdict.canonique is None:
            assert (row[transforms.UNKNOWN], row.champs_inconnus) == (verdict.inconnus, verdict.champs), value
            continue
        found = {name: each for name, each in row[transforms.OPERATION].asDict().items() if each is not None}
        moment = datetime.fromtimestamp(found.pop("timestamp") / 1e6, UTC)
        assert {**found, "timestamp": moment} == sale.fields_of(verdict.canonique)


TIMES = [
    "2026-11-22T20:00:00Z", "2026-11-22t20:00:00z", "2026-11-22 20:00:00Z", "20261122T200000Z", "20261122T20:00:00Z",
    "2026-11-22T200000Z", "2026-11-22T20Z", "2026-11-22T20:00Z", "2026-11-22T2000Z", "2026-11-22T20:00:00,5Z",
    "2026-11-22T20:00:00.Z", "2026-11-22T20:00:00.1Z", "2026-11-22T20:00:00.1234567891Z", "2026-11-22T20:0000Z",
    "2026-11-22T20:00:00+01", "2026-11-22T20:00:00+0130", "2026-11-22T20:00:00-01:30", "2026-11-22T20:00:00+01:30:15",
    "2026-11-22T20:00:00+01:30:15.250001", "2026-11-22T20:00:00+23:59", "2026-11-22T20:00:00+24:00", "2026-11-22T20:00:00-00:00",
    "2026-W47-7T20:00:00Z", "2026W477T20:00:00Z", "2026-W477T20:00:00Z", "2026-W00-1T20:00:00Z", "2020-W53-5T00:00:00Z",
    "2021-W53-5T00:00:00Z", "2026-w47-7T20:00:00Z", "2026-1122T20:00:00Z", "2026-11-22T24:00:00Z", "2026-11-22T20:60:00Z",
    "2024-02-29T00:00:00Z", "2023-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "0000-01-01T00:00:00Z",
    "0001-01-02T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-30T23:59:59.999999Z", "9999-12-31T23:59:59-00:01",
    "1969-12-31T23:59:59.999999Z", "2026-11-22T20:00:00+00:00:00.5", "2026-11-22T20:00:00-000000,000001",
    "2026-11-22T20:00:00+00:00:00.0000009", "0001-01-01T00:00:00+00:00:00.5", "2026-11-22T20:00:00+24",
    "0999-12-31T12:00:00Z", "1582-10-10T00:00:00Z", "2026-11-22T20:00:00 Z", " 2026-11-22T20:00:00Z", "2026-11-22T20:00:00Zé",
    "２０26-11-22T20:00:00Z", "2026-11-22T-1:00:00Z", "+026-11-22T20:00:00Z", "2026-11-22T20:00:00",
    # at each edge, and one beyond; the first day is in test_calendar_ends.py, since collect() cannot give it
    "9999-12-31T23:00:00-01:00", "9999-12-31T22:59:59.999999-01:00",
    "2026-11-22T20:00:00+01:59", "2026-11-22T20:00:00+01:60", "2026-11-22T20:00:00+0160", "2026-11-22T20:00:00+01:00:59",
    "2026-11-22T20:00:00+01:00:60", "2026-11-22T20:59:59Z", "2026-11-22T20:00:60Z", "2026-11-22T23:00:00Z",
    "0000-W01-1T00:00:00Z", "0001-W01-2T00:00:00Z", "9999-W52-5T00:00:00Z", "9999-W52-6T00:00:00Z", "2026-W47-0T00:00:00Z",
    "2026-W47-1T00:00:00Z", "2026-W47-8T00:00:00Z", "2026-W01-1T00:00:00Z", "2026-W53-7T00:00:00Z", "2026-W54-1T00:00:00Z",
    "202x-11-22T20:00:00Z", "202/-11-22T20:00:00Z", "202:-11-22T20:00:00Z", "2026-11-22T20:00:0:Z", "2026-11-22T20:00:0/Z",
    "2026-11-22T20:00:00.1x3Z", "2026-11-22T20:00:00.12:4Z", "2026-11-22T20:00:00.1/3Z", "2026-11-22T20:00:00.1234567xZ",
    "2026-11-22T20:00:00,1x3+00:00",
]  # fmt: skip
AMOUNTS = [
    "0", "-0", "0.0", "-0.00", "0e-400", "0e5", "1e2", "1E+2", "1.10e1", "12.345e1", "12.345e2", "123e-2", "123e-3", "100e-2",
    "0.00" + "0" * 100, "5." + "0" * 2000, "1e16", "1e15", "9999999999999999", "10000000000000000", "9999999999999999.99",
    "9999999999999999.991", "99999999999999999e-1", "1e-2", "1e-3", "-1e-3", "1e999999999", "1e-999999999", "1e9999999999",
    "0.1", "0.10", "0.100", "0.001", "00.1", "1.", ".5", "+1", "1e", "0x1", "1_0", "1.5e0", "4.35", "1.005e3",
    "0e9999999999999", "0e-9999999999", "-0.00E9999999999999", "0e99999999999999999999", "0e-99999999999999999999", "1e-99999999999999999999",
    "1e+" + "0" * 100 + "1", "1e-" + "0" * 100 + "2", "12" + "0" * 100 + "e-101", "0." + "0" * 100 + "12e101", "0." + "0" * 100 + "123e101",
    "1" * 70 + "e-70", "1" * 70 + "e70", "-1" + "0" * 100 + "e-100", "9999999999999999.99" + "0" * 60 + "e0", "1" + "0" * 100 + "e-84",
    "1" + "0" * 100 + "e-85", "1e" + "9" * 100, "1e-" + "9" * 100,
    "1e9999999999999999999", "1e-9999999999999999999", "0e9999999999999999999", "1e999999999999999999", "1e-999999999999999999",
]  # fmt: skip
ODDITIES = [
    '"a\\u0000b"', '"\\ud83d\\ude42"', '"\\ud83d"', '"\\ude42x"', '"\\uD83D\\u0041"', '"\t"', '"\\t"', '"\\x"', '"\x7f"', '"\ufffd"',
    '"\\udfff"', '"\\ud800"', '"\\udbff\\udfff"', '"\\ud7ff"', '"\\ue000"',
    '"\u2028"', '""', '" "', "null", "true", "[]", "{}", "'a'",
]  # fmt: skip

INTEGERS = [
    "1", "0", "-0", "-1", "01", "1.0", "1e0", "2147483647", "2147483648", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
    "1" + "0" * 100,
]  # fmt: skip
IDS = [json.dumps(letter * count, ensure_ascii=False) for letter in ("a", "é", "😀") for count in (1, 32, 33, 64, 65)]


@pytest.mark.parametrize(("field", "tokens"), [
    ("client_id", INTEGERS), ("quantite", INTEGERS), ("vente_id", IDS), ("client_nom", IDS),
    ("timestamp", [json.dumps(each, ensure_ascii=False) for each in TIMES]), ("montant", AMOUNTS), ("client_nom", ODDITIES),
    ("vente_id", ODDITIES), ("extra", [*ODDITIES, *AMOUNTS, '{"a": [1, {"b": "}"}], "c": "\\""}', '{"a": 1, "a": 2}', '[[["]"]]]']),
])  # fmt: skip
def test_the_decoder_and_the_judge_agree_on_what_a_value_may_look_like(
    spark: SparkSession, field: str, tokens: list[str]
) -> None:
    """Both are written by hand from one contract: each form that JSON and ISO 8601 have is held against the other."""
    body = text(extra="@@") if field == "extra" else text(**{field: "@@"})
    values: list[bytes | None] = [body.replace('"@@"', token).encode("utf-8", "surrogatepass") for token in tokens]
    for token, value, row in zip(
        tokens, values, decoded(spark, values, broker_time=datetime(9999, 12, 30, tzinfo=UTC)), strict=True
    ):
        assert value is not None
        verdict = sale.validate(value)
        found = (row.motif, row[transforms.UNKNOWN], row.champs_inconnus)
        if row.motif == sale.FUTUR:  # the last days of the calendar
            found = (None, *found[1:])
        assert found == (verdict.motif, verdict.inconnus, verdict.champs), token
        if row.motif is None and verdict.canonique is not None:
            fields = sale.fields_of(verdict.canonique)
            assert row.montant == fields["montant"], token
            assert row.timestamp == fields["timestamp"].replace(tzinfo=None), token


UNKNOWN_NAMES = [
    'a"b', "a\\b", "\b", "\t\n\f\r", " ", "~", "\x7f", "\x1f", "é", "\ufffd", "\uffee", "😀", "a", "ab", "abc", "A", "\x00", "/", "",
]  # fmt: skip


def with_unknown(names: list[str], *, ascii_only: bool) -> bytes:
    fields = {name: number for number, name in enumerate(names)}
    return f"{text()[:-1]}, {json.dumps(fields, ensure_ascii=ascii_only)[1:]}".encode()


def test_names_that_the_contract_does_not_know_are_written_alike(spark: SparkSession) -> None:
    orders = [UNKNOWN_NAMES, UNKNOWN_NAMES[::-1], *([name] for name in UNKNOWN_NAMES)]
    values = [with_unknown(names, ascii_only=each) for names in orders for each in (False, True)]
    for value, row in zip(values, decoded(spark, list(values)), strict=True):
        verdict = sale.validate(value)
        assert verdict.inconnus is not None
        assert (row.motif, row[transforms.UNKNOWN], row.champs_inconnus) == (None, verdict.inconnus, verdict.champs), (
            value
        )


def deep(levels: int, opened: str = "[", closed: str = "]") -> bytes:
    return text(extra="@@").replace('"@@"', opened * levels + "0" + closed * levels).encode()


@pytest.mark.parametrize(
    ("message", "motif"),
    [
        (deep(900), None),
        (deep(901), sale.JSON_INVALIDE),
        (deep(900, '{"a":', "}"), None),
        (deep(901, '{"a":', "}"), sale.JSON_INVALIDE),
        (deep(40_000), sale.JSON_INVALIDE),
        (text(client_nom="[" * 2_000, extra=r"\"[{" * 500).encode(), None),  # no brackets: they stand in strings
        (text(extra=[[]] * 2_000).encode(), None),
    ],
    ids=["900", "901", "900 objects", "901 objects", "40,000", "in strings", "side by side"],
)
def test_both_judges_know_one_depth(spark: SparkSession, message: bytes, motif: str | None) -> None:
    verdict = sale.validate(message)
    (row,) = decoded(spark, [message])
    assert verdict.motif == row.motif == motif
    assert (row.explication, row.champs_inconnus) == (verdict.explication, verdict.champs)


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(messages(), min_size=300, max_size=400))
def test_spark_and_the_exact_judge_agree_on_any_message(spark: SparkSession, drawn: list[str]) -> None:
    values = [message.encode("utf-8", "surrogatepass") for message in drawn]
    rows = decoded(spark, list(values))
    assert len(rows) == len(values)
    for value, row in zip(values, rows, strict=True):
        verdict = sale.validate(value)
        if row.motif == sale.FUTUR:
            assert verdict.motif is None
            continue
        assert row.motif == verdict.motif, value
        if verdict.canonique is not None:
            read = json.loads(verdict.canonique, parse_float=Decimal)
            assert {name: row[name] for name in sale.FIELDS if name != "timestamp"} == {
                name: value for name, value in read.items() if name != "timestamp"
            }


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(operations(), min_size=300, max_size=400))
def test_the_decoder_and_the_validator_agree_on_any_operation(spark: SparkSession, drawn: list[bytes]) -> None:
    rows = decoded(spark, list(drawn), broker_time=datetime(2026, 11, 24, tzinfo=UTC))
    for value, row in zip(drawn, rows, strict=True):
        verdict = sale.validate(value)
        assert (row.motif, row.explication) == (verdict.motif, verdict.explication), value
        assert (row[transforms.OPERATION] is not None) is (verdict.operation is not None), value


@pytest.mark.parametrize(
    ("seconds", "motif"), [(300, None), (300.001, "horodatage_futur"), (86400, "horodatage_futur")]
)
def test_a_sale_may_lie_five_minutes_after_the_brokers_clock_and_no_more(
    spark: SparkSession, seconds: float, motif: str | None
) -> None:
    moment = (BROKER_TIME + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
    (row,) = decoded(spark, [text(timestamp=moment).encode()])
    assert row.motif == motif
    if motif:
        assert "more than 300 s after the broker's clock, 2026-11-22T20:00:01Z." in row.explication


@pytest.mark.parametrize(("seconds", "late"), [(600, False), (600.001, True), (86400, True), (-60, False)])
def test_a_sender_is_late_beyond_ten_minutes_before_the_brokers_clock(
    spark: SparkSession, seconds: float, late: bool
) -> None:
    moment = (BROKER_TIME - timedelta(seconds=seconds)).isoformat(timespec="milliseconds")
    (row,) = decoded(spark, [text(timestamp=moment).encode()])
    assert row.est_tardif is late


def test_the_watermark_column_is_clamped_so_that_no_row_lies_below_it(spark: SparkSession) -> None:
    now = datetime.now(UTC)
    moments = [now - timedelta(days=10_000), now - timedelta(minutes=5), now + timedelta(minutes=4)]
    rows = decoded(spark, [text(timestamp=m.isoformat()).encode() for m in moments] + [b"bad"], broker_time=now)
    delay = timedelta(minutes=10)
    clocks = [row[transforms.CLOCK] for row in rows]
    ingested = rows[0].date_ingestion
    assert clocks == [ingested - delay, moments[1].replace(tzinfo=None), ingested, ingested]
    assert [row[transforms.STALE] for row in rows] == [True, False, False, False]


def test_no_sale_that_is_on_time_is_left_unread(spark: SparkSession) -> None:
    delay, tolerance, now = timedelta(minutes=10), timedelta(minutes=5), datetime.now(UTC)
    span, minute = delay + tolerance, timedelta(minutes=1)
    # the broker's times on both sides of the span's end, with event times from too old to as early as is allowed
    moments = [
        (received, received + after)
        for received in (now - span - minute, now - span + minute, now - minute)
        for after in (-delay - minute, -delay + 2 * minute, timedelta(), tolerance - timedelta(seconds=1))
    ]
    messages = [
        (b"12", text(vente_id=str(n), timestamp=event.isoformat()).encode(), "t", 0, n, received, 1)
        for n, (received, event) in enumerate(moments)
    ]
    rows = spark.createDataFrame(messages, KAFKA)

    def found(read: DataFrame) -> list[str]:
        judged = transforms.decoded(read, watermark_delay=delay, future_tolerance=tolerance, timezone="UTC")
        return sorted(row.vente_id for row in transforms.on_time(judged).collect())

    kept = transforms.perhaps_on_time(rows, watermark_delay=delay, future_tolerance=tolerance)
    assert found(kept) == found(rows) == sorted(["7", "9", "10", "11"])
    assert kept.count() == 4, "each of these can be told old without being decoded"


OLD, RECENT = "2026-11-22T19:49:59Z", "2026-11-22T20:00:00Z"
"""Event times before and after the end of the watermark's delay, for a batch at ``BROKER_TIME``."""


@pytest.mark.parametrize(
    ("message", "left_out"),
    [
        (text(timestamp=OLD), True),
        (text(timestamp=RECENT), False),
        (text(timestamp=OLD).replace('"timestamp": ', '"timestamp"\t:\n '), True),
        (text(timestamp="2026-11-22T21:49:59+02:00"), True),
        (text(timestamp="2026-11-22T22:00:00+02:00"), False),
        # the field's name or a backslash anywhere else: the decoder has to look
        (text(timestamp=RECENT, extra={"timestamp": OLD}), False),
        (json.dumps({"extra": {"timestamp": OLD}}) [:-1] + ", " + text(timestamp=RECENT)[1:], False),
        (text(timestamp=RECENT, produit_nom="timestamp"), False),
        (text(timestamp=OLD, client_nom="a\\b"), False),
        (text(timestamp=RECENT).replace('"timestamp"', '"\\u0074imestamp"')[:-1] + f', "timestamp2": "{OLD}"}}', False),
        (text(timestamp=RECENT).replace('"timestamp"', '"\\u0074imestamp"')[:-1] + f', "x": {{"timestamp": "{OLD}"}}}}', False),
        (text(timestamp="yesterday"), False),
        (text(timestamp=7), False),
        (text()[:-60], False),
        (f'{{"timestamp": "{OLD}', False),
        ('"timestamp"', False),
        ('"timestamp":', False),
        ("", False),
        (None, False),
    ],
)  # fmt: skip
def test_a_stale_sale_is_told_by_its_bytes_where_they_leave_no_doubt(
    spark: SparkSession, message: str | None, left_out: bool
) -> None:
    value = None if message is None else message.encode()
    micros = 1_000_000
    now = int(BROKER_TIME.timestamp()) * micros
    is_old = spark._jvm.ventes.StaleSale()  # type: ignore[union-attr,operator]
    assert is_old.call(value, now, now, 600 * micros, 300 * micros) is left_out
    assert is_old.call(value, now - 901 * micros, now, 600 * micros, 300 * micros) is True  # by the broker's time alone


def test_a_sale_exactly_on_the_line_is_on_time(spark: SparkSession) -> None:
    """The watermark's own comparison is strict, in Java and in SQL: one microsecond decides."""
    micros = 1_000_000
    now, line = int(BROKER_TIME.timestamp()) * micros, BROKER_TIME - timedelta(seconds=600)
    is_old = spark._jvm.ventes.StaleSale()  # type: ignore[union-attr,operator]
    for moment, stale in ((line, False), (line - timedelta(microseconds=1), True)):
        value = text(timestamp=moment.isoformat(timespec="microseconds")).encode()
        assert is_old.call(value, now, now, 600 * micros, 300 * micros) is stale
        row = spark.createDataFrame([(moment, BROKER_TIME)], "timestamp TIMESTAMP, date_ingestion TIMESTAMP")
        assert row.select(transforms.is_stale(timedelta(seconds=600))).first()[0] is stale
    # by the broker's time alone: an on-time sale's event time is at most the tolerance after it
    for behind, stale in ((900 * micros, False), (900 * micros + 1, True)):
        assert is_old.call(None, now - behind, now, 600 * micros, 300 * micros) is stale


def test_only_sales_have_a_key(spark: SparkSession) -> None:
    rows = decoded(spark, [b"", text(vente_id="a").encode()])
    assert [row[transforms.KEY] for row in rows] == [None, "v-a"]


def test_equal_bad_messages_never_collapse(spark: SparkSession) -> None:
    """They are never compared: none of them goes through the state."""
    posing = text(vente_id="r-ventes_stream-0-0", timestamp=datetime.now(UTC).isoformat()).encode()
    judged = transforms.decoded(
        kafka_rows(spark, [b"", b"", posing, b"x", b"x"], datetime.now(UTC)),
        watermark_delay=timedelta(minutes=10), future_tolerance=timedelta(minutes=5), timezone="UTC",
    )  # fmt: skip
    assert sorted(row.kafka_offset for row in transforms.others(judged).collect()) == [0, 1, 3, 4]
    assert [row.kafka_offset for row in transforms.on_time(judged).collect()] == [2]


def test_the_day_is_the_business_time_zones(spark: SparkSession) -> None:
    value = text(timestamp="2026-11-22T23:30:00Z").encode()
    late_evening = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    assert [decoded(spark, [value], timezone=zone, broker_time=late_evening)[0].jour for zone in ("UTC", "Europe/Paris", "America/Montreal")] == [
        date(2026, 11, 22), date(2026, 11, 23), date(2026, 11, 22),
    ]  # fmt: skip


def test_a_message_as_large_as_the_topic_allows_is_kept_whole(spark: SparkSession) -> None:
    value = b"\xff" * 900_000
    (row,) = decoded(spark, [value])
    assert (row.motif, bytes(row.valeur)) == ("json_invalide", value)
