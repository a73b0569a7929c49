"""Whether a message that broke the contract is a client's: by its Kafka key, by a ``client_id`` in its text, or by a sale of the
client that it names."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d*)?"
_NAMED = re.compile(rf"""(?<![A-Za-z0-9_])client[_\s-]?id[\s"'\\:=\[({{>]*({_NUMBER})""", re.IGNORECASE)
"""The field's name, what may stand between a name and its value in JSON (also in JSON within a string), CSV, XML or a
log line, and the number."""
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")


def concerns(client_id: int, value: bytes | None, key: bytes | None = None) -> bool:
    """True when the key is the client's number, or when any ``client_id`` of the value is: as a JSON value (13, 13.0, 1.3e1,
    ``"13"``), or, wherever the value is no JSON or was cut off, as the number that follows the name. A number that the text
    ends in may have been cut off: it is the client's when the client's begins with it and the key is no other number."""
    of_key = _number((key or b"").decode("utf-8", "replace"))
    if of_key == client_id:
        return True
    text = _text(value)
    if any(_number(item) == client_id for item in _fields(text, "clientid")):
        return True
    plain = _ESCAPED.sub(lambda code: chr(int(code[1], 16)), text)
    for match in _NAMED.finditer(plain):
        cut_off = match.end() == len(plain) and of_key is None
        if _number(match[1]) == client_id or (cut_off and _may_begin(match[1], client_id)):
            return True
    return False


def names_one_of(sales: Collection[str], value: bytes | None) -> bool:
    """Whether the value is JSON with a ``vente_id`` that is one of these: an operation names a sale, and no client."""
    return any(item in sales for item in _fields(_text(value), "venteid") if isinstance(item, str))


def _text(value: bytes | None) -> str:
    """As UTF-8, or as UTF-16 whose letters are those of ASCII."""
    return (value or b"").replace(b"\0", b"").decode("utf-8", "replace").strip()


def _fields(text: str, wanted: str) -> Iterator[Any]:
    """The values of every field of this name, as one word in small letters, in a text that is JSON."""
    found: list[Any] = []

    def pairs(items: list[tuple[str, Any]]) -> None:
        found.extend(item for name, item in items if re.sub(r"[_\s-]", "", name).lower() == wanted)

    try:
        json.loads(text, object_pairs_hook=pairs, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return
    yield from found


def _number(item: Any) -> Decimal | None:
    """The number that a value is or says; None for anything else."""
    try:
        found = Decimal(str(item).strip().strip('"'))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _may_begin(shown: str, client_id: int) -> bool:
    """Whether more digits, or an exponent, can make the client's number of what is there."""
    digits = re.split("[eE]", shown)[0].lstrip("+0").replace(".", "")
    return str(client_id).startswith(digits or "-")
