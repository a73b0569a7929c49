"""Every shape of message that Kafka can hold, through a real broker: accepted, or rejected with its reason and bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pyspark.sql import SparkSession

from lakehouse.contract.sale import EN_ATTENTE, FUTUR, ILLISIBLE, JSON_INVALIDE, TYPE, VALEUR, VIDE, reasons
from lakehouse.operations.reconcile.sent_vs_stored import Sent
from lakehouse.producer import malformed
from tests.support.harness import Lake, rejected
from tests.support.messages import ago, encoded, iso, sale

pytestmark = pytest.mark.timeout(900)

BOM = b"\xef\xbb\xbf"
HUGE = 900_000


def written(**texts: str) -> bytes:
    """A valid sale in which some fields have a JSON text of their own."""
    message = encoded(sale())
    for name, text in texts.items():
        before, _, after = message.partition(f'"{name}": '.encode())
        rest = after[after.index(b", ") :] if b", " in after else b"}"
        message = before + f'"{name}": {text}'.encode() + rest
    return message


def odd_messages() -> list[tuple[bytes | None, str]]:
    """Bytes, and the reason that they must get: what the generator's own shapes leave out."""
    return [
        (None, VIDE),
        (b" \r\n\t", VIDE),
        (b"\x00\xff\xfe\x80" * 3, JSON_INVALIDE),
        (b"x" * HUGE, JSON_INVALIDE),
        (encoded(sale()).replace(b"Zo", b"Z" * HUGE + b"\xff"), JSON_INVALIDE),
        (b"[" * 100_000, JSON_INVALIDE),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, JSON_INVALIDE),
        (BOM + encoded(sale()), JSON_INVALIDE),
        (encoded(sale()).decode().encode("utf-16"), JSON_INVALIDE),
        (b"null", JSON_INVALIDE),
        (b"[]", JSON_INVALIDE),
        (b'"vente"', JSON_INVALIDE),
        (written(montant="NaN"), JSON_INVALIDE),
        (written(montant="-Infinity"), JSON_INVALIDE),
        (written(montant="1e400"), f"{VALEUR}:montant"),
        (written(montant="1e999999999999"), f"{VALEUR}:montant"),
        (written(montant="0.001"), f"{VALEUR}:montant"),
        (written(montant='"51.00"'), f"{TYPE}:montant"),
        (written(quantite="2147483648"), f"{VALEUR}:quantite"),
        (written(client_id="9" * 5000), f"{VALEUR}:client_id"),
        (written(client_nom='"\\ud800"'), f"{VALEUR}:client_nom"),
        (written(timestamp='"2026-02-31T10:00:00Z"'), f"{VALEUR}:timestamp"),
        (written(timestamp='"2026-11-01T10:00:00"'), f"{VALEUR}:timestamp"),
        (encoded(sale(datetime.now(UTC) + timedelta(minutes=6))), FUTUR),
        (encoded(sale(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))), FUTUR),
        (encoded(sale()) + encoded(sale()), JSON_INVALIDE),
        (encoded(sale())[:-1] + b', "montant": 1.00}', JSON_INVALIDE),
        (encoded(sale()) + b"\n}", JSON_INVALIDE),
    ]


def test_every_bad_message_is_kept_once_with_its_reason_and_its_raw_bytes(lake: Lake, spark: SparkSession) -> None:
    future = iso(datetime.now(UTC) + timedelta(days=1))
    shapes = [(shape.apply(encoded(sale()), future), shape.motif) for shape in malformed.SHAPES]
    lake.broken(*odd_messages(), *shapes, partition=0)
    lake.broken((b"the same three times", JSON_INVALIDE), (b"the same three times", JSON_INVALIDE), partition=0)
    lake.broken((b"the same three times", JSON_INVALIDE), partition=1)
    (good,) = lake.sales(sale(), partition=0)  # stands after all of them

    lake.bronze(spark)

    assert lake.differences() == []
    assert [row["vente_id"] for row in lake.rows()] == [good.vente_id]
    rows = rejected(lake)
    assert len(rows) == len(odd_messages()) + len(malformed.SHAPES) + 3
    assert {row["motif"] for row in rows.values()} == set(reasons()) - {ILLISIBLE, EN_ATTENTE}
    assert rows[0, 0]["valeur"] is None  # a null message stays null, an empty one empty
    assert max(len(row["valeur"] or b"") for row in rows.values()) > HUGE
    assert all(row["topic"] == lake.config.kafka.topic and row["cle"] == b"7" for row in rows.values())
    assert all(row["explication"] and row["kafka_timestamp"] <= row["date_ingestion"] for row in rows.values())

    before = lake.state()
    lake.bronze(spark)
    assert lake.state() == before


def test_unusual_but_valid_sales_are_accepted_to_the_cent(lake: Lake, spark: SparkSession) -> None:
    old = datetime(1997, 6, 1, 8, 30, tzinfo=UTC)
    plain = [
        sale(old),
        sale(datetime(1900, 1, 1, tzinfo=UTC)),
        sale(datetime.now(UTC) + timedelta(minutes=4)),
        sale(montant="9999999999999999.99", quantite=2**31 - 1, client_id=2**63 - 1),
        sale(montant="0.01", client_nom='Ålesund \\ " \u2028 𝄞', pays="Côte d'Ivoire"),
        sale(ago(days=3)),
    ]
    lake.sales(*plain)
    fields = sale(old)
    other_ways = [
        (encoded(fields)[:-1] + b', "note": "' + b"x" * HUGE + b'"}', fields),
        (b" \n" + encoded(late := sale(ago(minutes=11))).replace(b", ", b" ,\n\t") + b"\r\n", late),
        (encoded(round_sum := sale(montant="5.1e1")), round_sum | {"montant": "51.00"}),
        (encoded(paris := sale(timestamp="2026-03-29T02:30:00.123456789+02:00")),
         paris | {"timestamp": "2026-03-29T00:30:00.123456Z"}),
    ]  # fmt: skip
    places = lake.send([value for value, _ in other_ways])
    for (_, meant), place in zip(other_ways, places, strict=True):
        lake.by_hand.append(Sent(meant["vente_id"], None, meant, None, True, *place))

    lake.bronze(spark)

    assert lake.differences() == []
    rows = {row["vente_id"]: row for row in lake.rows()}
    assert len(rows) == len(plain) + len(other_ways)
    assert rows[plain[0]["vente_id"]]["jour"].isoformat() == "1997-06-01"
    assert rows[plain[0]["vente_id"]]["est_tardif"] is True
    assert rows[plain[2]["vente_id"]]["est_tardif"] is False
    assert rows[plain[3]["vente_id"]]["montant"] == Decimal("9999999999999999.99")
    assert rejected(lake) == {}
