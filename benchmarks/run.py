"""The benchmarks' command line: ``python -m benchmarks.run --help``."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import about, contenders, drain, kafka_tools, latency, preload, report
from benchmarks.contenders import CONTENDERS
from benchmarks.drain import DrainRun
from benchmarks.kafka_tools import Consumed
from benchmarks.latency import LatencyRun
from lakehouse import cli, jars
from lakehouse.broker import Broker
from lakehouse.broker_settings import free_port
from lakehouse.config import PROJECT, Config
from lakehouse.errors import ConfigError
from lakehouse.processes import interrupt_on_signals

PARTITIONS = 4
OUTPUT = PROJECT / "artifacts" / "bench.json"


def _whole(text: str) -> int:
    if not text.replace("_", "").isdigit() or int(text) < 1:
        raise ValueError("a whole number of 1 or more")
    return int(text)


def parser() -> argparse.ArgumentParser:
    made = cli.parser(
        "benchmarks.run",
        "Measure the Bronze job beside a textbook Structured Streaming job, on a broker and in a data folder of their own. "
        "Goals are printed, not asserted. Exit code 1: a contender's table differs from what was sent.",
        (
            "make bench",
            "python -m benchmarks.run --sales 2000000 --repeat 3",
            "python -m benchmarks.run --only latency --latency-seconds 300",
            "python -m benchmarks.run --sales 20000 --latency-seconds 10 --output /tmp/bench.json --keep",
        ),
    )
    number = cli.checked(_whole)
    option = made.add_argument
    option("--sales", type=number, default=2_000_000, metavar="N", help="sales to drain (default: %(default)s)")
    option("--repeat", type=number, default=1, metavar="N", help="turns of each contender's drain (default: 1)")
    option(
        "--latency-seconds", type=number, default=60, metavar="N",
        help="length of the latency measurement of each contender (default: %(default)s)",
    )  # fmt: skip
    option("--only", choices=("drain", "latency"), help="measure this alone (default: both)")
    option("--output", type=Path, default=OUTPUT, metavar="FILE", help="all figures as JSON (default: %(default)s)")
    option("--keep", action="store_true", help="keep the data folder, with the contenders' tables and logs")
    return made


def settings_of(config: Config, home: Path, topic: str) -> Config:
    """The user's settings, but for the folder, the broker, the topic and the read from the topic's start."""
    kafka = dataclasses.replace(
        config.kafka, bootstrap_servers=f"localhost:{free_port()}", controller_port=0, create_topic=True,
        partitions=PARTITIONS, replication_factor=1, retention=timedelta(days=7), security_protocol="PLAINTEXT",
    )  # fmt: skip
    streaming = dataclasses.replace(config.streaming, starting_offsets="earliest")
    return contenders.configured(dataclasses.replace(config, kafka=kafka, streaming=streaming), home, topic)


@contextlib.contextmanager
def data_folder(base: str, *, keep: bool) -> Iterator[Path]:
    """A new folder on the disk that holds the user's data, removed at the end."""
    if "://" in base:
        raise ConfigError(
            f"[DELTA] base_path = {base} is a URI; the benchmark needs a folder: VENTES_DELTA__BASE_PATH=data"
        )
    parent = Path(base) / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield home
    finally:
        if keep:
            _say(f"kept: {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _drained(run: DrainRun) -> None:
    _say(
        f"  {run.contender}: {run.seconds:.1f} s, {run.rate:,.0f} sales/s{'' if run.correct else ', the table DIFFERS'}"
    )


def measure_drain(
    config: Config, home: Path, args: argparse.Namespace
) -> tuple[list[DrainRun], Consumed, preload.Truth]:
    """Fill the topic, read it with Kafka's own tool (which also brings it into the page cache), then let all take turns."""
    _say(f"filling a topic with {args.sales:,} sales")
    truth = preload.fill(config, args.sales, home / "preload.log")
    size = truth.value_bytes / truth.sales
    _say(f"  {truth.seconds:.1f} s, {truth.sales / truth.seconds:,.0f} sales/s, {size:.0f} bytes each")
    consumed = kafka_tools.consumer_performance(config, args.sales)
    _say(f"draining: {args.repeat} × {', '.join(each.name for each in CONTENDERS)}")
    return drain.take_turns(config, home, CONTENDERS, args.repeat, truth, _drained), consumed, truth


def measure_latency(config: Config, home: Path, args: argparse.Namespace) -> list[LatencyRun]:
    """One contender after the other, each with a topic of its own."""
    runs = []
    for each in CONTENDERS:
        _say(
            f"latency of {each.name}: {latency.WARM_UP + args.latency_seconds + latency.COOL_DOWN:.0f} s after its start"
        )
        own = contenders.configured(config, home / f"latency-{each.name}", f"latency_{each.name}")
        runs.append(latency.measure(each, own, args.latency_seconds))
        _say(f"  p50 {runs[-1].p50:.2f} s, p99 {runs[-1].p99:.2f} s")
    return runs


def body(args: argparse.Namespace, config: Config) -> int:
    interrupt_on_signals()
    for which in jars.SETS:
        jars.resolve(config, which)
    found: dict[str, Any] = about.collect(config)
    runs: list[DrainRun] = []
    latencies: list[LatencyRun] = []
    consumed = None
    console = Console(width=None if sys.stdout.isatty() else 132)
    with data_folder(config.delta.base_path, keep=args.keep) as home:
        own = settings_of(config, home, "drain")
        with Broker(own):
            if args.only != "latency":
                runs, consumed, truth = measure_drain(own, home, args)
                found["drain"] = _drain_figures(runs, consumed, truth)
            if args.only != "drain":
                latencies = measure_latency(own, home, args)
                figures = [dataclasses.asdict(run) for run in latencies]
                found["latency"] = {"rate": latency.RATE, "seconds": args.latency_seconds, "runs": figures}
    ratios = report.ratios(runs, consumed, latencies)
    found["ratios"] = [{**dataclasses.asdict(ratio), "verdict": ratio.verdict} for ratio in ratios]
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    console.print(report.headline(found), highlight=False)
    if runs:
        console.print(report.drain_table(runs, consumed, args.sales, {each.name: each.does for each in CONTENDERS}))
    if latencies:
        console.print(report.latency_table(latencies, latency.RATE, args.latency_seconds))
    console.print(report.ratio_table(ratios))
    print(f"All figures: {args.output}")
    return 0 if all(run.correct for run in runs) else 1


def _drain_figures(runs: Sequence[DrainRun], consumed: Consumed, truth: preload.Truth) -> dict[str, Any]:
    derived = [
        {
            **dataclasses.asdict(run),
            "rate": run.rate,
            "processing_rate": run.processing_rate,
            "cpu_per_million": run.cpu_per_million,
        }
        for run in runs
    ]
    return {"truth": dataclasses.asdict(truth), "consumer_performance": dataclasses.asdict(consumed), "runs": derived}


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(parser(), body, argv)


if __name__ == "__main__":
    sys.exit(main())
