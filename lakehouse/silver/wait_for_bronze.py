"""Waiting for Bronze: for its first sales, and for its next commit. No JVM runs until there is something to read."""

from __future__ import annotations

import threading
import time

from lakehouse.config import Config
from lakehouse.contract.tables import VENTES
from lakehouse.errors import TableMissing
from lakehouse.lake import delta_tables
from lakehouse.observability import log

_log = log.get("silver")


def bronze_exists(config: Config) -> bool:
    """Whether the Bronze job has made its table of sales."""
    return delta_tables.exists(VENTES, config)


def no_bronze(config: Config) -> TableMissing:
    """The error for a lake without Bronze, with the command that makes it."""
    return TableMissing(
        f"There is no Bronze table under {config.delta.base_path} yet. Start the Bronze job first: "
        f"python spark_streaming_delta.py"
    )


def wait_for_bronze(config: Config, every: float | None, stop: threading.Event) -> bool:
    """False when told to stop meanwhile. Without ``every``, a missing Bronze raises ``TableMissing``; with it, tables are not
    built before there is a sale: a build over nothing would put off the first figures by a whole interval."""
    if every is None:
        if not bronze_exists(config):
            raise no_bronze(config)
        return True
    if bronze_exists(config) and _has_sales(config):
        return _wait_for_commit(config, every, stop)
    _log.info("waiting for the first sales in Bronze")
    while not (bronze_exists(config) and _has_sales(config)):
        if stop.wait(0.5):
            return False
    return True


def _has_sales(config: Config) -> bool:
    return bool(delta_tables.opened(VENTES, config).file_uris())


def _wait_for_commit(config: Config, every: float, stop: threading.Event) -> bool:
    """Wait for Bronze's next commit, ``every`` seconds at most: the Bronze job gets the CPU first
    while its Spark starts. False when told to stop."""
    seen, give_up = delta_tables.opened(VENTES, config).version(), time.monotonic() + every
    while delta_tables.opened(VENTES, config).version() == seen and time.monotonic() < give_up:
        if stop.wait(0.5):
            return False
    return not stop.is_set()
