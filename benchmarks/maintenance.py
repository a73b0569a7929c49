"""Does a table with a commit a second stay bounded? ``python -m benchmarks.maintenance --hours 24``. No JVM, no broker.

86,400 one-second batches are put into the log of ``ventes_stream``, each with a file of its own, as an append of Spark
writes them (the entry is written by hand: a day of real appends takes hours). At every 60 small files ``deltalake``
merges the open day and writes a checkpoint of the log, as Spark's auto-compaction and checkpoints do; each hour the job's
own round runs (``lakehouse.maintenance.scheduler``). The clock is the
simulation's: a small library that is compiled here and preloaded moves ``clock_gettime``, for Rust and Python alike, so
that an hour of batches takes as long as its work and ages are those of a real day. Needs ``cc``, and Linux.

``--checkpoint 400`` instead runs the real Bronze job, with a broker and a producer, until so many batches are committed,
and prints the files of its streaming checkpoint at every 50: Spark keeps the last 100 batches.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
static int (*real)(clockid_t, struct timespec *);
static volatile long long *ahead;
int clock_gettime(clockid_t which, struct timespec *out) {
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(which, out);
    if (which != CLOCK_REALTIME || code) return code;
    if (!ahead) {
        int file = open(getenv("SIMULATED_CLOCK"), O_RDONLY);
        ahead = mmap(0, 8, PROT_READ, MAP_SHARED, file, 0);
    }
    long long total = out->tv_sec * 1000000000LL + out->tv_nsec + *ahead;
    out->tv_sec = total / 1000000000LL;
    out->tv_nsec = total % 1000000000LL;
    return code;
}
"""


class Clock:
    """How far the simulation is ahead of the machine."""

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as stream:
            self._memory = mmap.mmap(stream.fileno(), 8)
        self._ahead = 0

    def move(self, seconds: float) -> None:
        self._ahead += int(seconds * 1e9)
        self._memory[:8] = struct.pack("<q", self._ahead)


class Appends:
    """Commits of one row each, every one with a file of its own: a link to the file of the first."""

    def __init__(self, path: str, first: Path) -> None:
        self._path, self._first, self._size = Path(path), first, first.stat().st_size

    def commit(self, version: int, now: datetime) -> None:
        milliseconds, day = int(now.timestamp() * 1000), str(now.date())
        name = f"jour={day}/part-{uuid.uuid4()}.parquet"
        (self._path / f"jour={day}").mkdir(exist_ok=True)
        os.link(self._first, self._path / name)
        actions = (
            {"commitInfo": {"timestamp": milliseconds, "operation": "WRITE", "operationParameters": {}}},
            {
                "add": {
                    "path": name, "partitionValues": {"jour": day}, "size": self._size, "modificationTime": milliseconds,
                    "dataChange": True, "stats": '{"numRecords":1}',
                }
            },
        )  # fmt: skip
        entry = self._path / "_delta_log" / f"{version:020}.json"
        with entry.open("x", encoding="utf-8") as stream:
            stream.write("\n".join(map(json.dumps, actions)) + "\n")


def simulate(hours: float, base: str) -> None:
    """A line for each hour: files that the table is made of, files on disk, entries of the log, seconds of the round."""
    from lakehouse import config as settings
    from lakehouse.contract.tables import VENTES
    from lakehouse.lake import table_handle, table_settings
    from lakehouse.maintenance import compaction, scheduler
    from tests.support import lakes

    config, clock = settings.load(), Clock(Path(os.environ["SIMULATED_CLOCK"]))
    path, row = VENTES.path(base), lakes.sales(1)[0]
    first = {**row, "jour": datetime.now(UTC).date()}
    table_handle.write(
        path, lakes.arrow_table(VENTES, [first]), partition_by=["jour"],
        configuration=table_settings.wanted_properties(VENTES, config),
    )  # fmt: skip
    (file,) = Path(path).rglob("*.parquet")
    keep = Path(base) / "first.parquet"
    os.link(file, keep)
    appends, version = Appends(path, keep), 0
    batches = round(hours * 3600)
    for batch in range(1, batches + 1):
        began, version = time.monotonic(), version + 1
        now = datetime.now(UTC)
        appends.commit(version, now)
        if batch % config.delta.auto_compact_min_files == 0:
            compaction.merge_small(config, VENTES, at_least=config.delta.auto_compact_min_files)
            table = table_handle.opened(path)
            table.create_checkpoint()
            version = table.version()
        clock.move(1 - (time.monotonic() - began))
        if batch % min(3600, batches) == 0:
            before, began = _counts(path), time.monotonic()
            scheduler.run(config, "bronze")
            seconds, table = time.monotonic() - began, table_handle.opened(path)
            version = table.version()
            print(_line(batch / 3600, before, path, table, seconds), flush=True)


