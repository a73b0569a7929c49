"""How the pipeline scales on one machine: ``make scaling``, or ``python -m benchmarks.scaling --help``.

- **partitions**: the same backlog in topics of 1, 2 and 4 partitions, read by Bronze in one process;
- **workers**: the backlog of 4 partitions, read by Bronze on a standalone cluster of 1 and 2 workers with one core each;
- **state**: Bronze's memory of recent sales filled to ``--ids`` and kept there, in the Java heap and in RocksDB;
- **silver**: ``--clients`` × ``--days`` of Bronze into the six tables: the first build, then a pass over one new day, then one over
  late sales of all days.

``--write`` puts the figures, and the projection's inputs that follow from them, into docs/scaling.json; docs/generate.py makes
the tables of docs/ARCHITECTURE.md from it. It is refused when the machine was busy before the start.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from benchmarks import about, big_lake, contenders, drain, preload
from benchmarks.contenders import OURS
from benchmarks.run import _say, _whole, data_folder, settings_of
from lakehouse import cli
from lakehouse.broker import Broker
from lakehouse.config import PROJECT, Config
from lakehouse.errors import LakehouseError
from lakehouse.processes import interrupt_on_signals
from lakehouse.tables import AGGREGES, VENTES
from tests.clusters import Cluster

FILE = PROJECT / "docs" / "scaling.json"
OUTPUT = PROJECT / "artifacts" / "scaling.json"
QUIET = 0.5
"""Load of the machine above which nothing is written into the documents."""
Row = dict[str, Any]


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


def measure_partitions(config: Config, args: argparse.Namespace) -> list[Row]:
    rows = []
    for count in (1, 2, 4):
        own = with_partitions(config, count)
        truth = preload.fill(own, args.sales, Path(config.delta.base_path) / f"preload-{count}.log")
        row = drained(f"partitions-{count}", own, truth, {"partitions": count})
        rows.append({**row, "Kafka bytes per sale": _log_bytes(own) / truth.sales})
    return rows


def measure_workers(config: Config, args: argparse.Namespace) -> list[Row]:
    own = with_partitions(dataclasses.replace(config, kafka=dataclasses.replace(config.kafka, topic="workers")), 4)
    home, rows = Path(config.delta.base_path), []
    truth = preload.fill(own, args.sales, home / "preload-workers.log")
    for count in (1, 2):
        with Cluster(config, home / f"cluster-{count}", workers=count) as cluster:
            conf = "spark.driver.host=127.0.0.1\nspark.driver.bindAddress=127.0.0.1\nspark.executor.memory=1g"
            spark = dataclasses.replace(own.spark, master=cluster.master, conf=conf)
            row = drained(f"workers-{count}", dataclasses.replace(own, spark=spark), truth, {"workers": count})
        # the executors are the workers' children: the driver's share alone says nothing
        rows.append({name: value for name, value in row.items() if name not in ("CPU s per million", "peak MB")})
    return rows


def measure_state(config: Config, args: argparse.Namespace) -> list[Row]:
    rows = []
    batch = max(1, min(500_000, args.ids // 20))
    for store in ("memory", "rocksdb"):
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
                usage = job.wait(1800)
        except LakehouseError as failure:  # an answer too: it does not fit
            _say(f"  {store}: {str(failure).splitlines()[-1][:200]}")
            rows.append({**case, "outcome": "does not fit into the heap" if _out_of_memory(job.log) else "failed"})
            continue
        made = json.loads(job.log.read_text(encoding="utf-8").splitlines()[-1])
        settled, end = made["settled"], made["end"]
        if made["dropped"] or not 0.8 * args.ids <= made["ids"] <= 1.2 * args.ids:
            raise LakehouseError(f"The state was not what was wanted: {made}")
        rows.append({
            **case, "outcome": "fits", "state bytes per identity": settled["state_mb"] * 1e6 / made["ids"],
            "JVM MB settled": settled["jvm_mb"], f"JVM MB {end['batch'] - settled['batch']} batches later": end["jvm_mb"],
            "batch ms": made["batch_ms"], "peak MB": usage.peak_mb,
        })  # fmt: skip
        _say(f"  {store}: {rows[-1]}")
    return _same_columns(rows)


def measure_silver(config: Config, args: argparse.Namespace) -> list[Row]:
    base = str(Path(config.delta.base_path) / "silver-lake")
    own = contenders.configured(config, Path(base), config.kafka.topic)
    last, first = datetime.now(UTC).date(), datetime.now(UTC).date() - timedelta(days=args.days - 1)
    day = big_lake.one_day(args.clients, first, clients=args.clients)
    for number in range(args.days - 1):
        big_lake.append(base, big_lake.moved(day, number, first + timedelta(days=number)))
    rows = [_silver_pass(own, "first build", args.clients * (args.days - 1))]
    big_lake.append(base, big_lake.moved(day, args.days - 1, last))
    rows.append(_silver_pass(own, "one new day", args.clients))
    share = max(1, args.clients // args.days)
    late = [big_lake.moved(day.slice(0, share), n + 10_000, first + timedelta(days=n)) for n in range(args.days)]
    # the number in the id says that they are new; their day is an old one
    big_lake.append(base, pa.concat_tables(_shifted(one, first, n) for n, one in enumerate(late)))
    rows.append(_silver_pass(own, "late sales of all days", share * args.days))
    return rows


def _shifted(sales: pa.Table, first: Any, number: int) -> pa.Table:
    """``moved`` set the times by its number; these lie in the ``number``-th day."""
    moment = datetime.combine(first + timedelta(days=number), datetime.min.time(), UTC)
    times = pa.array([moment + timedelta(seconds=row) for row in range(len(sales))], pa.timestamp("us", "UTC"))
    return sales.set_column(sales.schema.get_field_index("timestamp"), "timestamp", times)


def _silver_pass(config: Config, step: str, sales: int) -> Row:
    job = contenders.measured(config, "silver", [sys.executable, str(PROJECT / "streaming_silver.py")])
    with job:
        usage = job.wait(3600)
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
    (row,) = pa.table(QueryBuilder().register("t", DeltaTable(path)).execute(sql).read_all()).to_pylist()
    return int(row["n"]), Decimal(row["m"])


def _log_bytes(config: Config) -> int:
    """What the topic takes on the embedded broker's disk."""
    found = Path(config.delta.base_path).rglob(f"{config.kafka.topic}-*/*.log")
    return sum(path.stat().st_size for path in found)


