"""From the command to the first commit in Bronze: with the class archive, without it, and the textbook job, in turns.

``python -m benchmarks.start --repeat 3``. The broker runs and holds 1,000 sales of the last minute; the JARs are in the cache; each start has
an empty lake of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import contenders, preload
from benchmarks.contenders import CONTENDERS, Contender
from lakehouse import cli
from lakehouse.config import Config
from lakehouse.contract.tables import VENTES
from lakehouse.kafka.broker.node import Broker
from lakehouse.kafka.broker.properties import free_port
from lakehouse.setup import class_archive_training, demo

SALES = 1000


def seconds_to_first_commit(contender: Contender, config: Config) -> float:
    """From the start of the process to the first file of Bronze's log that adds rows."""
    log = Path(VENTES.path(config.delta.base_path)) / "_delta_log"
    began = time.monotonic()
    with contenders.start(contender, config, once=False) as running:
        while not _adds_rows(log):
            running.check()
            time.sleep(0.01)
        return time.monotonic() - began


def _adds_rows(log: Path) -> bool:
    with contextlib.suppress(OSError):  # the folder comes with the first commit
        return any('"add":{' in entry.read_text(encoding="utf-8") for entry in log.glob("0*.json"))
    return False


def without_archive(config: Config, scratch: Path) -> Config:
    """The same settings with a cache folder that holds the same JARs and nothing else."""
    scratch.mkdir()
    (scratch / "jars").symlink_to((Path(config.development.cache_dir) / "jars").resolve())
    return dataclasses.replace(config, development=dataclasses.replace(config.development, cache_dir=str(scratch)))


def measure(config: Config, repeat: int) -> dict[str, list[float]]:
    """Seconds of each start, by contender."""
    by_name = {contender.name: contender for contender in CONTENDERS}
    with tempfile.TemporaryDirectory(prefix="start-") as text:
        folder = Path(text)
        own = demo.settings_of(config, folder / "broker", free_port())
        (folder / "broker").mkdir()
        bare = without_archive(own, folder / "bare")
        turns: dict[str, tuple[str, Callable[[], Config]]] = {
            "ours": ("ours", lambda: own),
            "ours without the archive": ("ours", lambda: bare),
            "textbook": ("textbook", lambda: own),
        }
        found: dict[str, list[float]] = {name: [] for name in turns}
        with Broker(own):
            preload.fill(own, SALES, folder / "preload.log", span=60)
            for number in range(repeat):
                for name, (contender, settings_of) in turns.items():
                    lake = folder / f"lake-{len(found[name])}-{name.replace(' ', '-')}"
                    made = contenders.configured(settings_of(), lake, own.kafka.topic)
                    found[name].append(seconds_to_first_commit(by_name[contender], made))
                    print(f"turn {number + 1}, {name}: {found[name][-1]:.1f} s", file=sys.stderr, flush=True)
    return found


def _body(args: argparse.Namespace, config: Config) -> int:
    class_archive_training.make(config)
    found = measure(config, args.repeat)
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    for name, median in medians.items():
        print(f"{name}: {median:.1f} s to the first commit, {median / medians['textbook']:.2f} of the textbook job's")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    made = cli.parser("benchmarks.start", __doc__ or "", ("python -m benchmarks.start --repeat 3",))
    made.add_argument("--repeat", type=int, default=3, metavar="N", help="turns of each contender (default: 3)")
    return cli.run(made, _body, argv)


if __name__ == "__main__":
    sys.exit(main())
