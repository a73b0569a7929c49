"""The settings by which a micro-batch is validated, and from which event time on its sales may be on time: pure rules.

They are constant while a query runs. When they change between two batches, event times that were stale stay so: docs/PROOFS.md,
"When settings change". A batch's clock is in milliseconds since 1970, all else in microseconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from lakehouse.config import Config

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class BatchSettings:
    """``timezone`` is the key of the business zone, ``decoder`` the fingerprint of the code that reads messages. ``floor_us``:
    sales of earlier event times are stale whatever the delay says; None when no other settings came before these."""

    watermark_delay: timedelta
    future_tolerance: timedelta
    timezone: str
    decoder: str = ""
    floor_us: int | None = None

    @classmethod
    def of(cls, config: Config, decoder: str = "") -> BatchSettings:
        """What ``config`` asks for."""
        streaming = config.streaming
        return cls(streaming.watermark_delay, streaming.future_tolerance, config.analytics.timezone.key, decoder)

    def validation(self) -> dict[str, Any]:
        """The arguments of ``transforms.decoded`` that are settings."""
        return {
            "watermark_delay": self.watermark_delay,
            "future_tolerance": self.future_tolerance,
            "timezone": self.timezone,
            "floor_us": self.floor_us,
        }

    def same_rules(self, other: BatchSettings) -> bool:
        """Whether both come from the same settings and decoder."""
        return replace(self, floor_us=None) == replace(other, floor_us=None)

    def oldest_on_time(self, clock_ms: int) -> int:
        """The earliest event time that is not stale in a batch with this clock."""
        begin = clock_ms * 1000 - self.watermark_delay // _MICROSECOND
        return begin if self.floor_us is None else max(begin, self.floor_us)

    def to_json(self) -> str:
        """One line; ``from_json`` reads it."""
        fields = {
            "watermark_delay_us": self.watermark_delay // _MICROSECOND,
            "future_tolerance_us": self.future_tolerance // _MICROSECOND,
            "timezone": self.timezone,
            "decoder": self.decoder,
            "floor_us": self.floor_us,
        }
        return json.dumps(fields)

    @classmethod
    def from_json(cls, text: str) -> BatchSettings:
        """Raises ``ValueError``, ``KeyError`` or ``TypeError`` for a text that is no note."""
        found = json.loads(text)
        return cls(
            int(found["watermark_delay_us"]) * _MICROSECOND,
            int(found["future_tolerance_us"]) * _MICROSECOND,
            str(found["timezone"]),
            str(found["decoder"]),
            None if found["floor_us"] is None else int(found["floor_us"]),
        )


def following(before: BatchSettings | None, wanted: BatchSettings, last_clock_ms: int | None) -> BatchSettings:
    """The settings of the batch after one that had the settings ``before`` and the clock ``last_clock_ms``.

    ``last_clock_ms`` is None when no batch came before. ``before`` is None when it is not known: then every delay is possible,
    and all event times before that clock are stale.
    """
    if last_clock_ms is None:
        return replace(wanted, floor_us=None)
    if before is None:
        return replace(wanted, floor_us=last_clock_ms * 1000)
    if before.same_rules(wanted):
        return before
    return replace(wanted, floor_us=before.oldest_on_time(last_clock_ms) + 1000)


def compared_until(
    until: datetime | None, before: BatchSettings | None, now: BatchSettings, last_clock_ms: int | None
) -> datetime | None:
    """Until when every sale is compared with Bronze, once ``now`` comes after ``before``: a longer delay makes sales on time for
    longer. ``until`` is what held before; the other arguments are those of ``following``."""
    longer = now.watermark_delay - (before.watermark_delay if before else timedelta(0))
    passed = until is None or last_clock_ms is None or until.timestamp() * 1000 <= last_clock_ms
    return until if until is None or passed or longer <= timedelta(0) else until + longer
