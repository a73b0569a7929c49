"""The commits of a Delta table as its log has them: who wrote what, which application, and whether rows changed. No JVM.

``history`` tells what a commit says of itself; this also reads what it did: the files that came and went, and the
application ids by which a repeated write is refused, which ``deltalake`` does not give by commit (1.6.6).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lakehouse.config import Config
from lakehouse.contract.tables import TableSpec
from lakehouse.lake import history, object_store
from lakehouse.observability.provenance import Origin, read_origin

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


@dataclass(frozen=True)
class Commit:
    """One log entry. ``info``: what the writer says; ``transactions``: application id → its number; ``adds``, ``removes``: it
    changed rows by adding or removing files; ``rewrites``: it replaced files and says that no row changed."""

    version: int
    info: Mapping[str, Any] = field(default_factory=dict)
    transactions: Mapping[str, int] = field(default_factory=dict)
    adds: bool = False
    removes: bool = False
    rewrites: bool = False

    @property
    def operation(self) -> str:
        return str(self.info.get("operation", "unknown operation"))

    @property
    def moment(self) -> datetime | None:
        return history.moment(self.info.get("timestamp"))

    @cached_property
    def origin(self) -> Origin:
        return read_origin(self.info)

    @property
    def changes_rows(self) -> bool:
        """Whether rows may have changed: a rewrite is believed of a compaction alone."""
        return self.adds or self.removes or (self.rewrites and self.operation != "OPTIMIZE")


def first(config: Config, spec: TableSpec) -> int:
    """The oldest version whose entry the log still holds."""
    return min(_entries(config, spec)[1], default=0)


def read(config: Config, spec: TableSpec, *, after: int, upto: int) -> Iterator[Commit]:
    """The commits of versions above ``after`` and up to ``upto`` that the log still holds, the oldest first."""
    files, names = _entries(config, spec)
    for version in sorted(names):
        if after < version <= upto:
            try:
                with files.open_input_stream(names[version]) as stream:
                    data = bytes(stream.read())
            except FileNotFoundError:  # the log's clean-up took it meanwhile
                continue
            yield _commit(version, data)


def _entries(config: Config, spec: TableSpec) -> tuple[FileSystem, dict[int, str]]:
    """The log's file system, and version → the place of its entry."""
    from pyarrow import fs

    files, root = object_store.filesystem(config, f"{spec.path(config.delta.base_path)}/_delta_log")
    found = files.get_file_info(fs.FileSelector(root, allow_not_found=True))
    return files, {int(info.base_name[:-5]): info.path for info in found if _is_commit(info.base_name)}


def _is_commit(name: str) -> bool:
    return name.endswith(".json") and name[:-5].isdecimal()


def _commit(version: int, data: bytes) -> Commit:
    info: dict[str, Any] = {}
    transactions: dict[str, int] = {}
    adds = removes = rewrites = False
    for line in data.splitlines():
        action = json.loads(line) if line.strip() else {}
        info = action.get("commitInfo", info)
        if (transaction := action.get("txn")) is not None:
            transactions[transaction["appId"]] = int(transaction["version"])
        for name in ("add", "remove"):
            if (file := action.get(name)) is None:
                continue
            if not file.get("dataChange", True):
                rewrites = True
            elif name == "add":
                adds = True
            else:
                removes = True
    return Commit(version, info, transactions, adds, removes, rewrites)
