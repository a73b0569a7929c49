"""One value as people read it: numbers aligned and grouped, times in the business zone, text without control characters."""

from __future__ import annotations

import unicodedata
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any

from lakehouse.contract.business_time import local_text
from lakehouse.lake.result import Column

NULL = "null"
RIGHT = frozenset({"integer", "decimal", "float"})
# Numbers that name something: a separator of thousands would make 12,345 of client 12345.
NAMING = ("_id", "version", "heure", "_partition", "_offset", "pid")
# Control, format (bidi overrides, zero width), private, unassigned, surrogates, line and paragraph separators.
UNSAFE = frozenset({"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"})


def visible(text: str) -> str:
    r"""The text with every character that could move the cursor or hide others written as its escape: ``\x1b``.

    A backslash stays one backslash: what is shown is for reading, csv and json carry the exact text.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(char) if unicodedata.category(char) in UNSAFE else char for char in text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def decoded(value: bytes) -> str:
    r"""Raw bytes as text; bytes that are no UTF-8 as ``\xff``."""
    return value.decode("utf-8", "backslashreplace")


def shown(value: Any, column: Column, zone: tzinfo) -> str:
    """One cell of a table on a terminal."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value) if column.name.endswith(NAMING) else f"{value:,}"
    if isinstance(value, Decimal):
        return f"{value:,f}"
    if isinstance(value, datetime):
        return local_text(value, zone)
    if isinstance(value, bytes):
        return visible(decoded(value))
    return visible(str(value))


def plain(value: Any) -> Any:
    """One value for csv and json: exact. A decimal is its own digits as text, a time is ISO 8601 in UTC with ``Z``."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return decoded(value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
