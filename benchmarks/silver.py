"""Silver over much and over little history: the same new sales, and what a full recompute would take instead.

Two lakes of the same days and clients, of ``--history`` sales and of a hundredth of it, are written through ``deltalake``.
A warm process over each builds Silver once, which is the full recompute that goal 7 compares with. Then the same 50,000 new
sales come to both, in turns: all of today, or spread over 60 days; and 30 new sales of today. At the end every cell is compared with a recompute.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks import big_lake, contenders
from lakehouse.child_processes import die_with_parent
from lakehouse.config import PROJECT, Config
from lakehouse.errors import LakehouseError

DAYS, SPREAD, NEW, FEW = 365, 60, 50_000, 30
SMALL = 100
"""The large history over the small one: 50 million over 0.5 million."""
Row = dict[str, Any]


class Job:
    """``benchmarks.silver_job`` over one lake."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._log = Path(config.delta.base_path) / "silver-job.log"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.silver_job"], cwd=PROJECT, env=contenders.environment(config),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log.open("wb"), text=True, start_new_session=True,
            preexec_fn=die_with_parent,
        )  # fmt: skip
        self._answer()

    def ask(self, what: str) -> Row:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Row:
        assert self._process.stdout is not None
        while line := self._process.stdout.readline():
            if line.startswith("{"):
                found: Row = json.loads(line)
                return found
        raise LakehouseError(
            f"The Silver process ended: {self._log.read_text(encoding='utf-8', errors='replace')[-1500:]}"
        )

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(60)
        self._process.kill()
        self._process.wait()


def measure(config: Config, home: Path, history: int, repeat: int, say: Callable[[str], None]) -> Row:
    last = datetime.now(UTC).date()
    sizes = {"small": max(DAYS, history // SMALL), "large": history}
    new = big_lake.one_day(NEW, last, seed=12)
    builds: dict[str, Row] = {}
    runs: list[Row] = []
    with contextlib.ExitStack() as stack:
        jobs: dict[str, Job] = {}
        bases: dict[str, str] = {}
        for name, sales in sizes.items():
            own = contenders.configured(config, home / f"silver-{name}", config.kafka.topic)
            bases[name] = base = own.delta.base_path
            began = time.monotonic()
            fill(base, sales, last)
            say(f"  {sales:,} sales of history over {DAYS} days: written in {time.monotonic() - began:.0f} s")
            jobs[name] = Job(own)
            stack.callback(jobs[name].end)
            built = jobs[name].ask("full")
            builds[name] = {
                "sales": sales // DAYS * DAYS, "full_seconds": built["process_seconds"],
                "engine": built["engine"], "full_cpu_seconds": built["cpu_seconds"],
            }  # fmt: skip
            say(f"  {name}: full recompute {builds[name]['full_seconds']:.1f} s")
        for number, (kind, turn) in enumerate(turns(repeat)):
            sold = over(
                new.slice(0, FEW) if kind == "few" else new, SPREAD if kind == "spread" else 1, last, 9_000 + number
            )
            for name, job in jobs.items():
                big_lake.append(bases[name], sold)
                found = job.ask("pass")
                if found["sales"] != len(sold):
                    raise LakehouseError(f"The pass over {name} took {found['sales']:,} sales in, not {len(sold):,}.")
                if turn:  # the first of each kind warms the process up
                    runs.append({"history": name, "kind": kind, "turn": turn, **found})
                say(f"  {name}, {kind}, turn {turn}: {found['seconds']:.2f} s, {found['cpu_seconds']:.2f} CPU s")
        for name, job in jobs.items():
            compared = job.ask("verify")
            builds[name] |= {"differing_cells": compared["differences"], "verify_seconds": compared["process_seconds"]}
    return {
        "days": DAYS, "clients": big_lake.CLIENTS, "new": NEW, "few": FEW, "spread_days": SPREAD, "lakes": builds, "runs": runs,
    }  # fmt: skip


def turns(repeat: int) -> Iterator[tuple[str, int]]:
    """Two turns that only warm up, then the others; ``few``, ``today`` and ``spread`` one after the other."""
    for turn in (0, 0, *range(1, repeat + 1)):
        for kind in ("few", "today", "spread"):
            yield kind, turn


def fill(base: str, sales: int, last: date) -> None:
    """Bronze in one commit a day."""
    first = last - timedelta(days=DAYS - 1)
    day = big_lake.one_day(sales // DAYS, first)
    for number in range(DAYS):
        big_lake.append(base, big_lake.moved(day, number, first + timedelta(days=number)))


def over(new: pa.Table, days: int, last: date, number: int) -> pa.Table:
    """The new sales under ids of their own, on the last ``days`` days in equal parts."""
    part = len(new) // days
    made = []
    for back in range(days):
        rows = new.slice(back * part, None if back == days - 1 else part)
        shifted = rows
        for name in ("timestamp", "date_ingestion", "kafka_timestamp"):
            earlier = pc.subtract(rows[name], pa.scalar(timedelta(days=back), pa.duration("us")))
            shifted = shifted.set_column(rows.schema.get_field_index(name), name, earlier)
        ids = pc.binary_join_element_wise(pa.scalar(f"{number:04}"), rows["vente_id"], "-")
        shifted = shifted.set_column(0, "vente_id", ids)
        jour = pa.array([last - timedelta(days=back)] * len(rows), pa.date32())
        made.append(shifted.set_column(rows.schema.get_field_index("jour"), "jour", jour))
    return pa.concat_tables(made)


def typical(found: Row, history: str, kind: str, figure: str = "seconds") -> float:
    """The median over the turns. PURE."""
    return median(run[figure] for run in found["runs"] if run["history"] == history and run["kind"] == kind)
