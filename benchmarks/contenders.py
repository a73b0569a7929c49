"""Who runs: one entry a contender. All write the same table path, so that one reader serves them all."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import venvs
from benchmarks.measured import Measured, inherit_orphans
from lakehouse import config as settings
from lakehouse.config import PROJECT, Config, FilePath
from lakehouse.contract.tables import VENTES, checkpoint
from lakehouse.jvm import jars, java

JOB = "bronze"


@dataclass(frozen=True)
class Contender:
    """``command`` gives the command line for the settings of one run; ``once``: read the topic to its end, then exit.

    ``does`` says what it guarantees, and what it does not. ``checkpointed``: it leaves Spark's checkpoint; the others print
    a line of JSON with their ``batches`` and ``seconds``.
    """

    name: str
    does: str
    command: Callable[[Config, bool], list[str]]
    checkpointed: bool = True


def _ours(_config: Config, once: bool) -> list[str]:
    return [sys.executable, str(PROJECT / "spark_streaming_delta.py"), *(["--once"] if once else [])]


def _textbook(config: Config, once: bool) -> list[str]:
    base = config.delta.base_path
    options = {
        "bootstrap-servers": config.kafka.bootstrap_servers,
        "topic": config.kafka.topic,
        "table": VENTES.path(base),
        "checkpoint": checkpoint(base, JOB),
        "jars": ",".join(map(str, jars.resolve(config, "spark"))),
        "driver-memory": config.spark.driver_memory,
    }
    script = str(PROJECT / "benchmarks" / "textbook_job.py")
    return [
        sys.executable,
        script,
        *(f"--{name}={text}" for name, text in options.items()),
        *(["--once"] if once else []),
    ]


def _in_venv(name: str, script: str) -> Callable[[Config, bool], list[str]]:
    def command(config: Config, _once: bool) -> list[str]:
        return [
            venvs.python(config, name), str(PROJECT / "benchmarks" / script),
            f"--bootstrap-servers={config.kafka.bootstrap_servers}", f"--topic={config.kafka.topic}",
            f"--table={VENTES.path(config.delta.base_path)}",
        ]  # fmt: skip

    return command


OURS = Contender(
    "ours", "each sale once (deduplicated, also against Bronze), bad messages quarantined with their reason, exactly once", _ours
)  # fmt: skip
TEXTBOOK = Contender(
    "textbook",
    "Structured Streaming at its defaults: from_json, to_date, append; exactly once; does not deduplicate, and has no "
    "quarantine: a bad message becomes a row of nulls",
    _textbook,
)
BARE = Contender(
    "bare loop",
    "confluent_kafka.consume, pyarrow.json, write_deltalake; does not deduplicate, has no quarantine (a bad message ends it), "
    "and is not exactly once: a crash doubles up to 500,000 rows; no timestamp of Kafka, no metrics",
    _in_venv("bare", "bare_loop.py"),
    checkpointed=False,
)
QUIX = Contender(
    "Quix Streams",
    "default settings, with a sink of one write_deltalake a partition and checkpoint; does not deduplicate, has no "
    "quarantine, and is not exactly once: a crash doubles up to 5 seconds of rows; no timestamp of Kafka",
    _in_venv("quix", "quix_job.py"),
    checkpointed=False,
)
CONTENDERS = (OURS, TEXTBOOK)
DRAINERS = (OURS, TEXTBOOK, BARE, QUIX)


def configured(config: Config, folder: Path, topic: str) -> Config:
    """The benchmark's settings with the data folder and the topic of one run."""
    return dataclasses.replace(
        config,
        delta=dataclasses.replace(config.delta, base_path=FilePath(folder)),
        kafka=dataclasses.replace(config.kafka, topic=topic),
    )


def environment(config: Config) -> dict[str, str]:
    """The environment of a child: the run's settings only, whatever the caller's were, and the same Java for all."""
    clean = {name: text for name, text in java.environment(config).items() if not name.startswith(settings.ENV_PREFIX)}
    return {**clean, **settings.as_environment(config)}


def start(contender: Contender, config: Config, *, once: bool) -> Measured:
    """Start a contender in the run's own data folder, which is new."""
    Path(config.delta.base_path).mkdir(parents=True)
    return measured(config, contender.name, contender.command(config, once))


def measured(config: Config, name: str, command: Sequence[str], cwd: Path | None = None) -> Measured:
    """A command with the run's settings, in the run's folder or in ``cwd``, its output in the run's ``<name>.log``."""
    folder = Path(config.delta.base_path)
    return Measured(
        command, env=environment(config), folder=cwd or folder, log=folder / f"{name}.log", inherits=inherit_orphans()
    )
