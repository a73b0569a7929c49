"""Operations on a sale, contract version 2: which messages are one, which are none and why, and what stays a sale."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.contract import sale
from tests.unit.contract.test_contract import fits
from tests.unit.contract.test_sale import VALID, text

ABOUT = {"operation_id": "op-1", "vente_id": VALID["vente_id"], "timestamp": "2026-11-23T08:00:00Z"}
OWN: dict[str, dict[str, object]] = {
    "annulation": {"raison": "doublon de caisse"},
    "retour": {"quantite": 1, "montant": 899.99},
    "correction": {"revision": 1, "montant": 17.5},
}


def operation(kind: str, **changes: object) -> bytes:
    return json.dumps({"operation": kind, **ABOUT, **OWN[kind], **changes}, ensure_ascii=False).encode()


def without(kind: str, field: str) -> bytes:
    return json.dumps({n: v for n, v in json.loads(operation(kind)).items() if n != field}).encode()


WELL_FORMED: list[tuple[str, bytes]] = [
    *((kind, operation(kind)) for kind in OWN),
    ("a return with its reason", operation("retour", raison="trop petit")),
    ("a return of nothing but articles", operation("retour", montant=0)),
    ("a reason that is null is none", operation("retour", raison=None)),
    ("a correction of every field", operation("correction", **{name: VALID[name] for name in sale.CORRIGES})),
    ("a corrected field that is null is not corrected", operation("correction", pays=None)),
    ("a cancellation with all fields of its sale", operation("annulation", **{n: VALID[n] for n in sale.CORRIGES})),
    ("a correction with fields of ours and of others", operation("correction", canal="web")),
    ("64 characters", operation("annulation", operation_id="é" * 64)),
    ("an escaped kind", operation("retour").replace(b'"retour"', rb'"reto\u0075r"')),
]

FAULTS: list[tuple[str, bytes, str]] = [
    ("no such operation", text(operation="remboursement").encode(), "valeur_invalide:operation"),
    ("an operation in capitals", operation("retour").replace(b'"retour"', b'"Retour"'), "valeur_invalide:operation"),
    ("an empty operation", text(operation="").encode(), "valeur_invalide:operation"),
    ("a number for an operation", text(operation=3).encode(), "type_invalide:operation"),
    ("an operation in a list", text(operation=["retour"]).encode(), "type_invalide:operation"),
    ("false is no operation", text(operation=False).encode(), "type_invalide:operation"),
    ("the operation comes before what is missing", b'{"operation": "x"}', "valeur_invalide:operation"),
    ("an operation that stands twice", b'{"operation": "vente", ' + operation("retour")[1:], "json_invalide"),
    *(
        (f"{kind} without {name}", without(kind, name), f"champ_manquant:{name}")
        for kind, form in sale.FORMS.items()
        if kind != sale.VENTE
        for name in form.required
    ),
    ("a reason that is null", operation("annulation", raison=None), "champ_manquant:raison"),
    ("a number for an id", operation("annulation", operation_id=7), "type_invalide:operation_id"),
    ("a number for a reason", operation("retour", raison=7), "type_invalide:raison"),
    ("a revision in quotes", operation("correction", revision="2"), "type_invalide:revision"),
    ("a revision with a point", operation("correction").replace(b'"revision": 1', b'"revision": 1.0'), "type_invalide:revision"),
    ("a corrected quantity in quotes", operation("correction", quantite="2"), "type_invalide:quantite"),
    ("an empty id", operation("retour", operation_id=""), "valeur_invalide:operation_id"),
    ("65 characters", operation("retour", operation_id="é" * 65), "valeur_invalide:operation_id"),
    ("an empty reason", operation("annulation", raison=""), "valeur_invalide:raison"),
    ("an empty reason that may be missing", operation("retour", raison=""), "valeur_invalide:raison"),
    ("revision 0", operation("correction", revision=0), "valeur_invalide:revision"),
    ("revision 2^63", operation("correction", revision=2**63), "valeur_invalide:revision"),
    ("nothing given back", operation("retour", quantite=0), "valeur_invalide:quantite"),
    ("less than nothing paid back", operation("retour", montant=-1), "valeur_invalide:montant"),
    ("three decimals paid back", operation("retour", montant=1.005), "valeur_invalide:montant"),
    ("an operation without an offset", operation("retour", timestamp="2026-11-23T08:00:00"), "valeur_invalide:timestamp"),
    ("a corrected segment of no kind", operation("correction", segment="B2B"), "valeur_invalide:segment"),
    ("a corrected amount below 0", operation("correction", montant=-1), "valeur_invalide:montant"),
    ("no corrected field", without("correction", "montant"), "correction_vide"),
    ("corrected fields that are all null", operation("correction", montant=None, pays=None), "correction_vide"),
    ("a correction of the time alone", operation("correction", montant=None), "correction_vide"),
    ("a correction of an unknown field alone", operation("correction", montant=None, canal="web"), "correction_vide"),
]  # fmt: skip

SALES: list[tuple[str, bytes]] = [
    ("said to be a sale", text(operation="vente").encode()),
    ("said to be a sale, first of all", b'{"operation": "vente", ' + text()[1:].encode()),
    ("said to be a sale, with an escape", text()[:-1].encode() + rb', "oper\u0061tion": "v\u0065nte"}'),
    ("said to be nothing", text(operation=None).encode()),
    ("with an operation within another field", text(extra={"operation": "retour"}).encode()),
    ("with the fields of operations", text(operation_id="op-1", revision=3, raison="x").encode()),
]
SCHEMA_CANNOT = {"an operation that stands twice", "a revision with a point"}


@pytest.mark.parametrize("value", [value for _, value in WELL_FORMED], ids=[name for name, _ in WELL_FORMED])
def test_a_valid_operation_is_accepted_with_its_fields(value: bytes) -> None:
    verdict = sale.validate(value)
    assert verdict.motif is None and verdict.explication is None and verdict.canonique is not None
    assert verdict.operation == json.loads(value)["operation"]
    fields = sale.fields_of(verdict.canonique)
    said = {name: each for name, each in json.loads(value, parse_float=Decimal).items() if each is not None}
    form = sale.FORMS[verdict.operation]
    assert fields == {**{name: said[name] for name in said if name in form.fields}, "operation": verdict.operation,
                      "timestamp": datetime(2026, 11, 23, 8, tzinfo=UTC)}  # fmt: skip
    assert set(json.loads(verdict.inconnus or "[]")) == said.keys() - form.fields.keys() - {"operation"}
    assert sale.validate(verdict.canonique.encode()).canonique == verdict.canonique
    assert fits(value)


@pytest.mark.parametrize(("seconds", "motif"), [(-300, None), (-301, sale.FUTUR), (0, None)])
def test_an_operation_from_the_future_is_rejected_by_the_broker_s_clock(seconds: int, motif: str | None) -> None:
    broker = int(datetime(2026, 11, 23, 8, tzinfo=UTC).timestamp() + seconds) * 10**6
    found = sale.refused(operation("retour"), broker, 300 * 10**6)
    assert (found["motif"], found["operation"] is None) == (motif, motif is not None)
    if motif:
        assert found["explication"] == (
            "The field timestamp is 2026-11-23T08:00:00Z: more than 300 s after the broker's clock, 2026-11-23T07:54:59Z."
        )
    else:
        assert found["operation"]["timestamp"] == int(datetime(2026, 11, 23, 8, tzinfo=UTC).timestamp()) * 10**6


@pytest.mark.parametrize(("name", "value", "motif"), FAULTS, ids=[name for name, *_ in FAULTS])
def test_each_way_to_be_no_operation_has_its_code(name: str, value: bytes, motif: str) -> None:
    verdict = sale.validate(value)
    assert verdict.motif == motif and motif in sale.reasons()
    assert verdict.explication and verdict.explication.endswith(".") and len(verdict.explication) < 400
    assert fits(value) is (name in SCHEMA_CANNOT)


@pytest.mark.parametrize("value", [value for _, value in SALES], ids=[name for name, _ in SALES])
def test_what_says_that_it_is_a_sale_is_one_without_an_unknown_field(value: bytes) -> None:
    verdict = sale.validate(value)
    assert verdict.canonique == sale.validate(text().encode()).canonique
    assert "operation" not in json.loads(verdict.inconnus or "[]")
    assert fits(value)


def test_the_sentences_say_what_is_expected() -> None:
    assert sale.validate(text(operation="x").encode()).explication == (
        'The field operation is "x": it must be vente, annulation, retour or correction.'
    )
    assert sale.validate(without("correction", "montant")).explication == (
        "The correction replaces no field: it must name one of client_id, produit_id, quantite, montant, client_nom, "
        "produit_nom, categorie, pays, segment."
    )


fields = st.sampled_from([*sale.FIELDS, "operation_id", "revision", "raison", "autre"])
values = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 3), st.just(2.5), st.text(max_size=3), st.just("2026-11-22T20:00:00Z"),
    st.just("Particulier"),
)  # fmt: skip


@st.composite
def operations(draw: st.DrawFn) -> bytes:
    """Operations near the border of the contract."""
    kind = draw(st.sampled_from(list(sale.FORMS)))
    start = VALID if kind == sale.VENTE else json.loads(operation(kind))
    changed = {**start, **draw(st.dictionaries(fields, values, max_size=4))}
    dropped = draw(st.sets(fields, max_size=2))
    said = {} if kind == sale.VENTE and draw(st.booleans()) else {"operation": kind}
    return json.dumps(said | {name: value for name, value in changed.items() if name not in dropped}).encode()


@given(operations())
def test_the_schema_and_the_validator_agree_on_every_operation(value: bytes) -> None:
    verdict = sale.validate(value)
    assert fits(value) is (verdict.motif is None), verdict
