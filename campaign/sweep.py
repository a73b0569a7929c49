"""Every crash point: a job or a verb is killed at step 1, 2, 3 … of its writers, and each time it has to come out right.

Bronze goes on from what the kill before has left. Silver and the verbs, which have no JVM to wait for, begin each time from the
same lake, so that every number of one and the same run is met.
"""

from __future__ import annotations

import errno
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from campaign.checkers import bronze, erased, silver
from campaign.checkers.violation import Violation
from campaign.faults import person
from campaign.faults.process_faults import crash_point
from campaign.faults.processes import Job, crashing, words_of
from campaign.faults.scene import Scene, Strike
from campaign.ground import Ground
from campaign.history import History, Record

_MOST = 200
"""Steps of one run, at most."""


@dataclass(frozen=True)
class Swept:
    """``words``: the command line. ``right``: its exit codes when nothing kills it. ``bronze``: whether Bronze has to run after
    it, before the lake can be checked; ``built``: whether Silver is there before it; ``kafka``: whether it asks the broker."""

    words: Callable[[History], Sequence[str]]
    right: tuple[int, ...] = (0,)
    bronze: bool = False
    built: bool = True
    kafka: bool = False


def _verb(*words: str) -> Callable[[History], Sequence[str]]:
    return lambda _: ("ops_utils.py", *words)


def _store(history: History) -> str:
    return str(history.scene.place.folder / person.STORE)


def _newest(history: History) -> int:
    log = history.scene.place.lake / "bronze" / "ventes_stream" / "_delta_log"
    return max(int(path.stem) for path in log.glob("[0-9]*.json"))


SWEPT: Mapping[str, Swept] = {
    "silver build": Swept(lambda _: words_of("silver"), built=False),
    "silver pass": Swept(lambda _: words_of("silver")),
    "maintain": Swept(_verb("maintain", "--yes")),
    "reconcile": Swept(_verb("reconcile"), kafka=True),
    "backup create": Swept(lambda one: ("ops_utils.py", "backup", "create", "--store", _store(one))),
    "backup restore": Swept(
        lambda one: (
            "ops_utils.py", "backup", "restore", "latest", "--store", _store(one), "--to", str(one.scene.place.folder / "else"),
        )
    ),
    "erase": Swept(
        lambda one: ("ops_utils.py", "erase", "--client-id", str(one.somebody()), "--yes", "--wait", "1 minute"), (0, 1)
    ),
    "rejects replay": Swept(
        lambda one: ("ops_utils.py", "rejects", "replay", one.waiting_reject(), "--set", f"timestamp={one.right_time}")
    ),
    "rebuild silver": Swept(_verb("rebuild", "silver", "--anyway", "--yes")),
    "rebuild bronze": Swept(_verb("rebuild", "bronze", "--anyway", "--yes"), bronze=True, kafka=True),
    "restore-table": Swept(
        lambda one: ("ops_utils.py", "restore-table", "ventes_stream", "--version", str(_newest(one) - 2), "--yes"),
        bronze=True,
        kafka=True,
    ),
}  # fmt: skip
"""What is killed at each of its steps, besides Bronze."""


def bronze_steps(history: History, until: float) -> Record:
    """Bronze, each run taking up what the one before has left; then those steps of a whole run that were not met by then."""
    with history.recorded():
        for number in range(1, _MOST):
            history.send(number)
            if _is_over(history, until) or not _bronze_killed(history, number).hit:
                break
        history.send(0)
        for name, number in _first_numbers(history).items():
            if _is_over(history, until):
                break
            if name not in history.record.steps.get("bronze", {}):
                history.send(_MOST + number)
                _bronze_killed(history, number)
        history.finish()
    return history.record


def _is_over(history: History, until: float) -> bool:
    over = time.monotonic() > until
    history.record.whole &= not over
    return over


def _bronze_killed(history: History, number: int) -> Strike:
    strike = history.note(crash_point(history.scene, "bronze", number))
    history.violated(bronze.check_always(history.scene.place.lake, history.scene.known))
    return strike


def _first_numbers(history: History) -> dict[str, int]:
    """name → number, of the steps of a whole run."""
    log = history.scene.place.folder / "steps-all.log"
    log.unlink(missing_ok=True)
    history.scene.start("bronze", **crashing(0, log)).wait()
    return {name: int(number) for number, name in reversed(_steps(log))}


