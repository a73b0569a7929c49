"""A checkpoint whose watermark has dropped rows is refused, until it is rebuilt."""

from __future__ import annotations

from tests.unit.lake.test_checkpoint_validation import fault, files


def test_a_checkpoint_that_has_dropped_rows_is_refused() -> None:
    assert fault(files()) is None
    found = fault({**files(), "rows_dropped": "batch 4: 2"})
    assert found == "its watermark dropped sales, which are missing from Bronze (batch 4: 2)"
