"""The sentence for a clock that is not after the last committed batch's: both ways on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lakehouse.bronze.sink import BronzeSink
from lakehouse.errors import ClockWentBack


def test_a_clock_that_went_back_names_both_ways_on() -> None:
    batch = SimpleNamespace(
        batch_id=7, planned=SimpleNamespace(clock_ms=1_000), previous=SimpleNamespace(clock_ms=61_500)
    )
    with pytest.raises(ClockWentBack) as stopped:
        BronzeSink._check_clock(batch)  # type: ignore[arg-type]
    said = str(stopped.value)
    assert "60.500 s behind the last committed batch (batch 7 after 6). Nothing was written." in said
    assert "Set the clock right, or wait 60 s, and start again." in said
    assert said.endswith("was ahead then, type: python ops_utils.py rebuild bronze --anyway")
