"""The virtual environments of contenders that need packages of their own: made on demand, every file checked by its hash.

``python -m benchmarks.venvs lock`` writes ``requirements-NAME.lock`` from ``requirements-NAME.txt`` (uv asks the index).
None of these packages is in the project's own environment, and none is needed to run it.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from lakehouse.config import PROJECT, Config
from lakehouse.errors import LakehouseError

FOLDER = PROJECT / "benchmarks"
NAMES = ("bare", "quix")
_HEADER = "# Written by python -m benchmarks.venvs lock from {name}: every file by its SHA-256. Do not edit.\n"
_TIMEOUT = 900.0


def lock_of(name: str) -> Path:
    return FOLDER / f"requirements-{name}.lock"


def pins(name: str) -> list[str]:
    """``package==version`` of what an environment was asked for."""
    text = (FOLDER / f"requirements-{name}.txt").read_text(encoding="utf-8")
    return re.findall(r"^([\w-]+==[\w.]+)$", text, re.MULTILINE)


def python(config: Config, name: str) -> str:
    """The Python of an environment, made when it is missing or when its lock has changed. Raises ``LakehouseError``."""
    lock = lock_of(name)
    mark = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    folder = Path(config.development.cache_dir) / "bench" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    found, made = folder / "bin" / "python", folder / ".made"
    with FileLock(f"{folder}.lock"):
        if not (made.exists() and made.read_text(encoding="ascii") == mark):
            _run(name, [sys.executable, "-m", "venv", "--clear", str(folder)])
            pip = [str(found), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
            _run(name, [*pip, "--only-binary", ":all:", "-r", str(lock)])
            made.write_text(mark, encoding="ascii")
    return str(found)


def _run(name: str, command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise LakehouseError(f"The environment {name} was not made within {_TIMEOUT:g} s.") from None
    if done.returncode:
        raise LakehouseError(f"The environment {name} could not be made: {done.stderr.strip()[-500:]}")


def lock() -> int:
    """Write the locks anew."""
    for name in NAMES:
        source = FOLDER / f"requirements-{name}.txt"
        command = [
            str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", "--universal", "--generate-hashes",
            "--no-annotate", "--no-header", "--no-config", "--python-version", "3.11", source.name,
        ]  # fmt: skip
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LakehouseError(f"{source.name} could not be locked: {done.stderr.strip()}")
        lock_of(name).write_text(_HEADER.format(name=source.name) + done.stdout, encoding="utf-8")
    return 0


if __name__ == "__main__":
    if sys.argv[1:] != ["lock"]:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    sys.exit(lock())
