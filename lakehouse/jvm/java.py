"""The Java that Spark and the broker run on: found, or fetched; 17 or newer, with Spark's vector module."""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lakehouse.config import Config
from lakehouse.errors import SetupError

OLDEST = 17
MODULE = "jdk.incubator.vector"  # Spark 4 passes --add-modules for it: a trimmed runtime without it cannot start
HOW_TO_INSTALL = """Install one by hand, then start again:
  Debian, Ubuntu   sudo apt-get install -y openjdk-17-jdk-headless
  macOS            brew install openjdk@17
  Windows          winget install Microsoft.OpenJDK.17
Or name one that you have: [DEVELOPMENT] java_home in config.ini, or JAVA_HOME in the environment."""

_MANAGERS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("apt-get", ("install", "-y", "--no-install-recommends"), ("openjdk-17-jdk-headless", "openjdk-21-jdk-headless")),
    ("dnf", ("install", "-y"), ("java-17-openjdk-headless", "java-21-openjdk-headless")),
    ("zypper", ("--non-interactive", "install"), ("java-17-openjdk-headless", "java-21-openjdk-headless")),
    ("apk", ("add",), ("openjdk17-jdk", "openjdk21-jdk")),
    ("pacman", ("-S", "--noconfirm"), ("jdk17-openjdk", "jdk21-openjdk")),
)


@dataclass(frozen=True)
class Java:
    """One Java that runs; ``version`` is its feature number (17, 21, 25 …)."""

    home: Path
    version: int

    @property
    def executable(self) -> Path:
        return self.home / "bin" / _EXECUTABLE


_EXECUTABLE = "java.exe" if os.name == "nt" else "java"


def find(config: Config) -> Java:
    """The first Java that fits: [DEVELOPMENT] java_home, JAVA_HOME, PATH, the usual folders, the cache folder.

    A java_home of the settings is never overridden: one that does not fit is an error. A JAVA_HOME that does not fit
    is passed over, since many machines carry a stale one. Raises ``SetupError`` with what was tried and what to type.
    """
    wanted = config.development.java_home
    refused: list[str] = []
    for executable in [Path(wanted) / "bin" / _EXECUTABLE] if wanted else _candidates(config):
        found = _probe(executable)
        if isinstance(found, Java):
            return found
        refused.append(f"  {executable}: {found}")
    if wanted:
        raise SetupError(f"[DEVELOPMENT] java_home = {wanted} cannot be used: {refused[0].split(': ', 1)[1]}.")
    tried = "\n".join(["Tried:", *dict.fromkeys(refused)]) + "\n" if refused else ""
    raise SetupError(
        f"No Java {OLDEST} or newer with the module {MODULE} was found.\n{tried}"
        f"Type: python setup_utils.py java   (fetches one)\n{HOW_TO_INSTALL}"
    )


def unusable_java_home(config: Config) -> str | None:
    """The sentence about a JAVA_HOME that ``find`` passes over; None when it fits, is not set, or ``java_home`` goes before."""
    named = os.environ.get("JAVA_HOME")
    if not named or config.development.java_home:
        return None
    found = _probe(Path(named) / "bin" / _EXECUTABLE)
    return None if isinstance(found, Java) else f"JAVA_HOME = {named} is not used: {found}."


def install(config: Config) -> Java:
    """Get a Java: as root from the system's package manager, otherwise a JDK into ``cache_dir``/java.

    Takes a minute or two; the package manager's own output goes to the terminal. Raises ``SetupError`` with the
    reasons and with what to type by hand.
    """
    failures = []
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        for manager, verb, packages in _MANAGERS:
            if shutil.which(manager) is None:
                continue
            if manager == "apt-get":
                _system([manager, "update", "-q"])
            for package in packages:
                if _system([manager, *verb, package]):
                    _probe.cache_clear()
                    return find(config)
                failures.append(f"{manager} could not install {package}")
            break
    folder = Path(config.development.cache_dir) / "java"
    try:
        import jdk  # only needed here, and it looks at the machine when it is imported

        folder.mkdir(parents=True, exist_ok=True)
        jdk.install(str(OLDEST), path=str(folder))
        _probe.cache_clear()
        return find(config)
    except (OSError, ValueError, jdk.JdkError) as error:
        failures.append(f"no JDK could be fetched into {folder}: {error}")
    reasons = "\n".join(f"  {failure}" for failure in failures)
    raise SetupError(f"Java {OLDEST} could not be installed:\n{reasons}\n{HOW_TO_INSTALL}")


