"""Builds the files that a cluster needs of the project: its wheel, and the Python packages of executors and drivers.

The archives hold what is installed here, checked against the pins, so that they need no network and are for machines
of this system and this Python (``major.minor``). Spark unpacks an archive on each machine:
``spark.archives=FILE#packages`` with ``spark.executorEnv.PYTHONPATH=packages``. pyspark is in none: Spark brings it.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from lakehouse import atomic_file
from lakehouse.config import PROJECT
from lakehouse.errors import SetupError
from lakehouse.setup import checks

FOLDER = PROJECT / "dist"
EXECUTORS = ("pyarrow",)
"""What a Python worker imports beside pyspark. The contract's validator itself is pickled into the plan (``spark_session``)."""
_BROUGHT_BY_SPARK = ("pyspark", "py4j")
_BESIDE_THE_PACKAGE = ("config.ini", "jars.lock", "requirements.txt")
"""Files that ``lakehouse`` reads from the folder that it lies in."""


def build(folder: Path = FOLDER) -> list[Path]:
    """The wheel, the executors' archive and the drivers' archive, newly made in ``folder``. Raises ``SetupError``."""
    result = checks.packages(checks.REQUIREMENTS)
    if result.status != "ok":
        raise SetupError(f"What is installed is not what is pinned: {result.detail}. Type: {result.fix}")
    folder.mkdir(parents=True, exist_ok=True)
    return [wheel(folder), executors(folder), drivers(folder)]


def wheel(folder: Path) -> Path:
    """``lakehouse`` as a wheel, without dependencies: requirements.txt pins them."""
    with tempfile.TemporaryDirectory() as text:
        source, made = Path(text) / "source", Path(text) / "made"
        shutil.copytree(PROJECT / "lakehouse", source / "lakehouse", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(PROJECT / name, source)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps",
                   "--no-build-isolation", "--wheel-dir", str(made), str(source)]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode != 0:
            last = "\n".join(done.stderr.strip().splitlines()[-5:])
            raise SetupError(
                f"The wheel could not be built:\n{last}\nType: {sys.executable} -m pip install -r requirements-dev.txt"
            )
        (found,) = made.glob("*.whl")
        return Path(shutil.copy(found, folder))


def executors(folder: Path) -> Path:
    """The packages that executors need when the driver runs outside the cluster (client mode)."""
    return _archive(folder / _name("executors"), (pair for name in EXECUTORS for pair in _installed(name)))


def drivers(folder: Path) -> Path:
    """All that a driver needs when it runs inside the cluster (cluster mode): ``lakehouse``, with the present config.ini,
    and every pinned package. Executors can use it too."""
    return _archive(folder / _name("drivers"), driver_files())


def driver_files() -> Iterator[tuple[str, Path]]:
    """(place in the archive, file) of the drivers' archive."""
    for path in sorted((PROJECT / "lakehouse").rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield str(path.relative_to(PROJECT)), path
    for name in _BESIDE_THE_PACKAGE:
        yield name, PROJECT / name
    for name, _ in checks.pins(checks.REQUIREMENTS):
        if name not in _BROUGHT_BY_SPARK:
            yield from _installed(name)


def _name(what: str) -> str:
    return f"{what}-py{sys.version_info.major}{sys.version_info.minor}-{sysconfig.get_platform()}.tar.gz"


def _installed(name: str) -> Iterator[tuple[str, Path]]:
    """(place in the archive, file) of each file of an installed package, its scripts and caches left out."""
    for file in sorted(importlib.metadata.files(name) or [], key=str):
        if ".." not in file.parts and "__pycache__" not in file.parts:
            yield str(file), Path(str(file.locate()))


def _archive(target: Path, files: Iterable[tuple[str, Path]]) -> Path:
    """The same files give the same bytes, whenever and wherever they were installed."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime, info.uid, info.gid, info.uname, info.gname = 0, 0, 0, "", ""
        info.mode = 0o755 if info.mode & 0o100 else 0o644
        return info

    with (
        atomic_file.replacing(target) as raw,
        gzip.GzipFile("", "wb", compresslevel=4, fileobj=raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for place, path in files:
            tar.add(path, place, recursive=False, filter=plain)
    return target
