"""The sale contract as a JSON Schema (2020-12), for those who send sales: made from ``sale``, never by hand.

``docs/vente.schema.json`` is this, written by docs/generate.py. What the contract accepts, the schema accepts. What the
schema cannot say stands in ``BEYOND``, and a test holds both to it.
"""

from __future__ import annotations

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


def schema() -> dict[str, Any]:
    """The contract. Amounts are Decimal: written out, they are exact."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "vente",
        "description": (
            "One sale, one Kafka message: a JSON object in UTF-8. Written by docs/generate.py from lakehouse/contract/sale.py. "
            f"The contract rejects more than a JSON Schema can say: {'; '.join(BEYOND)}."
        ),
        "type": "object",
        "required": list(sale.FIELDS),
        "properties": {name: {"description": _MEANING[name], **_KINDS[kind]} for name, kind in sale.FIELDS.items()},
        # further fields never reject a sale: [STREAMING] champs_inconnus
        "additionalProperties": True,
    }
