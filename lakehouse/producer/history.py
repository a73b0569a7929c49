"""The sales before today: back-dated ones with a daily and a weekly rhythm, for a topic that has never held a message."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from random import Random

SALES_A_DAY = 1_500
"""At most, whatever the rate: a fortnight is then sent, read and merged within seconds."""
_HOURS = (1, 1, 1, 1, 1, 2, 4, 8, 14, 20, 25, 28, 26, 22, 22, 24, 26, 30, 34, 36, 30, 20, 10, 4)
"""Relative number of sales in each hour of a day: lunch and the evening are busy, the night is quiet."""
_WEEKDAYS = (80, 85, 90, 100, 120, 150, 110)
"""Relative number of sales on each day from Monday on."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def how_many(span: timedelta, rate: float) -> int:
    """Sales of a span: as many as ``rate`` a second gives, but no more than ``SALES_A_DAY``."""
    return round(span / timedelta(days=1) * min(rate * 86_400, SALES_A_DAY))


def moments(since: datetime, until: datetime, count: int, zone: tzinfo, random: Random) -> Iterator[int]:
    """``count`` event times from ``since`` to ``until``, ascending, in microseconds since 1970 UTC. The rhythm is that of the
    clocks in ``zone``."""
    begins = [since + timedelta(hours=hour) for hour in range(-(-(until - since) // timedelta(hours=1)))]
    ends = [*begins[1:], until]
    weights = [
        _weight(begin.astimezone(zone)) * ((end - begin) / timedelta(hours=1))
        for begin, end in zip(begins, ends, strict=True)
    ]
    edges = list(itertools.accumulate(weights, initial=0.0))
    slot = 0
    for number in range(count):
        place = (number + random.random()) / count * edges[-1]
        while slot < len(weights) - 1 and place >= edges[slot + 1]:
            slot += 1
        share = (place - edges[slot]) / weights[slot]
        moment = begins[slot] + (ends[slot] - begins[slot]) * min(share, 1.0)
        yield (moment - _EPOCH) // _MICROSECOND


def _weight(local: datetime) -> int:
    return _HOURS[local.hour] * _WEEKDAYS[local.weekday()]
