"""The sale contract: what is accepted, what is rejected and why; the quick validator never accepts what the exact one refuses."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.contract import sale

VALID = {
    "vente_id": "4b8f0f9e-0d7e-4a53-9d4f-7c2f6b1f0c11",
    "client_id": 12,
    "produit_id": 101,
    "timestamp": "2026-11-22T20:00:00.123Z",
    "quantite": 2,
    "montant": 1799.98,
    "client_nom": "Éloïse Dupont",
    "produit_nom": "Ordinateur",
    "categorie": "Informatique",
    "pays": "France",
    "segment": "Particulier",
}


def text(**changes: object) -> str:
    return json.dumps({**VALID, **changes}, ensure_ascii=False)


def raw(field: str, token: str) -> str:
    """A valid sale with ``token`` in place of the field's value, character for character."""
    return json.dumps({**VALID, field: "@@"}, ensure_ascii=False).replace('"@@"', token)


def without(field: str) -> str:
    return json.dumps({k: v for k, v in VALID.items() if k != field})


CASES: list[tuple[str, bytes | None, str]] = [
    ("null", None, "message_vide"),
    ("empty", b"", "message_vide"),
    ("blank", b" \r\n\t", "message_vide"),
    ("truncated", text()[:-2].encode(), "json_invalide"),
    ("trailing text", (text() + " x").encode(), "json_invalide"),
    ("two objects", (text() + text()).encode(), "json_invalide"),
    ("an array", b"[1]", "json_invalide"),
    ("a string", b'"vente"', "json_invalide"),
    ("NaN", raw("montant", "NaN").encode(), "json_invalide"),
    ("Infinity", raw("montant", "Infinity").encode(), "json_invalide"),
    ("single quotes", text().replace('"', "'").encode(), "json_invalide"),
    ("a comment", ("/* x */" + text()).encode(), "json_invalide"),
    ("leading zero", raw("client_id", "012").encode(), "json_invalide"),
    ("invalid UTF-8", text().encode("latin-1"), "json_invalide"),
    ("byte order mark", b"\xef\xbb\xbf" + text().encode(), "json_invalide"),
    ("UTF-16", text().encode("utf-16"), "json_invalide"),
    ("duplicate key", ('{"pays":"Suisse",' + text()[1:]).encode(), "json_invalide"),
    ("duplicate extra key", ('{"x":1,"x":1,' + text()[1:]).encode(), "json_invalide"),
    (
        "a key that stands twice, the last of 20,000",
        ("{" + ", ".join(f'"{number}": 0' for number in [*range(20_000), 19_999]) + "}").encode(),
        "json_invalide",
    ),
    ("deep nesting", b'{"a":' * 50_000, "json_invalide"),
    ("missing", without("pays").encode(), "champ_manquant:pays"),
    ("null field", text(quantite=None).encode(), "champ_manquant:quantite"),
    ("the first missing field wins", b"{}", "champ_manquant:vente_id"),
    ("missing comes before type", json.dumps({"vente_id": 3}).encode(), "champ_manquant:client_id"),
    ("type comes before value", text(vente_id="", segment=3).encode(), "type_invalide:segment"),
    ("true is no integer", text(client_id=True).encode(), "type_invalide:client_id"),
    ("3.0 is no integer", raw("quantite", "3.0").encode(), "type_invalide:quantite"),
    ("1e2 is no integer", raw("produit_id", "1e2").encode(), "type_invalide:produit_id"),
    ("a quoted number is no number", text(montant="5.00").encode(), "type_invalide:montant"),
    ("a number is no string", text(vente_id=123).encode(), "type_invalide:vente_id"),
    ("an object is no string", text(pays={"nom": "France"}).encode(), "type_invalide:pays"),
    ("an epoch is no timestamp", text(timestamp=1795379957).encode(), "type_invalide:timestamp"),
    ("empty id", text(vente_id="").encode(), "valeur_invalide:vente_id"),
    ("65 characters", text(vente_id="é" * 65).encode(), "valeur_invalide:vente_id"),
    ("client 0", text(client_id=0).encode(), "valeur_invalide:client_id"),
    ("client 2^63", text(client_id=2**63).encode(), "valeur_invalide:client_id"),
    ("5000 digits", raw("client_id", "9" * 5000).encode(), "valeur_invalide:client_id"),
    ("quantity 0", text(quantite=0).encode(), "valeur_invalide:quantite"),
    ("quantity 2^31", text(quantite=2**31).encode(), "valeur_invalide:quantite"),
    ("negative", text(montant=-0.01).encode(), "valeur_invalide:montant"),
    ("three decimals", text(montant=1.005).encode(), "valeur_invalide:montant"),
    ("1e400", raw("montant", "1e400").encode(), "valeur_invalide:montant"),
    ("1e99999999999999999999", raw("montant", "1e99999999999999999999").encode(), "valeur_invalide:montant"),
    ("1e-99999999", raw("montant", "1e-99999999").encode(), "valeur_invalide:montant"),
    ("17 digits", raw("montant", "10000000000000000.00").encode(), "valeur_invalide:montant"),
    ("no offset", text(timestamp="2026-11-22T20:00:00").encode(), "valeur_invalide:timestamp"),
    ("no time", text(timestamp="2026-11-22").encode(), "valeur_invalide:timestamp"),
    ("31 February", text(timestamp="2026-02-31T20:00:00Z").encode(), "valeur_invalide:timestamp"),
    ("a leap second", text(timestamp="2016-12-31T23:59:60Z").encode(), "valeur_invalide:timestamp"),
    ("year 10000", text(timestamp="9999-12-31T23:59:59-05:00").encode(), "valeur_invalide:timestamp"),
    ("x between date and time", text(timestamp="2026-11-22x20:00:00Z").encode(), "valeur_invalide:timestamp"),
    ("unknown segment", text(segment="particulier").encode(), "valeur_invalide:segment"),
    ("empty name", text(client_nom="").encode(), "valeur_invalide:client_nom"),
    ("half a surrogate pair", raw("client_nom", r'"\ud800"').encode(), "valeur_invalide:client_nom"),
]

