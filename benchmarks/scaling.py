"""How the pipeline scales on one machine: ``make scaling``, or ``python -m benchmarks.scaling --help``.

- **partitions**: the same backlog in topics of 1, 2 and 4 partitions, read by Bronze in one process;
- **workers**: the backlog of 4 partitions, read by Bronze on a standalone cluster of 1 and 2 workers with one core each;
- **state**: Bronze's deduplication state filled to ``--ids`` and kept there, in the Java heap and in RocksDB;
- **silver**: ``--clients`` × ``--days`` of Bronze into the six tables: the first build, then a pass over one new day, then one over
  late sales of all days.

``--write`` puts each figure, as soon as it is there, and the projection's inputs that follow from it, into docs/scaling.json;
docs/generate.py makes the tables of docs/SCALING.md from it. One part, or one case of it, leaves the others as they are. It is
refused when the machine was busy before the start, unless ``--busy-ok``; the page shows the load.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import QueryBuilder

from benchmarks import about, big_lake, contenders, drain, preload
from benchmarks.contenders import OURS
from benchmarks.run import _say, _whole, data_folder, settings_of
from benchmarks.scaling_file import TITLES, Row, put
from lakehouse import cli
from lakehouse.child_processes import interrupt_on_signals
from lakehouse.config import PROJECT, Config
from lakehouse.contract.tables import AGGREGES, VENTES
from lakehouse.errors import LakehouseError
from lakehouse.kafka.broker.node import Broker
from lakehouse.lake import table_handle
from tests.support.clusters import Cluster

FILE = PROJECT / "docs" / "scaling.json"
OUTPUT = PROJECT / "artifacts" / "scaling.json"
STORES = ("memory", "rocksdb")
PATIENCE = 900.0
"""Seconds for one state store, or one Silver pass: a heap that is nearly full collects garbage for hours."""
QUIET = 0.5
"""Load of the machine above which nothing is written into the documents."""


def with_partitions(config: Config, count: int) -> Config:
    kafka = dataclasses.replace(config.kafka, partitions=count, topic=f"{config.kafka.topic}_{count}")
    return dataclasses.replace(config, kafka=kafka)


def drained(name: str, config: Config, truth: preload.Truth, case: Row) -> Row:
    """One drain in a folder of its own; raises ``LakehouseError`` when the table is not what was sent."""
    folder = Path(config.delta.base_path) / name
    run = drain.drain(OURS, contenders.configured(config, folder, config.kafka.topic), 1, truth)
    if not run.correct:
        raise LakehouseError(f"{name}: Bronze holds {run.held}, not the {truth.sales:,} sales that were sent.")
    _say(f"  {name}: {run.processing_rate:,.0f} sales/s while processing")
    size = sum(path.stat().st_size for path in Path(VENTES.path(str(folder))).rglob("*.parquet"))
    return {
        **case, "sales": truth.sales, "start to exit s": run.seconds, "sales/s": run.rate,
        "sales/s processing": run.processing_rate, "CPU s per million": run.cpu_per_million, "peak MB": run.peak_mb,
        "Bronze bytes per sale": size / truth.sales,
    }  # fmt: skip


def measure_partitions(config: Config, args: argparse.Namespace) -> Iterator[Row]:
    for count in (1, 2, 4):
        own = with_partitions(config, count)
        truth = preload.fill(own, args.sales, Path(config.delta.base_path) / f"preload-{count}.log")
        row = drained(f"partitions-{count}", own, truth, {"partitions": count})
        yield {**row, "Kafka bytes per sale": _log_bytes(own) / truth.sales}


def measure_workers(config: Config, args: argparse.Namespace) -> Iterator[Row]:
    own = with_partitions(dataclasses.replace(config, kafka=dataclasses.replace(config.kafka, topic="workers")), 4)
    home = Path(config.delta.base_path)
    truth = preload.fill(own, args.sales, home / "preload-workers.log")
    for count in (1, 2):
        with Cluster(config, home / f"cluster-{count}", workers=count) as cluster:
            conf = "spark.driver.host=127.0.0.1\nspark.driver.bindAddress=127.0.0.1\nspark.executor.memory=1g"
            spark = dataclasses.replace(own.spark, master=cluster.master, conf=conf)
            row = drained(f"workers-{count}", dataclasses.replace(own, spark=spark), truth, {"workers": count})
        # the executors are the workers' children: the driver's share alone says nothing
        yield {name: value for name, value in row.items() if name not in ("CPU s per million", "peak MB")}


def measure_state(config: Config, args: argparse.Namespace) -> Iterator[Row]:
    batch = max(1, min(500_000, args.ids // 20))
    for store in [args.store] if args.store else STORES:
        folder = Path(config.delta.base_path) / f"state-{store}"
        folder.mkdir(parents=True)
        own = contenders.configured(config, folder, config.kafka.topic)
        own = dataclasses.replace(
            own, streaming=dataclasses.replace(own.streaming, state_store=store),
            spark=dataclasses.replace(own.spark, driver_memory=args.state_heap),
        )  # fmt: skip
        command = [sys.executable, "-m", "benchmarks.state_job", f"--ids={args.ids}", f"--rows={batch}"]
        job = contenders.measured(own, "state", command, PROJECT)
        case = {"store": store, "heap": args.state_heap, "identities": args.ids, "new a batch": batch}
        try:
            with job:
                usage = job.wait(PATIENCE)
        except LakehouseError as failure:  # an answer too: it does not fit
            _say(f"  {store}: {str(failure).splitlines()[-1][:200]}")
            outcome = "does not fit into the heap" if _out_of_memory(job.log) else str(failure).splitlines()[0]
            yield {**case, "outcome": outcome}
            continue
        made = json.loads(job.log.read_text(encoding="utf-8").splitlines()[-1])
        settled, end = made["settled"], made["end"]
        if made["dropped"] or not 0.8 * args.ids <= made["ids"] <= 1.2 * args.ids:
            raise LakehouseError(f"The state was not what was wanted: {made}")
        yield {
            **case, "outcome": "fits", "state bytes per identity": settled["state_mb"] * 1e6 / made["ids"],
            "JVM MB settled": settled["jvm_mb"], "JVM MB at the end": end["jvm_mb"],
            "batches between": end["batch"] - settled["batch"],
            "batch ms": made["batch_ms"], "peak MB": usage.peak_mb,
            "CPU s per million": None if usage.cpu_seconds is None else usage.cpu_seconds / made["rows"] * 1e6,
        }  # fmt: skip


def measure_silver(config: Config, args: argparse.Namespace) -> Iterator[Row]:
    base = str(Path(config.delta.base_path) / "silver-lake")
    own = contenders.configured(config, Path(base), config.kafka.topic)
    last, first = datetime.now(UTC).date(), datetime.now(UTC).date() - timedelta(days=args.days - 1)
    day = big_lake.one_day(args.clients, first, clients=args.clients)
    for number in range(args.days - 1):
        big_lake.append(base, big_lake.moved(day, number, first + timedelta(days=number)))
    yield _silver_pass(own, "first build", args.clients * (args.days - 1))
    big_lake.append(base, big_lake.moved(day, args.days - 1, last))
    yield _silver_pass(own, "one new day", args.clients)
    share = max(1, args.clients // args.days)
    late = [big_lake.moved(day.slice(0, share), n + 10_000, first + timedelta(days=n)) for n in range(args.days)]
    # the number in the id says that they are new; their day is an old one
    big_lake.append(base, pa.concat_tables(_shifted(one, first, n) for n, one in enumerate(late)))
    yield _silver_pass(own, "late sales of all days", share * args.days)


def _shifted(sales: pa.Table, first: Any, number: int) -> pa.Table:
    """``moved`` set the times by its number; these lie in the ``number``-th day."""
    moment = datetime.combine(first + timedelta(days=number), datetime.min.time(), UTC)
    times = pa.array([moment + timedelta(seconds=row) for row in range(len(sales))], pa.timestamp("us", "UTC"))
    return sales.set_column(sales.schema.get_field_index("timestamp"), "timestamp", times)


def _silver_pass(config: Config, step: str, sales: int) -> Row:
    job = contenders.measured(config, "silver", [sys.executable, str(PROJECT / "streaming_silver.py")])
    with job:
        usage = job.wait(PATIENCE)
    base = config.delta.base_path
    bronze = _one(VENTES.path(base), "SELECT count(*) AS n, sum(montant) AS m FROM t")
    silver = _one(AGGREGES.path(base), "SELECT sum(nb_achats) AS n, sum(total_depense) AS m FROM t")
    if bronze != silver:
        raise LakehouseError(f"{step}: Silver holds {silver}, Bronze {bronze}.")
    _say(f"  silver, {step}: {usage.seconds:.1f} s for {sales:,} sales")
    return {
        "step": step, "sales": sales, "start to exit s": usage.seconds, "peak MB": usage.peak_mb,
        "CPU s per million": None if usage.cpu_seconds is None else usage.cpu_seconds / sales * 1e6,
    }  # fmt: skip


def _one(path: str, sql: str) -> tuple[int, Decimal]:
    (row,) = pa.table(QueryBuilder().register("t", table_handle.opened(path)).execute(sql).read_all()).to_pylist()
    return int(row["n"]), Decimal(row["m"])


def _log_bytes(config: Config) -> int:
    """What the topic takes on the embedded broker's disk."""
    found = Path(config.delta.base_path).rglob(f"{config.kafka.topic}-*/*.log")
    return sum(path.stat().st_size for path in found)


