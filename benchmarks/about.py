"""Where and with what a benchmark ran: machine, versions, date, settings that are not at their defaults."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from lakehouse import config as settings
from lakehouse.config import PROJECT, Config, FilePath, Secret
from lakehouse.jvm import jars, java


def collect(config: Config) -> dict[str, Any]:
    """Everything a reader needs to interpret the figures. Secrets are not among it."""
    (broker,) = (jar.version for jar in jars.read_lock()["kafka"] if jar.artifact == "kafka-clients")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": {
            "processor": _processor(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "memory_gb": psutil.virtual_memory().total / 1e9,
            "system": platform.platform(),
            "load": psutil.getloadavg()[0],
        },
        "versions": {
            "Python": platform.python_version(),
            "Java": str(java.find(config).version),
            "Kafka": broker,
            **{name: version(name) for name in ("pyspark", "delta-spark", "deltalake", "kafka-python")},
        },
        "driver_memory": config.spark.driver_memory,
        "settings_changed": _changed(config),
    }


def _changed(config: Config) -> dict[str, str]:
    """``VENTES_<SECTION>__<KEY>`` → text, of the settings that are not at their defaults; no paths, no secrets."""
    plain, default = settings.as_environment(config), settings.as_environment(Config())
    private = {row.env for row in settings.settings() if row.annotation in (FilePath, Secret)}
    return {name: text for name, text in plain.items() if name not in private and text != default[name]}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = (
        re.search(r"^model name\s*: (.+)$", info.read_text(encoding="utf-8"), re.MULTILINE) if info.exists() else None
    )
    return found[1] if found else platform.processor() or platform.machine()


def _commit() -> str:
    """The commit, with a + when tracked files differ from it; ``unknown`` outside a git folder."""
    try:
        git = ["git", "-C", str(PROJECT)]
        head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
        # the figures that a part before this one has written are no other code
        others = ("--", ".", ":!docs/scaling.json", ":!docs/SCALING.md")
        changes = subprocess.run(
            [*git, "diff", "--quiet", "HEAD", *others], capture_output=True, check=False
        ).returncode
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.strip() + ("+" if changes else "")
