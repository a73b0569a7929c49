"""The faults of a history. Each runs one job of a lake with the fault in it, and returns the note of how it struck."""

from __future__ import annotations

import random
import re
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from campaign.faults.processes import Broker, Job, Place, Stuck, crashing, until, words_of


@dataclass(frozen=True)
class Strike:
    """What a fault did: ``hit`` only when it is proved to have struck while the job was at work; ``detail`` says where."""

    fault: str
    job: str
    hit: bool
    detail: str
    exit_code: int | None = None


@dataclass(frozen=True)
class Scene:
    """What a fault may use. ``done`` counts the batches that the checkpoint of Bronze has noted as done."""

    place: Place
    broker: Broker
    chance: random.Random

    def folder(self, job: str, name: str) -> Path:
        """A folder of a job's checkpoint."""
        found = sorted(self.place.lake.glob(f"checkpoints/{job}*/{name}"))
        return found[-1] if found else self.place.lake / "checkpoints" / job / name

    def planned(self, job: str = "bronze") -> int:
        """The newest batch that was planned; -1 before the first."""
        return _newest(self.folder(job, "offsets"))

    def start(self, job: str, **environment: str) -> Job:
        """A bounded run."""
        return self.place.start(job, *words_of(job), **environment)

    def at_work(self, job: str) -> Job:
        """A bounded run that has begun a batch that was not there before; one that ended first is returned as it is."""
        before, running = self.planned(job), self.start(job)
        until(lambda: self.planned(job) > before or not running.alive, f"a batch of {job}")
        return running


def _newest(folder: Path) -> int:
    names = [int(path.name) for path in folder.glob("*") if path.name.isdigit()] if folder.is_dir() else []
    return max(names, default=-1)


def nothing(scene: Scene, job: str) -> Strike:
    """A run without a fault."""
    code = scene.start(job).wait()
    return Strike("none", job, True, "", code)


def crash_point(scene: Scene, job: str, number: int | None = None) -> Strike:
    """SIGKILL at a numbered step of the job's writers."""
    number = scene.chance.randrange(1, 60 if job == "bronze" else 30) if number is None else number
    log = scene.place.folder / f"steps-{job}.log"
    log.unlink(missing_ok=True)
    running = scene.start(job, **crashing(number, log))
    code = running.wait()
    running.kill()  # Spark's Java, when it survived its script for a moment
    steps = log.read_text().splitlines() if log.exists() else []
    last = steps[-1].split(" ", 1) if steps else ["0", "no step"]
    struck = code == -signal.SIGKILL and last[0] == str(number)
    return Strike("crash point", job, struck, last[1] if struck else f"ended after step {last[0]}", code)


def killed(scene: Scene, job: str) -> Strike:
    """SIGKILL of the script, of its Java or of both, at a random moment of a batch."""
    running = scene.at_work(job)
    time.sleep(scene.chance.uniform(0, 1.5))
    jvm = running.jvm()
    victim = scene.chance.choice(("all", "script", "java") if jvm else ("all", "script"))
    was_alive = running.alive
    if victim == "java" and jvm:
        jvm.kill()
        running.wait()
    elif victim == "script":
        running.process.kill()
    running.kill()
    return Strike("SIGKILL", job, was_alive, victim, running.process.returncode)


def zombie(scene: Scene, job: str) -> Strike:
    """SIGSTOP in a batch; a second one is started, which must refuse; SIGCONT, and the first goes on."""
    running = scene.at_work(job)
    time.sleep(scene.chance.uniform(0, 0.5))
    stopped = running.alive and running.signal_all(signal.SIGSTOP) > 0
    try:
        if not stopped:
            return Strike("zombie", job, False, "had ended", running.wait())
        second = scene.start(job)
        code = second.wait()
        if code != 4:
            raise Stuck(f"the second {job} ended with {code}, not with 4, beside one that was stopped: {second.said()}")
    finally:
        running.signal_all(signal.SIGCONT)
    return Strike("zombie", job, True, "the second one was refused", running.wait())


def broker_killed(scene: Scene, job: str) -> Strike:
    """SIGKILL of the broker while a batch runs, and its new start; the job goes on by itself or says what to do."""
    running = scene.at_work(job)
    was_alive = running.alive
    scene.broker.kill()
    scene.broker.start()
    return Strike("broker killed", job, was_alive, "", running.wait())


def last_commit_entry_gone(scene: Scene, job: str) -> Strike:
    """The newest entry of the checkpoint's commit log is removed: the batch is repeated."""
    folder = scene.folder(job, "commits")
    newest = _newest(folder)
    if newest < 0:
        return Strike("last commit entry gone", job, False, "no batch was done", scene.start(job).wait())
    for path in (folder / str(newest), folder / f".{newest}.crc"):
        path.unlink(missing_ok=True)
    return Strike("last commit entry gone", job, True, f"batch {newest}", scene.start(job).wait())


def stale_last_checkpoint(scene: Scene, job: str) -> Strike:
    """The pointers to the log's checkpoints, and the checksums of its versions, are removed."""
    gone = 0
    for pattern in ("*/*/_delta_log/_last_checkpoint", "*/*/_delta_log/*.crc"):
        for path in scene.place.lake.glob(pattern):
            path.unlink()
            gone += 1
    return Strike("log's helpers gone", job, gone > 0, f"{gone} files", scene.start(job).wait())


BRONZE: Mapping[str, Callable[[Scene, str], Strike]] = {
    "none": nothing,
    "crash point": crash_point,
    "SIGKILL": killed,
    "zombie": zombie,
    "broker killed": broker_killed,
    "last commit entry gone": last_commit_entry_gone,
    "log's helpers gone": stale_last_checkpoint,
}
SILVER: Mapping[str, Callable[[Scene, str], Strike]] = {
    "none": nothing,
    "crash point": crash_point,
    "last commit entry gone": last_commit_entry_gone,
    "log's helpers gone": stale_last_checkpoint,
}

REFUSED = re.compile(r"Type: |Start (it|the)|type: |python \w+\.py|start again")
"""A stop that needs a person names the next command."""