def _counts(path: str) -> tuple[int, int]:
    """Data files and log files on disk."""
    log = sum(not one.name.startswith("_") for one in os.scandir(Path(path, "_delta_log")))
    return sum(one.parent.name != "_delta_log" for one in Path(path).rglob("*.parquet")), log


def _line(hour: float, before: tuple[int, int], path: str, table: Any, seconds: float) -> str:
    after = _counts(path)
    log = Path(path, "_delta_log")
    checkpoint = max((one.stat().st_size for one in log.glob("*.parquet")), default=0)
    return (
        f"hour {hour:2g}: version {table.version():6}, live files {len(table.file_uris()):4}, files on disk {before[0]:6} before "
        f"and {after[0]:6} after the round, log files {before[1]:6} and {after[1]:6}, largest checkpoint "
        f"{checkpoint / 1e6:.1f} MB, round {seconds:.1f} s"
    )


def checkpoint_files(batches: int, base: Path) -> None:
    """A line for every 50 batches: the files of the Bronze job's streaming checkpoint."""
    from lakehouse.config import Rate
    from lakehouse.kafka.broker.node import Broker
    from lakehouse.kafka.broker.properties import free_port
    from tests.support.harness import Lake, config_of

    address = f"localhost:{free_port()}"
    config = config_of(base / "lake", address, "maintenance")
    with Broker(config_of(base / "broker", address, "unused")):
        lake = Lake(config)
        lake.start("producer_ventes.py", rate=Rate(20))
        job = lake.start("spark_streaming_delta.py")
        seen = 0
        while seen < batches and job.alive:
            time.sleep(0.5)
            done = lake.committed()
            if done and done[-1] >= seen + 50:
                seen = done[-1] - done[-1] % 50
                folder = lake.checkpoint()
                counts = ", ".join(
                    f"{name} {sum(one.is_file() for one in (folder / name).rglob('*'))}"
                    for name in ("offsets", "commits", "state", "sources")
                )
                print(f"batch {done[-1]}: {counts}", flush=True)
        lake.end()


def main() -> int:
    parser = argparse.ArgumentParser(description="Simulate one-second batches with the job's own maintenance.")
    parser.add_argument("--hours", type=float, default=24, help="a part of one has one round, at its end")
    parser.add_argument("--checkpoint", type=int, metavar="N", help="run the real Bronze job for N batches instead")
    args = parser.parse_args()
    hours = args.hours
    if args.checkpoint:
        with tempfile.TemporaryDirectory() as folder:
            checkpoint_files(args.checkpoint, Path(folder))
        return 0
    if "SIMULATED_CLOCK" in os.environ:
        simulate(hours, os.environ["VENTES_DELTA__BASE_PATH"])
        return 0
    with tempfile.TemporaryDirectory() as folder:
        source, library, clock = (Path(folder) / name for name in ("clock.c", "clock.so", "clock"))
        source.write_text(SHIM, encoding="ascii")
        clock.write_bytes(bytes(8))
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
        began = time.monotonic()
        code = subprocess.run(
            [sys.executable, "-m", "benchmarks.maintenance", "--hours", str(hours)],
            env={
                **os.environ, "LD_PRELOAD": str(library), "SIMULATED_CLOCK": str(clock),
                "VENTES_DELTA__BASE_PATH": f"{folder}/lake",
            },
            check=False,
        ).returncode  # fmt: skip
        print(f"{hours:g} hours of one-second batches in {time.monotonic() - began:.0f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())
