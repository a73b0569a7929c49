"""Fill a topic with distinct sales, quickly, and know what is in it.

The generator writes lines into Kafka's ConsoleProducer: about 10 times as fast as kafka-python, and unlike
ProducerPerformance, which draws its payloads at random from a file, each sale is sent once. Keys are client ids, as the
producer has them.

Event times are spread evenly, in order, over the 6 hours before now. A backlog is old by nature: so every sale but those
of the last minutes is **old** for our job, which compares it with Bronze instead of its deduplication state alone.
Two calendar days are hit in the first 6 hours of a UTC day, otherwise one.
"""

from __future__ import annotations

import dataclasses
import itertools
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import kafka_tools
from lakehouse.child_processes import die_with_parent
from lakehouse.config import Config
from lakehouse.errors import LakehouseError
from lakehouse.kafka import clients
from lakehouse.producer.generator import Message, messages

SPAN_SECONDS = 6 * 3600
SEED = 20_250
_CHUNK = 2_000
_TIMEOUT = 600.0
_PRODUCER = (
    "--compression-codec", "lz4",
    "--batch-size", "262144",
    "--timeout", "50",  # linger, in milliseconds
    "--max-memory-bytes", "67108864",
    "--request-timeout-ms", "60000",  # 1.5 s by default, too short for a broker that shares two cores
    "--command-property", "delivery.timeout.ms=120000",
    "--reader-property", "parse.key=true",
)  # fmt: skip


@dataclass(frozen=True)
class Truth:
    """What a topic holds: ``sales`` distinct sales worth ``cents`` EUR cents in ``value_bytes`` bytes of JSON."""

    sales: int
    cents: int
    value_bytes: int
    seconds: float = 0.0


def sales(count: int, now: float, span: float = SPAN_SECONDS) -> Iterator[Message]:
    """``count`` distinct sales, the first ``span`` seconds before ``now`` (seconds since 1970), the last just before it."""
    first, step = int((now - span) * 1_000_000), span * 1_000_000 / count
    ticks = itertools.count()
    made = messages(seed=SEED, clients=200, clock=lambda: first + int(next(ticks) * step))
    return itertools.islice(made, count)


def fill(config: Config, count: int, log: Path, *, span: float = SPAN_SECONDS) -> Truth:
    """Create the topic and fill it with sales of the last ``span`` seconds. Raises ``LakehouseError`` unless Kafka then holds
    exactly ``count`` messages."""
    if not clients.ensure_topic(config):
        raise LakehouseError(f"The topic {config.kafka.topic} exists already: the benchmark fills a new one.")
    began = time.monotonic()
    command = kafka_tools.command(config, "ConsoleProducer", "--topic", config.kafka.topic, *_PRODUCER)
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=sink, stderr=sink, preexec_fn=die_with_parent, bufsize=0
        )
        try:
            truth = _feed(process, sales(count, time.time(), span))
            code = process.wait(_TIMEOUT)
        except BrokenPipeError:
            code = process.wait(_TIMEOUT)
        finally:
            process.kill()
            process.wait()
    held = sum(end - begin for begin, end in clients.earliest_and_latest_offsets(config).values())
    if code != 0 or held != count:
        raise LakehouseError(
            f"The topic holds {held:,} messages instead of {count:,}; ConsoleProducer ended with exit code {code}:\n"
            f"{log.read_text(encoding='utf-8', errors='replace')[-2000:]}"
        )
    return dataclasses.replace(truth, seconds=time.monotonic() - began)


def _feed(process: subprocess.Popen[bytes], made: Iterable[Message]) -> Truth:
    assert process.stdin is not None
    count = cents = size = 0
    made = iter(made)
    with process.stdin as stream:
        while chunk := list(itertools.islice(made, _CHUNK)):
            text = b"".join(b"%b\t%b\n" % (message.key, message.value) for message in chunk)
            view = memoryview(text)
            while view:  # an unbuffered pipe may take less than it is given
                view = view[stream.write(view) :]
            count += len(chunk)
            cents += sum(message.produit.cents * message.quantite for message in chunk)
            size += sum(len(message.value) for message in chunk)
    return Truth(count, cents, size)
