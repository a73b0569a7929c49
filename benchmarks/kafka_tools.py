"""Kafka's own command line tools, run from the embedded broker's JARs."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from benchmarks import contenders
from benchmarks.measured import Usage
from lakehouse.config import Config
from lakehouse.errors import LakehouseError
from lakehouse.jvm import jars, java

_TIMEOUT = 600.0
_SENT = re.compile(r"(\d+) records sent, ([\d.]+) records/sec")


@dataclass(frozen=True)
class Consumed:
    """What ConsumerPerformance says. ``records_per_second`` is over all of its time, ``fetch…`` without joining the group.

    ``seconds``: start of its process to its exit.
    """

    records: int
    records_per_second: float
    fetch_records_per_second: float
    seconds: float | None = None
    cpu_seconds: float | None = None


@dataclass(frozen=True)
class Produced:
    """What ProducerPerformance says of all that it sent. ``seconds``: start of its process to its exit."""

    records: int
    records_per_second: float
    seconds: float | None = None
    cpu_seconds: float | None = None


def command(config: Config, tool: str, *options: str) -> list[str]:
    """The command line of a tool of ``org.apache.kafka.tools``, with this broker's address."""
    classpath = os.pathsep.join(map(str, jars.resolve(config, "kafka")))
    return [
        str(java.find(config).executable), "-Xmx512m", "-Dfile.encoding=UTF-8", "-cp", classpath, f"org.apache.kafka.tools.{tool}",
        "--bootstrap-server", config.kafka.bootstrap_servers, *options,
    ]  # fmt: skip


def consumer_performance(config: Config, records: int) -> Consumed:
    """Read ``records`` messages of the topic from its start, as fast as Kafka's own consumer can."""
    options = ("--topic", config.kafka.topic, "--num-records", str(records), "--timeout", "60000")
    lines, usage = _run(config, "ConsumerPerformance", *options)
    return dataclasses.replace(parse(lines), seconds=usage.seconds, cpu_seconds=usage.cpu_seconds)


def producer_performance(config: Config, records: int, payloads: Path) -> Produced:
    """Send ``records`` lines of ``payloads``, drawn at random, with the compression and batches of ``[PRODUCER]``."""
    own = config.producer
    properties = {
        "compression.type": own.compression, "batch.size": own.batch_size, "buffer.memory": own.buffer_memory,
        "linger.ms": own.linger // timedelta(milliseconds=1),
    }  # fmt: skip
    options = ["--command-property", *(f"{name}={value}" for name, value in properties.items())]  # one option for all
    fixed = ("--topic", config.kafka.topic, "--num-records", str(records), "--throughput", "-1")
    lines, usage = _run(config, "ProducerPerformance", *fixed, "--payload-file", str(payloads), *options)
    return dataclasses.replace(parse_produced(lines), seconds=usage.seconds, cpu_seconds=usage.cpu_seconds)


def _run(config: Config, tool: str, *options: str) -> tuple[list[str], Usage]:
    Path(config.delta.base_path).mkdir(parents=True, exist_ok=True)
    with contenders.measured(config, tool, command(config, tool, *options)) as child:
        usage = child.wait(_TIMEOUT)
    return child.log.read_text(encoding="utf-8", errors="replace").splitlines(), usage


def parse_produced(lines: Sequence[str]) -> Produced:
    """The tool's last line of figures. Raises ``LakehouseError`` when there is none."""
    found = [_SENT.search(line) for line in lines]
    totals = [one for one in found if one is not None]
    if not totals:
        raise LakehouseError("ProducerPerformance printed no figures:\n" + "\n".join(lines[-10:]))
    return Produced(int(totals[-1][1]), float(totals[-1][2]))


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
