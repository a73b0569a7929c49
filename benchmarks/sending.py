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
from lakehouse.config import PROJECT, Config
from lakehouse.errors import LakehouseError
from lakehouse.kafka import clients

_SAID = re.compile(r"^([\d,]+) messages sent in ([\d.]+) s .*: ([\d,]+) acknowledged, 0 never", re.MULTILINE)
_TIMEOUT = 900.0
SAMPLE = 10_000
Row = dict[str, Any]


def ours(text: str) -> tuple[int, float]:
    """Messages and seconds, from the producer's last line. Raises ``LakehouseError`` without one. PURE."""
    found = _SAID.search(text)
    if found is None or found[1] != found[3]:
        raise LakehouseError(f"producer_ventes.py gave no account of a run without losses: {text[-300:]}")
    return int(found[1].replace(",", "")), float(found[2])


def constant(text: str) -> tuple[int, float]:
    """The same of ``constant_sender``. PURE."""
    found = json.loads(text.splitlines()[-1])
    return found["sent"], found["seconds"]


def turns(config: Config, home: Path, count: int) -> tuple[Row, dict[str, Callable[[int], Row]]]:
    """What was sent and with which settings, and one function a contender, which is told the number of its turn."""
    sample = list(preload.sales(SAMPLE, 1_763_800_000.0))
    size = round(sum(len(message.value) for message in sample) / SAMPLE)
    script = str(PROJECT / "producer_ventes.py")
    payloads = home / "payloads.txt"
    payloads.write_bytes(b"\n".join(message.value for message in sample))

    def topic(name: str, turn: int) -> Config:
        own = contenders.configured(config, home / f"sending-{name}-{turn}", f"sending_{name}_{turn}")
        clients.ensure_topic(own)
        Path(own.delta.base_path).mkdir(parents=True)
        return own

    def sent(name: str, command: list[str], account: Callable[[str], tuple[int, float]], turn: int) -> Row:
        own = topic(name, turn)
        with contenders.measured(own, name, command, PROJECT) as child:
            usage = child.wait(_TIMEOUT)
        messages, seconds = account(child.log.read_text(encoding="utf-8", errors="replace"))
        return _checked(own, _row(name, turn, messages, seconds, usage.seconds, usage.cpu_seconds))

    def by_tool(turn: int) -> Row:
        own = topic("tool", turn)
        made = kafka_tools.producer_performance(own, 10 * count, payloads)
        seconds = made.records / made.records_per_second
        return _checked(own, _row("ProducerPerformance", turn, made.records, seconds, made.seconds, made.cpu_seconds))

    mine = [sys.executable, script, "--rate=max", f"--count={count}", "--seed=7"]
    bare = [sys.executable, "-m", "benchmarks.constant_sender", f"--count={count}", f"--size={size}"]
    producer = dataclasses.asdict(config.producer)
    chosen = {name: str(producer[name]) for name in ("linger", "batch_size", "buffer_memory", "compression")}
    return {"count": count, "bytes": size, "settings": chosen}, {
        "ours": lambda turn: sent("ours", mine, ours, turn),
        "constant": lambda turn: sent("constant", bare, constant, turn),
        "ProducerPerformance": by_tool,
    }


def _row(name: str, turn: int, sent: int, seconds: float, process: float | None, cpu: float | None) -> Row:
    return {
        "contender": name, "turn": turn, "sent": sent, "seconds": seconds, "rate": sent / seconds,
        "process_seconds": process, "cpu_per_million": None if cpu is None else cpu / sent * 1e6,
    }  # fmt: skip


def _checked(config: Config, row: Row) -> Row:
    held = sum(end - begin for begin, end in clients.earliest_and_latest_offsets(config).values())
    if held != row["sent"]:
        raise LakehouseError(f"{config.kafka.topic} holds {held:,} messages instead of {row['sent']:,}.")
    return row