def _out_of_memory(log: Path) -> bool:
    text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in log.parent.rglob("*.log"))
    return "OutOfMemoryError" in text or "GC overhead" in text


def _same_columns(rows: list[Row]) -> list[Row]:
    heads = list(dict.fromkeys(head for row in rows for head in row))
    return [{head: row.get(head, "–") for head in heads} for row in rows]


MEASURES: dict[str, Callable[[Config, argparse.Namespace], list[Row]]] = {
    "partitions": measure_partitions, "workers": measure_workers, "state": measure_state, "silver": measure_silver,
}  # fmt: skip
TITLES = {
    "partitions": "Partitions of the topic", "workers": "Workers of a standalone cluster",
    "state": "The memory of recent sales", "silver": "Silver",
}  # fmt: skip


def inputs_from(measured: dict[str, list[Row]]) -> dict[str, float]:
    """The projection's inputs that these figures give."""
    found: dict[str, float] = {}
    if drains := measured.get(TITLES["partitions"]):
        found["message_bytes"], found["bronze_bytes"] = (
            drains[-1][f"{what} bytes per sale"] for what in ("Kafka", "Bronze")
        )
        found["sales_per_core"] = 1e6 / drains[-1]["CPU s per million"]
    for row in measured.get(TITLES["state"], []):
        if row["outcome"] == "fits" and row["store"] == "memory":
            found["state_bytes"] = row["state bytes per identity"]
    for row in measured.get(TITLES["silver"], []):
        if row["step"] == "one new day":
            found["silver_sales_per_core"] = 1e6 / row["CPU s per million"]
    return found


def merged(kept: dict[str, Any], who: dict[str, Any], measured: dict[str, list[Row]]) -> dict[str, Any]:
    """docs/scaling.json with new figures in it; what was not measured this time stays."""
    origin = f"measured, `make scaling`, {who['date'][:10]}"
    inputs = {name: dict(one) for name, one in kept["inputs"].items()}
    for name, value in inputs_from(measured).items():
        inputs[name] |= {"value": float(f"{value:.3g}"), "origin": origin}
    return {"about": who, "measured": {**kept["measured"], **measured}, "inputs": inputs}


def parser() -> argparse.ArgumentParser:
    made = cli.parser(
        "benchmarks.scaling",
        "Measure how Bronze and Silver scale on this machine, on a broker and in a data folder of their own.",
        ("make scaling", "python -m benchmarks.scaling state --ids 1000000", "python -m benchmarks.scaling --write"),
    )
    number = cli.checked(_whole)
    option = made.add_argument
    option("only", nargs="*", choices=[[], *MEASURES], metavar="WHAT", help=f"{', '.join(MEASURES)} (default: all)")
    option("--sales", type=number, default=2_000_000, metavar="N", help="backlog (default: %(default)s)")
    option("--ids", type=number, default=10_000_000, metavar="N", help="identities in the state (default: %(default)s)")
    option("--state-heap", default="4g", metavar="SIZE", help="Java heap of the state's job (default: %(default)s)")
    option("--clients", type=number, default=10_000, metavar="N", help="Silver's clients (default: %(default)s)")
    option("--days", type=number, default=365, metavar="N", help="Silver's days (default: %(default)s)")
    option("--write", action="store_true", help="put the figures into docs/scaling.json, on a quiet machine only")
    option("--keep", action="store_true", help="keep the data folder")
    return made


def body(args: argparse.Namespace, config: Config) -> int:
    load = os.getloadavg()[0]
    if args.write and load > QUIET:
        raise LakehouseError(
            f"The load of this machine is {load:.1f}: figures for the documents need {QUIET} or less. Wait, or leave --write out."
        )
    interrupt_on_signals()
    who = about.collect(config)
    measured: dict[str, list[Row]] = {}
    with data_folder(config.delta.base_path, keep=args.keep) as home:
        own = settings_of(config, home, "drain")
        with Broker(own):
            for name in args.only or MEASURES:
                _say(name)
                measured[TITLES[name]] = MEASURES[name](own, args)
    target = FILE if args.write else OUTPUT
    target.parent.mkdir(parents=True, exist_ok=True)
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    target.write_text(json.dumps(merged(kept, who, measured), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"All figures: {target}" + ("" if not args.write else "   Now type: .venv/bin/python docs/generate.py"))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(parser(), body, argv)


if __name__ == "__main__":
    sys.exit(main())