def _out_of_memory(log: Path) -> bool:
    text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in log.parent.rglob("*.log"))
    return "OutOfMemoryError" in text or "GC overhead" in text


MEASURES: dict[str, Callable[[Config, argparse.Namespace], Iterator[Row]]] = {
    "partitions": measure_partitions, "workers": measure_workers, "state": measure_state, "silver": measure_silver,
}  # fmt: skip


def parser() -> argparse.ArgumentParser:
    made = cli.parser(
        "benchmarks.scaling",
        "Measure how Bronze and Silver scale on this machine, on a broker and in a data folder of their own.",
        (
            "make scaling",
            "python -m benchmarks.scaling state --ids 1000000",
            "python -m benchmarks.scaling state --store rocksdb --write",
        ),
    )
    number = cli.checked(_whole)
    option = made.add_argument
    option("only", nargs="*", choices=[[], *MEASURES], metavar="WHAT", help=f"{', '.join(MEASURES)} (default: all)")
    option("--sales", type=number, default=1_000_000, metavar="N", help="backlog (default: %(default)s)")
    option("--ids", type=number, default=10_000_000, metavar="N", help="identities in the state (default: %(default)s)")
    option("--store", choices=STORES, help="this state store alone (default: both)")
    option("--state-heap", default="4g", metavar="SIZE", help="Java heap of the state's job (default: %(default)s)")
    option("--clients", type=number, default=10_000, metavar="N", help="Silver's clients (default: %(default)s)")
    option("--days", type=number, default=365, metavar="N", help="Silver's days (default: %(default)s)")
    option("--write", action="store_true", help="put the figures into docs/scaling.json, on a quiet machine only")
    option("--busy-ok", action="store_true", help="write figures of a busy machine too; the page shows its load")
    option("--keep", action="store_true", help="keep the data folder")
    return made


def body(args: argparse.Namespace, config: Config) -> int:
    load = os.getloadavg()[0]
    if args.write and load > QUIET and not args.busy_ok:
        raise LakehouseError(
            f"The load of this machine is {load:.1f}: figures for the documents need {QUIET} or less. "
            "Wait, leave --write out, or say --busy-ok."
        )
    interrupt_on_signals()
    who = about.collect(config)
    target = FILE if args.write else OUTPUT
    if not args.write:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(FILE, target)
    with data_folder(config.delta.base_path, keep=args.keep) as home:
        own = settings_of(config, home, "drain")
        with Broker(own):
            for name in args.only or MEASURES:
                _say(name)
                for row in MEASURES[name](own, args):
                    _say(f"  {row}")
                    put(target, who, TITLES[name], row)
    print(f"All figures: {target}" + ("" if not args.write else "   Now type: .venv/bin/python docs/generate.py"))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(parser(), body, argv)


if __name__ == "__main__":
    sys.exit(main())
