"""SIGKILL of the Bronze job within the commit by which it merges small files: the next start goes on, and no row is touched."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable

from lakehouse.contract.tables import VENTES
from tests.support.harness import Lake
from tests.support.kills import at_commit
from tests.support.messages import ago, sale

pytestmark = pytest.mark.timeout(600)


def operations(lake: Lake) -> list[str]:
    return [one["operation"] for one in reversed(DeltaTable(VENTES.path(str(lake.base))).history())]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_job_killed_while_it_merges_goes_on(
    make_lake: Callable[..., Lake], servers: str, tmp_path: Path, when: str
) -> None:
    lake = make_lake(servers, STREAMING__MAX_OFFSETS_PER_TRIGGER="2", DELTA__AUTO_COMPACT_MIN_FILES="4")
    for _ in range(9):
        lake.sales(sale(ago(seconds=1)), sale(ago(days=3)), partition=0)
    with at_commit(tmp_path, '"operation":"OPTIMIZE"', 1, when):
        job = lake.start("spark_streaming_delta.py", "--once")
    assert job.wait() == -signal.SIGKILL, job.said()[-3000:]
    assert not lake.all_read()
    assert operations(lake)[-1] == ("WRITE" if when == "before" else "OPTIMIZE")
    again = lake.start("spark_streaming_delta.py", "--once")
    assert again.wait() == 0, again.said()[-3000:]
    assert lake.all_read() and lake.differences() == []
    assert "OPTIMIZE" in operations(lake)
