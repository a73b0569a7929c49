"""An announced backfill: back-dated sales that a sender put on record before the first of them was sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Backfill:
    """Sales of ``topic`` with event times from ``since`` to ``until``, announced at ``announced``. ``arrived``: when the broker
    received the last of them; None while nobody has said that all are sent. They are back-dated on purpose, so that none of
    them counts as late."""

    topic: str
    since: datetime
    until: datetime
    announced: datetime
    messages: int
    arrived: datetime | None = None
