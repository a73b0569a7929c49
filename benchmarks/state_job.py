"""The deduplication state, filled to a given size and kept there: Bronze's own deduplication over made-up identities.

A process of its own, which prints one line of JSON. Spark's ``rate-micro-batch`` source gives each batch the same number of
new identities (38 characters, as ``v-`` and a UUID) and moves the event time on by a fixed step; so the state grows until as
many leave it as come in, at ``ids``. The batches after that show whether memory stays flat.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
from pyspark.sql import functions as F

from lakehouse import config as settings
from lakehouse.bronze import transforms
from lakehouse.lake import spark_session

STEP = timedelta(seconds=60)
"""Event time from one batch to the next."""
START_MS = 1_700_000_000_000


def delay(ids: int, rows: int) -> timedelta:
    """The watermark's delay at which the state settles at ``ids``: an identity leaves it when the watermark, which lags by
    the delay, has passed its time and the delay once more."""
    return STEP * (ids / rows / 2)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ids", type=int, required=True)
    parser.add_argument("--rows", type=int, required=True, help="new identities in one batch")
    parser.add_argument("--flat", type=int, default=10, help="batches after the state has settled")
    args = parser.parse_args(argv)
    config = settings.load()
    spark = spark_session.build(config, "state")
    numbers = (
        spark.readStream.format("rate-micro-batch")
        .options(rowsPerBatch=args.rows, numPartitions=spark.sparkContext.defaultParallelism)
        .options(startTimestamp=START_MS, advanceMillisPerBatch=STEP // timedelta(milliseconds=1))
        .load()
    )
    identity = F.concat(F.lit("v-"), F.md5(F.col("value").cast("string")), F.lit("-xyz"))
    rows = numbers.select(identity.alias(transforms.KEY), F.col("timestamp").alias(transforms.CLOCK))
    kept = transforms.deduplicated(rows, watermark_delay=delay(args.ids, args.rows))
    place = str(Path(config.delta.base_path) / "checkpoint")
    query = (
        kept.writeStream.option("checkpointLocation", place).format("noop").trigger(processingTime="0 seconds").start()
    )
    fill = args.ids // args.rows + 3
    found: dict[int, dict[str, Any]] = {}
    while query.isActive and len(found) < fill + args.flat:
        for report in query.recentProgress:
            if report["batchId"] not in found and report["stateOperators"]:
                found[report["batchId"]] = _figures(report)
        time.sleep(0.1)
    failure = query.exception()
    query.stop()
    spark.stop()
    if failure is not None:
        print(str(failure)[:500], file=sys.stderr)
        return 1
    filled, flat = _half(found, 0, fill), _half(found, fill, fill + args.flat)
    print(json.dumps({"store": config.streaming.state_store, "ids": max(one["ids"] for one in flat), "filling": filled[-1],
                      "settled": flat[0], "end": flat[-1], "batch_ms": sorted(one["ms"] for one in flat)[len(flat) // 2],
                      "dropped": sum(one["dropped"] for one in found.values()), "rows": len(found) * args.rows}))  # fmt: skip
    return 0


def _half(found: dict[int, dict[str, Any]], start: int, end: int) -> list[dict[str, Any]]:
    return [found[number] for number in sorted(found)[start:end]]


def _figures(report: Any) -> dict[str, Any]:
    (operator,) = report["stateOperators"]
    return {
        "batch": report["batchId"], "ids": operator["numRowsTotal"], "state_mb": operator["memoryUsedBytes"] / 1e6,
        "jvm_mb": _jvm_mb(), "ms": report["durationMs"]["triggerExecution"],
        "dropped": operator["numRowsDroppedByWatermark"],
    }  # fmt: skip


def _jvm_mb() -> float:
    """Resident memory of this process's Java."""
    largest = 0
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a Python worker that has just ended
            largest = max(largest, child.memory_info().rss)
    return largest / 1e6


if __name__ == "__main__":
    sys.exit(main())
