"""Making Java's class archives: a short run of broker and jobs, whose classes are kept (``jvm.class_archive`` uses them).

``python -m lakehouse.setup.class_archive_training`` is that run; ``make`` starts it in a folder of its own.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock

from lakehouse import config as settings
from lakehouse.config import PROJECT, Config
from lakehouse.errors import SetupError
from lakehouse.jvm import recorded_hash, spark_internals
from lakehouse.jvm.class_archive import are_made, folder, paths

SALES = 100
"""Messages of each round of the training run: enough for each kind of them, and for every step of both jobs."""
_TRAINING = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"
"""Half of a short run's time would go into compiling for a long one; the classes are the same."""


def make(config: Config) -> bool:
    """Run broker and both jobs once in a folder of their own and keep their classes; False when that was done before.

    Takes about a minute. Raises ``SetupError`` when the run fails: starts are as slow as without then.
    """
    archives, place = paths(config), folder(config)
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / "spark.lock"):
        if are_made(archives):
            return False
        for old in place.glob("*.jsa*"):  # of other JARs, or one of the two: Java makes none while it uses one
            old.unlink()
        for draft in place.glob(".spark-*"):  # of a run that was killed: this process has the lock
            shutil.rmtree(draft, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".spark-", dir=place) as text:
            scratch = Path(text)
            made, log = [scratch / archive.name for archive in archives], scratch / "log"
            with log.open("wb") as sink:
                code = subprocess.run(
                    [sys.executable, "-m", "lakehouse.setup.class_archive_training", *map(str, made), str(scratch / "data")],
                    cwd=PROJECT, env={**os.environ, **settings.as_environment(config)},
                    stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, check=False,
                ).returncode  # fmt: skip
            if code != 0 or not all(archive.is_file() for archive in made):
                last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])
                raise SetupError(f"The class archive was not made (exit code {code}). The run's last lines:\n{last}")
            for each, archive in zip(made, archives, strict=True):
                recorded_hash.keep(each, archive)
    return True


def train(config: Config, archive: Path, brokers: Path, base: Path) -> None:
    """The run whose classes are kept: messages of every kind through Kafka, and through Bronze and Silver in one JVM."""
    from lakehouse.bronze.job import BronzeJob
    from lakehouse.kafka import clients
    from lakehouse.kafka.broker.node import Broker
    from lakehouse.lake import spark_session
    from lakehouse.producer import producer
    from lakehouse.silver.job import SilverJob

    trained = _settings(config, archive, base)
    with Broker(trained, java_options=[*_TRAINING.split(), f"-XX:ArchiveClassesAtExit={brokers}"]):
        clients.ensure_topic(trained)
        spark = spark_session.build(trained, "bronze")
        for seed in (1, 2):  # Silver builds its tables in the first round, and adds to them in the second
            producer.produce(trained, producer.RunOptions(SALES, seed))
            BronzeJob(trained, once=True).run(spark)
            SilverJob(trained).run(spark=spark)
        SilverJob(trained).verify(spark=spark)
        java_process = spark_internals.java_process()
        spark.stop()
        assert java_process.stdin is not None
        java_process.stdin.close()  # Java ends with it, and writes the archive while it does
        java_process.wait()


def _settings(config: Config, archive: Path, base: Path) -> Config:
    from lakehouse.kafka.broker.properties import free_port
    from lakehouse.producer import producer
    from lakehouse.setup import demo

    base.mkdir(parents=True)
    own = demo.settings_of(config, base, free_port())
    spark = dataclasses.replace(
        own.spark, java_options=f"{_TRAINING} -XX:ArchiveClassesAtExit={archive}", master="local[*]"
    )
    ratios = {f"{kind}_ratio": 0.1 for kind in ("duplicate", "late", "malformed")}
    return producer.with_options(dataclasses.replace(own, spark=spark), rate=settings.Rate(float("inf")), **ratios)


if __name__ == "__main__":
    train(settings.load(), *map(Path, sys.argv[1:]))
