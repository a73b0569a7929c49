"""The sections of the benchmarks: each measures one thing and gives its figures as JSON has them. Any can be run alone."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deltalake.exceptions import DeltaError
from kafka.errors import KafkaError

from benchmarks import (
    big_lake,
    contenders,
    cpu_shares,
    explorer,
    first_hour,
    kafka_tools,
    latency,
    memory,
    preload,
    sending,
    silver,
    soak,
    start,
    venvs,
)
from benchmarks import drain as drains
from benchmarks.contenders import CONTENDERS, DRAINERS, Contender
from lakehouse.config import Config
from lakehouse.errors import LakehouseError
from lakehouse.setup import class_archive_training

Say = Callable[[str], None]
Row = dict[str, Any]
EXPLORER_DAYS = 100
FAULTS = (LakehouseError, OSError, AssertionError, DeltaError, KafkaError, subprocess.SubprocessError)
"""What loses one contender's figures, or one section's, and no more."""
_SAID = ("seconds", "rate", "cpu_per_million", "p50", "p99")


@dataclass(frozen=True)
class Section:
    """``measure(config, home, options, say)``; ``broker``: within a running broker, whose address ``config`` holds."""

    title: str
    measure: Callable[[Config, Path, argparse.Namespace, Say], Row]
    broker: bool


def taken(turns: Mapping[str, Callable[[int], Row]], repeat: int, say: Say) -> tuple[list[Row], list[Row]]:
    """A B A B …: the rows, and the failures. A contender that fails has no further turn; the others go on."""
    runs: list[Row] = []
    failures: list[Row] = []
    for turn in range(1, repeat + 1):
        for name, work in turns.items():
            if name in {one["contender"] for one in failures}:
                continue
            try:
                runs.append(work(turn))
            except FAULTS as error:
                failures.append({"contender": name, "turn": turn, "why": str(error)})
                say(f"  {name}: no figures: {error}")
            else:
                figures = {one: value for one, value in runs[-1].items() if one in _SAID and value is not None}
                say(f"  {name}: " + ", ".join(f"{one} {value:,.1f}" for one, value in figures.items()))
    return runs, failures


def _drain(config: Config, home: Path, args: argparse.Namespace, say: Say) -> Row:
    """Fill the topic, then let Kafka's own tool (which also brings it into the page cache) and all contenders take turns."""
    own = contenders.configured(config, home, "drain")
    say(f"  filling a topic with {args.sales:,} sales")
    truth = preload.fill(own, args.sales, home / "preload.log")
    say(
        f"  {truth.seconds:.1f} s, {truth.sales / truth.seconds:,.0f} sales/s, {truth.value_bytes / truth.sales:.0f} bytes each"
    )

    turns: dict[str, Callable[[int], Row]] = {
        "ConsumerPerformance": lambda turn: _consumed(own, home, turn, args.sales)
    }
    for each in DRAINERS:
        turns[each.name] = lambda turn, each=each: _drained(own, home, each, turn, truth)  # type: ignore[misc]
    runs, failures = taken(turns, args.repeat, say)
    does = {each.name: each.does for each in DRAINERS} | {
        "ConsumerPerformance": "the ceiling: Kafka's own reader counts the bytes and throws them away"
    }
    first = {name: place for place, name in enumerate(does)}
    runs.sort(key=lambda run: (first[run["contender"]], run["turn"]))
    return {
        "sales": truth.sales, "value_bytes": truth.value_bytes, "cents": truth.cents, "fill_seconds": truth.seconds,
        "partitions": config.kafka.partitions, "compression": "lz4", "does": does,
        "packages": sorted({pin for name in venvs.NAMES for pin in venvs.pins(name)}), "runs": runs, "failures": failures,
    }  # fmt: skip


def _drained(config: Config, home: Path, who: Contender, turn: int, truth: preload.Truth) -> Row:
    folder = home / f"drain-{who.name.replace(' ', '-')}-{turn}"
    run = drains.drain(who, contenders.configured(config, folder, config.kafka.topic), turn, truth)
    derived = {name: getattr(run, name) for name in ("rate", "processing_rate", "cpu_per_million")}
    return {**dataclasses.asdict(run), **derived}


def _consumed(config: Config, home: Path, turn: int, sales: int) -> Row:
    """ConsumerPerformance as a row beside the contenders'. ``processing_rate`` is without joining the group."""
    found = kafka_tools.consumer_performance(
        contenders.configured(config, home / f"tool-{turn}", config.kafka.topic), sales
    )
    assert found.seconds is not None
    return {
        "contender": "ConsumerPerformance", "turn": turn, "sales": found.records, "seconds": found.seconds,
        "rate": found.records / found.seconds, "own_rate": found.records_per_second,
        "processing_rate": found.fetch_records_per_second, "peak_mb": None, "held": None, "correct": found.records == sales,
        "cpu_per_million": None if found.cpu_seconds is None else found.cpu_seconds / found.records * 1e6,
    }  # fmt: skip


