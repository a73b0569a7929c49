"""Faults of processes: killed, stopped, asked to end twice, without a worker, without file descriptors, at a numbered step."""

from __future__ import annotations

import contextlib
import resource
import signal
import time

import psutil

from campaign.faults.processes import Stuck, crashing, words_of
from campaign.faults.scene import Scene, Strike


def nothing(scene: Scene, job: str) -> Strike:
    """A run without a fault."""
    return Strike("none", job, True, "", scene.start(job).wait())


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


def zombie(scene: Scene, job: str, seconds: float = 0) -> Strike:
    """SIGSTOP in a batch; a second one is started, which must refuse; SIGCONT, and the first goes on."""
    running = scene.at_work(job)
    time.sleep(scene.chance.uniform(0, 0.5))
    stopped = running.alive and running.signal_all(signal.SIGSTOP) > 0
    try:
        if not stopped:
            return Strike("zombie", job, False, "had ended", running.wait())
        second = scene.place.start(job, *words_of(job))
        code = second.wait()
        if code != 4:
            raise Stuck(f"the second {job} ended with {code}, not with 4, beside one that was stopped: {second.said()}")
        time.sleep(seconds)
    finally:
        running.signal_all(signal.SIGCONT)
    return Strike("zombie", job, True, "the second one was refused", running.wait())


def long_zombie(scene: Scene, job: str) -> Strike:
    """The same for longer than any time-out of a client of Kafka's or of Spark's own heartbeats."""
    done = zombie(scene, job, 130)
    return Strike("zombie for 130 s", job, done.hit, done.detail, done.exit_code)


def terminated_twice(scene: Scene, job: str) -> Strike:
    """SIGTERM in a batch, and a second one while it ends."""
    running = scene.at_work(job)
    signalled = 0
    for _ in range(2):
        if running.alive:
            running.process.send_signal(signal.SIGTERM)
            signalled += 1
        time.sleep(scene.chance.uniform(0, 0.6))
    code = running.wait()
    running.kill()
    return Strike("SIGTERM twice", job, signalled == 2, f"{signalled} signals", code)


def worker_killed(scene: Scene, job: str) -> Strike:
    """SIGKILL of the Python processes that Spark's Java has started, as the kernel does when memory is short."""
    running, found = scene.at_work(job), 0
    end = time.monotonic() + 20
    while running.alive and not found and time.monotonic() < end:
        for each in running.family()[1:]:
            with contextlib.suppress(psutil.Error):
                if any("pyspark" in word for word in each.cmdline()) and each.name() != "java":
                    each.kill()
                    found += 1
        time.sleep(0.01)
    return Strike("Python worker killed", job, found > 0, f"{found} processes", running.wait())


def descriptors_exhausted(scene: Scene, job: str) -> Strike:
    """For three seconds Java may open no further file."""
    running = scene.at_work(job)
    victim = running.jvm() or psutil.Process(running.process.pid)
    hit, detail = False, "had ended"
    with contextlib.suppress(psutil.Error):
        soft, hard = victim.rlimit(resource.RLIMIT_NOFILE)
        used = victim.num_fds()
        victim.rlimit(resource.RLIMIT_NOFILE, (max(used - 5, 3), hard))
        time.sleep(3)
        hit, detail = victim.is_running() and running.alive, f"at {used} files"
        victim.rlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return Strike("no file descriptors", job, hit, detail, running.wait())
