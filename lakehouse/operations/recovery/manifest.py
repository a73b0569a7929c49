"""Manifest of a backup: its files with their hashes, and the versions, batches and Kafka offsets of one moment."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

FORMAT = 1


@dataclass(frozen=True)
class BackupFile:
    """One file of the lake: path below the base path, SHA-256 of its bytes, their number, and the source file's time
    (ns since 1970; 0: not known), by which the next backup knows a file that did not change."""

    path: str
    sha256: str
    bytes: int
    mtime_ns: int = 0


@dataclass(frozen=True)
class Manifest:
    """``tables``: name → version. ``bronze``: topic, topic_id, the last committed batch, by partition the offset that
    is read next, and the batch that was planned after it (None: none). ``silver``: generation, its last batch, the Bronze
    version that it has merged, and whether it was built; {} when there is none."""

    id: str
    created: str
    origin: Mapping[str, Any]
    tables: Mapping[str, int]
    bronze: Mapping[str, Any]
    silver: Mapping[str, Any]
    entries: tuple[BackupFile, ...] = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes of the files when they are restored."""
        return sum(entry.bytes for entry in self.entries)

    def objects(self) -> dict[str, BackupFile]:
        """One entry for each different content."""
        return {entry.sha256: entry for entry in self.entries}


def object_path(sha256: str) -> str:
    """Where a content lies in the backup store."""
    return f"objects/{sha256[:2]}/{sha256}"


def manifest_path(backup: str) -> str:
    """Path of a backup's manifest in the store."""
    return f"backups/{backup}.json"


def text_of(manifest: Manifest) -> str:
    """The manifest's file: JSON, with the SHA-256 of everything else in it."""
    body = {"format": FORMAT, **asdict(manifest)}
    return json.dumps({**body, "sha256": _hash(body)}, ensure_ascii=False, indent=1)


def _hash(body: Mapping[str, Any]) -> str:
    plain = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()


def parse(text: bytes) -> Manifest:
    """Raises ``ValueError`` that says what is wrong: it is damaged, was changed, or leads out of the restored folder."""
    try:
        body = json.loads(text)
        claimed = body.pop("sha256")
        if claimed != _hash(body):
            raise ValueError("its own hash does not fit")
        if body.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        entries = tuple(BackupFile(**entry) for entry in body.pop("entries"))
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"it cannot be read: {error}") from None
    for entry in entries:
        if (
            entry.path.startswith("/")
            or ".." in entry.path.split("/")
            or not re.fullmatch("[0-9a-f]{64}", entry.sha256)
        ):
            raise ValueError(f"it names the file {entry.path!r}")
    return Manifest(**body, entries=entries)
