"""The comparison that the demo and the fault tests trust: each kind of difference is seen, and nothing else."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lakehouse.contract.sale import OPERATION_FIELDS
from lakehouse.errors import LakehouseError
from lakehouse.operations.reconcile import producer_truth
from lakehouse.operations.reconcile.sent_vs_stored import Country, Sent, by_country, compare, compare_countries

FIELDS: dict[str, Any] = {
    "vente_id": "a", "client_id": 7, "produit_id": 102, "timestamp": "2026-11-22T10:00:00.000001Z", "quantite": 2,
    "montant": "51.00", "client_nom": "Zoé", "produit_nom": "Souris", "categorie": "Informatique", "pays": "France",
    "segment": "Particulier",
}  # fmt: skip
SALE = Sent("a", None, FIELDS, None, True, 0, 5)
ROW: dict[str, Any] = {
    **FIELDS,
    "timestamp": datetime(2026, 11, 22, 10, 0, 0, 1, tzinfo=UTC),
    "montant": Decimal("51.00"),
    "jour": date(2026, 11, 22),
    "kafka_partition": 0,
    "kafka_offset": 5,
    "kafka_timestamp": datetime(2026, 11, 22, 10, 0, 2, tzinfo=UTC),
    "est_tardif": False,
}
BAD = Sent("b", "message_vide", {}, b"", True, 1, 3, "malformee")
REJECT = {
    "motif": "message_vide",
    "explication": "The message is empty.",
    "valeur": b"",
    "kafka_partition": 1,
    "kafka_offset": 3,
}


def found(
    sent: list[Sent], sales: list[dict[str, Any]], rejects: list[dict[str, Any]], **options: Any
) -> list[tuple[str, str]]:
    return [(difference.what, difference.column) for difference in compare(sent, sales, rejects, **options)]


def test_equal_is_equal() -> None:
    copy = replace(SALE, offset=9, kind="doublon")
    assert found([SALE, copy, BAD], [ROW], [REJECT]) == []
    assert found([], [], []) == []


@pytest.mark.parametrize(
    ("sales", "rejects", "expected"),
    [
        ([], [REJECT], [("missing sale", "")]),
        ([ROW, {**ROW, "kafka_offset": 9}], [REJECT], [("doubled sale", "")]),
        ([{**ROW, "montant": Decimal("51.01")}], [REJECT], [("differing cell", "montant")]),
        ([{**ROW, "montant": 51.0}], [REJECT], [("differing cell", "montant")]),
        ([{**ROW, "client_nom": None}], [REJECT], [("differing cell", "client_nom")]),
        ([{**ROW, "timestamp": datetime(2026, 11, 22, 10, tzinfo=UTC)}], [REJECT], [("differing cell", "timestamp")]),
        ([{**ROW, "est_tardif": True}], [REJECT], [("differing cell", "est_tardif")]),
        ([{**ROW, "jour": date(2026, 11, 21)}], [REJECT], [("differing cell", "jour")]),
        ([{**ROW, "kafka_offset": 6}], [REJECT], [("differing cell", "kafka_offset")]),
        ([ROW, {**ROW, "vente_id": "z"}], [REJECT], [("unexpected sale", "")]),
        ([ROW], [], [("missing reject", "")]),
        ([ROW], [REJECT, REJECT], [("doubled reject", "")]),
        ([ROW], [{**REJECT, "motif": "json_invalide"}], [("wrong reason", "motif")]),
        ([ROW], [{**REJECT, "valeur": None}], [("differing cell", "valeur")]),
        ([ROW], [REJECT, {**REJECT, "kafka_offset": 4}], [("unexpected reject", "")]),
        ([], [REJECT, {**REJECT, "kafka_partition": 0, "kafka_offset": 5}], [("missing sale", ""), ("rejected sale", "")]),
    ],
)  # fmt: skip
def test_each_difference_is_seen_once(sales: list[Any], rejects: list[Any], expected: list[tuple[str, str]]) -> None:
    assert found([SALE, BAD], sales, rejects) == expected


def test_what_was_never_acknowledged_may_be_there_once_or_not() -> None:
    cut = [replace(message, acknowledged=False, partition=None, offset=None) for message in (SALE, BAD)]
    assert found(cut, [], []) == []
    assert found(cut, [ROW], [REJECT]) == []
    assert found(cut, [ROW, ROW], [REJECT, {**REJECT, "kafka_offset": 4}]) == [
        ("doubled sale", ""),
        ("unexpected reject", ""),
    ]


def test_an_acknowledgement_without_a_place_still_counts() -> None:
    placeless = [replace(message, offset=-1) for message in (SALE, BAD)]
    assert found(placeless, [ROW], [REJECT]) == []
    assert found(placeless, [], []) == [("missing sale", ""), ("missing reject", "")]


def test_the_first_copy_of_a_partition_wins() -> None:
    copies = [replace(SALE, offset=9), SALE, replace(SALE, partition=1, offset=0)]
    assert found(copies, [ROW], []) == []
    assert found(copies, [{**ROW, "kafka_partition": 1, "kafka_offset": 0}], []) == []
    assert found(copies, [{**ROW, "kafka_offset": 9}], []) == [("differing cell", "kafka_offset")]


def test_a_declared_loss_is_not_missed() -> None:
    assert found([SALE, BAD], [], [], lost=[(0, 4, 5), (1, 3, 3)]) == []
    assert found([SALE], [], [], lost=[(0, 6, 9), (1, 5, 5)]) == [("missing sale", "")]


def test_countries() -> None:
    sent = [
        SALE,
        replace(SALE, offset=9),
        BAD,
        Sent("c", None, {**FIELDS, "client_id": 8, "montant": "0.05"}, None, True),
    ]
    expected = {"France": Country(2, Decimal("51.05"), 4, 2)}
    assert by_country(sent) == expected
    row = {
        "pays": "France",
        "total_transactions": 2,
        "revenue_total": Decimal("51.05"),
        "items_sold": 4,
        "unique_customers": 2,
    }
    assert compare_countries(expected, [row]) == []
    assert len(compare_countries(expected, [{**row, "revenue_total": Decimal("51.06")}, {**row, "pays": "Japon"}])) == 2


def test_truth_files_are_read_with_two_runs_and_a_line_that_was_cut(tmp_path: Path) -> None:
    good = {"run": "r1", "etat": "prevu", "n": 0, "kind": "vente", "motif": None, **FIELDS, "client_nom": "a\u2028b"}
    bad = {"run": "r2", "etat": "prevu", "n": 0, "kind": "malformee", "motif": "message_vide", **FIELDS,
           "vente_id": "b", "valeur_base64": base64.b64encode(b"x").decode()}  # fmt: skip
    answer = {"run": "r1", "etat": "acquitte", "n": 0, "partition": 2, "offset": 11, "kafka_timestamp": 1}
    lost = {"run": "r2", "etat": "echec", "n": 0, "vente_id": "b", "erreur": "x"}
    path = tmp_path / "truth.jsonl"
    path.write_text(
        "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in (good, bad, answer, lost)) + '{"run": "r1", "et'
    )
    one, two = producer_truth.read([path])
    assert (one.vente_id, one.acknowledged, one.place, one.fields["client_nom"]) == ("a", True, (2, 11), "a\u2028b")
    assert (two.motif, two.value, two.acknowledged, two.place) == ("message_vide", b"x", False, None)
    path.write_text("{\n{}\n")
    with pytest.raises(LakehouseError, match=r"truth\.jsonl:1 is no line of a truth file"):
        producer_truth.read([path])


RETURN: dict[str, Any] = {
    "operation": "retour", "operation_id": "o", "vente_id": "a", "timestamp": "2026-11-22T11:00:00.000001Z", "quantite": 1,
    "montant": "25.50", "raison": "trop petit",
}  # fmt: skip
DONE = Sent("a", None, {}, None, True, 0, 6, "retour", RETURN)
OPERATION: dict[str, Any] = {
    **dict.fromkeys(OPERATION_FIELDS), **RETURN, "montant": Decimal("25.50"), "jour": date(2026, 11, 22),
    "timestamp": datetime(2026, 11, 22, 11, 0, 0, 1, tzinfo=UTC), "kafka_partition": 0, "kafka_offset": 6,
    "kafka_timestamp": datetime(2026, 11, 22, 11, 10, 0, 1, tzinfo=UTC), "est_tardif": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([OPERATION], []),
        ([], [("missing operation", "")]),
        ([OPERATION, OPERATION], [("doubled operation", "")]),
        ([OPERATION, {**OPERATION, "operation_id": "x"}], [("unexpected operation", "")]),
        ([{**OPERATION, "montant": Decimal("25.51")}], [("differing cell", "montant")]),
        ([{**OPERATION, "pays": "France"}], [("differing cell", "pays")]),
        ([{**OPERATION, "jour": date(2026, 11, 23)}], [("differing cell", "jour")]),
        ([{**OPERATION, "kafka_offset": 8}], [("differing cell", "kafka_offset")]),
        ([{**OPERATION, "est_tardif": True}], [("differing cell", "est_tardif")]),
        ([{**OPERATION, "kafka_timestamp": datetime(2026, 11, 23, tzinfo=UTC)}], [("differing cell", "est_tardif")]),
    ],
)
def test_each_difference_of_an_operation_is_seen(rows: list[dict[str, Any]], expected: list[tuple[str, str]]) -> None:
    copy = replace(DONE, offset=8, kind="doublon")
    assert found([SALE, DONE, copy], [ROW], [], operations=rows) == expected


def test_an_operation_that_was_never_acknowledged_may_be_there_or_not() -> None:
    lost = replace(DONE, acknowledged=False, partition=None, offset=None)
    assert found([lost], [], [], operations=[OPERATION]) == found([lost], [], []) == []


def test_an_operation_among_the_rejects_is_a_difference() -> None:
    at = {"kafka_partition": 0, "kafka_offset": 6}
    assert found([DONE], [], [{**REJECT, **at}]) == [("missing operation", ""), ("rejected sale", "")]
