"""The published JSON Schema says what the contract says, as far as JSON Schema can."""

from __future__ import annotations

import json
from decimal import MAX_EMAX, MIN_EMIN, Decimal, InvalidOperation, localcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lakehouse.config import PROJECT
from lakehouse.contract import json_schema, sale
from lakehouse.producer import malformed
from tests.unit.contract.test_sale import ACCEPTED, CASES, VALID, text
from tests.unit.test_docs import generate

FILE = PROJECT / "docs" / "vente.schema.json"
PUBLISHED = Draft202012Validator(json.loads(FILE.read_text(encoding="utf-8"), parse_float=Decimal))

BEYOND = {
    "byte order mark", "duplicate key", "duplicate extra key", "half a surrogate pair",  # no message
    "3.0 is no integer", "1e2 is no integer",
    "31 February", "a leap second", "year 10000",
}  # fmt: skip
"""Of the contract's own cases, those that a schema cannot tell from a sale: each falls under a line of
``contract.BEYOND``."""


def fits(message: bytes) -> bool:
    """Whether a client that reads decimals takes the message for a sale, by the schema alone."""
    try:
        found = json.loads(message.decode("utf-8-sig"), parse_float=_number, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    with localcontext(prec=1000, Emin=MIN_EMIN, Emax=MAX_EMAX):
        try:
            return bool(PUBLISHED.is_valid(found))
        except InvalidOperation:  # 1e99999 % 0.01: far above the maximum
            return False


def _number(text: str) -> Decimal | int:
    """As JSON Schema counts: 3.0 is an integer."""
    value = Decimal(text) if len(text) < (20 if "e" in text.lower() else 64) else Decimal("Infinity")
    return int(value) if value.is_finite() and abs(value) < 10**20 and value == int(value) else value


def _no_constant(name: str) -> None:
    raise ValueError(name)


def test_the_published_file_is_the_contract() -> None:
    Draft202012Validator.check_schema(json.loads(FILE.read_text(encoding="utf-8")))
    assert FILE.read_text(encoding="utf-8") == generate().schema_text(), "type: .venv/bin/python docs/generate.py"
    made = json_schema.schema()
    assert list(made["else"]["properties"]) == made["else"]["required"] == list(sale.FIELDS)


@pytest.mark.parametrize("value", [value for _, value, _ in ACCEPTED], ids=[name for name, _, _ in ACCEPTED])
def test_what_the_contract_accepts_the_schema_accepts(value: bytes) -> None:
    assert sale.validate(value).motif is None and fits(value)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, value, _ in CASES if value is not None])
def test_what_the_contract_rejects_the_schema_rejects_where_it_can(name: str, value: bytes) -> None:
    assert sale.validate(value).motif is not None
    assert fits(value) is (name in BEYOND)


@pytest.mark.parametrize("shape", malformed.SHAPES, ids=lambda shape: f"{shape.motif} {shape.name}")
def test_every_malformed_message_of_the_generator_is_no_sale_by_the_schema_either(
    shape: malformed.Malformation,
) -> None:
    beyond = shape.name in ("key twice", "in the future") or shape.name.endswith(" = 3.0") or "13-45" in shape.name
    assert fits(shape.apply(text().encode(), "2126-11-22T20:00:00Z")) is beyond


numbers = st.one_of(st.integers(-(2**70), 2**70), st.decimals(allow_nan=False, allow_infinity=False, places=3))
values = st.one_of(numbers, st.booleans(), st.none(), st.text(max_size=70), st.lists(st.integers(), max_size=1))


@example(field="montant", value=Decimal("1846794092691787.520"))
@given(field=st.sampled_from(list(sale.FIELDS)), value=values)
def test_no_value_of_any_field_is_accepted_by_the_contract_and_refused_by_the_schema(field: str, value: Any) -> None:
    shown = str(value) if isinstance(value, Decimal) else json.dumps(value)
    message = text(**{field: "@@"}).replace('"@@"', shown).encode()
    if sale.validate(message).motif is None:
        assert fits(message)
    elif sale.FIELDS[field] not in ("timestamp", "integer", "quantity"):
        assert not fits(message)


@given(st.sampled_from(["2026-11-22", "20261122", "2026-W47-7"]), st.sampled_from("Tt "), st.times())
def test_every_way_to_write_a_time_that_the_contract_reads_fits(day: str, between: str, time: Any) -> None:
    for clock in (time.isoformat(), time.isoformat("minutes"), time.strftime("%H%M%S"), time.strftime("%H")):
        for offset in ("Z", "z", "+02:00", "-0530", "+01", "+00:00:30.5"):
            message = text(timestamp=f"{day}{between}{clock}{offset}").encode()
            assert fits(message) or sale.validate(message).motif is not None


def test_the_schema_has_no_default_and_forbids_no_further_field() -> None:
    assert fits(json.dumps({**VALID, "remise": {"taux": 5}}).encode())
    assert Path(FILE).stat().st_size < 15_000
