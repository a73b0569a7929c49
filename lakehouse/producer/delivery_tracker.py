"""Delivery of a producer's messages: sent, acknowledged, failed and in flight; and the truth file that records it.

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

from lakehouse import atomic_file
from lakehouse.errors import LakehouseError
from lakehouse.observability import log
from lakehouse.observability.metrics import ACK_BOUNDS
from lakehouse.observability.registry import Distribution
from lakehouse.producer.generator import Message
from lakehouse.wording import counted

_log = log.get("producer")

STALL_SECONDS = 5.0
"""A warning is logged when messages are in flight and no acknowledgement came for this long."""
RECORD_OVERHEAD = 1600
"""Overhead in bytes of a message in flight, here and in kafka-python (measured with kafka-python 3.0.12)."""
LISTED = 20
"""Messages never acknowledged that are listed one by one; the truth file holds all."""
_SYNC_SECONDS = 1.0


class TruthFile:
    """The truth file: what a run intended to send, and the outcome of each message; JSON lines, appended.

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
        """``fsync`` the file, at most once in so many seconds. Raises ``OSError``."""
        now = time.monotonic()
        if self._dirty and now - self._synced >= at_most_every:
            self._dirty, self._synced = False, now
            atomic_file.sync(self._file)

    def close(self) -> None:
        """Call ``sync(at_most_every=0)`` before, which may raise."""
        os.close(self._file)


@dataclass(frozen=True)
class UndeliveredMessage:
    """One message that was never acknowledged."""

    n: int
    vente_id: str
    error: str


