"""What a checker finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """``claim`` is an id of ``docs/FAULT_REPORT.md``; ``what`` names the first place at which it does not hold."""

    claim: str
    what: str
