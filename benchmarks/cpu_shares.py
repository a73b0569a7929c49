"""CPU of the whole default pipeline at its default rate, a sale every two seconds: each process as a share of one core.

``python -m benchmarks.cpu_shares --warm-up 10 --minutes 5``. CPU seconds come from /proc, over windows of minutes, so that other
work on the machine changes them little. Beside it, with the same broker and producer: a textbook pair of jobs that does as
little as it may (``textbook_job.py``, ``textbook_totals.py``).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks import contenders, memory
from lakehouse import cli
from lakehouse.config import PROJECT, Config
from lakehouse.contract.tables import VENTES

PAIR = "textbook pair"
OURS = "ours"
_TICKS = os.sysconf("SC_CLK_TCK")
_JOBS = ("textbook_job", "textbook_totals")


@dataclasses.dataclass(frozen=True)
class Account:
    """CPU seconds by process and by (process, Java thread); PSS in MB by process; Bronze's commits."""

    seconds: dict[str, float]
    threads: dict[tuple[str, str], float]
    pss_mb: dict[str, float]
    commits: int


def account(session: int, base: str) -> Account:
    """What the pipeline whose first process is ``session`` has used so far. Needs /proc."""
    seconds: Counter[str] = Counter()
    threads: Counter[tuple[str, str]] = Counter()
    root = psutil.Process(session)
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.Error, OSError):
            name = memory.kind(process, (*memory.SCRIPTS, *_JOBS))
            used = process.cpu_times()
            seconds[name] += used.user + used.system
            for thread, its in _threads(process.pid):
                threads[name, thread] += its
    pss = {name: size for name, (_, size) in memory.by_process(session, (*memory.SCRIPTS, *_JOBS)).items()}
    log = Path(VENTES.path(base)) / "_delta_log"
    return Account(dict(seconds), dict(threads), pss, sum(1 for _ in log.glob("0*.json")))


def both(config: Config, home: Path, *, warm_up: float, minutes: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Ours, then the textbook pair."""
    runs = [
        measure(config, home / who.replace(" ", "-"), who, warm_up=warm_up, minutes=minutes, say=say)
        for who in (OURS, PAIR)
    ]
    return {"warm_up_minutes": warm_up, "minutes": minutes, "runs": runs}


def _threads(pid: int) -> list[tuple[str, float]]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            name, _, rest = (task / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
            fields = rest.split()
            found.append((name.split("(", 1)[1], (int(fields[11]) + int(fields[12])) / _TICKS))
    return found


def measure(
    config: Config,
    home: Path,
    who: str,
    *,
    warm_up: float,
    minutes: float,
    say: Callable[[str], None],
    without: Sequence[str] = (),
) -> dict[str, Any]:
    """One pipeline, in a folder and on ports of its own: its figures over ``minutes`` after ``warm_up`` minutes."""
    own = memory.settings_of(config, home)
    base = Path(own.delta.base_path)
    base.mkdir(parents=True)
    command = [sys.executable, str(PROJECT / "setup_utils.py"), "run"]
    for name in without:
        command += ["--without", name]
    if who == PAIR:
        command += ["--procfile", str(_procfile(own, base / "Procfile"))]
    with contenders.measured(own, "pipeline", command) as child:
        _wait(child, warm_up * 60)
        before, began = account(child.pid, str(base)), time.monotonic()
        _wait(child, minutes * 60)
        after, took = account(child.pid, str(base)), time.monotonic() - began
        child.end(patience=120)
    found = figures(before, after, took)
    say(f"  {who}: {found['share']:.1%} of a core, {found['pss_mb']:,.0f} MB")
    return {"contender": who, **found}


def _wait(child: Any, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 5.0))
        child.check()


def _procfile(config: Config, file: Path) -> Path:
    """The textbook pair's: our broker and producer, and the two jobs in place of ours and of the dashboard."""
    table, base = VENTES.path(config.delta.base_path), config.delta.base_path
    script = PROJECT / "benchmarks" / "textbook_totals.py"
    bronze = contenders.TEXTBOOK.command(config, False)
    common = [word for word in bronze if word.startswith(("--jars=", "--driver-memory="))]
    totals = [
        sys.executable,
        str(script),
        f"--bronze={table}",
        f"--table={base}/totals",
        f"--checkpoint={base}/ct",
        *common,
    ]
    lines = {
        "kafka": ["python", "setup_utils.py", "kafka"],
        "producer": ["python", "producer_ventes.py"],
        "bronze": bronze,
        "totals": totals,
    }
    file.write_text("".join(f"{name}: {' '.join(words)}\n" for name, words in lines.items()), encoding="utf-8")
    return file


def figures(before: Account, after: Account, seconds: float) -> dict[str, Any]:
    """PURE. CPU between two accounts as shares of one core; of each process's threads, those above a thousandth of a core."""
    shares = {name: (used - before.seconds.get(name, 0.0)) / seconds for name, used in after.seconds.items()}
    threads: dict[str, dict[str, float]] = {}
    for (name, thread), used in after.threads.items():
        share = (used - before.threads.get((name, thread), 0.0)) / seconds
        if share >= 0.001:
            threads.setdefault(name, {})[thread] = share
    return {
        "seconds": seconds, "share": sum(shares.values()), "shares": _largest(shares),
        "threads": {name: _largest(each) for name, each in threads.items()},
        "pss_mb": sum(after.pss_mb.values()), "commits_per_second": (after.commits - before.commits) / seconds,
    }  # fmt: skip


def _largest(shares: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _body(args: argparse.Namespace, config: Config) -> int:
    with tempfile.TemporaryDirectory(prefix="low-rate-") as text:
        for who in args.who:
            home = Path(text) / who.replace(" ", "-")
            found = measure(
                config, home, who, warm_up=args.warm_up, minutes=args.minutes, say=print, without=args.without
            )
            for name, share in found["shares"].items():
                print(f"    {share:7.2%}  {name}")
                for thread, its in found["threads"].get(name, {}).items():
                    print(f"        {its:7.2%}  {thread}")
            print(f"    {found['commits_per_second']:.2f} commits a second in Bronze", flush=True)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    made = cli.parser(
        "benchmarks.cpu_shares", __doc__ or "", ("python -m benchmarks.cpu_shares --minutes 3 --warm-up 2",)
    )
    made.add_argument(
        "--warm-up", type=float, default=10, metavar="MIN", help="before the window (default: %(default)s)"
    )
    made.add_argument("--minutes", type=float, default=5, metavar="MIN", help="the window (default: %(default)s)")
    made.add_argument("--who", nargs="+", choices=(OURS, PAIR), default=(OURS, PAIR), help="(default: both)")
    made.add_argument("--without", nargs="+", default=(), metavar="NAME", help="processes of the Procfile to leave out")
    return cli.run(made, _body, argv)


if __name__ == "__main__":
    sys.exit(main())
