"""``python -m campaign``: run histories, and write what they showed."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from campaign import report
from campaign.faults import processes
from campaign.history import History, Record
from campaign.planted import bugs

TREE = Path(__file__).parents[1]
HISTORIES = TREE / "artifacts" / "campaign"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m campaign", description=__doc__)
    made.add_argument("--seed", type=int, help="run this one history, as it was run before")
    made.add_argument("--seeds", type=int, default=3, help="so many histories, from --first on (default 3)")
    made.add_argument("--first", type=int, default=1)
    made.add_argument("--minutes", type=float, default=10, help="begin no history after this time (default 10)")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--messages", type=int, default=120, help="sent in each round")
    made.add_argument("--sweep", choices=("bronze", "silver"), help="crash at every numbered step of this job instead")
    made.add_argument(
        "--planted", action="store_true", help="plant each known bug in a copy, and see whether it is found"
    )
    made.add_argument(
        "--report", action="store_true", help="write docs/FAULT_REPORT.md from the histories that are kept"
    )
    return made


def _show(record: Record) -> None:
    hits = sum(strike.hit for strike in record.strikes)
    print(
        f"seed {record.seed}: {record.messages} messages, {hits} of {len(record.strikes)} faults struck, "
        f"{len(record.violations)} violations, {record.seconds:.0f} s",
        flush=True,
    )
    for violation in record.violations[:5]:
        print(f"  {violation.claim}: {violation.what}", flush=True)


def main() -> int:
    """The exit code: 1 when a claim was violated, or a planted bug was not found."""
    given = parser().parse_args()
    if given.report:
        report.write(HISTORIES, TREE / "docs" / "FAULT_REPORT.md")
        return 0
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="campaign-") as made,
        processes.broker(TREE, Path(made, "broker")) as broker,
    ):
        if given.planted:
            return bugs.run(TREE, Path(made), broker, HISTORIES, minutes=given.minutes)
        seeds = [given.seed] if given.seed is not None else range(given.first, given.first + given.seeds)
        violated = False
        for seed in seeds:
            if time.monotonic() - began > given.minutes * 60:
                print(f"time is over before seed {seed}")
                break
            one = History(seed, TREE, Path(made, f"h{seed}"), broker, rounds=given.rounds, messages=given.messages)
            record = one.sweep(given.sweep) if given.sweep else one.run()
            record.write(HISTORIES / (given.sweep or "random"))
            _show(record)
            violated |= bool(record.violations)
    return int(violated)


if __name__ == "__main__":
    sys.exit(main())
