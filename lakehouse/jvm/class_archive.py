"""Java's class archives (AppCDS): where they are, and the options with which a JVM uses them.

Half of a Spark start is Java reading and checking some 20,000 classes, and half of a broker's. An archive has them parsed
and verified. It is a cache and nothing else: Java itself compares it with the JARs, and starts without it when they differ.
An archive is code: one that is not the file that was made here is not used.
Made by ``setup.class_archive_training``.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

from lakehouse.config import Config
from lakehouse.jvm import compiler, jars, java, recorded_hash


def class_path(config: Config) -> list[Path]:
    """The JARs in front of Spark's own on a local driver's class path. Java accepts an archive only with the same."""
    if config.development.jars != "lock":
        return []
    return [*jars.resolve(config, "spark"), compiler.jar(config, compiler.CORE)]


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
    if not recorded_hash.is_intact(archive):
        return []
    return [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]


def paths(config: Config) -> tuple[Path, Path]:
    """Where both lie, or would: the Spark driver's and the broker's."""
    return path(config), broker_path(config, jars.resolve(config, "kafka"))


def are_made(archives: Iterable[Path]) -> bool:
    """Whether all of these archives are there, each as it was made."""
    return all(recorded_hash.is_intact(archive) for archive in archives)


def folder(config: Config) -> Path:
    """Where the archives of every Java version and class path lie."""
    return Path(config.development.cache_dir) / "classes"


@functools.cache
def _files(folder: Path) -> Iterable[Path]:
    return sorted(folder.glob("*.jar"))
