"""Who runs: one entry a contender. All write the same table path, so that one reader serves them all."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measured import Measured, inherit_orphans
from lakehouse import config as settings
from lakehouse import jars, java
from lakehouse.config import PROJECT, Config, FilePath
from lakehouse.tables import VENTES, checkpoint

JOB = "bronze"


@dataclass(frozen=True)
class Contender:
    """``command`` gives the command line for the settings of one run; ``once``: read the topic to its end, then exit."""

    name: str
    does: str
    command: Callable[[Config, bool], list[str]]


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


OURS = Contender("ours", "deduplicated, quarantined, exactly once", _ours)
TEXTBOOK = Contender("textbook", "from_json, to_date, append; no deduplication, no quarantine", _textbook)
CONTENDERS = (OURS, TEXTBOOK)


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
