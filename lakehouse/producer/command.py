"""``producer_ventes.py``: its options, and the run that they ask for."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from lakehouse import cli
from lakehouse.config import PARSERS, Config, parse_float, parse_rate
from lakehouse.contract.sale import parse_moment
from lakehouse.observability import process
from lakehouse.producer import producer


def _ratio(text: str) -> float:
    value = parse_float(text)
    if not 0 <= value <= 1:
        raise ValueError("a number from 0 to 1")
    return value


def _whole(text: str) -> int:
    return int(PARSERS[int](text))


def _count(text: str) -> int:
    value = _whole(text)
    if value < 1:
        raise ValueError("a whole number of 1 or more")
    return value


def _clients(text: str) -> int:
    value = _whole(text)
    high = 1_000_000
    if not 1 <= value <= high:
        raise ValueError(f"a whole number from 1 to {high}")
    return value


def _start(text: str) -> datetime:
    expected = "a time with an offset, from 1900-01-01 to now, such as 1997-06-01T08:00:00Z"
    try:
        value = parse_moment(text)
    except ValueError:
        raise ValueError(expected) from None
    if not datetime(1900, 1, 1, tzinfo=UTC) <= value <= datetime.now(UTC):
        raise ValueError(expected)
    return value


def parser() -> argparse.ArgumentParser:
    """The script's command line."""
    made = cli.parser(
        "producer_ventes.py",
        "Send sales to Kafka, until Ctrl-C or for --count messages. Exit code 0: every message was acknowledged.",
        [
            "python producer_ventes.py",
            "python producer_ventes.py --rate 100 --duplicate-ratio 0.05 --late-ratio 0.05 --malformed-ratio 0.05",
            "python producer_ventes.py --rate max --count 100000 --seed 7 --truth data/truth.jsonl",
            "python producer_ventes.py --rate max --count 5000 --seed 7 --start-time 1997-06-01T08:00:00Z",
        ],
    )
    option = made.add_argument
    option(
        "--rate",
        type=cli.checked(parse_rate),
        metavar="N",
        help="messages a second, or max for no pause (default: [PRODUCER] rate)",
    )
    option(
        "--count",
        type=cli.checked(_count),
        metavar="N",
        help="end after N messages, copies and malformed ones included (default: no end)",
    )
    option(
        "--seed",
        type=cli.checked(_whole),
        metavar="N",
        help="the same seed gives the same clients and sales; with --start-time the same bytes (default: new sales in "
        "each run, always the same clients)",
    )
    option(
        "--clients",
        type=cli.checked(_clients),
        metavar="N",
        help="clients in the pool (default: [PRODUCER] clients)",
    )
    for name, what in (
        ("duplicate", "an exact copy of one of the last 50 sales"),
        ("late", "late by more than the watermark delay, up to 3 days more"),
        ("malformed", "against the contract, in every way in turn"),
        ("return", "a return of one of the last 50 sales, or of a part of it"),
        ("cancel", "a cancellation of one of the last 50 sales"),
        ("correction", "a correction of one of the last 50 sales"),
    ):
        option(
            f"--{name}-ratio",
            type=cli.checked(_ratio),
            metavar="R",
            help=f"probability of each message to be {what} (default: [PRODUCER] {name}_ratio)",
        )
    option(
        "--truth",
        type=Path,
        metavar="FILE",
        help="append one JSON line for each message intended (prevu), acknowledged (acquitte) or failed (echec)",
    )
    option(
        "--start-time",
        type=cli.checked(_start),
        metavar="TIME",
        help="event time of the first sale; each next one is 1/rate later (1 s at rate max), never after now "
        "(default: events happen now)",
    )
    return made


def body(args: argparse.Namespace, config: Config) -> int:
    """Send until the count is reached or a signal comes; the exit code. The options go before the settings."""
    ratios = {f"{name}_ratio": getattr(args, f"{name}_ratio") for name in config.producer.ratios}
    chosen = producer.with_options(config, rate=args.rate, clients=args.clients, **ratios)
    with process.serve(config, "producer") as watched:
        order = producer.RunOptions(args.count, args.seed, args.truth, args.start_time)
        return producer.produce(chosen, order, monitor=watched)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script with ``argv`` (default: the process's own) and return its exit code."""
    return cli.run(parser(), body, argv)