def _steps(log: Path) -> list[tuple[str, str]]:
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [(number, name) for number, _, name in (line.partition(" ") for line in lines)]


def steps_of(name: str, history: History, ground: Ground, until: float) -> Record:
    """Silver or a verb, each time from the same lake."""
    swept, place = SWEPT[name], history.scene.place
    with history.recorded():
        words = _begin(name, history, ground)
        for number in range(1, _MOST):
            if _is_over(history, until) or not _killed(name, words, number, history.scene, history):
                break
            _taken_up(name, swept, words, history)
            _again(place.lake, place.folder / "kept")
    return history.record


def failing_writes(name: str, history: History, ground: Ground, until: float, every: int) -> Record:
    """The same with a disk of which every write fails from the first, second … on, in turn full and broken; each ``every``-th."""
    swept, place, shim = SWEPT[name], history.scene.place, history.scene.shim
    with history.recorded():
        words = _begin(name, history, ground)
        for after in range(0, _MOST, every):
            if shim is None or _is_over(history, until):
                break
            full = after // every % 2
            shim.disk("/data/", errno.ENOSPC if full else errno.EIO, after=after, writes=_MOST)
            running = place.start(name.replace(" ", "-"), *words, **shim.environment)
            code, failed, seen = running.wait(), shim["disk_failed"], shim["disk_seen"]
            shim.clear()
            fault = "disk full" if full else "disk broken"
            detail = f"{failed} of {seen} writes failed"
            history.note(Strike(fault, name, failed > 0, detail, code))
            history.violated(bronze.check_always(place.lake, history.scene.known))
            if not failed:
                break
            if code > 0:
                history.stopped(running, fault, needs_person=False)
            _taken_up(name, swept, words, history)
            _again(place.lake, place.folder / "kept")
    return history.record


def _begin(name: str, history: History, ground: Ground) -> tuple[str, ...]:
    """The lake as it is before each run, kept beside it; the command line."""
    swept, place = SWEPT[name], history.scene.place
    ground.take(0, history)
    if swept.built:
        history.settle("silver")
        ground.take(1, history)
    if name not in ("silver pass", "silver build"):
        history.settle("silver")
    if name == "backup restore":
        history.note(person.backup(history.scene, ()))
    words = tuple(swept.words(history))
    shutil.copytree(place.lake, place.folder / "kept")
    return words


def _again(lake: Path, kept: Path) -> None:
    shutil.rmtree(lake)
    shutil.copytree(kept, lake)
    shutil.rmtree(lake.parent / "else", ignore_errors=True)


def _killed(name: str, words: Sequence[str], number: int, scene: Scene, history: History) -> bool:
    log = scene.place.folder / "steps.log"
    log.unlink(missing_ok=True)
    running = scene.place.start(name.replace(" ", "-"), *words, **crashing(number, log))
    code, found = running.wait(), _steps(log)
    struck = code == -signal.SIGKILL and bool(found) and found[-1][0] == str(number)
    detail = found[-1][1] if struck else f"ended after step {len(found)}"
    history.note(Strike("crash point", name, struck, detail, code))
    history.violated(bronze.check_always(scene.place.lake, scene.known))
    return struck


def _taken_up(name: str, swept: Swept, words: Sequence[str], history: History) -> None:
    """The same command once more, and the jobs after it: everything has to be right."""
    scene = history.scene
    began = time.monotonic()
    again: Job = scene.place.start(name.replace(" ", "-"), *words)
    if (code := again.wait()) not in swept.right:
        history.violated([Violation("L1", f"{name}, typed again, ended with {code}: {again.said(300)}")])
        return
    history.record.recovered.append(round(time.monotonic() - began, 1))
    if swept.bronze:
        history.settle("bronze")
    if "silver" not in name or name == "rebuild silver":
        history.settle("silver")
    history.violated(bronze.check_always(scene.place.lake, scene.known))
    history.violated(bronze.check(scene.place.lake, history.sent, scene.place.topic, scene.known))
    history.violated(silver.check(scene.place.lake))
    history.violated(erased.check(scene.place.lake, scene.place.folder, scene.known.erased))
