"""The producer at full speed, beside kafka-python sending one constant message, in turns, and Kafka's ProducerPerformance.

Each turn has a topic of its own; Kafka must then hold exactly what was sent. The rate is each program's own account, from the
connection to the last acknowledgement; start to exit and CPU stand beside it.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import contenders, kafka_tools, preload
from lakehouse import kafka_clients
from lakehouse.config import PROJECT, Config
from lakehouse.errors import LakehouseError

_SAID = re.compile(r"^(\d+) messages sent in ([\d.]+) s .*: (\d+) acknowledged, 0 never", re.MULTILINE)
_TIMEOUT = 900.0
SAMPLE = 10_000
Row = dict[str, Any]


def ours(text: str) -> tuple[int, float]:
    """Messages and seconds, from the producer's last line. Raises ``LakehouseError`` without one. PURE."""
    found = _SAID.search(text)
    if found is None or found[1] != found[3]:
        raise LakehouseError(f"producer_ventes.py gave no account of a run without losses: {text[-300:]}")
    return int(found[1]), float(found[2])


def constant(text: str) -> tuple[int, float]:
    """The same of ``constant_sender``. PURE."""
    found = json.loads(text.splitlines()[-1])
    return found["sent"], found["seconds"]


def measure(config: Config, home: Path, count: int, repeat: int, say: Callable[[str], None]) -> Row:
    sample = list(preload.sales(SAMPLE, 1_763_800_000.0))
    size = round(sum(len(message.value) for message in sample) / SAMPLE)
    script = str(PROJECT / "producer_ventes.py")
    programs = {
        "ours": ([sys.executable, script, "--rate=max", f"--count={count}", "--seed=7"], ours),
        "constant": ([sys.executable, "-m", "benchmarks.constant_sender", f"--count={count}", f"--size={size}"], constant),
    }  # fmt: skip
    payloads = home / "payloads.txt"
    payloads.write_bytes(b"\n".join(message.value for message in sample))
    runs: list[Row] = []
    for turn in range(1, repeat + 1):
        for name, (command, account) in programs.items():
            own = contenders.configured(config, home / f"sending-{name}-{turn}", f"sending_{name}_{turn}")
            kafka_clients.ensure_topic(own)
            Path(own.delta.base_path).mkdir(parents=True)
            with contenders.measured(own, name, command, PROJECT) as child:
                usage = child.wait(_TIMEOUT)
            sent, seconds = account(child.log.read_text(encoding="utf-8", errors="replace"))
            runs.append(_row(name, turn, sent, seconds, usage.seconds, usage.cpu_seconds))
            _check(own, sent)
            say(f"  {name}: {runs[-1]['rate']:,.0f} messages/s")
        own = contenders.configured(config, home / f"sending-tool-{turn}", f"sending_tool_{turn}")
        kafka_clients.ensure_topic(own)
        made = kafka_tools.producer_performance(own, 10 * count, payloads)
        _check(own, made.records)
        seconds = made.records / made.records_per_second
        runs.append(_row("ProducerPerformance", turn, made.records, seconds, made.seconds, made.cpu_seconds))
        say(f"  ProducerPerformance: {made.records_per_second:,.0f} messages/s")
    producer = dataclasses.asdict(config.producer)
    return {
        "count": count, "bytes": size, "runs": runs,
        "settings": {name: str(producer[name]) for name in ("linger", "batch_size", "buffer_memory", "compression")},
    }  # fmt: skip


def _row(name: str, turn: int, sent: int, seconds: float, process: float | None, cpu: float | None) -> Row:
    return {
        "contender": name, "turn": turn, "sent": sent, "seconds": seconds, "rate": sent / seconds,
        "process_seconds": process, "cpu_per_million": None if cpu is None else cpu / sent * 1e6,
    }  # fmt: skip


def _check(config: Config, sent: int) -> None:
    held = sum(end - begin for begin, end in kafka_clients.earliest_and_latest_offsets(config).values())
    if held != sent:
        raise LakehouseError(f"{config.kafka.topic} holds {held:,} messages instead of {sent:,}.")
