"""One history: traffic, faults and checks over one lake, all chosen by a seed; and its record."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from campaign.checkers import bronze, secrets, silver, versions
from campaign.checkers.violation import Violation
from campaign.faults import catalogue
from campaign.faults.catalogue import Scene, Strike
from campaign.faults.processes import Broker, Place, Stuck, crashing, words_of
from campaign.generator import workload
from campaign.generator.sender import Sender, Sent

SECRET = "campaign-secret-7f3a"  # the password of the page, which no file may hold
RETRIES = 3
"""Plain starts after a fault, of which the last must end well: a fault may take two, when it left a lock that is just ending."""


@dataclass
class Record:
    """What happened in one history: JSON, one file."""

    seed: int
    strikes: list[Strike] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    messages: int = 0
    seconds: float = 0.0
    recovered: list[float] = field(default_factory=list)
    steps: dict[str, dict[str, int]] = field(default_factory=dict)

    def write(self, folder: Path) -> str:
        """Compressed, into ``folder``; the SHA-256 of the file."""
        folder.mkdir(parents=True, exist_ok=True)
        content = gzip.compress(json.dumps(asdict(self), sort_keys=True).encode(), mtime=0)
        (folder / f"history-{self.seed}.json.gz").write_bytes(content)
        return hashlib.sha256(content).hexdigest()


class History:
    """``rounds`` times: send, run Bronze with a fault, run Silver with a fault, recover, check everything."""

    def __init__(self, seed: int, tree: Path, folder: Path, broker: Broker, *, rounds: int, messages: int) -> None:
        self.record = Record(seed)
        self._chance = random.Random(seed)
        self._rounds, self._messages = rounds, messages
        topic = f"history-{seed}-{folder.name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self._scene = Scene(Place(tree, folder, broker.servers, topic), broker, self._chance)
        self._sent: list[Sent] = []
        self._hashes: versions.Hashes = {}
        broker.create(topic, 3)
        self._sender = Sender(broker.servers, topic)

    def run(self, faults: Iterable[tuple[str, str]] | None = None) -> Record:
        """``faults``: the pairs (Bronze's, Silver's) of each round; None lets the seed choose."""
        started = time.monotonic()
        chosen = list(faults) if faults is not None else [self._choose() for _ in range(self._rounds)]
        try:
            for number, (of_bronze, of_silver) in enumerate(chosen):
                self.send(number)
                self._strike("bronze", catalogue.BRONZE[of_bronze])
                self._strike("silver", catalogue.SILVER[of_silver])
                self.check()
        except Stuck as failure:
            self._violated([Violation("L1", str(failure)[:600])])
        finally:
            self._sender.close()
            self.record.seconds = round(time.monotonic() - started, 1)
        return self.record

    def sweep(self, job: str) -> Record:
        """Crash at step 1, 2, 3 … of a job, each run taking up what the one before left, until one ends before its step."""
        started = time.monotonic()
        try:
            for number in range(1, 400):
                self.send(number)
                if job == "silver":
                    self._recover("bronze")
                strike = self._note(catalogue.crash_point(self._scene, job, number))
                self._violated(bronze.check_always(self._scene.place.lake))
                if not strike.hit:
                    break
            self._recover("bronze")
            self._recover("silver")
            self.check()
        except Stuck as failure:
            self._violated([Violation("L1", str(failure)[:600])])
        finally:
            self._sender.close()
            self.record.seconds = round(time.monotonic() - started, 1)
        return self.record

    def _choose(self) -> tuple[str, str]:
        return self._chance.choice(list(catalogue.BRONZE)), self._chance.choice(list(catalogue.SILVER))

    def send(self, number: int) -> None:
        """The messages of one round."""
        now, prefix = workload.present(), f"s{self.record.seed}r{number}"
        made = list(workload.messages(self.record.seed, self._messages, 3, now, prefix))
        self._sent += self._sender.send(made)
        self.record.messages += len(made)

    def _note(self, strike: Strike) -> Strike:
        self.record.strikes.append(strike)
        if strike.fault == "crash point" and strike.hit:
            of_job = self.record.steps.setdefault(strike.job, {})
            of_job[strike.detail] = of_job.get(strike.detail, 0) + 1
        return strike

    def _strike(self, job: str, fault: Any) -> None:
        strike = self._note(fault(self._scene, job))
        if strike.exit_code != 0:
            self._recover(job)

    def _recover(self, job: str) -> None:
        began = time.monotonic()
        for _ in range(RETRIES):
            running = self._scene.start(job)
            if running.wait() == 0:
                self.record.recovered.append(round(time.monotonic() - began, 1))
                return
        raise Stuck(f"{job} does not recover: {running.said()}")

    def check(self) -> None:
        """Every offline claim, and the product's own verdict, which has to agree."""
        place = self._scene.place
        before = len(self.record.violations)
        self._violated(bronze.check(place.lake, self._sent, place.topic))
        self._violated(silver.check(place.lake))
        self._violated(versions.check(place.lake, self._hashes))
        self._violated(secrets.check([place.folder], [SECRET]))
        balanced = place.start("reconcile", "ops_utils.py", "reconcile").wait() == 0
        if balanced != (len(self.record.violations) == before):
            said = "balanced" if balanced else "not balanced"
            self._violated([Violation("S11", f"reconcile says {said}, the checkers say otherwise")])

    def _violated(self, found: Iterable[Violation]) -> None:
        self.record.violations += list(found)[:20]

    def steps(self, job: str) -> list[str]:
        """The names of all steps of a clean run of a job."""
        log = self._scene.place.folder / f"all-steps-{job}.log"
        self._scene.place.start(job, *words_of(job), **crashing(0, log)).wait()
        return [line.split(" ", 1)[1] for line in log.read_text().splitlines()] if log.exists() else []
