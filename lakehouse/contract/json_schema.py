"""The sale contract as a JSON Schema (2020-12), for those who send sales: made from ``sale``, never by hand.

``docs/vente.schema.json`` is this, written by docs/generate.py. What the contract accepts, the schema accepts. What the
schema cannot say stands in ``BEYOND``, and a test holds both to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakehouse.contract import sale

BEYOND = (
    "a key that stands twice, text after the object, a byte order mark, a half surrogate pair: the text is no message",
    "3.0 and 1e2 are no integers, though JSON Schema takes them for such",
    "a day that the calendar does not have, a leap second, an hour after 23, an offset of a day or more",
    "a timestamp further after the broker's clock than [STREAMING] future_tolerance",
)
"""What the contract rejects and a JSON Schema lets through."""

_KINDS: dict[str, dict[str, Any]] = {
    "id": {"type": "string", "minLength": 1, "maxLength": 64},
    "integer": {"type": "integer", "minimum": 1, "maximum": 2**63 - 1},
    "quantity": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    "amount": {"type": "number", "minimum": 0, "maximum": sale.MAX_AMOUNT, "multipleOf": sale.CENT},
    "timestamp": {"type": "string", "pattern": rf"^{sale.ISO_DAY}[0-9][0-9:.,]*(?:[Zz]|[+-][0-9][0-9:.,]*)$"},
    "text": {"type": "string", "minLength": 1},
    "segment": {"type": "string", "enum": list(sale.SEGMENTS)},
}

_MEANING = {
    "vente_id": "Unique for ever; a copy with the same one is left out.",
    "client_id": "The client. The message's key, as text, so that a client's sales stay in order.",
    "produit_id": "The product.",
    "timestamp": "When it was sold: ISO 8601 with an offset or Z.",
    "quantite": "Articles.",
    "montant": "The sale's total in EUR, at most 2 decimals. Read it as a decimal, never as a float.",
    "client_nom": "The client's name.",
    "produit_nom": "The product's name.",
    "categorie": "The product's category.",
    "pays": "The country, by its French name.",
    "segment": "Particulier (B2C) or Entreprise (B2B).",
}

_ABOUT = {
    "operation_id": "Unique for ever; a copy with the same one is left out.",
    "vente_id": "The sale that it is about, which may come later.",
    "timestamp": "When the operation was made: ISO 8601 with an offset or Z.",
    "raison": "Why, in the sender's words.",
}
_OPERATIONS = {
    sale.ANNULATION: ("The sale is void.", {}),
    sale.RETOUR: (
        "A part of the sale, or all of it, came back.",
        {"quantite": "Articles given back.", "montant": "EUR paid back, at most 2 decimals."},
    ),
    sale.CORRECTION: (
        "Fields of the sale are replaced.",
        {"revision": "Of several corrections the highest revision is valid, of equal ones the last operation_id."},
    ),
}


def _form(kind: str, meaning: Mapping[str, str]) -> dict[str, Any]:
    form = sale.FORMS[kind]
    return {
        "required": list(form.required),
        "properties": {
            name: {"description": meaning[name], **(_KINDS[of] if name in form.required else _or_null(_KINDS[of]))}
            for name, of in form.fields.items()
        },
    }


def _or_null(value: dict[str, Any]) -> dict[str, Any]:
    """An optional field that is null is a field that is missing."""
    allowed = {**value, "type": [value["type"], "null"]}
    return {**allowed, "enum": [*value["enum"], None]} if "enum" in value else allowed


def _operation(kind: str) -> dict[str, Any]:
    description, own = _OPERATIONS[kind]
    form = {"description": description, **_form(kind, {**_MEANING, **_ABOUT, **own})}
    if kind == sale.CORRECTION:
        form["anyOf"] = [
            {"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in sale.CORRIGES
        ]
    said = {"required": [sale.OPERATION], "properties": {sale.OPERATION: {"const": kind}}}
    return {"if": said, "then": form}


def schema() -> dict[str, Any]:
    """The contract. Amounts are Decimal: written out, they are exact."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "vente",
        "description": (
            "One sale, or one operation on a sale, one Kafka message: a JSON object in UTF-8. Written by docs/generate.py from "
            "lakehouse/contract/sale.py. "
            f"The contract rejects more than a JSON Schema can say: {'; '.join(BEYOND)}."
        ),
        "type": "object",
        "properties": {
            sale.OPERATION: {
                "description": "What the message is; a sale when it is missing or null.",
                "enum": [*sale.FORMS, None],
            }
        },
        "if": {"required": [sale.OPERATION], "properties": {sale.OPERATION: {"enum": list(_OPERATIONS)}}},
        "then": {"allOf": [_operation(kind) for kind in _OPERATIONS]},
        "else": _form(sale.VENTE, _MEANING),
        # further fields never reject a message: [STREAMING] champs_inconnus
        "additionalProperties": True,
    }
