"""EDGE. Java's class archives (AppCDS): the classes of a run, parsed and verified once, mapped by every later start.

Half of a Spark start is Java reading and checking some 20,000 classes, and half of a broker's. A short run of broker and
jobs at set-up leaves them in two files that later JVMs map into memory. An archive is a cache and nothing else: Java itself
compares it with the JARs, and starts without it when they differ.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock

from lakehouse import config as settings
from lakehouse import jars, java, java_classes
from lakehouse.config import PROJECT, Config
from lakehouse.errors import SetupError

SALES = 100
"""Messages of each round of the training run: enough for each kind of them, and for every step of both jobs."""
_TRAINING = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"
"""Half of a short run's time would go into compiling for a long one; the classes are the same."""


def class_path(config: Config) -> list[Path]:
    """The JARs in front of Spark's own on a local driver's class path. Java accepts an archive only with the same."""
    if config.development.jars != "lock":
        return []
    return [*jars.resolve(config, "spark"), java_classes.jar(config, java_classes.CORE)]


def path(config: Config) -> Path:
    """Where the archive of a Spark driver for this Java and these JARs lies, or would."""
    import pyspark  # its import takes 0.2 s, and not every caller needs it

    return _path(config, "spark", [*class_path(config), *_files(Path(pyspark.__file__).parent / "jars")])


def broker_path(config: Config, class_path: Iterable[Path]) -> Path:
    """Where that of a broker with these JARs lies, or would."""
    return _path(config, "kafka", class_path)


def _path(config: Config, name: str, class_path: Iterable[Path]) -> Path:
    home = java.find(config).home
    release = home / "release"
    key = hashlib.sha256(release.read_bytes() if release.is_file() else str(home).encode())
    for jar in class_path:
        found = jar.stat()
        key.update(f"{jar} {found.st_size} {found.st_mtime_ns}\n".encode())
    return folder(config) / f"{name}-{key.hexdigest()[:16]}.jsa"


def options(config: Config) -> str:
    """Java's options with which a Spark driver uses its archive; empty when there is none."""
    return " ".join(map(java.option, _options(path(config))))


def broker_options(config: Config, class_path: Iterable[Path]) -> list[str]:
    """Those with which a broker with these JARs uses its own."""
    return _options(broker_path(config, class_path))


def _options(archive: Path) -> list[str]:
    if not archive.is_file():
        return []
    return [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]


def paths(config: Config) -> tuple[Path, Path]:
    """Where both lie, or would: the Spark driver's and the broker's."""
    return path(config), broker_path(config, jars.resolve(config, "kafka"))


def are_made(archives: Iterable[Path]) -> bool:
    return all(archive.is_file() for archive in archives)


def make(config: Config) -> bool:
    """Run broker and both jobs once in a folder of their own and keep their classes; False when that was done before.

    Takes about a minute. Raises ``SetupError`` when the run fails: starts are as slow as without then.
    """
    archives, place = paths(config), folder(config)
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / "spark.lock"):
        if are_made(archives):
            return False
        for old in place.glob("*.jsa"):  # of other JARs, or one of the two: Java makes none while it uses one
            old.unlink()
        with tempfile.TemporaryDirectory(prefix=".spark-", dir=place) as text:
            scratch = Path(text)
            made, log = [scratch / archive.name for archive in archives], scratch / "log"
            with log.open("wb") as sink:
                code = subprocess.run(
                    [sys.executable, "-m", "lakehouse.class_archive", *map(str, made), str(scratch / "data")],
                    cwd=PROJECT, env={**os.environ, **settings.as_environment(config)},
                    stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, check=False,
                ).returncode  # fmt: skip
            if code != 0 or not are_made(made):
                last = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-8:])
                raise SetupError(f"The class archive was not made (exit code {code}). The run's last lines:\n{last}")
            for each, archive in zip(made, archives, strict=True):
                each.replace(archive)
    return True


def train(config: Config, archive: Path, brokers: Path, base: Path) -> None:
    """The run whose classes are kept: messages of every kind through Kafka, and through Bronze and Silver in one JVM."""
    from pyspark import SparkContext

    from lakehouse import kafka_clients, producer, session
    from lakehouse.broker import Broker
    from lakehouse.silver_job import SilverJob
    from lakehouse.streams import BronzeJob

    trained = _settings(config, archive, base)
    with Broker(trained, java_options=[*_TRAINING.split(), f"-XX:ArchiveClassesAtExit={brokers}"]):
        kafka_clients.ensure_topic(trained)
        spark = session.build(trained, "bronze")
        for seed in (1, 2):  # Silver builds its tables in the first round, and adds to them in the second
            producer.produce(trained, producer.Order(SALES, seed))
            BronzeJob(trained, once=True).run(spark)
            SilverJob(trained).run(spark=spark)
        SilverJob(trained).verify(spark=spark)
        java_process = SparkContext._gateway.proc  # type: ignore[union-attr]
        spark.stop()
        java_process.stdin.close()  # Java ends with it, and writes the archive while it does
        java_process.wait()


def _settings(config: Config, archive: Path, base: Path) -> Config:
    from lakehouse import demo, producer
    from lakehouse.broker_settings import free_port

    base.mkdir(parents=True)
    own = demo.settings_of(config, base, free_port())
    spark = dataclasses.replace(
        own.spark, java_options=f"{_TRAINING} -XX:ArchiveClassesAtExit={archive}", master="local[*]"
    )
    ratios = {f"{kind}_ratio": 0.1 for kind in ("duplicate", "late", "malformed")}
    return producer.with_options(dataclasses.replace(own, spark=spark), rate=settings.Rate(float("inf")), **ratios)


def folder(config: Config) -> Path:
    return Path(config.development.cache_dir) / "classes"


@functools.cache
def _files(folder: Path) -> Iterable[Path]:
    return sorted(folder.glob("*.jar"))


if __name__ == "__main__":
    train(settings.load(), *map(Path, sys.argv[1:]))