ACCEPTED: list[tuple[str, bytes, dict[str, object]]] = [
    ("as the producer writes it", text().encode(), {"montant": Decimal("1799.98")}),
    ("another order", json.dumps(dict(reversed(VALID.items()))).encode(), {"pays": "France"}),
    ("escaped", json.dumps(VALID).encode(), {"client_nom": "Éloïse Dupont"}),
    ("an emoji, escaped", json.dumps({**VALID, "client_nom": "Zoé 🙂"}).encode(), {"client_nom": "Zoé 🙂"}),
    ("pretty-printed", json.dumps(VALID, indent=2).encode(), {"client_id": 12}),
    ("extra fields", text(extra={"a": [1, {"b": None}]}, autre=1.5).encode(), {"client_id": 12}),
    ("no cents", raw("montant", "5").encode(), {"montant": Decimal("5.00")}),
    ("zero", raw("montant", "0").encode(), {"montant": Decimal("0.00")}),
    ("minus zero", raw("montant", "-0.0").encode(), {"montant": Decimal("0.00")}),
    ("scientific notation", raw("montant", "1.23456789E7").encode(), {"montant": Decimal("12345678.90")}),
    ("trailing zeros", raw("montant", "1.500").encode(), {"montant": Decimal("1.50")}),
    ("the largest amount", raw("montant", "9999999999999999.99").encode(), {"montant": sale.MAX_AMOUNT}),
    ("64 characters", text(vente_id="é" * 64).encode(), {"vente_id": "é" * 64}),
    ("1997", text(timestamp="1997-07-04T12:00:00+02:00").encode(), {"timestamp": "1997-07-04T10:00:00.000000Z"}),
    ("year 1", text(timestamp="0001-01-02T00:00:00Z").encode(), {"timestamp": "0001-01-02T00:00:00.000000Z"}),
    (
        "nanoseconds",
        text(timestamp="2026-11-22T20:00:00.123456789Z").encode(),
        {"timestamp": "2026-11-22T20:00:00.123456Z"},
    ),
    ("basic format", text(timestamp="20261122T200000+0100").encode(), {"timestamp": "2026-11-22T19:00:00.000000Z"}),
    ("a name with a NUL", text(client_nom="a\u0000b").encode(), {"client_nom": "a\u0000b"}),
    ("a blank name", text(client_nom=" ").encode(), {"client_nom": " "}),
    ("quantity 2^31-1", text(quantite=2**31 - 1).encode(), {"quantite": 2**31 - 1}),
    ("a client beyond 2^53", text(client_id=2**53 + 1).encode(), {"client_id": 2**53 + 1}),
    ("year 999", text(timestamp="0999-12-31T12:00:00Z").encode(), {"timestamp": "0999-12-31T12:00:00.000000Z"}),
    ("zero, huge exponent", raw("montant", "0e9999999999999").encode(), {"montant": Decimal("0.00")}),
    ("zero, huge negative exponent", raw("montant", "0e-9999999999").encode(), {"montant": Decimal("0.00")}),
    ("an unknown field 900 deep", raw("extra", "[" * 900 + "]" * 900).encode(), {"client_id": 12}),
    ("a carriage return", text(pays="\r=1+1").encode(), {"pays": "\r=1+1"}),
    ("a placeholder's name", text(pays="@TAG@").encode(), {"pays": "@TAG@"}),
]


