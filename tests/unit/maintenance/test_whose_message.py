"""Whose message a message that broke the contract is: by its key, and by every way in which its text may name a client."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.maintenance.whose_message import concerns, names_one_of
from tests.support.messages import encoded, sale

NESTED = json.dumps({"payload": json.dumps({"client_id": 42})})


@pytest.mark.parametrize(
    "value, key",
    [
        (b'{"client_id": 4.2e1}', None),
        (b'{"client_id": "4.2E+1"}', None),
        (b'{"client_id": 420e-1, "client_id": 5}', None),
        (b'{"client_id": [42]}', None),
        (b'{"clientId": 42}', None),
        (b'{"CLIENT-ID": "42"}', None),
        (NESTED.encode(), None),
        (json.dumps(NESTED)[:-5].encode(), None),
        (b'{"\\u0063lient_id": 42', None),
        (b'{"client_id"  :        42, "montant": 1', None),
        (b'{"client_id": 4.2e1, "montant": 1', None),
        (b'{"client_id": "42', None),
        (b'{"client_id": 42, "client_nom": "Zo\xc3', b"7"),
        (b"<client_id>42</client_id>", None),
        (b"client_id=42;client_nom=Z", b"7"),
        (b"", b'"42"'),
        (b"oops", b" 042 "),
        ("{\"client_id\": 42, oops".encode("utf-16"), None),
        (("[" * 100_000 + '"client_id": 42').encode(), None),
    ],
)  # fmt: skip
def test_a_message_that_names_the_client_is_theirs(value: bytes, key: bytes | None) -> None:
    assert concerns(42, value, key)
    assert not concerns(43, value, key) and not concerns(142, value, key)


@pytest.mark.parametrize("value", [b'{"client_id": 4', b'{"client_id": 04', b'{"client_id": 4.', b'{"client_id": 4.2e'])
def test_a_number_that_the_text_ends_in_may_have_been_cut_off(value: bytes) -> None:
    assert concerns(42, value, None) and concerns(42, value, b"no number")
    assert not concerns(42, value, b"7") and not concerns(142, value) and not concerns(24, value)


@pytest.mark.parametrize(
    "value, key",
    [
        (b'{"client_id": 4.2}', None),
        (b'{"client_id": 4.2e2}', None),
        (b'{"client_id": 4.2e1234567890}', None),
        (b'{"client_id": -42, "x": 1', None),
        (b'{"client_id": "sNaN"}', b"NaN"),
        (b'{"client_id": null, "produit_id": 42', None),
        (b'{"ancien_client_id": 42}', None),
        (b'{"client_id_parrain": 42', None),
        (b'{"client_id": 421, "montant": 1', None),
        (b'{"client_id": 4', b"7"),
        (b'{"client_id": 40', None),
        (b'{"client_id": 0', None),
        (b'{"client_id": ', None),
        (b'{"produit_id": 42', None),
    ],
)
def test_a_message_that_names_another_or_no_one_is_not(value: bytes, key: bytes | None) -> None:
    assert concerns(42, value, key) is False


@given(client=st.integers(1, 2**63 - 1), zeros=st.integers(0, 3), cut=st.integers(0, 200))
def test_a_sale_is_its_clients_wherever_it_was_cut_off_behind_the_number(client: int, zeros: int, cut: int) -> None:
    whole = encoded({**sale(), "client_id": float(client) if zeros and client < 2**53 else client})
    number = whole.index(b", ", whole.index(b'"client_id"'))
    assert concerns(client, whole[: number + cut], b"no number")


def test_a_megabyte_is_read_once() -> None:
    for text in (b'"client_id": ' * 80_000, b"client_id" + b" " * 1_000_000, b"client_id=" + b"1" * 1_000_000):
        assert not concerns(42, text, b"7")


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (b'{"operation": "retour", "vente_id": "a"}', True),
        (b'{"payload": [{"venteId": "a"}], "vente_id": "c"}', True),
        (b'{"vente_id": "\\u0061"}', True),
        (b'{"vente_id": "c"}', False),
        (b'{"operation_id": "a"}', False),
        (b'{"vente_id": ["a"]}', False),
        (b'{"vente_id": "a"', False),
        (None, False),
    ],
)
def test_an_operation_is_known_by_the_sale_that_it_names(value: bytes | None, named: bool) -> None:
    assert names_one_of({"a", "b"}, value) is named
