"""The ``explication`` of a message that Bronze isolated: what stopped it, its size and its headers, and what of it was kept."""

from __future__ import annotations

import re
from collections.abc import Sequence

_HEADERS = 2000
"""Characters of the headers, at most."""
_KEPT = re.compile(r"The message has (\d+|an unknown number of) bytes, of which valeur holds the first (\d+)\.")


def explanation(
    why: str, *, size: int | None, kept: int, headers: Sequence[tuple[str, bytes | None]] | None = None
) -> str:
    """``why``: a sentence. ``size``: of the message's value, in bytes; None when it could not be found out."""
    how_many = "an unknown number of" if size is None else str(size)
    # first: what follows may quote the message, which may hold the same words
    text = f"The message has {how_many} bytes, of which valeur holds the first {kept}. {why}"
    if not headers:
        return text
    shown = ", ".join(
        f"{name}: null" if value is None else f"{name}: {value.decode('utf-8', 'backslashreplace')}"
        for name, value in headers
    )
    return f"{text} Headers: {shown[:_HEADERS]}{'…' if len(shown) > _HEADERS else ''}"


def cut_off(explication: str) -> str | None:
    """Of a message of which not all was kept: a few words on how much of it was; None when ``valeur`` is all of it."""
    found = _KEPT.match(explication)
    return None if found is None or found[1] == found[2] else f"the first {found[2]} of {found[1]} bytes"
