"""The lake that the dashboard shows in its tests: its dates, and a hostile name of a client."""

from __future__ import annotations

from datetime import date

from lakehouse import config as settings
from lakehouse.config import Config

TODAY = date(2026, 11, 22)
SCRIPT = "<script>alert(1)</script>"
FORMULA = "=HYPERLINK(1)"
PERIOD = "du=2026-11-10&au=2026-11-21"


def config_of(base: str, **env: str) -> Config:
    return settings.load(
        env={"VENTES_DELTA__BASE_PATH": base, **{f"VENTES_{name}": text for name, text in env.items()}}
    )
