"""Faults that the preloaded library makes: a disk that is full or broken, a clock that is wrong."""

from __future__ import annotations

import errno
from collections.abc import Callable

from campaign.faults.scene import Scene, Strike

_PLACES = {
    "bronze": ("/checkpoints/", "/bronze/", "/_delta_log/"),
    "silver": ("/checkpoints/", "/silver/", "/_delta_log/"),
}


def _disk(scene: Scene, job: str, fault: str, number: int) -> Strike:
    shim = scene.shim
    if shim is None:
        return Strike(fault, job, False, "no C compiler", scene.start(job).wait())
    place = scene.chance.choice(_PLACES[job])
    after, writes = scene.chance.randrange(40), scene.chance.choice((1, 3, 1000))
    shim.disk(place, number, after=after, writes=writes)
    try:
        code = scene.start(job, VENTES_STREAMING__MAX_RESTARTS="3", **shim.environment).wait()
    finally:
        failed, seen = shim["disk_failed"], shim["disk_seen"]
        shim.clear()
    return Strike(fault, job, failed > 0, f"{place}: {failed} of {seen} writes failed", code)


def disk_full(scene: Scene, job: str) -> Strike:
    """ENOSPC: some writes fail, or all from one on."""
    return _disk(scene, job, "disk full", errno.ENOSPC)


def disk_broken(scene: Scene, job: str) -> Strike:
    """EIO."""
    return _disk(scene, job, "disk broken", errno.EIO)


def _clock(fault: str, seconds: float) -> Callable[[Scene, str], Strike]:
    def strike(scene: Scene, job: str) -> Strike:
        shim = scene.shim
        if shim is None:
            return Strike(fault, job, False, "no C compiler", scene.start(job).wait())
        try:
            running = scene.at_work(job, **shim.environment)
            shim.clock(seconds)
            code = running.wait()
        finally:
            reads = shim["clock_reads"]
            shim.clear()
        return Strike(fault, job, reads > 0, f"read {reads} times", code)

    return strike


clock_back_a_second = _clock("clock back 1 s", -1)
clock_back_an_hour = _clock("clock back 1 h", -3600)
clock_ahead_a_day = _clock("clock ahead a day", 86400)
