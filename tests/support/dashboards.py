"""A dashboard of its own for a test: the real script as a process, on a free port."""

from __future__ import annotations

import contextlib
import re
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lakehouse import config as settings
from tests.support.children import Child, eventually

COMPLETE = "#live:not([data-pending])"
"""On a page on which every card has its figures."""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    text: str


@dataclass(frozen=True)
class Served:
    """``get("/sales?lang=fr")`` asks it over HTTP."""

    address: str
    child: Child

    def get(self, path: str, **headers: str) -> Reply:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        request = urllib.request.Request(self.address + path.lstrip("/"), headers=named)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return _reply(reply)
        except urllib.error.HTTPError as error:
            return _reply(error)


def _reply(reply: object) -> Reply:
    found = {name.lower(): text for name, text in reply.headers.items()}  # type: ignore[attr-defined]
    return Reply(reply.status, found, reply.read().decode("utf-8"))  # type: ignore[attr-defined]


@contextlib.contextmanager
def dashboard(base: str, log: Path, *, stops: bool = True, **overrides: str) -> Iterator[Served]:
    """Runs until the block ends; then SIGTERM, after which it must end with exit code 0 (``stops``)."""
    texts = {
        "DELTA__BASE_PATH": base,
        "MONITORING__DASHBOARD_PORT": "0",
        "MONITORING__DASHBOARD_METRICS_PORT": "0",
        **overrides,
    }
    config = settings.load(env={f"{settings.ENV_PREFIX}{name}": text for name, text in texts.items()})
    child = Child(config, log, "dashboard.py")
    try:
        said = eventually(
            lambda: re.search(r"The dashboard: (http://\S+)", child.said()) or not child.alive,
            60,
            "the dashboard's address",
        )
        assert said is not True, child.said()
        yield Served(said[1], child)
        if stops:
            child.process.send_signal(signal.SIGTERM)
            assert child.wait(30) == 0, child.said()
    finally:
        child.end()
