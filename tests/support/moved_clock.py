"""A clock that runs ahead, for real processes: whatever is started in the block has it, a JVM and Kafka too."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

from tests.support import preloaded


def library(folder: Path) -> Path:
    """What the processes load, compiled into ``folder``; the test is skipped on a machine without a C compiler."""
    return preloaded.compiled("clock_ahead", folder)


def ahead(clock: Path, by: timedelta) -> AbstractContextManager[None]:
    return preloaded.loaded(clock, TEST_CLOCK_AHEAD=f"{by.total_seconds():.0f}")
