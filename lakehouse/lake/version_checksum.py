"""The checksum file beside a version of a Delta table, derived from the previous version's checksum and the commit.

Spark writes one with each of its commits and reads what an application wrote last, the schema and the properties from it.
``deltalake`` writes none: Spark then rebuilds the table's state, a job of a second and more, at its next read.
Source: Delta's PROTOCOL.md, "Version Checksum File". Of its optional fields, the applications' transactions, the domain
metadata and the files of a small table are carried on, each only when the version before has it: Delta leaves a field out when
it is too long, and then Spark must look for itself. The others are left out. No file is written for a protocol other than the
one that the project's tables are created with.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lakehouse import atomic_file
from lakehouse.lake import log_entry

Checksum = dict[str, Any]

PROTOCOL = {"minReaderVersion": 1, "minWriterVersion": 2}
"""The only one whose checksums are known here: a later one may count, or name, something else."""

OTHERS = {"commitInfo"}
"""Actions that change nothing of what a checksum says."""


def after(before: Mapping[str, Any] | None, actions: Iterable[Mapping[str, Any]]) -> Checksum | None:
    """The checksum of a version, from that of the version before (None: there is none before) and the commit's actions.
    None when these do not tell it: the first commit of a table names its schema and its protocol. An optional field that the
    version before does not have stays absent: it is unknown, which is not the same as empty."""
    known = before or {"numFiles": 0, "tableSizeBytes": 0, "allFiles": [], "setTransactions": [], "domainMetadata": []}
    files, size = int(known["numFiles"]), int(known["tableSizeBytes"])
    writers = {each["appId"]: each for each in known.get("setTransactions") or ()}
    metadata, protocol = known.get("metadata"), known.get("protocol")
    listed = {each["path"]: each for each in known.get("allFiles") or ()}
    for action in actions:
        ((kind, value),) = action.items()
        if kind in ("add", "remove"):
            if value.get("deletionVector") or value.get("size") is None:
                return None  # rows that a file still has are counted too, then
            sign = 1 if kind == "add" else -1
            files, size = files + sign, size + sign * int(value["size"])
            if kind == "add":
                listed[value["path"]] = {**value, "dataChange": False}
            else:
                listed.pop(value["path"], None)
        elif kind == "txn":
            writers[value["appId"]] = value
        elif kind == "metaData":
            metadata = {name: given for name, given in value.items() if given is not None}
        elif kind == "protocol":
            protocol = value
        elif kind not in OTHERS:
            return None  # of a feature that no table here has
    if metadata is None or not _is_known(protocol) or not _is_known(known.get("protocol", protocol)) or files < 0:
        return None
    optional = {
        "setTransactions": list(writers.values()),
        "domainMetadata": known.get("domainMetadata"),
        "allFiles": list(listed.values()),
    }
    return {
        "tableSizeBytes": size, "numFiles": files, "numMetadata": 1, "numProtocol": 1, "metadata": metadata,
        "protocol": protocol, **{name: value for name, value in optional.items() if known.get(name) is not None},
    }  # fmt: skip


def _is_known(protocol: Mapping[str, Any] | None) -> bool:
    return {name: value for name, value in (protocol or {}).items() if value is not None} == PROTOCOL


_BACK = 10
"""Commits without a checksum that are made up for: more of them are Spark's to find out."""


def write(table: str, version: int) -> int:
    """Put the checksums beside a version of a local table and beside the few before it that have none. How many: none when
    they are there, or cannot be told; Spark then finds out by itself, later."""
    log = Path(table, "_delta_log")
    last = version  # the last one that has a checksum; -1: none has
    while last >= 0 and version - last < _BACK and not (log / f"{last:020}.crc").exists():
        last -= 1
    known = None if last == version or last < 0 else _read(log / f"{last:020}.crc")
    if known is None and last >= 0:
        return 0
    for each in range(last + 1, version + 1):
        known = after(known, log_entry.actions(Path(log_entry.place(table, each)).read_bytes()))
        if known is None:
            return each - last - 1
        atomic_file.write(log / f"{each:020}.crc", json.dumps(known), durable=False)
    return version - last


def _read(file: Path) -> Checksum | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    # what counts rows in files' deletion vectors, or in commits' own clocks, is not carried on here
    known = all(name in found for name in ("numFiles", "tableSizeBytes", "metadata", "protocol"))
    extra = found.get("numDeletionVectorsOpt") or found.get("inCommitTimestampOpt")
    return found if known and _is_known(found["protocol"]) and not extra else None