def _latency(config: Config, home: Path, args: argparse.Namespace, say: Say) -> Row:
    """One contender after the other, each with a topic of its own."""

    def run_of(who: Contender) -> Row:
        own = contenders.configured(config, home / f"latency-{who.name}", f"latency_{who.name}")
        return dataclasses.asdict(latency.measure(who, own, args.latency_seconds, args.rate))

    runs, failures = taken({each.name: lambda _, each=each: run_of(each) for each in CONTENDERS}, 1, say)  # type: ignore[misc]
    return {"rate": args.rate, "seconds": args.latency_seconds, "runs": runs, "failures": failures}


def _soak(config: Config, home: Path, args: argparse.Namespace, say: Say) -> Row:
    own = contenders.configured(config, home / "soak", "soak")
    found = soak.measure(own, args.soak_minutes * 60, args.rate, args.soak_held)
    say(f"  p50 {found['p50']:.2f} s, p99 {found['p99']:.2f} s, {found['first_p50']:.2f} → {found['last_p50']:.2f} s")
    return found


def _silver(config: Config, home: Path, args: argparse.Namespace, say: Say) -> Row:
    return silver.measure(config, home, args.history, args.repeat, say)


def _explorer(_config: Config, home: Path, args: argparse.Namespace, say: Say) -> Row:
    base = str(home / "explorer")
    big_lake.build(base, sales=args.explorer_sales, days=EXPLORER_DAYS, last=datetime.now(UTC).date())
    found = {}
    for what, value in itertools.chain(explorer.small(str(home / "small")), explorer.measure(base)):
        found[what] = value
        say(f"  {what}: {value:g}")
    return {"sales": args.explorer_sales // EXPLORER_DAYS * EXPLORER_DAYS, **found}


def _start(config: Config, _home: Path, args: argparse.Namespace, _say: Say) -> Row:
    class_archive_training.make(config)
    return {"seconds": start.measure(config, args.repeat)}


def _first_hour(_config: Config, home: Path, _args: argparse.Namespace, say: Say) -> Row:
    return first_hour.measure(home / "first-hour", say)


def _memory(config: Config, home: Path, args: argparse.Namespace, say: Say) -> Row:
    return memory.measure(config, home, args.minutes, say)


def _low_rate(config: Config, home: Path, args: argparse.Namespace, say: Say) -> Row:
    return cpu_shares.both(config, home, warm_up=10, minutes=args.low_rate_minutes, say=say)


def _producer(config: Config, home: Path, args: argparse.Namespace, say: Say) -> Row:
    found, turns = sending.turns(config, home, args.count)
    runs, failures = taken(turns, args.repeat, say)
    return {**found, "runs": runs, "failures": failures}


SECTIONS = {
    "drain": Section("backlog drain, beside four others", _drain, True),
    "latency": Section("Kafka timestamp to visible, beside the textbook job", _latency, True),
    "start": Section("command to first commit, beside the textbook job", _start, False),
    "first-hour": Section(
        "an empty clone to the first sale and the first Silver figure, and the second start", _first_hour, False
    ),
    "explorer": Section("the explorer, cold and warm, beside PySpark", _explorer, False),
    "producer": Section("the producer at full speed, beside kafka-python and ProducerPerformance", _producer, True),
    "soak": Section("the latency over half an hour", _soak, True),
    "silver": Section("Silver over much and little history, and the full recompute", _silver, False),
    "memory": Section("resident memory of the whole pipeline", _memory, False),
    "low-rate": Section(
        "CPU of the whole pipeline at its default rate, beside a textbook pair of jobs", _low_rate, False
    ),
}
SHORT = ("drain", "latency", "start", "first-hour", "explorer", "producer")
LONG = ("soak", "silver", "memory", "low-rate")


def wrong(name: str, figures: Row) -> list[str]:
    """What a section found to be not as it was sent. PURE."""
    found = [f"{one['contender']}: {one['why'].splitlines()[0]}" for one in figures.get("failures", ())]
    if name == "drain":
        found += [
            f"{run['contender']}, turn {run['turn']}: the table holds {run['held']}"
            for run in figures["runs"]
            if not run["correct"]
        ]
    if name == "silver":
        found += [
            f"{which}: {lake['differing_cells']} cells differ"
            for which, lake in figures["lakes"].items()
            if lake["differing_cells"]
        ]
    return found


def measured(name: str, config: Config, home: Path, args: argparse.Namespace, say: Say) -> Row | None:
    """The figures of a section; None, and the reason said, when it failed: the others go on."""
    try:
        return SECTIONS[name].measure(config, home, args, say)
    except FAULTS as error:
        say(f"  {name} gave no figures: {error}")
        return None
