"""``python -m campaign``: run histories, and write what they showed."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

from campaign import ground, report, shim, sweep
from campaign.faults import catalogue, processes
from campaign.ground import Ground
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
        "--failing-writes",
        choices=tuple(sweep.SWEPT),
        action="append",
        help="let its disk fail from the first, second … write on instead",
    )
    made.add_argument("--every", type=int, default=1, metavar="N", help="of the failing writes, each Nth")
    made.add_argument(
        "--planted",
        choices=("bronze", "silver"),
        action="append",
        help="plant each known bug of a job in a copy, and see whether it is found",
    )
    made.add_argument(
        "--without-jvm",
        action="store_true",
        help="histories of Silver and the verbs alone, over what Bronze wrote once",
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


class Session:
    """One call of the campaign: its folder, its broker, which is started when it is first needed, and where records go."""

    def __init__(self, given: argparse.Namespace, folder: Path, ends: contextlib.ExitStack) -> None:
        self.given, self.folder = given, folder
        self.until = time.monotonic() + given.minutes * 60
        self.violated = False
        self._ends, self._running = ends, False
        self._broker = processes.Broker(TREE, folder / "broker")
        self._library = shim.build(folder)

    def broker(self, *, needed: bool = True) -> processes.Broker:
        """Running, when it is needed."""
        if needed and not self._running:
            self._ends.callback(self._broker.kill)
            self._broker.start()
            self._running = True
        return self._broker

    def ground(self) -> Ground:
        """The one that is kept, or a new one."""
        place = HISTORIES / f"ground-{ground.version()}"
        return ground.kept(place) or ground.made(TREE, place, self.broker())

    def history(self, seed: int, *, topic: str = "", kafka: bool = True) -> History:
        """A new one, over a folder of its own."""
        return History(
            seed, TREE, self.folder / f"h{seed}", self.broker(needed=kafka), rounds=self.given.rounds,
            messages=self.given.messages, library=self._library, topic=topic,
        )  # fmt: skip

    def keep(self, record: Record, folder: str) -> None:
        """Write a record, and show it."""
        record.commit = report.commit(TREE)
        record.write(HISTORIES / folder)
        _show(record)
        self.violated |= bool(record.violations)

    def sweep(self, name: str, seed: int) -> None:
        """Every crash point of a job or a verb."""
        if name == "bronze":
            record = sweep.bronze_steps(self.history(seed), self.until)
        else:
            base = self.ground()
            one = self.history(seed, topic=base.topic, kafka=sweep.SWEPT[name].kafka)
            record = sweep.steps_of(name, one, base, self.until)
        self.keep(record, f"sweep-{name.replace(' ', '-')}")

    def fail_writes(self, name: str, seed: int) -> None:
        """A disk that fails under a job or a verb."""
        base = self.ground()
        one = self.history(seed, topic=base.topic, kafka=sweep.SWEPT[name].kafka)
        record = sweep.failing_writes(name, one, base, self.until, self.given.every)
        self.keep(record, f"writes-{name.replace(' ', '-')}")

    def plant(self, which: str) -> None:
        """The known bugs of Bronze or of Silver."""
        fresh = which == "bronze"  # this session's broker holds its topic
        place = self.folder / "ground"
        base = ground.made(TREE, place, self.broker(), rounds=1, unread=1) if fresh else self.ground()
        broker = self.broker(needed=which == "bronze")
        self.violated |= bool(bugs.run(which, TREE, self.folder, broker, HISTORIES, self.until, base))

    def _without_jvm(self, seed: int) -> Record:
        base = self.ground()
        one = self.history(seed, topic=base.topic, kafka=False)
        return one.run_without_jvm([functools.partial(base.take, number, one) for number in range(len(base.sent))])

    def run(self) -> int:
        """What was asked for; 1 when a claim was violated, or a planted bug was not found."""
        given = self.given
        wanted = [each for name in given.sweep or () for each in (sweep.SWEPT if name == "verbs" else (name,))]
        for number, name in enumerate(wanted):
            self.sweep(name, given.first + number)
        for number, name in enumerate(given.failing_writes or ()):
            self.fail_writes(name, given.first + number)
        for which in given.planted or ():
            self.plant(which)
        if not (wanted or given.planted or given.failing_writes):
            rounds = _rounds(given.fault)
            seeds = [given.seed] if given.seed is not None else range(given.first, given.first + given.seeds)
            for seed in seeds:
                if time.monotonic() > self.until:
                    print(f"time is over before seed {seed}")
                    break
                try:
                    record = (
                        self._without_jvm(seed)
                        if given.without_jvm
                        else self.history(seed).run(rounds, operators=not rounds, until=self.until)
                    )
                except Exception:  # noqa: BLE001  # a fault of the campaign's own: the other histories go on
                    traceback.print_exc()
                    self.violated = True
                    continue
                self.keep(record, "without-jvm" if given.without_jvm else "chosen" if rounds else "random")
        return int(self.violated)


def main() -> int:
    """The exit code: 1 when a claim was violated, or a planted bug was not found."""
    given = parser().parse_args()
    if given.report:
        report.write(HISTORIES, TREE / "docs" / "FAULT_REPORT.md")
        return 0
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder, contextlib.ExitStack() as ends:
        return Session(given, Path(folder), ends).run()


if __name__ == "__main__":
    sys.exit(main())
