"""Manifest of a backup: its files with their hashes, and the versions, batches and Kafka offsets of one moment."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
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
        """One entry for each distinct content."""
        return {entry.sha256: entry for entry in self.entries}


def object_path(sha256: str) -> str:
    """Path of an object in the backup store."""
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


def parse(text: bytes, backup: str) -> Manifest:
    """Parse the manifest of ``backup``. Raises ``ValueError`` that says what is wrong: it is damaged, was changed, is
    another backup's, or leads out of the restored folder."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None
    claimed = _mapping(body, "it").pop("sha256", None)
    try:
        same = claimed == _hash(body)
    except (ValueError, RecursionError):  # a lone surrogate is no UTF-8
        same = False
    if not same:
        raise ValueError("its own hash does not fit")
    if body.pop("format", None) != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    if body.keys() != {one.name for one in fields(Manifest)}:
        raise ValueError(f"its fields are {', '.join(sorted(body)) or 'none'}")
    if body["id"] != backup or not _ID.fullmatch(backup):
        raise ValueError(f"it says that it is the backup {body['id']!r}")
    _is_text(body["created"], "created")
    _mapping(body["origin"], "origin")
    for name, version in _mapping(body["tables"], "tables").items():
        _is_count(version, f"tables: {name}")
    _checked_bronze(_mapping(body["bronze"], "bronze"))
    _checked_silver(_mapping(body["silver"], "silver"))
    if not isinstance(body["entries"], list):
        raise ValueError("entries is no list")
    entries = tuple(map(_entry, body.pop("entries")))
    _check_places(entry.path for entry in entries)
    return Manifest(**body, entries=entries)


_ID = re.compile(r"\d{8}T\d{6}(\.\d{6})?Z-[0-9a-f]{6}")


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no JSON object")
    return value


def _is_text(value: Any, name: str) -> None:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{name} is {value!r}")


def _is_count(value: Any, name: str, *, least: int = 0) -> None:
    if type(value) is not int or value < least:
        raise ValueError(f"{name} is {value!r}")


def _has(value: Mapping[str, Any], name: str, *keys: str) -> bool:
    """False for {}; raises ``ValueError`` unless all of the keys are there otherwise."""
    if value and value.keys() != set(keys):
        raise ValueError(f"{name} has the fields {', '.join(sorted(value))}")
    return bool(value)


def _checked_bronze(found: Mapping[str, Any]) -> None:
    if not _has(found, "bronze", "topic", "topic_id", "batch", "offsets", "planned"):
        return
    _is_text(found["topic"], "topic")
    if found["topic_id"] is not None:
        _is_text(found["topic_id"], "topic_id")
    _is_count(found["batch"], "batch", least=-1)
    for name in ("offsets", "planned"):
        if name == "planned" and found[name] is None:
            continue
        for partition, offset in _mapping(found[name], name).items():
            if not partition.isdecimal():
                raise ValueError(f"{name}: the partition is {partition!r}")
            _is_count(offset, f"{name}: {partition}")


def _checked_silver(found: Mapping[str, Any]) -> None:
    if not _has(found, "silver", "generation", "batch", "bronze_version", "built"):
        return
    _is_text(found["generation"], "generation")
    _is_count(found["batch"], "silver's batch", least=-1)
    _is_count(found["bronze_version"], "bronze_version")
    if type(found["built"]) is not bool:
        raise ValueError(f"built is {found['built']!r}")


def _entry(found: Any) -> BackupFile:
    """Raises ``ValueError`` for a file that has no place below the restored folder, or no content."""
    named = _mapping(found, "a file")
    if not {"path", "sha256", "bytes"} <= named.keys() <= {one.name for one in fields(BackupFile)}:
        raise ValueError(f"a file has the fields {', '.join(sorted(named))}")
    entry = BackupFile(**named)
    _is_text(entry.path, "a file's path")
    if entry.path.startswith("/") or {"", ".", ".."} & set(entry.path.split("/")):
        raise ValueError(f"it names the file {entry.path!r}")
    if not isinstance(entry.sha256, str) or not re.fullmatch("[0-9a-f]{64}", entry.sha256):
        raise ValueError(f"the hash of {entry.path!r} is {entry.sha256!r}")
    _is_count(entry.bytes, f"the size of {entry.path!r}")
    _is_count(entry.mtime_ns, f"the time of {entry.path!r}")
    return entry


def _check_places(paths: Iterable[str]) -> None:
    """Raises ``ValueError`` when two files have one place, or a file has that of a folder."""
    files: set[str] = set()
    for path in paths:
        if path in files:
            raise ValueError(f"it names the file {path!r} twice")
        files.add(path)
    for path in files:
        if found := files.intersection("/".join(path.split("/")[:n]) for n in range(1, path.count("/") + 1)):
            raise ValueError(f"it names {min(found)!r} as a file and as a folder")
