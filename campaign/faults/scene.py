"""What a fault has before it, and the note that it leaves of how it struck."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from campaign.faults.processes import Broker, Job, Place, until, words_of
from campaign.generator.known import Known
from campaign.shim import Shim


@dataclass(frozen=True)
class Strike:
    """What a fault did: ``hit`` only when it is proved to have struck while the job was at work; ``detail`` says where or how
    often. ``exit_code``: of the run that it struck in; None when it struck between two runs."""

    fault: str
    job: str
    hit: bool
    detail: str
    exit_code: int | None = None


@dataclass(frozen=True)
class Damage:
    """A fault between two runs: what was changed on the disk or in Kafka. ``needs_person``: the next run may ask for one.
    ``undo`` puts back what no command can make again, as a person does who has a backup."""

    hit: bool
    detail: str
    needs_person: bool = False
    undo: Callable[[], None] | None = None


@dataclass(frozen=True)
class Scene:
    """What a fault may use. ``shim`` is None where there is no C compiler."""

    place: Place
    broker: Broker
    chance: random.Random
    known: Known
    shim: Shim | None = None
    jobs: dict[str, Job] = field(default_factory=dict)
    """The last run of each job."""

    def folder(self, job: str, name: str) -> Path:
        """A folder of a job's checkpoint: Silver's newest generation."""
        found = [path for path in self.place.lake.glob(f"checkpoints/{job}*/{name}") if ".broken" not in str(path)]
        newest = max(found, key=lambda path: path.stat().st_mtime_ns, default=None)
        return newest or self.place.lake / "checkpoints" / job / name

    def planned(self, job: str = "bronze") -> int:
        """The newest batch that was planned; -1 before the first."""
        return newest_entry(self.folder(job, "offsets"))

    def start(self, job: str, **environment: str) -> Job:
        """A bounded run."""
        self.jobs[job] = self.place.start(job, *words_of(job), **environment)
        return self.jobs[job]

    def at_work(self, job: str, **environment: str) -> Job:
        """A bounded run that has begun a batch that was not there before; one that ended first is returned as it is."""
        before, running = self.planned(job), self.start(job, **environment)
        until(lambda: self.planned(job) > before or not running.alive, f"a batch of {job}")
        return running

    def verb(self, *words: str) -> Job:
        """A verb of the operators', as a person types it."""
        return self.place.start(f"verb-{words[0]}", "ops_utils.py", *words)


def newest_entry(folder: Path) -> int:
    """The highest number among the files of a checkpoint's log; -1 when there is none."""
    names = [int(path.name) for path in folder.glob("*") if path.name.isdigit()] if folder.is_dir() else []
    return max(names, default=-1)
