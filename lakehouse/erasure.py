"""PURE. Whose a message is, and how an erased sale is known again without naming anybody."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any


def fingerprint(salt: str, vente_id: str) -> str:
    """SHA-256 of salt and id, as Spark's ``sha2(concat(salt, vente_id), 256)`` gives it."""
    return hashlib.sha256(f"{salt}{vente_id}".encode()).hexdigest()


def concerns(client_id: int, value: bytes | None, key: bytes | None = None) -> bool:
    """Whether a message that broke the contract is the client's: by its Kafka key, by any ``client_id`` of its JSON (a
    number, also 7.0, or a text), or, when it is no JSON, by what stands after that word in its text."""
    if key is not None and key.strip() == str(client_id).encode():
        return True
    text = (value or b"").replace(b"\0", b"").decode("utf-8", "replace")
    found: list[Any] = []

    def pairs(items: list[tuple[str, Any]]) -> None:
        found.extend(item for name, item in items if name == "client_id")

    try:
        json.loads(text, object_pairs_hook=pairs, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return bool(re.search(rf"client_id\W{{0,5}}0*{client_id}(?!\d)", text))
    return any(_number(item) == client_id for item in found)


def _number(item: Any) -> int | None:
    try:
        return int(re.sub(r"\.0+$", "", str(item).strip()))
    except ValueError:
        return None