def environment(config: Config) -> dict[str, str]:
    """The environment of this process with the Java of ``find`` in JAVA_HOME and first on PATH, for a child process."""
    home = find(config).home
    # each thread of Java may get an arena of its own from the C library, which then keeps what was freed in it
    return {
        "MALLOC_ARENA_MAX": "2",
        **os.environ,
        "JAVA_HOME": str(home),
        "PATH": f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def option(text: str) -> str:
    """One option as Spark's lists of Java options have it, in which a space ends one."""
    return f'"{text}"' if " " in text else text


def parse(output: str) -> Java | str:
    """What ``java -XshowSettings:properties --list-modules`` printed → the Java, or why it does not fit."""
    home = re.search(r"^\s*java\.home = (.+?)\s*$", output, re.MULTILINE)
    version = re.search(r"^\s*java\.specification\.version = (?:1\.)?(\d+)", output, re.MULTILINE)
    if home is None or version is None:
        return "it does not answer like a Java"
    if int(version[1]) < OLDEST:
        return f"Java {version[1]} is older than {OLDEST}"
    if not re.search(rf"^{re.escape(MODULE)}(@|\s|$)", output, re.MULTILINE):
        return f"a trimmed Java {version[1]} without the module {MODULE}"
    return Java(Path(home[1]), int(version[1]))


@functools.cache
def _probe(executable: Path) -> Java | str:
    """Ask the Java itself for its home: a command on PATH is often a link or a version manager's script.

    One call (70 ms) tells home, version and modules. Java 8 stops at --list-modules, but shows its settings first.
    """
    if not executable.is_file():
        return "no such file"
    command = [str(executable), "-XshowSettings:properties", "--list-modules"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it does not run ({error})"
    return parse(done.stderr + "\n" + done.stdout)


def _candidates(config: Config) -> Iterator[Path]:
    if os.environ.get("JAVA_HOME"):
        yield Path(os.environ["JAVA_HOME"]) / "bin" / _EXECUTABLE
    if on_path := shutil.which("java"):
        yield Path(on_path)
    for root, pattern in _usual_folders(config):
        # by name, so that of several the older one that fits is taken: Spark is run most on 17 and 21
        for home in sorted(root.glob(pattern)):
            yield home / "bin" / _EXECUTABLE


def _usual_folders(config: Config) -> Iterator[tuple[Path, str]]:
    cache = Path(config.development.cache_dir) / "java"
    system = platform.system()
    if system == "Darwin":
        yield Path("/Library/Java/JavaVirtualMachines"), "*/Contents/Home"
        yield Path("/opt/homebrew/opt"), "openjdk*"
        yield Path("/usr/local/opt"), "openjdk*"
    elif system == "Windows":
        for vendor in ("Java", "Microsoft", "Eclipse Adoptium", "Amazon Corretto", "Zulu"):
            yield Path(os.environ.get("PROGRAMFILES", r"C:\Program Files")) / vendor, "*"
    else:
        yield Path("/usr/lib/jvm"), "*"
        yield Path("/usr/java"), "*"
        yield Path("/opt/java"), "*"
    yield Path.home() / ".sdkman" / "candidates" / "java", "*"
    yield cache, "*"
    yield cache, "*/Contents/Home"


def _system(command: list[str]) -> bool:
    print(f"+ {' '.join(command)}", flush=True)
    return subprocess.run(command, check=False, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}).returncode == 0
