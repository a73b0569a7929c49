"""The embedded brokers together: one, or a KRaft cluster of several on this machine.

With three, each message is on three and acknowledged by two at least: any one may be killed at any time, and nothing
that was acknowledged is lost. One that ended by itself is started again by its keeper. With two away no message is
acknowledged: producers wait, say so, and go on when one is back.
"""

from __future__ import annotations

import time
from types import TracebackType

from lakehouse.config import Config, paths
from lakehouse.errors import SetupError
from lakehouse.kafka import clients
from lakehouse.kafka.broker import security
from lakehouse.kafka.broker.node import Broker
from lakehouse.kafka.broker.properties import nodes
from lakehouse.observability import log

_LOOK_SECONDS = 0.1
RESTART_PAUSE = 5.0
"""Seconds between two starts of a broker that ends by itself: one whose disk is full is not started ten times a second."""
_log = log.get("kafka")


class Brokers:
    """``with Brokers(config) as brokers: …``, or ``start`` and ``stop``. From the main thread, as ``Broker``."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._home = paths.state(config) / "kafka"
        self.members = [Broker(config, node) for node in nodes(config)]
        self._again: dict[int, float] = {}

    def __enter__(self) -> Brokers:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Start all and return when each answers and sees the others. Raises ``SetupError``."""
        self._check_folder()
        try:
            for member in self.members:
                member.launch()
            for member in self.members:
                member.await_answer(len(self.members))
            if security.secured(self._config):  # it does not tell unauthenticated clients how many there are
                clients.await_brokers(self._config, len(self.members))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all at once: the last one alone could not shut down in order, without a quorum."""
        for member in self.members:
            member.terminate()
        for member in self.members:
            member.stop()

    def wait(self, timeout: float) -> int | None:
        """None after ``timeout`` seconds; a single broker's exit code as soon as it ended by itself. One of several that
        did is started again meanwhile."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            for member in self.members:
                code, number = member.wait(min(left, _LOOK_SECONDS)), member.node.number
                if code is None:
                    continue
                if len(self.members) == 1:
                    return code
                if time.monotonic() < self._again.get(number, 0.0):
                    time.sleep(_LOOK_SECONDS)
                    continue
                _log.warning(f"broker {number} ended by itself with code {code}; starting it again")
                self._again[number] = time.monotonic() + RESTART_PAUSE
                member.launch()
        return None

    def _check_folder(self) -> None:
        """A cluster keeps its number of brokers: its quorum was formatted with it."""
        numbered = sum(path.name.isdigit() for path in self._home.glob("*/"))
        held = numbered or int((self._home / "log").is_dir())
        if held not in (0, len(self.members)):
            raise SetupError(
                f"{self._home} holds the data of {held} brokers, not {len(self.members)}: a cluster keeps their number. Set "
                f"[KAFKA] brokers = {held}, or take another folder: VENTES_DELTA__BASE_PATH=other-folder"
            )
