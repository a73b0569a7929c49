"""``python -m campaign``: run histories, and write what they showed."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from campaign import report, shim, sweep
from campaign.faults import catalogue, processes
from campaign.history import History, Record
from campaign.planted import bugs

TREE = Path(__file__).parents[1]
HISTORIES = Path(os.environ.get("CAMPAIGN_HISTORIES", TREE / "artifacts" / "campaign"))
"""Where the records go: ignored by git. The report holds their hashes."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m campaign", description=__doc__)
    made.add_argument("--seed", type=int, help="run this one history, as it was run before")
    made.add_argument("--seeds", type=int, default=3, help="so many histories, from --first on (default 3)")
    made.add_argument("--first", type=int, default=1)
    made.add_argument("--minutes", type=float, default=10, help="begin no history after this time (default 10)")
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--messages", type=int, default=120, help="sent in each round")
    made.add_argument(
        "--fault", metavar="NAME", action="append", choices=sorted({*catalogue.BRONZE, *catalogue.RARE, *catalogue.BETWEEN["bronze"]}),
        help="one round with this fault of Bronze, instead of those that the seed chooses; may be repeated",
    )  # fmt: skip
    made.add_argument(
        "--sweep",
        choices=("bronze", "verbs", *sweep.SWEPT),
        action="append",
        help="kill this at each of its numbered steps instead; verbs: Silver and each verb",
    )
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


def _rounds(faults: list[str] | None) -> list[tuple[str | None, str, str | None, str]] | None:
    if not faults:
        return None
    between = catalogue.BETWEEN["bronze"]
    return [(name, "none", None, "none") if name in between else (None, name, None, "none") for name in faults]


def main() -> int:
    """The exit code: 1 when a claim was violated, or a planted bug was not found."""
    given = parser().parse_args()
    if given.report:
        report.write(HISTORIES, TREE / "docs" / "FAULT_REPORT.md")
        return 0
    until = time.monotonic() + given.minutes * 60
    with (
        tempfile.TemporaryDirectory(prefix="campaign-") as made,
        processes.broker(TREE, Path(made, "broker")) as broker,
    ):
        if given.planted:
            return bugs.run(TREE, Path(made), broker, HISTORIES, minutes=given.minutes)
        library = shim.build(Path(made))
        violated = False

        def one(seed: int) -> History:
            folder = Path(made, f"h{seed}")
            return History(seed, TREE, folder, broker, rounds=given.rounds, messages=given.messages, library=library)

        def keep(record: Record, folder: str) -> None:
            nonlocal violated
            record.commit = report.commit(TREE)
            record.write(HISTORIES / folder)
            _show(record)
            violated |= bool(record.violations)

        wanted = [each for name in given.sweep or () for each in (sweep.SWEPT if name == "verbs" else (name,))]
        for number, name in enumerate(wanted):
            swept = one(given.first + number)
            steps = sweep.bronze_steps(swept, until) if name == "bronze" else sweep.steps_of(name, swept, until)
            keep(steps, f"sweep-{name.replace(' ', '-')}")
        seeds = [given.seed] if given.seed is not None else range(given.first, given.first + given.seeds)
        for seed in () if given.sweep else seeds:
            if time.monotonic() > until:
                print(f"time is over before seed {seed}")
                break
            rounds = _rounds(given.fault)
            keep(one(seed).run(rounds, operators=rounds is None), "chosen" if rounds else "random")
    return int(violated)


if __name__ == "__main__":
    sys.exit(main())
