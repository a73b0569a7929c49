"""The log of operator actions under ``<base>/audit``: JSON lines, each of which holds the SHA-256 of the one before.

Guarantee: a line that was changed, taken out, added in between or cut off the end is found by ``verify``, as long as
``head.json``, which names the last line, was not rewritten with it. Someone who may write the folder can rewrite both:
against that, keep a hash that ``audit verify`` prints elsewhere and give it to ``audit verify --head`` later.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lakehouse import atomic_file
from lakehouse.config import Config, paths
from lakehouse.contract.backfill import Backfill
from lakehouse.observability import provenance

FIRST = "0" * 64
"""What the first line holds instead of a hash."""

RECONCILIATIONS = "reconciliations"
"""The folder of the reconciliations' records, beside the log that vouches for them."""

LOSSES = "losses"
"""The field of an entry that declares offsets as lost: topic, partition, first and last offset of each gap."""


BACKFILL = "backfill"
"""The verb of two entries about back-dated sales: one announces them (topic, messages, and from when to when their event times
are), the other says when the last of them had arrived at the broker."""


def folder(config: Config) -> Path:
    """The log's folder, on this machine: an object in a store cannot be appended to."""
    return paths.state(config) / "audit"


def declare_losses(config: Config, verb: str, losses: Iterable[tuple[str, int, int, int]]) -> None:
    """Put on record that these offsets (topic, partition, first, last) are given up as lost, before the table says so: without
    the entry ``reconcile`` does not believe the table. Raises ``OSError``."""
    AuditLog(folder(config)).append(verb=verb, state="declared", **{LOSSES: [list(loss) for loss in losses]})


def announce_backfill(config: Config, topic: str, since: datetime, until: datetime, messages: int) -> None:
    """Put a backfill on record before its first message is sent. Raises ``OSError``."""
    AuditLog(folder(config)).append(
        verb=BACKFILL,
        state="announced",
        topic=topic,
        since=since.isoformat(),
        until=until.isoformat(),
        messages=messages,
    )


def end_backfill(config: Config, topic: str, arrived: datetime) -> None:
    """Put on record that no more messages of the topic's backfill come: the broker received the last of them at ``arrived``.
    Raises ``OSError``."""
    AuditLog(folder(config)).append(verb=BACKFILL, state="sent", topic=topic, arrived=arrived.isoformat())


def backfills(config: Config) -> tuple[Backfill, ...]:
    """The announced backfills of this lake, oldest first."""
    found: list[Backfill] = []
    for entry in AuditLog(folder(config)).entries(naming=BACKFILL):
        # a changed line says nothing; ``verify`` finds it
        with suppress(KeyError, TypeError, ValueError, OverflowError):
            topic, state = entry["topic"], entry["state"]
            if entry["verb"] == BACKFILL and state == "announced":
                since, until, time = (_moment(entry[key]) for key in ("since", "until", "time"))
                found.append(Backfill(topic, since, until, time, int(entry["messages"])))
            elif entry["verb"] == BACKFILL and state == "sent":
                last = max(n for n, one in enumerate(found) if one.topic == topic)
                known = found[last].arrived or datetime.min.replace(tzinfo=UTC)
                found[last] = replace(found[last], arrived=max(known, _moment(entry["arrived"])))
    return tuple(found)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def digest(line: bytes) -> str:
    """The hash that the next line holds; ``line`` without its line end."""
    return hashlib.sha256(line).hexdigest()


def last_reconciliation(config: Config) -> dict[str, Any] | None:
    """The newest reconciliation record of the lake: ``finished`` (ISO 8601), ``differences`` (how many), ``found`` (the
    first of them), ``per_partition``, ``per_day`` and ``per_table``; None before the first."""
    for path in sorted((folder(config) / RECONCILIATIONS).glob("*.json"), reverse=True):
        try:
            record: dict[str, Any] = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        shown = {key: value for key, value in record.items() if not key.startswith("proven")}
        return {**shown, "record": path.name}
    return None


@dataclass(frozen=True)
class LogCheck:
    """``entries`` lines were read; ``head`` is the last one's hash; ``fault`` says what is wrong first, None if nothing."""

    entries: int
    head: str
    fault: str | None = None


