"""The Silver job as a process that waits to be told: one line in, one pass (or build, or comparison), one line of JSON out.

For ``benchmarks.silver``: the passes over two lakes take turns, each in a process that is warm. ``seconds`` is the job's own
account of the pass, ``process_seconds`` all of the call; files and rows are what Spark's scans of the lake's tables read.
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks.spark_counts import Meter
from lakehouse import config as settings
from lakehouse.lake import spark_session
from lakehouse.observability.health import Monitor
from lakehouse.silver.health import SilverHealth
from lakehouse.silver.job import SilverJob


class Noting(SilverHealth):
    """Keeps the last pass's own account."""

    sales, seconds = 0, 0.0

    def passed(self, *, sales: int, seconds: float, behind: int) -> None:
        self.sales, self.seconds = sales, seconds
        super().passed(sales=sales, seconds=seconds, behind=behind)


def main() -> int:
    config = settings.load()
    spark = spark_session.build(config, "silver")
    meter = Meter(spark)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        what = line.strip()
        job = SilverJob(config)
        noted = job._health = Noting(config, Monitor(config, "silver"))
        meter.reset()
        began = time.monotonic()
        found = {"differences": len(job.verify(spark=spark))} if what == "verify" else {}
        if what in ("pass", "full"):
            job.run(full=what == "full", spark=spark)
        seconds = time.monotonic() - began
        if what == "pass":
            counts = meter.counts()
            found = {
                "sales": noted.sales,
                "seconds": noted.seconds,
                "jobs": counts.jobs,
                "files": counts.files,
                "rows": counts.rows,
            }
        print(json.dumps({**found, "what": what, "process_seconds": seconds}), flush=True)
    spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
