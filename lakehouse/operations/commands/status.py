"""``status``: every process in one table, and below it what each says is wrong."""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, tzinfo
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lakehouse import cli
from lakehouse.config import Config, parse_float
from lakehouse.contract.business_time import local_text
from lakehouse.errors import ConfigError
from lakehouse.explorer.formats import export
from lakehouse.explorer.formats.values import visible
from lakehouse.operations.commands.runner import Outcome, Subparsers, Work, verb
from lakehouse.operations.status import ProcessState, processes

COLOURS = {
    "running": "green",
    "starting": "yellow",
    "failing": "red",
    "dead": "bold red",
    "stopped": "dim",
    "unknown": "magenta",
}
_BAD = ("failing", "dead", "unknown")
_UNITS = {"_seconds": (1, " s"), "_bytes": (2**20, " MiB"), "_per_second": (1, "/s")}
"""A figure's ending → what one of its units is, and how that is written."""


def show(found: list[ProcessState], zone: tzinfo) -> None:
    """The table and the errors, on stdout. ``zone``: of the times."""
    console = cli.console()
    console.print(table(found, zone, wide=_wide(console)))
    for line in errors(found):
        console.print(line, soft_wrap=True)


def _wide(console: Console) -> bool:
    return console.width >= 110


def errors(found: list[ProcessState]) -> list[Text]:
    """What each process says is wrong, and its last error: whole, one line each, shown as text and never as markup."""
    return [Text.assemble((f"{one.name}: ", COLOURS[one.state]), visible(said)) for one in found for said in _said(one)]


def watch(
    look: Callable[[], list[ProcessState]],
    seconds: float,
    zone: tzinfo,
    *,
    json_lines: bool = False,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Show it every ``seconds``, in place on a terminal, one after the other elsewhere, until Ctrl-C, which ends it."""
    console = cli.console()
    with contextlib.suppress(KeyboardInterrupt):
        if json_lines or not console.is_terminal:
            while True:
                found = look()
                print(export.dumps(as_data(found)), flush=True) if json_lines else show(found, zone)
                wait(seconds)
        with Live(console=console, auto_refresh=False, screen=True) as live:
            while True:
                found = look()
                live.update(Group(table(found, zone, wide=_wide(console)), *errors(found)), refresh=True)
                wait(seconds)


def well(found: list[ProcessState]) -> bool:
    """Whether no process is dead, failing or unknown."""
    return all(one.state not in _BAD for one in found)


def as_data(found: list[ProcessState]) -> dict[str, Any]:
    """The processes for JSON; times in ISO 8601 with offset."""
    rows = [
        {**asdict(one), "reasons": list(one.reasons), "since": one.since.isoformat() if one.since else None}
        for one in found
    ]
    return {"time": datetime.now(UTC).isoformat(), "processes": rows}


def table(found: list[ProcessState], zone: tzinfo, *, wide: bool = False) -> Table:
    """The processes as a table; ``wide`` with all figures. What they say stands below: ``errors``."""
    made = Table(
        title=f"{local_text(datetime.now(UTC), zone)} {zone}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for name in ("process", "state", "since", "pid", "lag", "freshness"):
        made.add_column(name, no_wrap=True, justify="right" if name in ("pid", "lag", "freshness") else "left")
    if wide:
        made.add_column("figures")
    for one in found:
        figures = dict(one.figures)
        lag = figures.pop("lag_records", None)
        fresh = figures.pop("freshness_seconds", figures.pop("age_seconds", None))
        cells = [
            Text(one.name),
            Text(one.state, style=COLOURS[one.state]),
            Text(local_text(one.since, zone) if one.since else ""),
            Text(str(one.pid or "")),
            Text("" if lag is None else f"{lag:,.0f}"),
            Text("" if fresh is None else duration(fresh)),
        ]
        if wide:
            cells.append(Text(", ".join(_figure(name, value) for name, value in figures.items())))
        made.add_row(*cells)
    return made


def _said(one: ProcessState) -> list[str]:
    said = list(one.reasons)
    if one.last_error and not any(one.last_error in reason for reason in said):
        said.append(f"last error: {one.last_error}")
    return said


def _figure(name: str, value: float) -> str:
    for ending, (size, unit) in _UNITS.items():
        if name.endswith(ending):
            digits = f"{value / size:,.1f}".removesuffix(".0")
            return f"{name.removesuffix(ending).replace('_', ' ')} {digits}{unit}"
    return f"{name.replace('_', ' ')} {value:,.0f}"


def duration(seconds: float) -> str:
    """``2.4 s``, ``12 min``, ``3.0 h``, ``5.2 days``."""
    for limit, size, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.{0 if size == 60 else 1}f} {name}"
    return f"{seconds / 86400:.1f} days"


def add(subparsers: Subparsers) -> None:
    """Register ``status`` on the command line."""
    made = verb(
        subparsers, "status", status,
        examples=("python ops_utils.py status", "python ops_utils.py status --watch", "python ops_utils.py status --json", "python ops_utils.py status --exit-code"),
    )  # fmt: skip
    made.add_argument(
        "--watch", metavar="SECONDS", nargs="?", const=2.0, type=cli.checked(_seconds),
        help="look again every SECONDS (default 2) until Ctrl-C; with --json one line for each look",
    )  # fmt: skip

    made.add_argument(
        "--exit-code", action="store_true",
        help="for cron: say nothing while all are well, and otherwise only what is wrong; the exit code is 1 then",
    )  # fmt: skip


def _seconds(text: str) -> float:
    value = parse_float(text)
    if value <= 0:
        raise ValueError("a number of seconds above 0")
    return value


def status(args: argparse.Namespace, config: Config, work: Work) -> Outcome:
    """Show every process with its state, Bronze's lag and freshness, and the last error, as they are now: one that was
    killed is dead. Exit code 1 when one is dead, failing or does not answer."""
    if args.watch is not None and args.exit_code:
        raise ConfigError("--watch and --exit-code exclude each other: give one.")
    if args.watch is not None:
        watch(lambda: processes(config), args.watch, config.analytics.timezone, json_lines=work.json)
        return Outcome({})
    found = processes(config)
    code = 0 if well(found) else 1
    if args.exit_code:
        found = [one for one in found if one.state in _BAD]
    if found and not work.json:
        show(found, config.analytics.timezone)
    if args.exit_code and not found:
        return Outcome({}, silent=True)
    return Outcome(as_data(found), (), code, {one.name: one.state for one in found})
