"""The account of a producer's run: what was sent, acknowledged, failed, and what still waits; and its truth file.

Guarantee: every message that was handed over ends as acknowledged or as failed, once. Failed means that no
acknowledgement came: Kafka may still hold the message, at most once.
"""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakehouse.errors import LakehouseError
from lakehouse.observability import log
from lakehouse.observability.metrics import ACK_BOUNDS
from lakehouse.observability.registry import Distribution
from lakehouse.producer.generator import Message

_log = log.get("producer")

STALL_SECONDS = 5.0
"""Without an acknowledgement for this long while messages wait, the producer says so."""
RECORD_OVERHEAD = 1600
"""Bytes that kafka-python and this account need for a waiting message besides its own (measured, kafka-python 3.0.12)."""
LISTED = 20
"""Messages never acknowledged that are listed one by one; the truth file holds all."""
_SYNC_SECONDS = 1.0


class Truth:
    """What a run intended and what became of it: JSON lines, appended.

    Each line reaches the operating system at once, so that SIGKILL loses none; the disk gets them once a second.
    """

    def __init__(self, path: Path, run: str) -> None:
        """Raises ``LakehouseError`` when the file cannot be opened."""
        self.path = path
        self._run = run
        self._synced = time.monotonic()
        self._dirty = False
        self._lock = threading.Lock()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise LakehouseError(f"The truth file {path} cannot be opened: {error.strerror}.") from None
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":  # the disk was full, or the machine lost power
            os.write(self._file, b"\n")

    def write(self, etat: str, n: int, **fields: object) -> None:
        """Append one line. Raises ``OSError``."""
        line = json.dumps({"run": self._run, "etat": etat, "n": n, **fields}, ensure_ascii=False) + "\n"
        rest = memoryview(line.encode())
        with self._lock:
            self._dirty = True
            while rest:
                rest = rest[os.write(self._file, rest) :]

    def sync(self, *, at_most_every: float) -> None:
        """Bring the lines to the disk, unless that was done less than so many seconds ago. Raises ``OSError``."""
        now = time.monotonic()
        if self._dirty and now - self._synced >= at_most_every:
            self._dirty, self._synced = False, now
            os.fsync(self._file)

    def close(self) -> None:
        """Call ``sync(at_most_every=0)`` before, which may raise."""
        os.close(self._file)


@dataclass(frozen=True)
class Lost:
    """One message that was never acknowledged."""

    n: int
    vente_id: str
    error: str


