"""Run files, ``run/<name>.json``: identity, health address and outcome of each process.

A name belongs to one living process. A second producer of the same folder becomes ``producer-2``, with a log, a run
file and a port of its own, and so does a second Bronze job until the tables' lock refuses it: none overwrites what the
first one says. A file is replaced whole, and it stays when its process dies, so that a crash is seen.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from lakehouse import atomic_file
from lakehouse.config import Config, paths
from lakehouse.errors import SetupError


@dataclass(frozen=True)
class RunFile:
    """One process. ``process_started`` is the operating system's (seconds since 1970): with it a process id that was
    given to another program is told apart. ``ended`` and ``exit_code`` are None while it runs, and after a crash."""

    name: str
    process: str
    pid: int
    process_started: float
    host: str
    address: str
    port: int | None
    run_id: str
    version: str
    code: str
    started: datetime
    ended: datetime | None = None
    exit_code: int | None = None
    last_error: str | None = None

    @property
    def here(self) -> bool:
        """Whether it ran on this machine: only then is its process id valid here."""
        return self.host == socket.gethostname()

    @property
    def alive(self) -> bool:
        """Whether exactly that process runs."""
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.process_started) < 2
            return bool(same and found.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False


def folder(config: Config) -> Path:
    """Where the run files lie."""
    return paths.state(config) / "run"


@contextlib.contextmanager
def name_of_its_own(config: Config, process: str) -> Iterator[str]:
    """The process's name, or ``<name>-2`` and so on while others live under it."""
    place = folder(config)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"{place} cannot be written: {error.strerror}. Set [DELTA] base_path.") from None
    for number in itertools.count(1):
        name = process if number == 1 else f"{process}-{number}"
        lock = FileLock(place / f"{name}.lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        try:
            yield name
        finally:
            lock.release()
        return


def write(config: Config, run: RunFile) -> None:
    """Replace the file of this name, whole."""
    fields = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in asdict(run).items()}
    text = json.dumps(fields, ensure_ascii=False, indent=1) + "\n"
    atomic_file.write(folder(config) / f"{run.name}.json", text, durable=False)


def remove(config: Config, name: str) -> None:
    """Delete the run file of a process."""
    (folder(config) / f"{name}.json").unlink(missing_ok=True)


def read(config: Config) -> dict[str, RunFile]:
    """Name → the last run file of each process. A file of another format is left out."""
    found = {}
    for path in sorted(folder(config).glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            run = _read(json.loads(path.read_text(encoding="utf-8")))
            found[run.name] = run
    return found


def _read(fields: dict[str, Any]) -> RunFile:
    for key in ("started", "ended"):
        if fields[key] is not None:
            fields[key] = datetime.fromisoformat(fields[key])
    return RunFile(**fields)
