"""A clock that runs ahead, for real processes: whatever is started in the block has it, a JVM and Kafka too."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("clock_ahead.c")


def library(folder: Path) -> Path | None:
    """What the processes preload, compiled into ``folder``; None on a machine without a C compiler."""
    made = folder / "clock_ahead.so"
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    done = subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", made, SOURCE, "-ldl"], check=False)
    return made if done.returncode == 0 else None


@contextmanager
def ahead(preloaded: Path, by: timedelta) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(preloaded))
        patch.setenv("TEST_CLOCK_AHEAD", f"{by.total_seconds():.0f}")
        yield
