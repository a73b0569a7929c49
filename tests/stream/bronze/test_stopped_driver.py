"""SIGSTOP of the job, for longer than its time-outs: nobody writes in its place, and it goes on where it was."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.children import eventually
from tests.support.harness import INTERPRETED, Lake
from tests.support.messages import ago, sale

pytestmark = pytest.mark.timeout(900)

SHORT = {
    **INTERPRETED,
    "spark.executor.heartbeatInterval": "2s",
    "spark.network.timeout": "10s",
    "spark.network.timeoutInterval": "5s",
}
"""The stop is awaited by another job's waiting for the lock, which is longer than what Spark waits for its executor."""


def test_a_stopped_job_keeps_its_lock_and_goes_on_without_a_difference(lake: Lake) -> None:
    conf = "\n".join(f"{key}={text}" for key, text in SHORT.items())
    small = lake.with_settings(STREAMING__MAX_OFFSETS_PER_TRIGGER="25", SPARK__CONF=conf)
    lake.produce(600, 11)
    first = small.start("spark_streaming_delta.py")
    eventually(lambda: len(lake.committed()) > 1 or not first.alive, what="two batches of the first job")
    assert first.alive, first.said()[-4000:]
    os.killpg(first.process.pid, signal.SIGSTOP)  # the script and its JVM, as a suspended machine would
    try:
        before, planned = lake.state(), lake.planned()
        second = lake.with_settings(DELTA__LOCK_TIMEOUT="25 seconds").start("spark_streaming_delta.py", "--once")
        assert second.wait() == 4 and f"(process {first.process.pid} on " in second.said()
        assert (lake.state(), lake.planned()) == (before, planned), "the second one wrote"
        assert not lake.all_read(), "the stop met no work"
    finally:
        os.killpg(first.process.pid, signal.SIGCONT)
    lake.sales(sale(), sale(ago(days=2)))
    eventually(lambda: lake.all_read() or not first.alive, 300, "the rest of the topic")
    assert first.alive, first.said()[-4000:]
    first.process.send_signal(signal.SIGTERM)
    assert first.wait() == 0, first.said()[-4000:]
    assert lake.differences() == []
