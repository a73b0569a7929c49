"""The JARs of jars.lock: fetched once, checked against their SHA-256 at every start, used as files.

The JARs come through Apache Ivy, whose own JAR ships inside pyspark. Each is asked for by its exact version and without
its dependencies (jars.lock is complete), into a folder that is thrown away; only a file whose hash is right is moved to
the cache, in one step. So a cut download, a second process or a damaged cache can never put a wrong JAR in use.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from xml.sax.saxutils import quoteattr

from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lakehouse import atomic_file
from lakehouse.config import PROJECT, Config
from lakehouse.errors import SetupError
from lakehouse.jvm import java

Set = Literal["spark", "kafka", "s3"]
SETS: tuple[Set, ...] = get_args(Set)
LOCK = PROJECT / "jars.lock"
IVY_SETTINGS = "LAKEHOUSE_IVY_SETTINGS"
"""Environment variable that names an ivysettings.xml, for those behind a mirror. Its hashes are checked all the same."""
ATTEMPTS = 3
# Maven Central is this resolver's own default. No POMs and no SHA-1 files, since jars.lock already says all that they
# could: 52 JARs then take a quarter of the requests, and a POM's odd packaging ("bundle") cannot hide a JAR.
_SETTINGS = """<ivysettings>
<settings defaultResolver="central"/>
<resolvers><ibiblio name="central" m2compatible="true" usepoms="false" checksums=""/></resolvers>
</ivysettings>
"""
_LINE = re.compile(r"(\w+) ([\w.-]+):([\w.-]+):([\w.-]+) ([0-9a-f]{64})")


@dataclass(frozen=True)
class Jar:
    """One line of jars.lock."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinate(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def filename(self) -> str:
        return f"{self.group}_{self.artifact}-{self.version}.jar"


def read_lock(path: Path = LOCK) -> dict[str, list[Jar]]:
    """The JARs of each set, in the file's order. Raises ``SetupError`` that names the line it cannot read."""
    sets: dict[str, list[Jar]] = {name: [] for name in SETS}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        match = _LINE.fullmatch(text)
        if match is None or match[1] not in sets:
            raise SetupError(
                f"{path}:{number}: {text!r} is not accepted: expected '<{'|'.join(SETS)}> group:artifact:version sha256'. "
                "Type: git checkout jars.lock"
            )
        sets[match[1]].append(Jar(*match.groups()[1:]))
    return sets


def folder(config: Config, which: Set) -> Path:
    """Where a set's files lie."""
    return Path(config.development.cache_dir) / "jars" / which


def wanted(config: Config) -> tuple[Set, ...]:
    """The sets that these settings use."""
    return SETS if config.delta.base_path.startswith("s3a://") else ("spark", "kafka")


