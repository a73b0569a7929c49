"""What people type for a question: days, times, versions, names → values, or the sentence that says what is expected."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from datetime import date, datetime, tzinfo

from lakehouse.contract.business_time import utc
from lakehouse.contract.tables import PUBLIC
from lakehouse.errors import ConfigError
from lakehouse.explorer.queries import registry
from lakehouse.explorer.queries.model import Entry

MAX_ROWS = 10_000
TIMEOUT = 30


def parse_day(text: str) -> date:
    """``2026-11-01``; ``ValueError`` says what is expected."""
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValueError("a day such as 2026-11-01")


def parse_count(text: str) -> int:
    """A whole number, 0 or more."""
    if not re.fullmatch(r"\d{1,9}", text):
        raise ValueError("a whole number of 0 or more")
    return int(text)


def parse_identity(text: str) -> int:
    """A client_id or another identity of the contract: 1 to 2^63-1."""
    if not re.fullmatch(r"[0-9]{1,19}", text) or not 1 <= int(text) < 2**63:
        raise ValueError(f"a whole number of 1 to {2**63 - 1}")
    return int(text)


def parse_seconds(text: str) -> float:
    """A number of seconds."""
    if not re.fullmatch(r"\d{1,6}(\.\d{1,3})?", text) or float(text) <= 0:
        raise ValueError("a number of seconds above 0")
    return float(text)


def parse_time(text: str, zone: tzinfo) -> datetime:
    """An aware UTC time. A time without offset is in the business zone; a day alone means its first moment. One beyond the
    calendar's end in UTC is the first or last moment there is: no version lies between the two."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"--at {text!r} is not accepted: expected a time such as 2026-11-22T08:00 or …T08:00Z."
        ) from None
    return utc(moment if moment.tzinfo else moment.replace(tzinfo=zone))


def parse_versions(texts: Sequence[str]) -> tuple[int | None, dict[str, int]]:
    """``["3"]`` → (3, {}); ``["ventes_stream=3"]`` → (None, {"ventes_stream": 3})."""
    tables = [spec.name for spec in PUBLIC]
    alone: int | None = None
    named: dict[str, int] = {}
    for text in texts:
        table, _, number = text.rpartition("=")
        if not re.fullmatch(r"\d{1,18}", number):
            raise ConfigError(f"--version {text!r} is not accepted: expected a number such as 3, or TABLE=3.")
        if not table:
            alone = int(number)
        elif table in tables:
            named[table] = int(number)
        else:
            raise ConfigError(f"--version {text!r}: there is no table {table}. Tables: {', '.join(tables)}.")
    return alone, named


def find(name: str) -> Entry:
    """The entry of that name; underscores count as hyphens, so a table's own name works."""
    try:
        return registry.entry(name.replace("_", "-"))
    except KeyError:
        known = [entry.name for entry in registry.ENTRIES]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {close[0]}?" if close else f" Questions: {', '.join(known)}."
        raise ConfigError(f"There is no question {name!r}.{hint}") from None
