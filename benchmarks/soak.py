"""The latency over half an hour: does compaction, a checkpoint of the log or anything that grows make sales wait?

As ``latency``, for our job alone and for longer. Goal 16 compares the first and the last 5 minutes of 30; a shorter run
compares its first and last sixth, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import latency, preload
from benchmarks.contenders import OURS
from benchmarks.report import percentile
from lakehouse.config import Config
from lakehouse.errors import LakehouseError

WINDOWS = 6
_POINT = 10.0
"""Seconds of one point of the plot."""


def measure(config: Config, seconds: float, rate: int, held: int = 0) -> dict[str, Any]:
    """``held``: on-time sales that the topic holds before, so that the deduplication's state is from the start what so many
    sales leave in it."""
    if held:
        scratch = Path(config.delta.base_path).parent
        preload.fill(config, held, scratch / "preload.log", span=config.streaming.watermark_delay.total_seconds() * 0.8)
    return figures(latency.watch(OURS, config, seconds, rate).sales, seconds, rate)


def figures(sales: Sequence[tuple[int, float, float]], seconds: float, rate: int) -> dict[str, Any]:
    """From (version, seconds since the start, seconds until visible) of each sale. PURE."""
    window = seconds / WINDOWS
    first = sorted(wait for _, at, wait in sales if at < window)
    last = sorted(wait for _, at, wait in sales if at >= seconds - window)
    if not first or not last:
        raise LakehouseError("The soak run saw no sale in its first or in its last window.")
    waits = sorted(wait for _, _, wait in sales)
    return {
        "rate": rate, "seconds": seconds, "window_seconds": window, "sales": len(waits),
        "versions": len({version for version, _, _ in sales}),
        "p50": percentile(waits, 0.5), "p99": percentile(waits, 0.99), "worst": waits[-1],
        "first_p50": percentile(first, 0.5), "last_p50": percentile(last, 0.5),
        "points": points(sales, seconds),
    }  # fmt: skip


def points(sales: Sequence[tuple[int, float, float]], seconds: float) -> list[list[float]]:
    """[seconds since the start, p50, p99] of every 10 seconds in which sales came."""
    found: dict[int, list[float]] = {}
    for _, at, wait in sales:
        if at < seconds:
            found.setdefault(int(at // _POINT), []).append(wait)
    return [
        [number * _POINT, round(percentile(ordered, 0.5), 3), round(percentile(ordered, 0.99), 3)]
        for number, ordered in sorted((number, sorted(waits)) for number, waits in found.items())
    ]
