"""A country's name, as a sale has it → the shape on the map."""

from __future__ import annotations

import unicodedata


def key(name: str) -> str:
    """Names compare without case, accents and punctuation: ``États-Unis``, ``etats unis``."""
    plain = unicodedata.normalize("NFKD", name.casefold())
    letters = "".join(char if char.isalnum() else " " for char in plain if not unicodedata.combining(char))
    return " ".join(letters.split())
