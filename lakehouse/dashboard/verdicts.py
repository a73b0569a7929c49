"""The answers that two pages begin with: whether the figures can be trusted, and whether everything runs. Pure rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from lakehouse.dashboard.amounts import grouped
from lakehouse.dashboard.request import Language
from lakehouse.dashboard.translations import say

Kind = Literal["good", "warn", "bad"]
DOWN = ("failing", "stopped", "dead")


@dataclass(frozen=True)
class PageVerdict:
    """``title`` is the answer in a few words, ``text`` what it rests on; ``at`` the moment that the text is about."""

    kind: Kind
    title: str
    text: str
    at: datetime | None = None
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tile:
    """One figure of a process, with its unit; ``limit`` says from when on it is no longer well."""

    label: str
    value: str
    limit: str
    kind: Kind


def trust(last: Mapping[str, Any] | None, language: Language) -> PageVerdict:
    """From the last reconciliation: ``finished``, ``differences``, ``found``, ``consumed``, ``accounted``."""
    if last is None:
        return PageVerdict("warn", say("trust-never", language), say("trust-never-text", language))
    numbers = [grouped(f"{last[name]:,}", language) for name in ("accounted", "consumed")]
    if not last["differences"]:
        return PageVerdict("good", say("yes-title", language), say("trust-yes", language, *numbers), last["finished"])
    digits = grouped(f"{last['differences']:,}", language)
    title = say("trust-one" if last["differences"] == 1 else "trust-many", language, digits)
    return PageVerdict("bad", title, say("trust-no", language, *numbers), last["finished"], tuple(last["found"]))


def running(
    processes: Sequence[tuple[str, str, str]], committed: datetime | None, *, is_old: bool, language: Language
) -> PageVerdict:
    """From (name, state, why) of each process, and the time of Bronze's newest commit."""
    down = [one for one in processes if one[1] in DOWN]
    details = tuple(
        say("process-down", language, name, say(f"state-{state}", language), why) for name, state, why in down
    )
    if down:
        return PageVerdict(
            "bad", say("running-no", language, len(down)), say("running-do", language), committed, details
        )
    starting = [name for name, state, _ in processes if state != "running"]
    if starting:
        return PageVerdict(
            "warn", say("running-starting", language, ", ".join(starting)), say("running-soon", language), committed
        )
    if is_old:
        return PageVerdict("warn", say("running-silent", language), say("running-silent-text", language), committed)
    return PageVerdict("good", say("yes-title", language), say("running-yes", language, len(processes)), committed)


TILES: tuple[tuple[str, str, str, float | None], ...] = (
    ("bronze", "lag_records", "messages", None),
    ("bronze", "lag_seconds", "s", 60),
    ("bronze", "freshness_seconds", "s", 60),
    ("bronze", "rows_per_second", "per-s", None),
    ("bronze", "batch_seconds", "s", 10),
    ("bronze", "memory", "MiB", None),
    ("silver", "age_seconds", "s", None),
    ("silver", "pass_seconds", "s", None),
    ("silver", "behind_versions", "versions", None),
    ("silver", "memory", "MiB", None),
    ("producer", "failed", "messages", 1),
    ("kafka", "log_bytes", "MiB", None),
)
"""(process, figure, unit, limit): the limit when no setting gives one."""


ONE = ("messages", "versions")
"""Units that are words, which have a singular."""


def tiles(
    figures: Mapping[tuple[str, str], float],
    limits: Mapping[tuple[str, str], float],
    titles: Mapping[str, str],
    language: Language,
) -> list[Tile]:
    """The figures that are known, in the order of ``TILES``."""
    found = []
    for process, name, unit, fixed in TILES:
        value = figures.get((process, name))
        if value is None:
            continue
        limit = limits.get((process, name), fixed)
        value = value / 2**20 if name == "log_bytes" else value
        kind: Kind = "good" if limit is None or value < limit else "warn"
        shown = quantity(value, unit, language)
        text = say("tile-limit", language, quantity(limit, unit, language)) if limit is not None else ""
        found.append(Tile(f"{process}: {titles[name]}", shown, text, kind))
    return found


def quantity(value: float, unit: str, language: Language) -> str:
    """``12 s``, ``1.2 s``, ``1,204 messages``."""
    digits = f"{value:,.1f}".removesuffix(".0") if value < 100 else f"{value:,.0f}"
    single = f"one-{unit}" if abs(value) == 1 and unit in ONE else f"unit-{unit}"
    return f"{grouped(digits, language)}\u00a0{say(single, language)}"
