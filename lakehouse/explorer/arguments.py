"""What people type for a question: days, times, versions, names → values, or the sentence that says what is expected."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence
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
        else:
            named[choose(table, tables, "table")] = int(number)
    return alone, named


def find(name: str) -> Entry:
    """The entry of that name; underscores and spaces count as hyphens, so a table's own name works, and a title."""
    return registry.entry(choose(name, [entry.name for entry in registry.ENTRIES], "question"))


ACCENTED = "àáâãäåçèéêëìíîïñòóôõöùúûüýÿ’"
PLAIN = "aaaaaaceeeeiiiinooooouuuuyy'"
"""Letters of European names, and what each is without its accent: for SQL, which has no ``folded``."""

NAMED = 40
"""Known names that a refusal lists."""


def folded(text: str) -> str:
    """The text without case, accents and what stands between words: two names that look alike to a person are one."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return " ".join(re.sub(r"[-_\s]+", " ", plain.replace("’", "'").casefold()).split())


def choose(typed: str, known: Iterable[str], kind: str) -> str:
    """The known name that was meant: that name itself, or the only one that is the same when folded. Raises ``ConfigError``
    with the nearest name and the known ones."""
    names = list(known)
    if typed in names:
        return typed
    alike = [name for name in names if folded(name) == folded(typed)]
    if len(alike) == 1:
        return alike[0]
    near = difflib.get_close_matches(folded(typed), list(map(folded, names)), n=1)
    meant = next((f" Did you mean {name}?" for name in names if near and folded(name) == near[0]), "")
    if meant and kind == "question":  # the menu and the help list them
        raise ConfigError(f"There is no {kind} {typed!r}.{meant}")
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    plural = {"country": "Countries"}.get(kind, f"{kind}s".capitalize())
    raise ConfigError(
        f"There is no {kind} {typed!r}.{meant} {plural}: {', '.join(alike or names[:NAMED]) or 'none'}{more}."
    )
