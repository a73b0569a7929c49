"""The map: countries shaded by their revenue, Europe or the world, by where the sales are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from lakehouse.dashboard.amounts import euros
from lakehouse.dashboard.country_shapes import key
from lakehouse.dashboard.request import Language, View
from lakehouse.dashboard.scales import rounded_down, short_euros
from lakehouse.dashboard.translations import say
from lakehouse.explorer.formats.values import visible
from lakehouse.lake.result import Result


@dataclass(frozen=True)
class CountryShape:
    """A country on the map: its code, colour level, what it says, and where a click leads."""

    code: str
    level: int
    hint: str
    link: str


@dataclass(frozen=True)
class Map:
    """The map of ``part``, world or Europe; ``off`` names what is not on it. ``legend``: (level, amount from which on)."""

    part: str
    box: str
    shapes: list[CountryShape]
    legend: list[tuple[int, str]]
    off: str
    label: str


EUROPE = frozenset(
    [
        "AD",
        "AL",
        "AT",
        "BA",
        "BE",
        "BG",
        "BY",
        "CH",
        "CY",
        "CZ",
        "DE",
        "DK",
        "EE",
        "ES",
        "FI",
        "FR",
        "GB",
        "GR",
        "HR",
        "HU",
        "IE",
        "IS",
        "IT",
        "LI",
        "LT",
        "LU",
        "LV",
        "MC",
        "MD",
        "ME",
        "MK",
        "MT",
        "NL",
        "NO",
        "PL",
        "PT",
        "RO",
        "RS",
        "SE",
        "SI",
        "SK",
        "SM",
        "UA",
        "XK",
    ]
)
BOXES = {"world": "-400 -262 860 410", "europe": "-36 -198 128 88"}


def world(result: Result, codes: Mapping[str, str], names: Mapping[str, tuple[str, str]], view: View) -> Map | None:
    """Countries shaded by their revenue; Europe alone when nine tenths of it are there."""
    language = view.language
    rows = list(zip(result.column("pays"), result.column("revenue_total"), strict=True))
    if not rows:
        return None
    shapes: dict[str, list[tuple[str, Decimal]]] = {}
    off = []
    for name, amount in rows:
        code = codes.get(key(name))
        if code is None:
            off.append(f"{visible(name)} ({euros(amount, language)})")
        else:
            shapes.setdefault(code, []).append((name, amount))
    sums = {code: sum((amount for _, amount in found), Decimal(0)) for code, found in shapes.items()}
    limits = thresholds(max(sums.values(), default=Decimal(0)))
    inside = sum((amount for code, amount in sums.items() if code in EUROPE), Decimal(0))
    part = "europe" if inside * 10 >= 9 * sum(sums.values(), Decimal(0)) and inside else "world"
    drawn = [
        CountryShape(code, shade(amount, limits), f"{country(code, names, language)}: {euros(amount, language)}",
                     view.address(pays="" if shapes[code][0][0] == view.pays else shapes[code][0][0]))
        for code, amount in sums.items()
    ]  # fmt: skip
    legend = [(level, say("from-amount", language, short_euros(limit, language)) if limit else say("below-amount", language, short_euros(limits[1][1], language)))
              for level, limit in limits]  # fmt: skip
    missing = say("off-map", language, ", ".join(off)) if off else ""
    return Map(part, BOXES[part], drawn, legend if len(limits) > 1 else [], missing, say(f"map-{part}", language))


def country(code: str, names: Mapping[str, tuple[str, str]], language: Language) -> str:
    """The country's name in the page's language."""
    return names.get(code, (code, code))[("en", "fr").index(language)]


def thresholds(most: Decimal) -> list[tuple[int, Decimal]]:
    """(shade, round amount from which on it is used), the palest first: half of the largest amount, a quarter, and so on."""
    if most <= 0:
        return [(1, Decimal(0))]
    return [
        (1, Decimal(0)),
        *((level, rounded_down(most / parts)) for level, parts in ((2, 16), (3, 8), (4, 4), (5, 2))),
    ]


def shade(amount: Decimal, limits: Sequence[tuple[int, Decimal]]) -> int:
    """Colour level of an amount."""
    if amount <= 0:
        return 0
    return next((level for level, limit in reversed(limits) if amount >= limit), 1)
