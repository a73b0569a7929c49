"""How long ``reconcile`` takes: ``python -m benchmarks.reconcile 10_000_000``. No JVM, no broker.

The lake is written by ``deltalake`` in batches: Bronze with 5 % of the offsets left out as copies, rejects, and the six
Silver tables by DataFusion from Bronze. The two figures are those of a first run, and of one after a signed record.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from deltalake import QueryBuilder

from lakehouse.config import ENV_PREFIX, PROJECT
from lakehouse.contract.tables import REJETS, VENTES
from lakehouse.lake import table_handle
from lakehouse.operations.reconcile.silver import FIGURES, key_sql
from tests.support import job_lake, lakes

BATCH = 500_000
PARTITIONS = 4
START = datetime(2026, 11, 1, tzinfo=UTC)


def _sales(first: int, count: int, rng: random.Random) -> pa.Table:
    """One batch of Bronze: every 20th offset is a copy that was left out."""
    numbers = range(first, first + count)
    offsets = [number // PARTITIONS + number // PARTITIONS // 19 for number in numbers]
    moments = [START + timedelta(milliseconds=250 * number) for number in numbers]
    places = lakes.PLACES
    clients = [rng.randrange(1, 50_000) for _ in numbers]
    amounts = rng.choices([price * n for *_, price in lakes.PRODUCTS for n in (1, 2, 3)], k=count)
    columns = {
        "vente_id": [f"{rng.getrandbits(128):032x}"[:8] + f"-{number:012d}-0000-000000000" for number in numbers],
        "client_id": clients, "produit_id": [101 + number % 6 for number in numbers], "timestamp": moments,
        "quantite": [1 + number % 5 for number in numbers], "montant": amounts,
        "client_nom": [f"Client {client}" for client in clients], "produit_nom": ["Souris"] * count,
        "categorie": ["Informatique"] * count, "pays": [places[client % 4] for client in clients],
        "segment": ["Entreprise" if client % 3 else "Particulier" for client in clients],
        "jour": [moment.date() for moment in moments],
        "date_ingestion": [START + timedelta(days=60, seconds=first)] * count,
        "kafka_partition": [number % PARTITIONS for number in numbers], "kafka_offset": offsets,
        "kafka_timestamp": moments, "est_tardif": [False] * count,
    }  # fmt: skip
    schema = pa.schema([(name, lakes.arrow_type(ddl)) for name, ddl in VENTES.columns])
    return pa.table(columns, schema=schema)


def build(base: str, count: int) -> None:
    rng = random.Random(1)
    for batch, first in enumerate(range(0, count, BATCH)):
        size = min(BATCH, count - first)
        origin = f'{{"what": "bronze batch", "batch": {batch}, "clock_ms": {int((START + timedelta(days=60, seconds=first)).timestamp() * 1000)}}}'
        properties = job_lake.marked(origin, (f"{VENTES.name}-{job_lake.QUERY}", batch))
        table_handle.write(
            VENTES.path(base),
            _sales(first, size, rng),
            mode="append",
            partition_by=["jour"],
            commit_properties=properties,
        )
        print(f"written: {first + size:,} sales", file=sys.stderr)
    end = (count - 1) // PARTITIONS + (count - 1) // PARTITIONS // 19 + 1
    latest = START + timedelta(milliseconds=250 * count)
    rejects = [
        {
            **lakes.rejects()[0],
            "topic": job_lake.TOPIC,
            "kafka_partition": p,
            "kafka_offset": end,
            "kafka_timestamp": latest,
        }
        for p in range(PARTITIONS)
    ]
    batch, clock = batch + 1, START + timedelta(days=90)
    job_lake.append(base, REJETS, rejects, clock, batch)
    job_lake.bronze_checkpoint(base, dict.fromkeys(range(PARTITIONS), end + 1), batch, clock)
    job_lake.accept_unread(base, dict.fromkeys(range(PARTITIONS), count))
    bronze = table_handle.opened(VENTES.path(base))
    for one in FIGURES:
        keys = ", ".join(f"{key_sql(key, 'UTC')} AS {key}" for key in one.table.keys)
        items = f", SUM(CAST(quantite AS BIGINT)) AS {one.items}" if one.items else ""
        group = ", ".join(str(number + 1) for number in range(len(one.table.keys)))
        once = f", COUNT(DISTINCT {one.once[1]}) AS {one.once[0]}" if one.once else ""
        sql = f"SELECT {keys}, COUNT(*) AS {one.sales}, SUM(montant) AS {one.amount}{items}{once} FROM ventes_stream GROUP BY {group}"
        made = QueryBuilder().register("ventes_stream", bronze).execute(sql).read_all()
        table_handle.write(
            one.table.path(base),
            made,
            partition_by=list(one.table.partition_by) or None,
            commit_properties=job_lake.marked(
                f'{{"what": "silver build", "generation": "{job_lake.GENERATION}"}}',
                (f"{one.table.name}-{job_lake.GENERATION}-build", 0),
            ),
        )
    job_lake.silver_settled(base, bronze.version())


def main() -> int:
    made = argparse.ArgumentParser(prog="benchmarks.reconcile", description=__doc__)
    made.add_argument("sales", nargs="?", type=lambda text: int(text.replace("_", "")), default=1_000_000)
    args = made.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = str(Path(folder) / "lake")
        build(base, args.sales)
        for run in ("first run", "after a signed record"):
            begun = time.monotonic()
            command = [sys.executable, "ops_utils.py", "reconcile", "--without-kafka"]
            done = subprocess.run(command, cwd=PROJECT, env={**os.environ, f"{ENV_PREFIX}DELTA__BASE_PATH": base})
            seconds = time.monotonic() - begun
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
            print(
                f"{run}: {args.sales:,} sales, {seconds:.1f} s, peak memory {peak:.1f} GiB, exit code {done.returncode}"
            )
            if done.returncode:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