def sha256(path: Path) -> str:
    """The file's hash in hexadecimal. The larger set, 40 MB, takes about 0.03 s: cheap enough for every start."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def faulty(config: Config, which: Set) -> list[Jar]:
    """The JARs of the set that are missing in the cache, or whose content is not what jars.lock says."""
    place = folder(config, which)
    return [jar for jar in read_lock()[which] if not _intact(place / jar.filename, jar)]


def resolve(config: Config, which: Set) -> list[Path]:
    """The set's files, in the lock's order, every hash checked; what is missing or damaged is fetched first.

    Without anything to fetch it needs neither the network nor Java. Two processes at once: the second waits, then
    finds the files. Raises ``SetupError`` with what to type.
    """
    place = folder(config, which)
    if faulty(config, which):
        try:
            place.mkdir(parents=True, exist_ok=True)
            with FileLock(place.parent / f"{which}.lock"):
                missing = faulty(config, which)
                if missing:
                    _fetch(config, which, missing, place)
        except OSError as error:
            raise SetupError(
                f"The JAR folder {place} cannot be written: {error}. Set [DEVELOPMENT] cache_dir."
            ) from None
    return [place / jar.filename for jar in read_lock()[which]]


def ivy_module(jars: Iterable[Jar]) -> str:
    """An ivy.xml that asks for exactly these JARs, without their dependencies."""
    lines = "\n".join(
        f"  <dependency org={quoteattr(jar.group)} name={quoteattr(jar.artifact)} rev={quoteattr(jar.version)}"
        ' transitive="false"/>'
        for jar in jars
    )
    return (
        '<ivy-module version="2.0">\n<info organisation="lakehouse" module="jars"/>\n'
        f'<dependencies defaultconfmapping="*->default">\n{lines}\n</dependencies>\n</ivy-module>\n'
    )


def _intact(path: Path, jar: Jar) -> bool:
    return path.is_file() and sha256(path) == jar.sha256


def _fetch(config: Config, which: Set, wanted: list[Jar], place: Path) -> None:
    """Fetch into a folder beside the cache, check, move. A network fault is tried again; a wrong hash never is."""
    done: set[str] = set()
    with (
        tempfile.TemporaryDirectory(prefix=f".{which}-", dir=place.parent) as text,
        _Progress(which, len(wanted)) as bar,
    ):
        for attempt in range(1, ATTEMPTS + 1):
            scratch = Path(text) / str(attempt)
            rest = [jar for jar in wanted if jar.filename not in done]
            last = _run_ivy(config, scratch, rest, lambda: bar.step())
            for jar in rest:
                arrived = scratch / jar.filename
                if not arrived.is_file():
                    continue
                if (found := sha256(arrived)) != jar.sha256:
                    raise SetupError(
                        f"{jar.coordinate}: the registry's JAR is not the one of jars.lock and was thrown away.\n"
                        f"  expected SHA-256 {jar.sha256}\n  received SHA-256 {found}\n"
                        f"A mirror or proxy may have changed it; look there, or name your own with {IVY_SETTINGS}=FILE."
                    )
                atomic_file.move(arrived, place / jar.filename)
                done.add(jar.filename)
            bar.at(len(done))
            if len(done) == len(wanted):
                return
            time.sleep(attempt if attempt < ATTEMPTS else 0)
    missing = ", ".join(jar.coordinate for jar in wanted if jar.filename not in done)
    raise SetupError(
        f"{len(wanted) - len(done)} of {len(wanted)} JARs of the set '{which}' could not be fetched: {missing}.\n"
        f"Ivy's last lines:\n{last}\n"
        f"Check the network, then type: python setup_utils.py jars   (a mirror: {IVY_SETTINGS}=ivysettings.xml)"
    )


def _run_ivy(config: Config, scratch: Path, wanted: list[Jar], one_more: Callable[[], None]) -> str:
    """Run Ivy for these JARs; ``one_more`` is called as each arrives. Returns its last lines."""
    scratch.mkdir()
    module = scratch / "ivy.xml"
    module.write_text(ivy_module(wanted), encoding="utf-8")
    settings = scratch / "ivysettings.xml"
    settings.write_text(_SETTINGS, encoding="utf-8")
    command = [
        str(java.find(config).executable),
        "-Dsun.net.client.defaultConnectTimeout=20000",  # Ivy sets no time limits of its own
        "-Dsun.net.client.defaultReadTimeout=60000",
        "-jar", str(_ivy_jar()),
        "-settings", os.environ.get(IVY_SETTINGS) or str(settings),
        "-cache", str(scratch / "cache"),
        "-ivy", str(module),
        "-retrieve", f"{scratch}/[organisation]_[artifact]-[revision].[ext]",
        "-types", "jar", "bundle",
    ]  # fmt: skip
    last: deque[str] = deque(maxlen=12)
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as ivy:
        assert ivy.stdout is not None
        for line in ivy.stdout:
            last.append(f"  {line.rstrip()}")
            if "[SUCCESSFUL ]" in line:
                one_more()
    return "\n".join(last)


def _ivy_jar() -> Path:
    import pyspark  # its import takes 0.2 s, and only a fetch needs it

    found = sorted((Path(pyspark.__file__).parent / "jars").glob("ivy-*.jar"))
    if not found:
        raise SetupError("pyspark ships no Ivy JAR here. Type: make -B setup")
    return found[-1]


class _Progress:
    """A bar on a terminal, a line every ten JARs elsewhere."""

    def __init__(self, which: Set, total: int) -> None:
        self._which, self._total, self._count = which, total, 0
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._console = Console(stderr=True)
        self._bar = Progress(*columns, console=self._console) if self._console.is_terminal else None

    def __enter__(self) -> _Progress:
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task(f"JARs for {self._which}", total=self._total)
        else:
            print(f"JARs for {self._which}: fetching {self._total}", file=sys.stderr, flush=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def step(self) -> None:
        self.at(min(self._count + 1, self._total))

    def at(self, count: int) -> None:
        shown, self._count = self._count, count
        if self._bar:
            self._bar.update(self._task, completed=count)
        elif count != shown and (count % 10 == 0 or count == self._total):
            print(f"JARs for {self._which}: {count}/{self._total}", file=sys.stderr, flush=True)


def main() -> int:
    """Fetch what these settings use; the exit code. Set-up runs it as a module, before all packages are there."""
    from lakehouse import config as settings

    config = settings.load()
    try:
        for which in wanted(config):
            print(f"JARs for {which}: {len(resolve(config, which))} are there, every SHA-256 right", flush=True)
    except SetupError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
