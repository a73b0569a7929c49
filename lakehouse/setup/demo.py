"""``make demo``: 500 messages after a fortnight of back-dated ones, then a comparison with the producer's truth.

The steps are the project's own scripts, one after the other, as a person would type them. Everything lies in a new
folder under ``base_path``/demo; nothing that is there is touched.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from lakehouse import cli
from lakehouse import config as settings
from lakehouse.child_processes import die_with_parent, end_group, interrupt_on_signals
from lakehouse.config import PROJECT, Config, FilePath, paths
from lakehouse.contract.tables import PAR_PAYS
from lakehouse.entry_point import execute
from lakehouse.errors import ConfigError, LakehouseError
from lakehouse.kafka.broker.node import STOP_TIMEOUT, Broker
from lakehouse.kafka.broker.properties import free_port
from lakehouse.operations.reconcile import producer_truth, sent_vs_stored
from lakehouse.operations.reconcile.sent_vs_stored import Difference, Sent
from lakehouse.status_line import waiting
from lakehouse.wording import counted, euros

ROUNDS = (300, 200)
"""Messages of each round. Silver builds its tables in the first, and adds to them in the second."""
RATIO = "0.1"
"""Share of duplicates, of late sales and of malformed messages, each."""
SHOWN = 20


def settings_of(config: Config, folder: Path, port: int) -> Config:
    """The user's settings, except for the folder, the broker and what would change the demo's 500 messages."""
    kafka = dataclasses.replace(
        config.kafka, bootstrap_servers=f"localhost:{port}", controller_port=0, create_topic=True, replication_factor=0,
        brokers=1,
        security_protocol="PLAINTEXT",
    )  # fmt: skip
    streaming = dataclasses.replace(config.streaming, starting_offsets="earliest")
    monitoring = dataclasses.replace(config.monitoring, progress_interval=timedelta(minutes=1))
    delta = dataclasses.replace(config.delta, base_path=FilePath(folder))
    return dataclasses.replace(config, kafka=kafka, streaming=streaming, monitoring=monitoring, delta=delta)


def new_folder(base: str) -> Path:
    """A folder that did not exist before, named after the time."""
    if paths.is_uri(base):
        raise ConfigError(
            f"[DELTA] base_path = {base} is a URI, and the demo needs a folder for its broker: "
            "VENTES_DELTA__BASE_PATH=data make demo"
        )
    parent = Path(base) / "demo"
    parent.mkdir(parents=True, exist_ok=True)
    while True:
        folder = parent / datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        try:
            folder.mkdir()
        except FileExistsError:
            time.sleep(0.2)
        else:
            return folder


class Demo:
    """One run. Each step is a line that says what happens, and a file in ``logs`` that holds what the script said."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._base = config.delta.base_path
        self._logs = Path(self._base) / "logs"
        self._environment = {**os.environ, **settings.as_environment(config)}
        self._truth = Path(self._base) / "truth.jsonl"
        self._step = 0

    def run(self) -> int:
        """0 when everything is equal, 1 when something differs. Raises ``LakehouseError`` when a step fails."""
        began = time.monotonic()
        self._say(f"a Kafka broker of its own starts on {self._config.kafka.bootstrap_servers}")
        with Broker(self._config):
            for number, count in enumerate(ROUNDS, start=1):
                self._round(number, count)
            self._say("the daily report (query_utils.py --batch)")
            print(self._script("report", "query_utils.py", "--batch"))
            self._say("every Silver cell is compared with a full recompute of Bronze (streaming_silver.py --verify)")
            self._script("verify", "streaming_silver.py", "--verify")
        self._say("Bronze and Silver are compared with what the producer says that it sent")
        sent = producer_truth.read([self._truth])
        differences = self._compare(sent)
        self._conclude(sent, differences, time.monotonic() - began)
        return 1 if differences else 0

    def _round(self, number: int, count: int) -> None:
        ratios = [f"--{kind}-ratio={RATIO}" for kind in ("duplicate", "late", "malformed")]
        span = settings.format_duration(self._config.producer.history)
        before = f"back-dated sales of the last {span}, then " if number == 1 and self._config.producer.history else ""
        self._say(
            f"round {number}: {before}{counted(count, 'message')} to Kafka, one in ten each doubled, late, malformed"
        )
        told = self._script(
            f"producer-{number}",
            "producer_ventes.py",
            "--rate=max",
            f"--count={count}",
            f"--truth={self._truth}",
            "--history",
            *ratios,
        )
        print(f"       {told.strip()}", flush=True)
        self._say(f"round {number}: Kafka into Bronze (spark_streaming_delta.py --once)")
        self._script(f"bronze-{number}", "spark_streaming_delta.py", "--once")
        self._say(f"round {number}: Bronze into Silver (streaming_silver.py)")
        self._script(f"silver-{number}", "streaming_silver.py")

    def _say(self, text: str) -> None:
        self._step += 1
        print(f"[{self._step:>2}/{4 + 3 * len(ROUNDS)}] {text}", flush=True)

    def _script(self, name: str, script: str, *options: str) -> str:
        """Run one of the project's scripts to its end; what it printed. A failure shows its last lines."""
        log = self._logs / f"{name}.log"
        with log.open("w", encoding="utf-8") as errors:
            process = subprocess.Popen(
                [sys.executable, str(PROJECT / script), *options], cwd=PROJECT, env=self._environment,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8",
                start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip
            try:
                with waiting(f"       {script} runs: seconds, on a busy machine a minute or two"):
                    told, _ = process.communicate()
            except BaseException:
                _end(process)
                raise
        if process.returncode != 0:
            last = "\n".join(f"  {line}" for line in (told + log.read_text(encoding="utf-8")).splitlines()[-15:])
            raise LakehouseError(
                f"{script} {' '.join(options)} ended with exit code {process.returncode}. Its last lines:\n{last}\n"
                f"All of them: {log}"
            )
        return told

    def _compare(self, sent: Sequence[Sent]) -> list[Difference]:
        config = self._config
        bronze = producer_truth.check(
            sent,
            self._base,
            watermark_delay=config.streaming.watermark_delay,
            timezone=config.analytics.timezone,
        )
        return [
            *bronze,
            *sent_vs_stored.compare_countries(
                sent_vs_stored.by_country(sent), producer_truth.held(PAR_PAYS, self._base)
            ),
        ]

    def _conclude(self, sent: Sequence[Sent], differences: Sequence[Difference], seconds: float) -> None:
        if differences:
            print(f"{counted(len(differences), 'difference')}:", *map(str, differences[:SHOWN]), sep="\n  ")
            print(f"The lake differs from what was sent. All of it is kept in {self._base}")
            return
        found = producer_truth.counts(sent)
        revenue = sum((each.revenue_total for each in sent_vs_stored.by_country(sent).values()), Decimal("0.00"))
        copies = found["kind:doublon"]
        print(
            f"All is equal: {counted(found['messages'], 'message')} sent and acknowledged = {counted(found['ventes'], 'sale')}, each once in "
            f"Bronze with every field as it was sent ({found['kind:tardive']:,} of them late, {found['kind:historique']:,} back-dated), + {copies:,} copies left out "
            f"+ {found['rejets']} malformed messages, each in the reject table with its reason and its bytes. "
            f"Silver's revenue is {euros(revenue)}, as sent.\n"
            f"It took {seconds:.0f} s. The data: {self._base}\n"
            f"Look around: VENTES_DELTA__BASE_PATH={self._base} python query_utils.py\n"
            f"Remove it:   rm -r {self._base}"
        )


def _end(process: subprocess.Popen[str]) -> None:
    """SIGTERM, which the scripts know; SIGKILL for what is left of the step and its children."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT)
    end_group(process.pid, 5)
    process.wait()


def body(_args: argparse.Namespace, config: Config) -> int:
    """Run the demo."""
    interrupt_on_signals()
    folder = new_folder(config.delta.base_path)
    print(f"The demo's data: {folder}", flush=True)
    return Demo(settings_of(config, folder, free_port())).run()


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``make demo``."""
    made = cli.parser(
        "lakehouse.setup.demo",
        f"Send {sum(ROUNDS)} messages after the back-dated sales of [PRODUCER] history, duplicates, late and malformed ones among them, through Kafka, Bronze and Silver in "
        "a folder of its own and on free ports, print the report, and compare all with what was sent. Exit code 0: all is "
        "equal.",
        ("make demo", "python -m lakehouse.setup.demo"),
    )
    return cli.run(made, body, argv)


if __name__ == "__main__":
    execute(main)