@pytest.mark.parametrize(("value", "motif"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_bad_message_is_rejected_with_its_reason_and_a_sentence(value: bytes | None, motif: str) -> None:
    verdict = sale.validate(value)
    assert verdict.motif == motif
    assert motif in sale.reasons()
    assert verdict.explication and verdict.explication.endswith(".") and len(verdict.explication) < 400
    assert verdict.canonique is None


@pytest.mark.parametrize(("value", "fields"), [case[1:] for case in ACCEPTED], ids=[case[0] for case in ACCEPTED])
def test_a_valid_sale_is_accepted_with_its_exact_values(value: bytes, fields: dict[str, object]) -> None:
    verdict = sale.validate(value)
    assert verdict.motif is None, verdict
    assert verdict.canonique is not None
    read = json.loads(verdict.canonique, parse_float=Decimal)
    assert fields == {name: read[name] for name in fields}


def test_unknown_fields_are_named_and_reject_nothing() -> None:
    verdict = sale.validate(text(remise=0.1, canal="web").encode())
    assert (verdict.motif, verdict.inconnus) == (None, '["canal", "remise"]')
    assert sale.validate(text().encode()).inconnus is None


@pytest.mark.parametrize(
    ("extra", "champs"),
    [
        (r'"remise":  1.50e400 ,', '{"remise": 1.50e400}'),
        (f'"n":{"9" * 5000},', f'{{"n": {"9" * 5000}}}'),
        (r'"z":[1, {"a":null}],"a":"5 %",', '{"a": "5 %", "z": [1, {"a":null}]}'),
        (r'"moiti\u00e9":"\ud800",', r'{"moiti\u00e9": "\ud800"}'),
        (r'"":{"pays" : "x"},', '{"": {"pays" : "x"}}'),
    ],
)  # fmt: skip
def test_unknown_fields_are_kept_as_they_were_written(extra: str, champs: str) -> None:
    for message in (" {\t" + extra + text()[1:], text()[:-1] + "\n, " + extra.rstrip(" ,") + " }\n"):
        assert sale.validate(message.encode()).champs == champs
    assert sale.validate(text().encode()).champs is None


fields = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def test_a_repeated_key_is_found_without_comparing_all_names_with_each_other() -> None:
    compared = 0

    class Name(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other) is True

        __hash__ = str.__hash__

    names = [*(f"k{number}" for number in range(2_000)), "twice", "twice"]
    with pytest.raises(ValueError, match=r'^the key "twice" stands twice$'):
        sale._object([(Name(name), 0) for name in names])
    assert compared < 10 * len(names)


def test_the_first_of_several_repeated_keys_is_named() -> None:
    verdict = sale.validate(b'{"a": 0, "b": 0, "c": 0, "c": 1, "b": 1}')
    assert verdict.explication == 'The message is not JSON: the key "b" stands twice.'


def test_unknown_fields_are_not_searched_for_in_a_list() -> None:
    class Names(list[str]):
        def __contains__(self, name: object) -> bool:
            raise AssertionError("the list is searched once for each field of the message")

    names = Names(f"k{number}" for number in range(100))
    message = json.dumps(dict.fromkeys(names, 0))
    assert sale._unknown_fields(message, names) == message


def test_a_megabyte_of_one_repeated_key_has_its_exact_verdict() -> None:
    verdict = sale.validate(("{" + ", ".join(['"x": 0'] * 150_000) + "}").encode())
    assert (verdict.motif, verdict.explication) == (
        sale.JSON_INVALIDE,
        'The message is not JSON: the key "x" stands twice.',
    )


@given(extra=st.dictionaries(st.text().filter(lambda name: name not in VALID), fields, min_size=1), seed=st.randoms())
def test_what_is_kept_reads_as_what_was_sent(extra: dict[str, object], seed: random.Random) -> None:
    pairs = list({**VALID, **extra}.items())
    seed.shuffle(pairs)
    verdict = sale.validate(json.dumps(dict(pairs)).encode())
    assert verdict.motif is None and json.loads(verdict.champs or "") == extra


def test_a_sentence_names_the_field_the_value_and_what_is_allowed() -> None:
    assert sale.validate(text(segment="B2B").encode()).explication == (
        'The field segment is "B2B": it must be Particulier or Entreprise.'
    )
    assert sale.validate(text(montant="5.00").encode()).explication == (
        'The field montant must be a number, it is "5.00".'
    )
    assert (
        sale.validate(text(client_id=True).encode()).explication
        == "The field client_id must be an integer, it is true."
    )
    assert sale.validate(b"{").explication == (
        "The message is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)."
    )


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("2026-11-22T20:00:00Z"),
    st.sampled_from(["Particulier", "Entreprise", "", "3", "1997-01-01T00:00:00+14:00", "2026-02-30T00:00:00Z"]),
)  # fmt: skip
mutations = st.dictionaries(st.sampled_from([*sale.FIELDS, "extra", "autre"]), scalars, max_size=4)


@st.composite
def messages(draw: st.DrawFn) -> str:
    """Sales near the border of the contract: some fields changed, some characters of the text changed."""
    made = json.dumps({**VALID, **draw(mutations)}, ensure_ascii=draw(st.booleans()))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(made)))
        made = (
            made[:at]
            + draw(st.sampled_from(['"', "}", "{", ",", "\\", "0", ".", "e5", " ", "é", "\x85", "\n"]))
            + made[at:]
        )
    return made


