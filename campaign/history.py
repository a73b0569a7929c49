"""One history: traffic, faults, operators and checks over one lake, all chosen by a seed; and its record."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from campaign.checkers import bronze, cuts, erased, second_reader, secrets, silver, versions
from campaign.checkers.violation import Violation
from campaign.faults import catalogue, person
from campaign.faults.catalogue import OfRun
from campaign.faults.processes import SECRET, Broker, Job, Place, Stuck
from campaign.faults.scene import Damage, Scene, Strike
from campaign.generator import workload
from campaign.generator.known import Known
from campaign.generator.sender import Sender, Sent
from campaign.shim import Shim

RETRIES = 4
"""Plain starts after a fault, of which the last must end well; between them, what a stopped job says is to be typed."""
NEEDS_PERSON, LOCKED = 3, 4
"""Exit codes."""


@dataclass(frozen=True)
class Stop:
    """A job ended by itself: after which fault, how soon, and what it said; ``command``: what it named to be typed."""

    job: str
    fault: str
    code: int
    seconds: float
    said: str
    command: str


@dataclass
class Record:
    """What happened in one history: JSON, one file."""

    seed: int
    strikes: list[Strike] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    messages: int = 0
    seconds: float = 0.0
    recovered: list[float] = field(default_factory=list)
    steps: dict[str, dict[str, int]] = field(default_factory=dict)
    commit: str = ""
    second_reader: bool = False
    whole: bool = True
    """Whether it came to the end of its steps, or of its rounds, before its time was over."""

    def write(self, folder: Path) -> str:
        """Compressed, into ``folder``; the SHA-256 of the file."""
        folder.mkdir(parents=True, exist_ok=True)
        content = gzip.compress(json.dumps(asdict(self), sort_keys=True).encode(), mtime=0)
        (folder / f"history-{self.seed}.json.gz").write_bytes(content)
        return hashlib.sha256(content).hexdigest()


Round = tuple[str | None, str, str | None, str]
"""Before Bronze's run, in it, before Silver's, in it: names of the catalogue."""


class History:
    """With ``topic``, a history over a ground: nothing is sent, and the broker need not run. Otherwise ``rounds`` times: send, damage something, run Bronze with a fault, the same for Silver, let the operators work; at the end
    recover and check everything."""

    def __init__(
        self, seed: int, tree: Path, folder: Path, broker: Broker, *, rounds: int, messages: int,
        library: Path | None = None, topic: str = "",
    ) -> None:  # fmt: skip
        self.record = Record(seed)
        self._chance = random.Random(seed)
        self._rounds, self._messages = rounds, messages
        sends, topic = not topic, topic or f"history-{seed}-{folder.name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shim = Shim(library, folder) if library else None
        self.scene = Scene(Place(tree, folder, broker.servers, topic), broker, self._chance, Known(), shim)
        self.sent: list[Sent] = []
        self._hashes: versions.Hashes = {}
        self._cuts: set[str] = set()
        self.right_time = ""
        if sends:
            broker.create(topic, self.scene.known.partitions)
        self._sender = Sender(broker.servers, topic) if sends else None

    def run(
        self, rounds: Sequence[Round] | None = None, *, operators: bool = True, until: float = float("inf")
    ) -> Record:
        """``rounds``: the faults of each; None lets the seed choose. No round begins after ``until``."""
        chosen = list(rounds) if rounds is not None else [self._choose(number > 0) for number in range(self._rounds)]
        with self.recorded():
            for number, (damaged, struck, silver_damaged, silver_struck) in enumerate(chosen):
                if time.monotonic() > until:
                    self.record.whole = False
                    break
                self.send(number)
                self._job("bronze", damaged, struck, beside=operators)
                self._job("silver", silver_damaged, silver_struck)
                if operators:
                    self._operate(self._chance.choice(list(person.STOPPED.values())))
                self.violated(bronze.check_always(self.scene.place.lake, self.scene.known))
            self.finish()
        return self.record

    def run_without_jvm(self, stages: Sequence[Callable[[], None]], verbs: int = 3) -> Record:
        """Silver and the operators alone. ``stages``: what puts the next rows of Bronze into the lake; after the last the operators
        are at work, and Silver follows each of them."""
        with self.recorded():
            for number, stage in enumerate([*stages, *[None] * verbs]):
                if stage:
                    stage()
                else:
                    self._operate(self._chance.choice(list(person.WITHOUT_KAFKA.values())))
                _, _, damaged, struck = self._choose(number > 0)
                self._job("silver", damaged, struck)
                self.violated(bronze.check_always(self.scene.place.lake, self.scene.known))
            self._erase_again()
            self.record.messages = len(self.sent)
            self.check(kafka=False)
        return self.record

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """The time that the block takes goes on record, and what gets stuck in it as a violation; the sender is closed."""
        started = time.monotonic()
        try:
            yield
        except Stuck as failure:
            self.violated([Violation("L1", str(failure)[:600])])
        finally:
            if self._sender:
                self._sender.close()
            self.record.seconds = round(time.monotonic() - started, 1)

    def _choose(self, damages: bool) -> Round:
        """``damages``: there is something to damage."""

        def one(job: str, faults: dict[str, OfRun]) -> tuple[str | None, str]:
            between = (
                self._chance.choice(list(catalogue.BETWEEN[job])) if damages and self._chance.random() < 0.5 else None
            )
            names = list(faults)
            return between, self._chance.choices(names, [faults[name].weight for name in names])[0]

        return (*one("bronze", dict(catalogue.BRONZE)), *one("silver", dict(catalogue.SILVER)))

    def somebody(self) -> int:
        """A client who is to be erased."""
        client = min(each.message.person for each in self.sent if each.message.person and not each.aborted)
        self.scene.known.erased[client] = str(client)
        return client

    def waiting_reject(self) -> str:
        """The place of a message that was dated too far ahead, and is to be replayed with ``right_time``."""
        chosen = next(each for each in self.sent if each.message.kind == "future")
        self.right_time = chosen.message.right_time
        self.scene.known.corrected[chosen.partition, chosen.offset] = {"timestamp": self.right_time}
        return f"{chosen.partition}:{chosen.offset}"

    def send(self, number: int) -> None:
        """The messages of one round."""
        assert self._sender, "a history over a ground sends nothing"
        now, prefix = workload.present(), f"s{self.record.seed}r{number}"
        partitions = self.scene.known.partitions
        made = list(workload.messages(self.record.seed, self._messages, partitions, now, prefix))
        self.sent += self._sender.send(made)
        self.record.messages += len(made)

    def note(self, strike: Strike) -> Strike:
        """Put a fault on record."""
        self.record.strikes.append(strike)
        if strike.fault == "crash point" and strike.hit:
            of_job = self.record.steps.setdefault(strike.job, {})
            of_job[strike.detail] = of_job.get(strike.detail, 0) + 1
        return strike

    def _job(self, job: str, damaged: str | None, struck: str, *, beside: bool = False) -> None:
        damage = self._damage(job, damaged) if damaged else Damage(False, "")
        if damage.undo or damaged == "foreign writer":
            struck = "none"
        every = {**catalogue.BRONZE, **catalogue.RARE} if job == "bronze" else catalogue.SILVER
        fault = every[struck]
        about = " and ".join(name for name in (damaged, struck) if name)
        if beside and struck == "none" and not damage.hit:
            strike = self._beside(job)
        else:
            strike = self.note(fault.strike(self.scene, job))
        if strike.exit_code is not None and strike.exit_code > 0:
            self.stopped(self.scene.jobs[job], about, damage.needs_person or fault.needs_person)
        if damage.undo:
            damage.undo()
        if damaged == "foreign writer" and damage.hit:
            self._undo_foreign_commit()
        elif strike.exit_code != 0 or damage.hit or job == "silver":
            self.settle(job, about, damage.needs_person or fault.needs_person)

    def _damage(self, job: str, name: str) -> Damage:
        damage = catalogue.BETWEEN[job][name](self.scene, job)
        self.note(Strike(name, job, damage.hit, damage.detail))
        return damage

    def _beside(self, job: str) -> Strike:
        """A run without a fault, and an operator at work beside it."""
        running = self.scene.at_work(job)
        self._operate(self._chance.choice(list(person.RUNNING.values())))
        return self.note(Strike("none", job, True, "", running.wait()))

    def _operate(self, verb: person.Verb) -> None:
        strike = self.note(verb(self.scene, self.sent))
        if strike.exit_code is not None and not strike.hit:
            claim = "S11" if strike.fault == "reconcile" else "L4"
            self.violated([Violation(claim, f"{strike.fault} ended with {strike.exit_code}: {strike.detail}")])

    def stopped(self, running: Job, fault: str, needs_person: bool) -> None:
        """A job ended by itself: it has to say why and what to do, and that is done."""
        code, said = running.wait(), running.said(4000)
        meant = code == NEEDS_PERSON and ("was ahead then" not in said or "ahead" in fault)
        words = person.named_command(said) if meant else None
        seconds = round(time.monotonic() - running.started, 1)
        self.record.stops.append(
            Stop(running.name, fault, code, seconds, " ".join(said[-500:].split()), " ".join(words or ()))
        )
        if not person.is_loud(said):
            self.violated([Violation("L2", f"{running.name} ended with {code} after {fault}: {said[-300:]}")])
        if code == NEEDS_PERSON and not needs_person:
            self.violated([Violation("L1", f"{running.name} asks for a person after {fault}: {said[-300:]}")])
        if words:
            self._follow(said)

    def _follow(self, said: str) -> None:
        typed = person.follow(self.scene, said)
        if typed is not None and (code := typed.wait()) not in (0, NEEDS_PERSON):
            self.violated([Violation("L4", f"the named command ended with {code}: {typed.said(300)}")])

    def settle(self, job: str, fault: str = "", needs_person: bool = False) -> None:
        """Plain starts, and what the job says is to be typed, until it has ended well."""
        began = time.monotonic()
        for _ in range(RETRIES):
            running = self.scene.start(job)
            if (code := running.wait()) == 0:
                self.record.recovered.append(round(time.monotonic() - began, 1))
                return
            if code == -signal.SIGKILL:
                raise Stuck(f"somebody else killed {job}")
            self.stopped(running, fault, needs_person)
        raise Stuck(f"{job} does not recover after {fault}: {running.said()}")

    def _undo_foreign_commit(self) -> None:
        self.settle("bronze", "foreign writer", True)
        self.settle("silver", "foreign writer", True)
        found = self.scene.verb("reconcile")
        if found.wait() == 0:
            self.violated([Violation("S11", "reconcile says balanced beside a commit that is none of ours")])
        self._follow(found.said(6000))
        self.settle("bronze", "foreign writer", True)

    def finish(self) -> None:
        """Recover, and check everything."""
        self.settle("bronze", "all of it", True)
        self._erase_again()
        self.check()

    def _erase_again(self) -> None:
        for verb in person.erased_again(self.scene):
            self.note(verb)
        self.settle("silver", "all of it", True)
        for verb in person.erased_again(self.scene):
            if self.note(verb).exit_code != 0:
                self.violated([Violation("S12", f"erase is not done: {verb.detail}")])

    def check(self, *, kafka: bool = True) -> None:
        """Every offline claim; the product's own verdict has to agree, which asks Kafka."""
        place, known = self.scene.place, self.scene.known
        before = len(self.record.violations)
        self.violated(bronze.check(place.lake, self.sent, place.topic, known))
        self.violated(silver.check(place.lake))
        self.violated(cuts.check(place.lake, self._cuts))
        self.violated(versions.check(place.lake, self._hashes, known.kept_from))
        self.violated(second_reader.check(place.lake))
        self.record.second_reader = second_reader.python() is not None
        sound = len(self.record.violations) == before
        self.violated(erased.check(place.lake, place.folder, known.erased))
        self.violated(secrets.check([place.folder], [SECRET]))
        if not kafka:
            return
        verdict = place.start("reconcile", "ops_utils.py", "reconcile")
        if (verdict.wait() == 0) != sound:
            said = "balanced" if verdict.wait() == 0 else f"not balanced: {verdict.said(300)}"
            self.violated([Violation("S11", f"reconcile says {said}; the checkers say otherwise")])

    def violated(self, found: Iterable[Violation]) -> None:
        """Put violations on record."""
        self.record.violations += list(found)[:20]
