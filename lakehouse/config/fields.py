"""Types of settings: how each is parsed from text and written back, and the dataclass field that declares one."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class Secret(str):
    """A text that never shows itself in ``repr``."""

    def __repr__(self) -> str:
        return "'***'" if self else "''"


class FilePath(str):
    """A path or URI; a relative path is made absolute against the ini file's folder."""


class Rate(float):
    """Events a second; ``max`` (no pause) is infinity."""


_UNITS = {
    "ms": 1e-3, "millisecond": 1e-3, "milliseconds": 1e-3,
    "s": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hour": 3600, "hours": 3600,
    "d": 86400, "day": 86400, "days": 86400,
}  # fmt: skip


def parse_duration(text: str) -> timedelta:
    """``"10 minutes"``, ``"500 ms"``, ``"0 seconds"`` → timedelta; raises ``ValueError`` otherwise."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", text.lower())
    if match is None or match[2] not in _UNITS:
        raise ValueError("a number and a unit, such as '10 minutes', '1 second' or '500 ms'")
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError:
        raise ValueError("a shorter duration") from None


def format_duration(value: timedelta) -> str:
    """The largest unit that gives a whole number: ``timedelta(minutes=10)`` → ``"10 minutes"``."""
    milliseconds = round(value / timedelta(milliseconds=1))
    for name, size in (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1000)):
        if milliseconds % size == 0 and milliseconds >= size:
            count = milliseconds // size
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{milliseconds} ms"


def _parse_bool(text: str) -> bool:
    known = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    try:
        return known[text.strip().lower()]
    except KeyError:
        raise ValueError("true or false") from None


def _parse_int(text: str) -> int:
    if not re.fullmatch(r"\s*[+-]?\d[\d_]*\s*", text):
        raise ValueError("a whole number")
    return int(text)


def parse_float(text: str) -> float:
    """A finite number, or ``ValueError``."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError("a number") from None
    if not math.isfinite(value):
        raise ValueError("a finite number")
    return value


def parse_rate(text: str) -> Rate:
    """``"0.5"`` → 0.5 a second; ``"max"`` → infinity; zero and below are refused."""
    if text.strip().lower() == "max":
        return Rate(math.inf)
    value = parse_float(text)
    if value <= 0:
        raise ValueError("a number above 0, or max")
    return Rate(value)


def _parse_decimal(text: str) -> Decimal:
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError("a decimal number such as 500 or 99.99") from None
    if not value.is_finite() or value < 0:
        raise ValueError("a decimal number of 0 or more")
    return value


_UNKNOWN_TO_JAVA = {"EST", "HST", "MST", "ROC", "Factory", "localtime", "posixrules"}
"""Names that Python finds beside the IANA zones, or that a Java leaves out. Which other names a Java is too old for, it says itself
when Spark starts."""


def _parse_zone(text: str) -> ZoneInfo:
    name = text.strip()
    if name in _UNKNOWN_TO_JAVA or name.startswith(("posix/", "right/")):
        raise ValueError("an IANA time zone that Java knows as well, such as UTC or Europe/Paris")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("an IANA time zone such as UTC or Europe/Paris") from None


def _parse_text(text: str) -> str:
    return text.strip()


PARSERS: Mapping[Any, Callable[[str], Any]] = {
    str: _parse_text,
    Secret: Secret,
    FilePath: lambda text: FilePath(text.strip()),
    int: _parse_int,
    float: parse_float,
    bool: _parse_bool,
    Rate: parse_rate,
    Decimal: _parse_decimal,
    timedelta: parse_duration,
    ZoneInfo: _parse_zone,
}
TYPE_NAMES: Mapping[Any, str] = {
    str: "text", Secret: "secret", FilePath: "path", int: "integer", float: "number", bool: "boolean",
    Rate: "rate", Decimal: "decimal", timedelta: "duration", ZoneInfo: "time zone",
}  # fmt: skip


def format_value(value: Any) -> str:
    """A setting's value as config.ini writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Rate):
        return "max" if math.isinf(value) else f"{float(value):g}"
    if isinstance(value, Secret):
        return ""
    return str(value)


PROJECT = Path(__file__).resolve().parents[2]
DEFAULT_FILE = PROJECT / "config.ini"
ENV_PREFIX = "VENTES_"


def setting(default: Any, help: str, *, unit: str = "", low: float | None = None, high: float | None = None) -> Any:
    """One row of the settings table."""
    return field(default=default, metadata={"help": help, "unit": unit, "low": low, "high": high})


@dataclass(frozen=True)
class SettingRow:
    """One setting as the documents show it."""

    section: str
    key: str
    type: str
    default: str
    unit: str
    help: str
    annotation: Any
    low: float | None
    high: float | None

    @property
    def env(self) -> str:
        return f"{ENV_PREFIX}{self.section}__{self.key.upper()}"
