"""Storage of a cluster: whether every machine sees the same data folder."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from pyspark.sql import SparkSession

from lakehouse.config import paths
from lakehouse.errors import SetupError
from lakehouse.jvm import launch

_TASKS_A_CORE = 4
"""Enough that every executor gets one, whichever is quicker."""


def check_folder(spark: SparkSession, base: str) -> None:
    """Raise ``SetupError`` when an executor does not see what the driver writes under ``base``, a path of this machine.

    Otherwise each machine would write its share of every table to a disk of its own, and the commits would name files
    that no other machine has. Only the executors that have registered by now are asked. A URI is not checked.
    """
    if launch.is_local(spark.sparkContext.master or "") or paths.is_uri(base):
        return
    Path(base).mkdir(parents=True, exist_ok=True)
    probe = Path(base) / f".seen-by-all-{uuid.uuid4().hex}"
    probe.touch()
    try:
        blind = unseeing(spark, str(probe))
    finally:
        probe.unlink()
    if blind:
        raise SetupError(
            f"The data folder {base} is not shared: the executors on {', '.join(blind)} do not see what this machine writes "
            f"there. Put it on a disk that all machines mount at this path, or in an object store: [DELTA] base_path = "
            f"s3a://bucket/lake"
        )


def unseeing(spark: SparkSession, path: str) -> list[str]:
    """The hosts of the executors that do not see ``path``, sorted."""

    def look(
        numbers: Iterable[int],
    ) -> Iterator[str]:  # nested: it travels by value, executors have none of our modules
        import os
        import socket

        for _ in numbers:
            if not os.path.exists(path):  # noqa: PTH110
                yield socket.gethostname()

    tasks = _TASKS_A_CORE * spark.sparkContext.defaultParallelism
    return sorted(set(spark.sparkContext.parallelize(range(tasks), tasks).mapPartitions(look).collect()))
