"""The checkpoint of a local streaming query over a Delta table, read and advanced without Spark, in the format of Spark's own.

So Spark's query goes on from what was written here, and this from what Spark wrote. A batch is *planned* by a file of the
offset log, which says where its reading ends, and *ended* by a file of the commit log; each file is created whole or not
at all. Who advances holds the writer's lock of the job.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakehouse import atomic_file
from lakehouse.config import Config
from lakehouse.lake.checkpoint_files import COMMITS, METADATA, OFFSETS
from lakehouse.lake.checkpoint_folder import AdvancedFolder, FileCheckpoint
from lakehouse.lake.table_changes import BEFORE, Position

_KEPT = 100
"""Batches of which the log keeps the files: as Spark's ``minBatchesToRetain``. Spark itself needs the last two."""


@dataclass(frozen=True)
class Batch:
    """A planned batch: its files lie after ``start`` and up to ``end``."""

    id: int
    start: Position
    end: Position


class LocalCheckpoint(FileCheckpoint, AdvancedFolder):
    """A checkpoint's folder on this machine. ``first``: where the first batch begins."""

    def __init__(self, config: Config, path: str, first: Position) -> None:
        super().__init__(config, path)
        self._first = first

    def consumed(self) -> Position:
        """What the last batch that ended had read."""
        ended = self.committed_ids()
        return self._end(ended[-1]) if ended else self._first

    def unfinished(self) -> Batch | None:
        """The batch that was planned and has not ended: it is repeated as it was planned, whoever planned it."""
        planned = self.planned_ids()[-1:]
        return (
            None if planned == self.committed_ids()[-1:] else Batch(planned[0], self.consumed(), self._end(planned[0]))
        )

    def plan(self, end: Position, *, table_id: str) -> Batch:
        """Plan the next batch: from here on it is this one, until it ends."""
        last = (self.planned_ids()[-1:] or [-1])[0]
        if self.query_id() is None:
            self._create(METADATA, json.dumps({"id": str(uuid.uuid4())}))
        clock = {"batchWatermarkMs": 0, "batchTimestampMs": time.time_ns() // 1_000_000, "conf": self._conf(last)}
        source = {
            "sourceVersion": 1, "reservoirId": table_id, "reservoirVersion": end.version, "index": end.index,
            "isStartingVersion": False,
        }  # fmt: skip
        batch = Batch(last + 1, self.consumed(), end)
        self._create(f"{OFFSETS}/{batch.id}", _lines(clock, source))
        return batch

    def _conf(self, last: int) -> dict[str, str]:
        """The settings that Spark notes with each batch of a query, since one with state depends on them: as it noted them."""
        text = self.text(f"{OFFSETS}/{last}")
        return dict(json.loads(text.split("\n")[1]).get("conf", {})) if text else {}

    def finish(self, batch: Batch) -> None:
        """Note that everything of the batch is in every table."""
        self._create(f"{COMMITS}/{batch.id}", _lines({"nextBatchWatermarkMs": 0}))
        for name in (COMMITS, OFFSETS):  # in this order: a commit without its plan is damage
            for number in self.ids(name):
                if number <= batch.id - _KEPT:
                    self.forget(f"{name}/{number}")

    def _end(self, batch_id: int) -> Position:
        with self.reading():
            end = self.existing(batch_id).delta_end()
        return Position(end.version, BEFORE if end.index is None else end.index)

    def write_text(self, name: str, text: str) -> None:
        """A file of ours, which Spark does not look at: whole or not at all."""
        self._create(name, text)

    def _create(self, name: str, text: str) -> None:
        """Raises ``FileExistsError`` rather than to replace a file."""
        file = Path(self.path, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            raise FileExistsError(file)
        _checksum(file).unlink(missing_ok=True)  # of a file that is gone: Spark would not believe this one
        atomic_file.write(file, text)

    def forget(self, name: str) -> None:
        """Delete a file, and Hadoop's checksum of it."""
        for file in (Path(self.path, name), _checksum(Path(self.path, name))):
            file.unlink(missing_ok=True)


def _checksum(file: Path) -> Path:
    """Hadoop's checksum beside a file."""
    return file.with_name(f".{file.name}.crc")


def _lines(*values: dict[str, Any]) -> str:
    return "\n".join(("v1", *(json.dumps(value, separators=(",", ":")) for value in values)))
