"""Ways to corrupt a valid sale, or an operation on it: several for each reject code of the contract, each with the code it
must get."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lakehouse.contract.sale import (
    ANNULATION,
    CORRECTION,
    CORRECTION_VIDE,
    FIELDS,
    FUTUR,
    JSON_INVALIDE,
    MANQUANT,
    OPERATION,
    RETOUR,
    TYPE,
    VALEUR,
    VIDE,
)

Fields = dict[str, str]
"""Field → its value as JSON text, so that ``1e400`` or ``NaN`` can be written as they are."""


@dataclass(frozen=True)
class Malformation:
    """One way to corrupt a sale. ``apply(value, future)`` turns a valid message into one that must get ``motif``."""

    motif: str
    name: str
    apply: Callable[[bytes, str], bytes]


def _fields(value: bytes) -> Fields:
    # parse_float keeps the amount's text: money never passes through a float
    sale = json.loads(value, parse_float=lambda text: _Raw(text))
    return {
        name: str(item) if isinstance(item, _Raw) else json.dumps(item, ensure_ascii=False)
        for name, item in sale.items()
    }


class _Raw(str):
    """A number's own text."""


def _render(fields: Fields) -> bytes:
    return f"{{{', '.join(f'{json.dumps(name)}: {text}' for name, text in fields.items())}}}".encode()


def _with(motif: str, field: str, text: str) -> Malformation:
    return Malformation(
        f"{motif}:{field}", f"{field} = {text}", lambda value, _: _render({**_fields(value), field: text})
    )


def _quoted(field: str) -> Malformation:
    return Malformation(
        f"{TYPE}:{field}",
        f"{field} in quotes",
        lambda value, _: _render({**_fields(value), field: f'"{_fields(value)[field]}"'}),
    )


def _without(field: str) -> Malformation:
    return Malformation(
        f"{MANQUANT}:{field}",
        f"without {field}",
        lambda value, _: _render({name: text for name, text in _fields(value).items() if name != field}),
    )


_OWN: dict[str, Fields] = {
    ANNULATION: {"raison": '"erreur de caisse"'},
    RETOUR: {"quantite": "1", "montant": "0.01", "raison": '"article abîmé"'},
    CORRECTION: {"revision": "1", "segment": '"Entreprise"'},
}
"""What an operation of each kind holds of its own."""


def _operation(kind: str, value: bytes) -> Fields:
    """A valid operation of this kind on the sale."""
    sale = _fields(value)
    about = {
        "operation_id": f'{sale["vente_id"][:-1]}-op"',
        "vente_id": sale["vente_id"],
        "timestamp": sale["timestamp"],
    }
    return {OPERATION: json.dumps(kind), **about, **_OWN[kind]}


def _operation_with(motif: str, kind: str, field: str, text: str) -> Malformation:
    return Malformation(
        f"{motif}:{field}",
        f"{kind}: {field} = {text}",
        lambda value, _: _render({**_operation(kind, value), field: text}),
    )


def _operation_without(kind: str, field: str, code: str | None = None) -> Malformation:
    return Malformation(
        code or f"{MANQUANT}:{field}",
        f"{kind} without {field}",
        lambda value, _: _render({name: text for name, text in _operation(kind, value).items() if name != field}),
    )


def _with_nan(value: bytes, _: str) -> bytes:
    return _render({**_fields(value), "montant": "NaN"})


def _twice(value: bytes, _: str) -> bytes:
    return value[:-1] + b', "quantite": 1}'


def _not_utf8(value: bytes, _: str) -> bytes:
    return value.replace(b'"client_nom": "', b'"client_nom": "\xff\xfe', 1)


_JSON = (
    Malformation(JSON_INVALIDE, "cut off", lambda value, _: value[: len(value) * 2 // 3]),
    Malformation(JSON_INVALIDE, "trailing text", lambda value, _: value + b" fin"),
    Malformation(JSON_INVALIDE, "NaN", _with_nan),
    Malformation(JSON_INVALIDE, "not UTF-8", _not_utf8),
    Malformation(JSON_INVALIDE, "key twice", _twice),
    Malformation(JSON_INVALIDE, "two objects", lambda value, _: value + value),
    Malformation(JSON_INVALIDE, "no JSON", lambda _value, _: b"vente perdue"),
)
_EMPTY = (Malformation(VIDE, "empty", lambda _value, _: b""),)
_MISSING = (
    *(shape for field in FIELDS for shape in (_without(field), _with(MANQUANT, field, "null"))),
    _operation_without(RETOUR, "operation_id"),
    _operation_without(ANNULATION, "raison"),
    _operation_without(CORRECTION, "revision"),
    _operation_with(MANQUANT, RETOUR, "vente_id", "null"),
)
_INTEGERS = ("quantite", "client_id", "produit_id")
_TEXTS = tuple(field for field in FIELDS if field not in (*_INTEGERS, "montant"))
_TYPES = (
    *(
        shape
        for field in _INTEGERS
        for shape in (_quoted(field), _with(TYPE, field, "true"), _with(TYPE, field, "3.0"))
    ),
    _quoted("montant"),
    _with(TYPE, "montant", "false"),
    *(_with(TYPE, field, "7") for field in _TEXTS),
    _with(TYPE, OPERATION, "7"),
    _operation_with(TYPE, RETOUR, "operation_id", "7"),
    _operation_with(TYPE, ANNULATION, "raison", "true"),
    _operation_with(TYPE, CORRECTION, "revision", '"2"'),
)
_VALUES = (
    _with(VALEUR, "quantite", "0"),
    _with(VALEUR, "montant", "-1.00"),
    _with(VALEUR, "montant", "12.345"),
    _with(VALEUR, "montant", "1e400"),
    _with(VALEUR, "timestamp", '"2024-05-01T12:00:00"'),
    _with(VALEUR, "timestamp", '"2024-13-45T12:00:00Z"'),
    _with(VALEUR, "segment", '"Inconnu"'),
    _with(VALEUR, "quantite", "-3"),
    _with(VALEUR, "client_id", "0"),
    _with(VALEUR, "produit_id", "-101"),
    _with(VALEUR, "vente_id", '""'),
    _with(VALEUR, "vente_id", f'"{"x" * 65}"'),
    *(_with(VALEUR, field, '""') for field in ("client_nom", "produit_nom", "categorie", "pays")),
    _with(VALEUR, OPERATION, '"remboursement"'),
    _operation_with(VALEUR, RETOUR, "operation_id", '""'),
    _operation_with(VALEUR, RETOUR, "montant", "-0.01"),
    _operation_with(VALEUR, ANNULATION, "raison", '""'),
    _operation_with(VALEUR, CORRECTION, "revision", "0"),
    _operation_without(CORRECTION, "segment", CORRECTION_VIDE),
)
_FUTURE = (
    Malformation(
        FUTUR,
        "in the future",
        lambda value, future: _render({**_fields(value), "timestamp": json.dumps(future)}),
    ),
)

FAMILIES = (_JSON, _EMPTY, _MISSING, _TYPES, _VALUES, _FUTURE)
SHAPES = tuple(itertools.chain.from_iterable(FAMILIES))
"""Every one, once."""


def shapes() -> Iterator[Malformation]:
    """All of them, endlessly: one of each family in turn, so that a few messages already show every kind of reason."""
    turns = [itertools.cycle(family) for family in FAMILIES]
    while True:
        for turn in turns:
            yield next(turn)
