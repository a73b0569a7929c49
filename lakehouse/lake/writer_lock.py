"""The lock that keeps Delta tables to one writing process. No JVM."""

from __future__ import annotations

import getpass
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from lakehouse.config import Config, format_duration, paths
from lakehouse.errors import TableLocked
from lakehouse.lake import object_store


def lock_folder(config: Config) -> Path:
    """The folder of the lock files, on this machine."""
    return paths.state(config) / "locks"


@contextmanager
def writer_lock(config: Config, job: str) -> Iterator[None]:
    """Hold the exclusive right to write ``job``'s tables. Raises ``TableLocked`` and says who holds it.

    Local Delta tables are safe for one writing process only: two can both be told that they committed the same version.
    The lock is the operating system's: it ends with the process, however that ends. A lake on s3a:// is also claimed in
    its store, against other machines.
    """
    folder = lock_folder(config)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{job}.lock", thread_local=False)
    holder = folder / f"{job}.json"
    try:
        lock.acquire(timeout=config.delta.lock_timeout.total_seconds())
    except Timeout:
        raise TableLocked(
            f"Another process writes the {job} tables under {config.delta.base_path}{_describe(holder)}. Stop it first, "
            f"or wait for it with VENTES_DELTA__LOCK_TIMEOUT='5 minutes' (now {format_duration(config.delta.lock_timeout)})."
        ) from None
    try:
        holder.write_text(
            json.dumps(
                {
                    "pid": os.getpid(),
                    "host": socket.gethostname(),
                    "user": getpass.getuser(),
                    "command": Path(sys.argv[0]).name,
                    "since": datetime.now(UTC).isoformat(timespec="seconds"),
                }
            ),
            encoding="utf-8",
        )
        with object_store.claim(config, job):
            yield
    finally:
        lock.release()


def _describe(holder: Path) -> str:
    try:
        who = json.loads(holder.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return f" (process {who['pid']} on {who['host']}, {who['command']}, since {who['since']})"
