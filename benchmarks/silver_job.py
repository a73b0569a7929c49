"""The Silver job as a process that waits to be told: one line in, one pass (or build, or comparison), one line of JSON out.

For ``benchmarks.silver``: the passes over two lakes take turns, each in a process that is warm. ``seconds`` is the job's own
account of the pass, ``process_seconds`` all of the call, ``cpu_seconds`` those of the process and of its Java. With Spark, files
and rows are what its scans of the lake's tables read. ``[ANALYTICS] engine`` says which engine it is; the local one is compared
with Spark's recompute.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from typing import Any

import psutil

from lakehouse import config as settings
from lakehouse.observability.health import Monitor
from lakehouse.silver import engine_choice
from lakehouse.silver.health import SilverHealth
from lakehouse.silver.job import SilverJob


class Noting(SilverHealth):
    """Keeps the last pass's own account."""

    sales, seconds = 0, 0.0

    def passed(self, *, sales: int, seconds: float, behind: int) -> None:
        self.sales, self.seconds = sales, seconds
        super().passed(sales=sales, seconds=seconds, behind=behind)


def cpu_seconds() -> float:
    """Of this process and of all that it started and that still runs."""
    own = psutil.Process()
    return sum(sum(each.cpu_times()[:2]) for each in (own, *own.children(recursive=True)))


def main() -> int:
    config, spark, meter = settings.load(), None, None
    if (engine := engine_choice.chosen(config).engine) == "spark":
        from benchmarks.spark_counts import Meter
        from lakehouse.lake import spark_session

        spark = spark_session.build(config, "silver")
        meter = Meter(spark)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        what = line.strip()
        job = SilverJob(config)
        noted = job._health = Noting(config, Monitor(config, "silver"))
        if meter:
            meter.reset()
        began, spent = time.monotonic(), cpu_seconds()
        found: dict[str, Any] = {"engine": engine}
        if what == "verify":
            found["differences"] = len(job.verify(spark=spark))
        elif what in ("pass", "full"):
            job.run(full=what == "full", spark=spark)
        seconds, cpu = time.monotonic() - began, cpu_seconds() - spent
        if what == "pass":
            found |= {"sales": noted.sales, "seconds": noted.seconds}
            if meter:
                found |= dataclasses.asdict(meter.counts())
        print(json.dumps({**found, "what": what, "process_seconds": seconds, "cpu_seconds": cpu}), flush=True)
    if spark:
        spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
