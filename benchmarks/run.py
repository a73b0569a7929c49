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

from benchmarks import about, contenders, goals, latency, page, publish, report, sections
from benchmarks.sections import LONG, SECTIONS, SHORT
from lakehouse import atomic_file, cli
from lakehouse.child_processes import interrupt_on_signals
from lakehouse.config import PROJECT, Config, paths
from lakehouse.errors import ConfigError
from lakehouse.jvm import jars
from lakehouse.kafka.broker.node import Broker
from lakehouse.kafka.broker.properties import free_port

PARTITIONS = 4
OUTPUT = PROJECT / "artifacts" / "bench.json"


def _whole(text: str) -> int:
    if not text.replace("_", "").isdigit() or int(text) < 1:
        raise ValueError("a whole number of 1 or more")
    return int(text)


def parser() -> argparse.ArgumentParser:
    made = cli.parser(
        "benchmarks.run",
        "Measure the project beside what a user would write instead, on a broker and in data folders of its own. Goals are "
        "printed, not asserted. Exit code 1: a contender's table differs from what was sent, or a section gave no figures.",
        (
            "make bench",
            "make bench-quick",
            "python -m benchmarks.run --only drain --sales 2000000 --repeat 1",
            "python -m benchmarks.run --only soak --soak-minutes 30 --write",
            "python -m benchmarks.run --only silver --history 2000000",
        ),
    )
    number = cli.checked(_whole)
    option = made.add_argument
    listed = "; ".join(f"{name}: {one.title}" for name, one in SECTIONS.items())
    option("--only", nargs="+", choices=tuple(SECTIONS), metavar="SECTION", help=f"{listed} (default: the first six)")
    option("--long", action="store_true", help=f"{', '.join(LONG)} instead: about three hours")
    option("--quick", action="store_true", help="fewer sales and one turn: about 5 minutes, for no document")
    option("--sales", type=number, metavar="N", help="sales to drain (default: 5,000,000; quick 200,000)")
    option("--repeat", type=number, metavar="N", help="turns of each contender (default: 3; quick 1)")
    option(
        "--rate",
        type=number,
        default=latency.RATE,
        metavar="N",
        help="latency, soak: sales a second (default: %(default)s)",
    )
    option("--latency-seconds", type=number, metavar="N", help="each contender's window (default: 60; quick 15)")
    option("--soak-minutes", type=number, default=30, metavar="N", help="length of the soak (default: %(default)s)")
    option(
        "--soak-held",
        type=number,
        default=0,
        metavar="N",
        help="soak: on-time sales that the topic holds before it starts, as after a longer run (default: none)",
    )
    option(
        "--history",
        type=number,
        default=50_000_000,
        metavar="N",
        help="silver: rows of the larger history (default: %(default)s)",
    )
    option(
        "--explorer-sales",
        type=number,
        metavar="N",
        help="explorer: sales in its lake (default: 5,000,000; quick 300,000)",
    )
    option("--minutes", type=number, default=60, metavar="N", help="memory: length of the run (default: %(default)s)")
    option(
        "--low-rate-minutes", type=number, default=5, metavar="N", help="low-rate: the window (default: %(default)s)"
    )
    option("--count", type=number, metavar="N", help="producer: messages of a turn (default: 300,000; quick 50,000)")
    option("--output", type=Path, default=OUTPUT, metavar="FILE", help="all figures as JSON (default: %(default)s)")
    option("--write", action="store_true", help="put the figures into docs/benchmarks.json and docs/BENCHMARKS.md")
    option("--keep", action="store_true", help="keep the data folder, with the contenders' tables and logs")
    return made


SIZES = {
    "sales": (5_000_000, 200_000), "repeat": (3, 1), "latency_seconds": (60, 15), "explorer_sales": (5_000_000, 300_000),
    "count": (300_000, 50_000),
}  # fmt: skip
"""(full, quick) of what was not given."""


def completed(args: argparse.Namespace) -> argparse.Namespace:
    """The arguments with every size filled in. Raises ``ConfigError`` for a combination that makes no sense."""
    if args.quick and args.write:
        raise ConfigError("--quick with --write: figures of a quick run stand in no document. Leave one of them out.")
    if args.soak_held and args.write:
        raise ConfigError("--soak-held with --write: goal 16 is about a run from its start. Leave one of them out.")
    if args.only and args.long:
        raise ConfigError("--only and --long: name the sections, or leave --only out.")
    sizes = {name: pair[args.quick] for name, pair in SIZES.items() if getattr(args, name) is None}
    chosen = args.only or (LONG if args.long else SHORT)
    return argparse.Namespace(**{**vars(args), **sizes, "only": [name for name in SECTIONS if name in chosen]})


def command_of(name: str, args: argparse.Namespace) -> str:
    """What to type for one section's figures again."""
    used = {
        "drain": ("sales", "repeat"), "latency": ("rate", "latency_seconds"), "soak": ("rate", "soak_minutes", "soak_held"),
        "silver": ("history", "repeat"), "explorer": ("explorer_sales",), "start": ("repeat",), "first-hour": (), "memory": ("minutes",),
        "low-rate": ("low_rate_minutes",),
        "producer": ("count", "repeat"),
    }[name]  # fmt: skip
    given = " ".join(f"--{one.replace('_', '-')} {getattr(args, one)}" for one in used if getattr(args, one))
    return f"python -m benchmarks.run --only {name} {given}"


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
    if paths.is_uri(base):
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


def body(args: argparse.Namespace, config: Config) -> int:
    args = completed(args)
    interrupt_on_signals()
    for which in jars.SETS:
        jars.resolve(config, which)
    found: dict[str, Any] = {"sections": {}}
    failed: list[str] = []
    console = Console(width=None if sys.stdout.isatty() else 150)
    with data_folder(config.delta.base_path, keep=args.keep) as home, contextlib.ExitStack() as stack:
        own = settings_of(config, home, "drain")
        started = False
        for name in args.only:
            section, who = SECTIONS[name], about.collect(config)
            _say(f"{name}: {section.title}")
            if section.broker and not started:
                stack.enter_context(Broker(own))
                started = True
            # the whole default pipeline and the start have brokers of their own, with settings of their own
            figures = sections.measured(name, own if section.broker else config, home, args, _say)
            if figures is None:
                failed.append(f"{name}: no figures")
                continue
            failed += sections.wrong(name, figures)
            found["sections"][name] = {"about": who, "command": command_of(name, args), "figures": figures}
            _written(found, args)
            for grid in page.GRIDS[name](figures):
                console.print(report.terminal(grid), highlight=False)
    console.print(report.headline(about.collect(config)), highlight=False)
    console.print(report.terminal(goals.grid(found["sections"])), highlight=False)
    print(f"All figures: {args.output}" + (f"   The page: {publish.PAGE}" if args.write else ""))
    for one in failed:
        print(f"not as it should be: {one}", file=sys.stderr)
    return 1 if failed else 0


def _written(found: dict[str, Any], args: argparse.Namespace) -> None:
    """After each section: an hour's figures do not wait for the next section's end."""
    args.output.parent.mkdir(parents=True, exist_ok=True)
    atomic_file.write(args.output, json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    if args.write:
        publish.merge(found["sections"])


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(parser(), body, argv)


if __name__ == "__main__":
    sys.exit(main())
