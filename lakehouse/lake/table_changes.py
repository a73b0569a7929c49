"""The files that a range of a local table's log added, as Delta's own streaming source counts them, and a table made of them.

The source notes how far it has read as a version and the number of a file in it: files that add rows count from 0, in
the order of the commit. A commit that took rows away is skipped whole, or ends the reading (``RowsRemoved``).
"""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lakehouse.config import Config
from lakehouse.contract.tables import TableSpec
from lakehouse.errors import LakehouseError
from lakehouse.lake import delta_tables, log_entry, table_handle

if TYPE_CHECKING:
    from deltalake import DeltaTable

BEFORE = -1
"""The number before a version's first file."""


@dataclass(frozen=True, order=True)
class Position:
    """What was read: all versions before ``version``, and of it the files up to ``index``."""

    version: int
    index: int = BEFORE


@dataclass(frozen=True)
class AddedFile:
    """One file: where it stands in the log, and the ``add`` action that names it."""

    position: Position
    last: bool
    """Whether it is the last one of its version."""
    add: dict[str, Any]

    @property
    def bytes(self) -> int:
        return int(self.add["size"])

    @property
    def end(self) -> Position:
        """What was read once it was."""
        return Position(self.position.version + 1) if self.last else self.position


class RowsRemoved(LakehouseError):
    """A commit within the range took rows away."""


def added(spec: TableSpec, config: Config, after: Position, upto: Position, *, skip_removals: bool) -> list[AddedFile]:
    """The files between two positions, in order. Raises ``LakehouseError`` when the log no longer has a version of it."""
    found: list[AddedFile] = []
    for version in range(after.version, upto.version + (upto.index > BEFORE)):
        actions = _actions(spec, config, version)
        if log_entry.takes_rows(actions):
            if skip_removals:
                continue
            raise RowsRemoved(f"Version {version} of {spec.name} took rows away")
        adds = [each["add"] for each in actions if "add" in each and log_entry.changes_rows(each["add"])]
        files = [AddedFile(Position(version, number), number == len(adds) - 1, add) for number, add in enumerate(adds)]
        found += [file for file in files if after < file.position <= upto]
    return found


def _actions(spec: TableSpec, config: Config, version: int) -> list[dict[str, Any]]:
    table = spec.path(config.delta.base_path)
    try:
        return log_entry.actions(Path(log_entry.place(table, version)).read_bytes())
    except ValueError as error:
        raise table_handle.damaged(table, f"the log entry of version {version} is cut off or damaged") from error
    except FileNotFoundError:
        raise LakehouseError(
            f"The log of {spec.name} no longer has version {version} ([DELTA] log_retention), from which Silver has to go on. "
            f"To build Silver anew from what stands there: python streaming_silver.py --full"
        ) from None


def removals(spec: TableSpec, config: Config, *, after: int, upto: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """(version, its ``commitInfo``) of the commits of versions ``after`` + 1 to ``upto`` that took rows away."""
    for version in range(after + 1, upto + 1):
        actions = _actions(spec, config, version)
        if log_entry.takes_rows(actions):
            yield version, log_entry.commit_info(actions)


@contextmanager
def as_table(files: Sequence[AddedFile], spec: TableSpec, config: Config) -> Iterator[DeltaTable]:
    """A table of these files alone, where they lie, for as long as the block runs: its log, which names them by their full
    paths, is all that is written."""
    source = delta_tables.opened(spec, config)
    root = f"file://{quote(str(Path(spec.path(config.delta.base_path)).resolve()))}"
    head: list[dict[str, Any]] = [
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {
            "metaData": {
                "id": str(uuid.uuid4()),
                "format": {"provider": "parquet", "options": {}},
                "schemaString": source.schema().to_json(),
                "partitionColumns": source.metadata().partition_columns,
                "configuration": {},
            }
        },
    ]
    named = [{"add": {**file.add, "path": f"{root}/{file.add['path']}"}} for file in files]
    with tempfile.TemporaryDirectory(prefix="sales-") as folder:
        Path(folder, "_delta_log").mkdir()
        text = "\n".join(json.dumps(action) for action in (*head, *named))
        Path(log_entry.place(folder, 0)).write_text(text, encoding="utf-8")
        yield table_handle.opened(folder)
