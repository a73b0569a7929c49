"""PURE. One row of the settings table: how ``lakehouse.settings`` writes it, and how the documents show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
