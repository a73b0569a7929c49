"""Resident memory of the whole default pipeline: ``setup_utils.py run`` with its default settings, sampled while it runs.

Two sums over all of its processes: RSS counts a page that two processes share twice, PSS (Linux) divides it among them and
is what the machine is short of. The slope is the least-squares line through the PSS sums after the warm-up, which is the
first quarter of the run, 15 minutes at most.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks import contenders
from benchmarks.report import slope
from lakehouse.config import PROJECT, Config
from lakehouse.kafka.broker.properties import free_port
from lakehouse.observability import metrics

EVERY = 10.0
SCRIPTS = ("producer_ventes", "spark_streaming_delta", "streaming_silver", "dashboard", "setup_utils")


def measure(config: Config, home: Path, minutes: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Run the pipeline in a folder and on ports of its own. Needs /proc."""
    own = settings_of(config, home / "pipeline")
    Path(own.delta.base_path).mkdir()
    samples: list[list[float]] = []
    last: dict[str, float] = {}
    command = [sys.executable, str(PROJECT / "setup_utils.py"), "run"]
    with contenders.measured(own, "pipeline", command) as child:
        began = time.monotonic()
        while (now := time.monotonic() - began) < minutes * 60:
            time.sleep(EVERY)
            child.check()
            parts = by_process(child.pid)
            samples.append([now + EVERY, sum(pss for _, pss in parts.values()), sum(rss for rss, _ in parts.values())])
            last = {name: pss for name, (_, pss) in parts.items()}
            if len(samples) % 30 == 0:
                say(f"  {now / 60:.0f} min: {samples[-1][1]:,.0f} MB")
        child.end(patience=120)
    return figures(samples, last, minutes)


def settings_of(config: Config, folder: Path) -> Config:
    """The defaults, but for what would meet another pipeline: folder, broker, ports."""
    own = contenders.configured(config, folder, config.kafka.topic)
    ports = {f"{name}_metrics_port": 0 for name in metrics.PROCESSES}
    return dataclasses.replace(
        own,
        kafka=dataclasses.replace(own.kafka, bootstrap_servers=f"localhost:{free_port()}", controller_port=0),
        monitoring=dataclasses.replace(own.monitoring, dashboard_port=0, **ports),
    )


def by_process(session: int, scripts: Sequence[str] = SCRIPTS) -> dict[str, tuple[float, float]]:
    """(RSS, PSS) in MB of all that ``session``'s first process has started, added up by what it is."""
    found: dict[str, tuple[float, float]] = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(session)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.Error, OSError):
                name = kind(process, scripts)
                rss, pss = found.get(name, (0.0, 0.0))
                info = process.memory_full_info()
                found[name] = (rss + info.rss / 1e6, pss + getattr(info, "pss", info.rss) / 1e6)
    return found


def kind(process: psutil.Process, scripts: Sequence[str] = SCRIPTS) -> str:
    """``bronze: java``, ``dashboard`` …: the script that it belongs to, and its Java apart."""
    java = process.name() == "java"
    for one in (process, *process.parents()):
        for script in scripts:
            if any(re.search(rf"\b{script}\.py$", word) for word in one.cmdline()):
                name = "kafka" if script == "setup_utils" and "kafka" in one.cmdline() else script
                return f"{name}: Java" if java else name
    return "other"


def figures(samples: Sequence[Sequence[float]], last: dict[str, float], minutes: float) -> dict[str, Any]:
    """From [seconds, PSS, RSS] of each sample. PURE."""
    warm = min(15.0, minutes / 4) * 60
    settled = [one for one in samples if one[0] >= warm]
    return {
        "minutes": minutes, "warm_up_minutes": warm / 60, "pss_mb": samples[-1][1], "rss_mb": samples[-1][2],
        "peak_pss_mb": max(one[1] for one in samples), "slope_mb_per_hour": slope([(s, pss) for s, pss, _ in settled]) * 3600,
        "by_process": dict(sorted(last.items())), "samples": [[round(value) for value in one] for one in samples],
    }  # fmt: skip
