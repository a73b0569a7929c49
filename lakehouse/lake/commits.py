"""The commits of a Delta table as its log has them: who wrote what, which application, and whether rows changed. No JVM.

``history`` tells what a commit says of itself; this also reads what it did: the files that came and went, and the
application ids by which a repeated write is refused, which ``deltalake`` does not give by commit (1.6.6).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lakehouse.config import Config
from lakehouse.contract.tables import TableSpec
from lakehouse.lake import history, log_entry, object_store
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
    versions = ((log_entry.version_of(info.base_name), info.path) for info in found)
    return files, {version: path for version, path in versions if version is not None}


def _commit(version: int, data: bytes) -> Commit:
    transactions: dict[str, int] = {}
    adds = removes = rewrites = False
    actions = log_entry.actions(data)
    for action in actions:
        if (transaction := action.get("txn")) is not None:
            transactions[transaction["appId"]] = int(transaction["version"])
        for name in ("add", "remove"):
            if (file := action.get(name)) is None:
                continue
            if not log_entry.changes_rows(file):
                rewrites = True
            elif name == "add":
                adds = True
            else:
                removes = True
    return Commit(version, log_entry.commit_info(actions), transactions, adds, removes, rewrites)
