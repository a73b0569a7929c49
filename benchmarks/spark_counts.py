"""What Spark did since a mark, counted by Spark itself: jobs, files and rows that scans have read.

From the stores behind Spark's own web pages, which are filled whether or not the pages are served. A count does not depend on
how busy the machine is, so that a test can keep it from growing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

_LOG = "DeltaLogFileIndex"
"""How a scan of a table's own log shows itself."""


@dataclass(frozen=True)
class Counts:
    """``files`` and ``rows`` are those of scans of tables' data files; Delta's reads of its own logs are apart."""

    jobs: int
    files: int
    rows: int


class Meter:
    """Counts from its making, or from the last ``reset``, on."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self._context: Any = spark.sparkContext._jsc.sc()
        self._sql: Any = spark._jsparkSession.sharedState().statusStore()
        self.reset()

    def reset(self) -> None:
        self._drain()
        self._first_job, self._first_execution = self._next_job(), self._next_execution()

    def counts(self) -> Counts:
        """What happened since the mark."""
        self._drain()
        files = rows = 0
        for number in range(self._first_execution, self._next_execution()):
            of_files, of_rows = self._scanned(number)
            files, rows = files + of_files, rows + of_rows
        return Counts(self._next_job() - self._first_job, files, rows)

    def _scanned(self, execution: int) -> tuple[int, int]:
        if self._sql.execution(execution).isEmpty():
            return 0, 0
        values, files, rows = self._sql.executionMetrics(execution), 0, 0
        nodes = self._sql.planGraph(execution).allNodes()
        for node in (nodes.apply(place) for place in range(nodes.size())):
            if not node.name().startswith("Scan parquet") or _LOG in node.desc():
                continue
            for metric in (node.metrics().apply(place) for place in range(node.metrics().size())):
                if metric.name() not in ("number of files read", "number of output rows"):  # others are times and sizes
                    continue
                value = values.get(metric.accumulatorId())
                number = int(value.get().replace(",", "")) if value.isDefined() else 0
                files += number if metric.name() == "number of files read" else 0
                rows += number if metric.name() == "number of output rows" else 0
        return files, rows

    def _drain(self) -> None:
        """The stores are filled by a queue of events."""
        self._context.listenerBus().waitUntilEmpty(60_000)

    def _next_job(self) -> int:
        return int(self._context.dagScheduler().numTotalJobs())

    def _next_execution(self) -> int:
        listed = self._sql.executionsList()
        return 1 + max((listed.apply(place).executionId() for place in (listed.size() - 1,) if place >= 0), default=-1)
