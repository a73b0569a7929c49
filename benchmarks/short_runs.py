"""Short runs of the Bronze job on a busy machine: each ends with the exit code it promised, none with a signal.

    python -m benchmarks.short_runs --runs 100 --busy 4 --minutes 60

A broker of its own, a few sales before each ``--once``, the metrics sampled all the time, another business zone for each run
in turn over a lake of its own, and processes that keep the processors busy. Exit code 1 when a run did not end with 0.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from lakehouse import config as settings
from lakehouse.config import PROJECT, Config
from lakehouse.kafka import clients
from lakehouse.kafka.broker.node import Broker
from lakehouse.kafka.broker.properties import free_port
from lakehouse.producer.generator import messages

ZONES = ("UTC", "Europe/Paris", "America/New_York", "Asia/Kathmandu")
BURN = "while True: pass"


def config_of(folder: Path, servers: str, zone: str) -> Config:
    texts = {
        "DELTA__BASE_PATH": str(folder / zone.replace("/", "-")), "KAFKA__BOOTSTRAP_SERVERS": servers,
        "KAFKA__TOPIC": f"short-{ZONES.index(zone)}", "ANALYTICS__TIMEZONE": zone, "MONITORING__SAMPLE_INTERVAL": "100 ms",
        "MONITORING__BRONZE_METRICS_PORT": "0", "MONITORING__KAFKA_METRICS_PORT": "0",
    }  # fmt: skip
    return settings.load(env={f"{settings.ENV_PREFIX}{name}": text for name, text in texts.items()})


def send(config: Config, seed: int) -> None:
    """Twenty sales of now."""
    clients.ensure_topic(config)
    client = clients.connect_producer(config)
    for message in itertools.islice(messages(seed=seed, clients=50, clock=lambda: time.time_ns() // 1000), 20):
        client.send(config.kafka.topic, message.value, message.key)
    client.close()


def run(config: Config, log: Path) -> int:
    """The exit code of one ``--once``; below 0 for a signal."""
    with log.open("ab") as sink:
        return subprocess.run(
            [sys.executable, "spark_streaming_delta.py", "--once"],
            cwd=PROJECT, env={**os.environ, **settings.as_environment(config)}, stdin=subprocess.DEVNULL, stdout=sink,
            stderr=subprocess.STDOUT, check=False,
        ).returncode  # fmt: skip


def codes(runs: int, minutes: float, folder: Path) -> Counter[int]:
    """Exit code → how many runs ended with it, of as many as fit into the time."""
    servers, until = f"localhost:{free_port()}", time.monotonic() + 60 * minutes
    configs = [config_of(folder, servers, zone) for zone in ZONES]
    found: Counter[int] = Counter()
    with Broker(configs[0]) as broker:
        broker.await_answer()
        while found.total() < runs and time.monotonic() < until:
            config = configs[found.total() % len(configs)]
            send(config, seed=found.total())
            found[run(config, folder / "runs.log")] += 1
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument(
        "--busy", type=int, default=2 * (os.cpu_count() or 1), help="processes that keep the machine busy"
    )
    parser.add_argument("--minutes", type=float, default=60, help="no run begins after so long")
    options = parser.parse_args()
    burning = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(options.busy)]
    try:
        with tempfile.TemporaryDirectory(prefix="short-runs-") as folder:
            found = codes(options.runs, options.minutes, Path(folder))
    finally:
        for one in burning:
            one.kill()
            one.wait()
    print(
        f"{found.total()} runs ended: " + ", ".join(f"{n} with exit code {code}" for code, n in sorted(found.items()))
    )
    return int(not found or set(found) != {0})


if __name__ == "__main__":
    sys.exit(main())