@given(st.binary(max_size=200))
def test_the_judge_never_raises_and_always_explains(value: bytes) -> None:
    verdict = sale.validate(value)
    assert (verdict.motif is None) == (verdict.canonique is not None)
    assert (verdict.motif is None) == (verdict.explication is None)


@given(messages())
def test_the_judge_of_a_rewritten_sale_agrees_with_itself(message: str) -> None:
    first = sale.validate(message.encode("utf-8", "surrogatepass"))
    if first.canonique is not None:
        assert sale.validate(first.canonique.encode()) == replace(first, inconnus=None, champs=None)


@given(st.decimals(min_value=0, max_value=sale.MAX_AMOUNT, places=2))
def test_every_amount_of_cents_survives_exactly(amount: Decimal) -> None:
    verdict = sale.validate(raw("montant", f"{amount:f}").encode())
    assert verdict.canonique is not None
    assert json.loads(verdict.canonique, parse_float=Decimal)["montant"] == amount


@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_a_message_is_nested_900_deep_below_the_sale_and_no_deeper(opened: str, closed: str) -> None:
    for levels, motif in ((900, None), (901, sale.JSON_INVALIDE), (40_000, sale.JSON_INVALIDE)):
        verdict = sale.validate(raw("extra", opened * levels + "0" + closed * levels).encode())
        assert verdict.motif == motif
        assert motif is None or verdict.explication == "The message is nested too deeply."


def test_brackets_in_strings_and_side_by_side_are_not_depth() -> None:
    for value in (
        "[" * 900 + "]" * 899 + ", []]",
        '"' + "[" * 2_000 + '"',
        '"' + '\\"[{' * 2_000 + '"',
        "[" + ", ".join(["[]"] * 2_000) + "]",
    ):
        assert sale.validate(raw("extra", value).encode()).motif is None


def test_a_value_is_quoted_up_to_eighty_characters() -> None:
    assert sale.shown("x" * 78) == '"' + "x" * 78 + '"'
    assert sale.shown("x" * 79) == '"' + "x" * 78 + "…"


def test_a_valid_sales_fields_are_typed_as_bronze_has_them() -> None:
    canonical = sale.validate(text(montant=5, timestamp="2026-11-22T21:00:00.5+01:00").encode()).canonique
    assert canonical is not None
    found = sale.fields_of(canonical)
    assert found == {**VALID, "montant": Decimal("5.00"), "timestamp": datetime(2026, 11, 22, 20, 0, 0, 500_000, UTC)}
    assert isinstance(found["montant"], Decimal) and str(found["montant"]) == "5.00"


def test_each_reason_stands_once_in_the_list_of_reasons() -> None:
    assert len(set(sale.reasons())) == len(sale.reasons())


@pytest.mark.parametrize("token", ["-" + "1" * 50, "-" + "1" * 5_000])
def test_a_long_integer_keeps_its_sign_where_it_is_quoted(token: str) -> None:
    verdict = sale.validate(raw("client_id", token).encode())
    assert verdict.motif == "valeur_invalide:client_id"
    assert verdict.explication is not None and verdict.explication.startswith("The field client_id is -1")
