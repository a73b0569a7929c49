"""The explorer on a lake of 5 million sales, beside a fresh PySpark that answers the same question in turns.

``python -m benchmarks.explorer FOLDER`` with a folder that ``benchmarks.big_lake`` has made, or an empty one, which is filled
first. Cold is a process from its start to its exit, with the answer printed; warm is one more query in a process that has
asked before. Every answer is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import big_lake
from lakehouse import config as settings
from lakehouse.config import ENV_PREFIX, PROJECT
from lakehouse.contract.tables import PAR_PAYS, VENTES
from lakehouse.explorer.queries.model import Filters
from lakehouse.explorer.queries.registry import entry
from lakehouse.jvm import jars
from lakehouse.lake.query import Query
from lakehouse.lake.reader import Lake

REPEAT, PYSPARK_REPEAT = 5, 3
_PYSPARK = """
import sys
from pyspark.sql import SparkSession
spark = (SparkSession.builder.config("spark.jars", sys.argv[2]).config("spark.ui.showConsoleProgress", "false")
         .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
         .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog").getOrCreate())
for pays, revenue in spark.read.format("delta").load(sys.argv[1]).select("pays", "revenue_total").collect():
    print(pays, revenue, sep="\\t")
"""


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    answer = work()
    return time.perf_counter() - began, answer


def _output(command: list[str], base: str) -> str:
    environment = {name: text for name, text in os.environ.items() if not name.startswith(ENV_PREFIX)}
    environment[f"{ENV_PREFIX}DELTA__BASE_PATH"] = base
    return subprocess.run(
        command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    ).stdout


def ours(base: str) -> dict[str, str]:
    """Revenue by country, from a new process of the explorer."""
    text = _output([sys.executable, "query_utils.py", "revenue-by-country", "--format", "json"], base)
    return {row["pays"]: row["revenue_total"] for row in json.loads(text)}


COLD = {
    "a named question": ("revenue-by-country",),
    "--sql": ("--sql", f"SELECT pays, SUM(montant) FROM {VENTES.name} GROUP BY pays"),
    "--batch": ("--batch",),
}


def small(base: str) -> Iterator[tuple[str, float]]:
    """Cold processes over a lake of 3,000 sales, which is made at ``base``: what the start itself takes."""
    big_lake.build(base, sales=3_000, days=5, last=datetime.now(UTC).date())
    for what, words in COLD.items():
        turns = [
            timed(lambda words=words: _output([sys.executable, "query_utils.py", *words], base))[0]
            for _ in range(REPEAT)
        ]  # type: ignore[misc]
        yield f"cold on a small lake: {what}", round(statistics.median(turns), 2)


def pyspark(base: str, files: str) -> dict[str, str]:
    """The same from a new PySpark, which reads the same Silver table."""
    text = _output([sys.executable, "-c", _PYSPARK, PAR_PAYS.path(base), files], base)
    return dict(line.split("\t", 1) for line in text.splitlines())


def measure(base: str) -> Iterator[tuple[str, float]]:
    """(what, seconds) as it is measured, what needs no JVM first; the last is a ratio."""
    cold: dict[str, list[float]] = {"explorer": [], "PySpark": []}
    for _ in range(REPEAT):
        seconds, answer = timed(lambda: ours(base))
        cold["explorer"].append(seconds)
    yield "cold: explorer", round(statistics.median(cold["explorer"]), 2)
    lake = Lake(base)
    for name, query in warm().items():
        lake.read(query)
        yield name, round(statistics.median(timed(lambda query=query: lake.read(query))[0] for _ in range(REPEAT)), 3)  # type: ignore[misc]
    files = ",".join(map(str, jars.resolve(settings.load(), "spark")))
    for _ in range(PYSPARK_REPEAT):
        seconds, other = timed(lambda: pyspark(base, files))
        cold["PySpark"].append(seconds)
        assert answer == other, "the two answers differ"
        cold["explorer"].append(timed(lambda: ours(base))[0])
    slow, fast = (statistics.median(cold[name]) for name in ("PySpark", "explorer"))
    yield "cold: PySpark", round(slow, 2)
    yield "cold: PySpark / explorer", round(slow / fast, 1)


def warm() -> dict[str, Query]:
    """What is asked again in a process that has asked before."""
    narrow = Filters(pays=("France",), segment=("Entreprise",))
    return {
        "a warm Silver query": entry("revenue-by-country").query(Filters(), ()),
        "5 million Bronze rows grouped": Query(
            f"SELECT pays, COUNT(*), SUM(montant) FROM {VENTES.name} GROUP BY pays ORDER BY pays", (VENTES.name,)
        ),
        "top clients of France, companies (from Bronze)": entry("top-clients").query(narrow, ()),
        "revenue by product of France, companies (from Bronze)": entry("revenue-by-product").query(narrow, ()),
    }


def main() -> int:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("folder", type=Path)
    base = str(made.parse_args().folder.resolve())
    if not Path(VENTES.path(base)).exists():
        big_lake.build(base, sales=5_000_000, days=100, last=datetime.now(UTC).date())
    for name, value in measure(base):
        print(f"{name}: {value}{'' if '/' in name else ' s'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