class DeliveryTracker:
    """Tracks each message until it is acknowledged or failed; limits what is in flight to ``buffer_bytes``.

    kafka-python 3 has no such limit.

    The methods that kafka-python's thread calls (``acknowledged``, ``failed``) never raise: it would swallow that.
    """

    def __init__(
        self,
        buffer_bytes: int,
        truth: TruthFile | None = None,
        clock: Callable[[], float] = time.monotonic,
        ack_seconds: Distribution | None = None,
    ) -> None:
        """``ack_seconds`` records the time from hand-over to acknowledgement of each message."""
        self._buffer = buffer_bytes
        self._truth = truth
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: dict[int, tuple[str, int, float]] = {}
        self._bytes = 0
        self._last_answer = clock()
        self._stalled_since: float | None = None
        self._full = False
        self._room_wanted = False
        self._write_error: OSError | None = None
        self.kinds: Counter[str] = Counter()
        self.sent = 0
        self.acked = 0
        self.lost = 0
        self.first_lost: list[UndeliveredMessage] = []
        self.last_ack: float | None = None  # seconds since 1970
        self.last_received = -1  # ms since 1970 by the broker's clock: when it received the last message
        self.ack_seconds = ack_seconds or Distribution(ACK_BOUNDS)

    @property
    def in_flight(self) -> int:
        """Messages handed over, neither acknowledged nor failed yet."""
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the messages in flight, overhead included."""
        return self._bytes

    @property
    def silent_seconds(self) -> float:
        """Seconds since the last acknowledgement; 0 when nothing is in flight."""
        return self._clock() - self._last_answer if self._waiting else 0.0

    def has_room(self, message: Message, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for room in the buffer. One message always has room in an empty one.

        A full buffer has room again when an eighth of it is free: threads that wake each other for every message spend
        their time on that. Only the thread that hands messages over may call it.
        """
        size = _size(message)
        if not self._bytes or self._bytes + size <= self._buffer:  # nobody else adds to it, so that no lock is needed
            return True
        enough = max(self._buffer - max(size, self._buffer // 8), 0)
        with self._changed:
            self._room_wanted = True
            room = self._changed.wait_for(lambda: self._bytes <= enough, timeout)
            self._room_wanted = False
            if not room and not self._full:
                _log.warning("buffer full; waiting for Kafka", in_flight=self.in_flight, buffer_memory=self._buffer)
            self._full = not room
            return room

    def intended(self, n: int, message: Message) -> None:
        """Record a message just before it is handed to kafka-python. Raises ``LakehouseError`` if the truth file fails."""
        if self._truth:
            fields: dict[str, Any] = {"kind": message.kind, "motif": message.motif, **message.champs()}
            if message.operation:
                fields["operation"] = message.operation
            if message.motif:
                fields["valeur_base64"] = base64.b64encode(message.value).decode()
            try:
                self._truth.write("prevu", n, **fields)
            except OSError as error:
                self._write_error = error
                self.check()
        size = _size(message)
        with self._changed:
            now = self._clock()
            if not self._waiting:
                self._last_answer = now
            self._waiting[n] = (message.vente_id, size, now)
            self._bytes += size
            self.sent += 1
            self.kinds[message.kind] += 1

    def acknowledged(self, n: int, metadata: Any) -> None:
        """kafka-python's callback, with ``n`` bound."""
        with self._changed:
            known = self._remove(n)
            if known is None:
                return
            self.acked += 1
            self._last_answer = self._clock()
            self.last_ack = time.time()
            self.last_received = max(self.last_received, metadata.timestamp)
            self.ack_seconds.add(self._last_answer - known[1])
            if self._truth:
                place = {"partition": metadata.partition, "offset": metadata.offset}
                self._note("acquitte", n, **place, kafka_timestamp=metadata.timestamp)

    def failed(self, n: int, error: BaseException) -> None:
        """kafka-python's errback, with ``n`` bound: it does not retry this message."""
        text = str(error) or type(error).__name__
        with self._changed:
            known = self._remove(n)
            if known is None:
                return
            vente_id = known[0]
            self.lost += 1
            if len(self.first_lost) < LISTED:
                self.first_lost.append(UndeliveredMessage(n, vente_id, text))
            self._note("echec", n, vente_id=vente_id, erreur=text)

    def abandon(self, reason: str) -> None:
        """Count every message in flight as failed; a later answer is ignored."""
        for n in sorted(self._waiting):
            self.failed(n, TimeoutError(reason))

    def watch(self) -> None:
        """Log once when acknowledgements stop, and once when they resume."""
        with self._changed:
            now, last, waiting = self._clock(), self._last_answer, len(self._waiting)
            silent = now - last
            since = self._stalled_since
            if since is None and waiting and silent >= STALL_SECONDS:
                self._stalled_since = last
                _log.warning(
                    f"no acknowledgement for {silent:.0f} s, in flight: {counted(waiting, 'message')}; retrying"
                )
            elif since is not None and last > since:
                self._stalled_since = None
                _log.info(f"acknowledgements are back after {last - since:.0f} s", in_flight=waiting)

    def check(self, *, at_most_every: float = _SYNC_SECONDS) -> None:
        """Sync the truth file; raise ``LakehouseError`` when that or an earlier line could not be written."""
        if self._truth and self._write_error is None:
            try:
                self._truth.sync(at_most_every=at_most_every)
            except OSError as error:
                self._write_error = error
        if self._truth and self._write_error:
            raise LakehouseError(f"The truth file {self._truth.path} cannot be written: {self._write_error.strerror}.")

    def _remove(self, n: int) -> tuple[str, float] | None:
        """Remove a message from those in flight: its id and hand-over time; None if its outcome is known already.
        Called with the lock held."""
        waiting = self._waiting.pop(n, None)
        if waiting is None:
            return None
        vente_id, size, begun = waiting
        self._bytes -= size
        if self._room_wanted:
            self._changed.notify_all()
        return vente_id, begun

    def _note(self, etat: str, n: int, **fields: object) -> None:
        """Called with the lock held, so that the file can be closed once nothing is in flight."""
        try:
            if self._truth:
                self._truth.write(etat, n, **fields)
        except OSError as error:
            self._write_error = error


def _size(message: Message) -> int:
    return len(message.key) + len(message.value) + RECORD_OVERHEAD
