"""Where Spark runs: in this process's own JVM, on a cluster, or in a JVM that spark-submit has started."""

from __future__ import annotations

import os
from collections.abc import Mapping


def under_submit(environment: Mapping[str, str] = os.environ) -> bool:
    """True when spark-submit started this process."""
    return "PYSPARK_GATEWAY_PORT" in environment


def is_local(master: str) -> bool:
    """Whether driver and executors are one process."""
    return master.startswith("local")