class Account:
    """Counts of one run; bounds what waits for the broker to ``buffer_bytes``, which kafka-python 3 does not do.

    The methods that kafka-python's thread calls (``acknowledged``, ``failed``) never raise: it would swallow that.
    """

    def __init__(
        self,
        buffer_bytes: int,
        truth: Truth | None = None,
        clock: Callable[[], float] = time.monotonic,
        ack_seconds: Distribution | None = None,
    ) -> None:
        """``ack_seconds`` takes the time from hand-over to acknowledgement of each message."""
        self._buffer = buffer_bytes
        self._truth = truth
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: dict[int, tuple[str, int, float]] = {}
        self._bytes = 0
        self._heard = clock()
        self._stalled_since: float | None = None
        self._full = False
        self._fault: OSError | None = None
        self.kinds: Counter[str] = Counter()
        self.sent = 0
        self.acked = 0
        self.lost = 0
        self.first_lost: list[Lost] = []
        self.last_ack: float | None = None  # seconds since 1970
        self.ack_seconds = ack_seconds or Distribution(ACK_BOUNDS)

    @property
    def in_flight(self) -> int:
        """Messages handed over and not decided yet."""
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """Memory that these take."""
        return self._bytes

    @property
    def silent_seconds(self) -> float:
        """How long messages have waited without any acknowledgement; 0 when none waits."""
        return self._clock() - self._heard if self._waiting else 0.0

    def has_room(self, message: Message, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for room in the buffer. One message always has room in an empty one."""
        size = _size(message)
        with self._changed:
            room = self._changed.wait_for(lambda: not self._bytes or self._bytes + size <= self._buffer, timeout)
            if not room and not self._full:
                _log.warning("buffer full; waiting for Kafka", in_flight=self.in_flight, buffer_memory=self._buffer)
            self._full = not room
            return room

    def intended(self, n: int, message: Message) -> None:
        """Note a message just before it is handed to kafka-python. Raises ``LakehouseError`` for the truth file."""
        if self._truth:
            fields: dict[str, Any] = {"kind": message.kind, "motif": message.motif, **message.champs()}
            if message.motif:
                fields["valeur_base64"] = base64.b64encode(message.value).decode()
            try:
                self._truth.write("prevu", n, **fields)
            except OSError as error:
                self._fault = error
                self.check()
        size = _size(message)
        with self._changed:
            now = self._clock()
            if not self._waiting:
                self._heard = now
            self._waiting[n] = (message.vente_id, size, now)
            self._bytes += size
            self.sent += 1
            self.kinds[message.kind] += 1

    def acknowledged(self, n: int, metadata: Any) -> None:
        """kafka-python's callback, with ``n`` bound."""
        with self._changed:
            known = self._settle(n)
            if known is None:
                return
            self.acked += 1
            self._heard = self._clock()
            self.last_ack = time.time()
            self.ack_seconds.add(self._heard - known[1])
            place = {"partition": metadata.partition, "offset": metadata.offset}
            self._note("acquitte", n, **place, kafka_timestamp=metadata.timestamp)

    def failed(self, n: int, error: BaseException) -> None:
        """kafka-python's errback, with ``n`` bound: it will not try this message again."""
        text = str(error) or type(error).__name__
        with self._changed:
            known = self._settle(n)
            if known is None:
                return
            vente_id = known[0]
            self.lost += 1
            if len(self.first_lost) < LISTED:
                self.first_lost.append(Lost(n, vente_id, text))
            self._note("echec", n, vente_id=vente_id, erreur=text)

    def abandon(self, reason: str) -> None:
        """Count everything that still waits as failed; an answer that comes later changes nothing any more."""
        for n in sorted(self._waiting):
            self.failed(n, TimeoutError(reason))

    def watch(self) -> None:
        """Say once when acknowledgements stop coming, and once when they are back."""
        with self._changed:
            now, heard, waiting = self._clock(), self._heard, len(self._waiting)
            silent = now - heard
            since = self._stalled_since
            if since is None and waiting and silent >= STALL_SECONDS:
                self._stalled_since = heard
                _log.warning(f"no acknowledgement for {silent:.0f} s, {waiting} messages in flight; retrying")
            elif since is not None and heard > since:
                self._stalled_since = None
                _log.info(f"acknowledgements are back after {heard - since:.0f} s", in_flight=waiting)

    def check(self, *, at_most_every: float = _SYNC_SECONDS) -> None:
        """Bring the truth file to the disk; raise ``LakehouseError`` when that or a line before could not be written."""
        if self._truth and self._fault is None:
            try:
                self._truth.sync(at_most_every=at_most_every)
            except OSError as error:
                self._fault = error
        if self._truth and self._fault:
            raise LakehouseError(f"The truth file {self._truth.path} cannot be written: {self._fault.strerror}.")

    def _settle(self, n: int) -> tuple[str, float] | None:
        """Take a message off the waiting ones: its id and when it was handed over; None when it was decided before.
        Called with the lock held."""
        waiting = self._waiting.pop(n, None)
        self._changed.notify_all()
        if waiting is None:
            return None
        vente_id, size, begun = waiting
        self._bytes -= size
        return vente_id, begun

    def _note(self, etat: str, n: int, **fields: object) -> None:
        """Called with the lock held: a message that no longer waits has its line, and the file may be closed."""
        try:
            if self._truth:
                self._truth.write(etat, n, **fields)
        except OSError as error:
            self._fault = error


def _size(message: Message) -> int:
    return len(message.key) + len(message.value) + RECORD_OVERHEAD
