"""Asking a person, one line each: the filters, a client, one of several names. A number or a name is taken wherever there is a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date

from lakehouse.errors import ConfigError
from lakehouse.explorer.arguments import choose, parse_day, parse_identity
from lakehouse.explorer.formats.values import visible
from lakehouse.explorer.queries.model import Filters

Read = Callable[[str], str]
Say = Callable[[str], None]
Clients = Callable[[str], Sequence[tuple[int, str]]]
"""What was typed → (client_id, name) of the clients whose name holds it."""


def filters(now: Filters, countries: Sequence[str], segments: Sequence[str], read: Read, say: Say) -> Filters:
    """Each filter in turn: Enter keeps it, ``-`` takes it away. Raises ``ConfigError`` for days in the wrong order."""
    say("Enter keeps, - takes away; several values with a comma, each by its number or its name")
    du = day("from day", now.du, read, say)
    au = day("to day", now.au, read, say)
    if du and au and du > au:
        raise ConfigError(f"{du} lies after {au}: the filters stay as they were.")
    pays = several("country", countries, now.pays, read, say)
    return Filters(du, au, pays, several("segment", segments, now.segment, read, say), client=now.client)


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


def client(now: int | None, clients: Clients, read: Read, say: Say) -> int:
    """A client, by number or by name: Enter keeps the last one. Asks until it is one client."""
    while True:
        typed = read(f"client, number or name{'' if now is None else f' [{now}]'}> ").strip()
        if not typed:
            if now is not None:
                return now
            continue
        if typed.isdecimal():
            try:
                return parse_identity(typed)
            except ValueError as error:
                say(f"{typed!r} is not accepted: expected {error}")
                continue
        found = clients(typed)
        if len(found) == 1:
            return found[0][0]
        if not found:
            say(f"No client has {typed!r} in the name.")
        for number, name in found:
            say(f"{number:>12}  {visible(name)}")


def one(name: str, known: Sequence[str], default: str, read: Read, say: Say) -> str:
    """One of the known names, which are listed, by its number or its name. Raises ``ConfigError`` for another one."""
    listed(known, say)
    typed = read(f"{name} [{default}]> ").strip()
    return picked(name, known, typed) if typed else default


def several(name: str, known: Sequence[str], now: tuple[str, ...], read: Read, say: Say) -> tuple[str, ...]:
    """Ask for some of the known names, which are listed, until all are known."""
    listed(known, say)
    while True:
        typed = read(f"{name} [{', '.join(now) or 'any'}]> ").strip()
        if typed in ("", "-"):
            return () if typed else now
        try:
            return tuple(picked(name, known, part.strip()) for part in typed.split(",") if part.strip())
        except ConfigError as error:
            say(str(error))


def picked(name: str, known: Sequence[str], typed: str) -> str:
    """The name with that number in the list, or that name. Raises ``ConfigError``."""
    if typed.isdecimal() and 1 <= int(typed) <= len(known):
        return known[int(typed) - 1]
    return choose(typed, known, name) if known else typed


def listed(known: Sequence[str], say: Say) -> None:
    """The names with their numbers, on as few lines as they need."""
    if known:
        say("  ".join(f"{number} {visible(name)}" for number, name in enumerate(known, 1)))
