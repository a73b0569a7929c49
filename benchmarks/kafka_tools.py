"""Kafka's own command line tools, run from the embedded broker's JARs."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from lakehouse import jars, java
from lakehouse.config import Config
from lakehouse.errors import LakehouseError

_TIMEOUT = 600.0


@dataclass(frozen=True)
class Consumed:
    """What ConsumerPerformance says. ``records_per_second`` is over all of its time, ``fetch…`` without joining the group."""

    records: int
    records_per_second: float
    fetch_records_per_second: float


def command(config: Config, tool: str, *options: str) -> list[str]:
    """The command line of a tool of ``org.apache.kafka.tools``, with this broker's address."""
    classpath = os.pathsep.join(map(str, jars.resolve(config, "kafka")))
    return [
        str(java.find(config).executable), "-Xmx512m", "-Dfile.encoding=UTF-8", "-cp", classpath, f"org.apache.kafka.tools.{tool}",
        "--bootstrap-server", config.kafka.bootstrap_servers, *options,
    ]  # fmt: skip


def consumer_performance(config: Config, records: int) -> Consumed:
    """Read ``records`` messages of the topic from its start, as fast as Kafka's own consumer can."""
    line = command(
        config,
        "ConsumerPerformance",
        "--topic",
        config.kafka.topic,
        "--num-records",
        str(records),
        "--timeout",
        "60000",
    )
    done = subprocess.run(
        line, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT, check=False
    )
    if done.returncode != 0:
        raise LakehouseError(f"ConsumerPerformance ended with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return parse(done.stdout.splitlines())


def parse(lines: Sequence[str]) -> Consumed:
    """The tool's header and its line of figures, wherever they stand. Raises ``LakehouseError`` when there are none."""
    rows = [[cell.strip() for cell in line.split(",")] for line in lines]
    for header, figures in itertools.pairwise(rows):
        if "fetch.nMsg.sec" in header and len(figures) == len(header):
            found = dict(zip(header, figures, strict=True))
            return Consumed(
                int(found["data.consumed.in.nMsg"]), float(found["nMsg.sec"]), float(found["fetch.nMsg.sec"])
            )
    raise LakehouseError("ConsumerPerformance printed no figures:\n" + "\n".join(lines[-10:]))