class AuditLog:
    """One lake's log. Several processes may append at the same time."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.path = place / "log.jsonl"
        self._head = place / "head.json"

    def append(self, **fields: Any) -> dict[str, Any]:
        """Add one line, on the disk when this returns, and return it. Raises ``OSError``."""
        from filelock import FileLock  # takes its time: only for who writes

        self.place.mkdir(parents=True, exist_ok=True)
        with FileLock(self.place / ".lock"):
            number, last, torn = self._tail()
            entry = {
                "n": number + 1,
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "who": provenance.who(),
                "run": provenance.RUN_ID,
                "code": provenance.code_version(),
                **fields,
                **({"repaired": f"{torn} bytes of a line that was never completed were cut off"} if torn else {}),
                "previous": last,
            }
            line = json.dumps(entry, ensure_ascii=False).encode()
            _append(self.path, line + b"\n")
            self._note_head(number + 1, digest(line))
        return entry

    def entries(self, *, naming: str = "") -> Iterator[dict[str, Any]]:
        """Every line that can be read, oldest first; with ``naming`` only those in which that word stands."""
        word = naming.encode()
        for line in self._lines():
            if word not in line:
                continue
            try:
                yield json.loads(line)
            except ValueError:
                continue

    def verify(self, expected: str | None = None) -> LogCheck:
        """Read all of it. ``expected``: a hash noted earlier, whose line must still be there."""
        head = self._read_head()  # before the lines: a line that is added meanwhile is then only one more
        hashes = [FIRST]
        for number, line in enumerate(self._lines(), start=1):
            if fault := _fault(line, number, hashes):
                return LogCheck(number, hashes[-1], fault)
            hashes.append(digest(line))
        count = len(hashes) - 1
        if head is None:
            fault = (
                f"{self._head.name} is missing or damaged, so that lines cut off the end would not be seen"
                if count
                else None
            )
        elif head["n"] > count:
            fault = f"line {count + 1} to line {head['n']} were removed from the end"
        elif hashes[head["n"]] != head["sha256"]:
            fault = f"line {head['n']} was changed after it was written"
        else:
            fault = None
        if fault is None and expected is not None and expected not in hashes[1:]:
            fault = f"no line has the hash {expected}: the log was rewritten since that was noted"
        return LogCheck(count, hashes[-1], fault)

    def _lines(self) -> Iterator[bytes]:
        """Complete lines; a last one without a line end was cut off by a power failure, and the next append removes it."""
        if not self.path.exists():
            return
        with self.path.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    yield line[:-1]

    def _tail(self) -> tuple[int, str, int]:
        """Lines so far, the last one's hash, and the bytes of a torn line that were cut off now."""
        count, last, size = 0, FIRST, 0
        for line in self._lines():
            count, last, size = count + 1, digest(line), size + len(line) + 1
        torn = self.path.stat().st_size - size if self.path.exists() else 0
        if torn:
            os.truncate(self.path, size)
        # A log that was cut off must not look whole again by growing: the numbers go on where the head stands.
        head = self._read_head()
        if head is not None and head["n"] > count:
            return head["n"], head["sha256"], torn
        return count, last, torn

    def _read_head(self) -> dict[str, Any] | None:
        try:
            found = json.loads(self._head.read_bytes())
            return {"n": int(found["n"]), "sha256": str(found["sha256"])}
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _note_head(self, number: int, sha256: str) -> None:
        atomic_file.write(self._head, json.dumps({"n": number, "sha256": sha256}))


def _fault(line: bytes, number: int, hashes: list[str]) -> str | None:
    """What is wrong with one line, given the hashes of those before it."""
    try:
        entry = json.loads(line)
        held, previous = int(entry["n"]), str(entry["previous"])
    except (ValueError, KeyError, TypeError):
        return f"line {number} was changed after it was written: it cannot be read any more"
    if held > number:
        return f"line {number} was removed: entry {held} stands in its place"
    if held < number:
        return f"line {number} was added: it says that it is entry {held}"
    if previous != hashes[-1]:
        return f"line {max(number - 1, 1)} was changed after it was written: line {number} holds another hash of it"
    return None


def _append(path: Path, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_APPEND, 0o644)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]
        atomic_file.sync(file)
    finally:
        os.close(file)
