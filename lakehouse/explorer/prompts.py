"""Asking a person for the filters, one line each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from lakehouse.errors import ConfigError
from lakehouse.explorer.arguments import parse_day, parse_identity
from lakehouse.explorer.queries.model import Filters

Read = Callable[[str], str]
Say = Callable[[str], None]


def filters(now: Filters, read: Read, say: Say) -> Filters:
    """Each filter in turn: Enter keeps it, ``-`` takes it away. Raises ``ConfigError`` for days in the wrong order."""
    say("Enter keeps, - takes away; several values with a comma")
    du = day("from day", now.du, read, say)
    au = day("to day", now.au, read, say)
    if du and au and du > au:
        raise ConfigError(f"{du} lies after {au}: the filters stay as they were.")
    pays = several("country (pays)", now.pays, read)
    return Filters(du, au, pays, several("segment (Particulier, Entreprise)", now.segment, read), client=now.client)


def day(name: str, now: date | None, read: Read, say: Say) -> date | None:
    """Ask for a day, until the answer is one."""
    while True:
        typed = read(f"{name} [{now or 'any'}]> ").strip()
        if typed in ("", "-"):
            return None if typed else now
        try:
            return parse_day(typed)
        except ValueError as error:
            say(f"{typed!r} is not accepted: expected {error}, or -")


def client(now: int | None, read: Read, say: Say) -> int | None:
    """A client_id: Enter keeps the last one, ``-`` asks for all clients. Asks until the answer is a number."""
    while True:
        typed = read(f"client_id [{'all' if now is None else now}]> ").strip()
        if typed in ("", "-"):
            return None if typed else now
        try:
            return parse_identity(typed)
        except ValueError as error:
            say(f"{typed!r} is not accepted: expected {error}, or -")


def several(name: str, now: tuple[str, ...], read: Read) -> tuple[str, ...]:
    """Ask for a list of values."""
    typed = read(f"{name} [{', '.join(now) or 'any'}]> ").strip()
    if typed in ("", "-"):
        return () if typed else now
    return tuple(part.strip() for part in typed.split(",") if part.strip())
