"""How far the two jobs have come, read from the files of their checkpoints. No JVM; nothing is written.

The same facts as ``checkpoints`` reads through Spark, for tools that start in a fraction of a second.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lakehouse.config import Config
from lakehouse.contract.table_properties import INVALID
from lakehouse.contract.tables import GENERATIONS, checkpoint
from lakehouse.errors import CheckpointInvalid, TableMissing
from lakehouse.lake import object_store
from lakehouse.lake.query import Query
from lakehouse.lake.reader import Lake

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


@dataclass(frozen=True)
class BronzePosition:
    """What Bronze's checkpoint has committed: by partition, the first offset that it read and the next it will read."""

    topic: str
    topic_id: str | None
    starts: Mapping[int, int]
    ends: Mapping[int, int]
    batch: int
    clock: datetime


@dataclass(frozen=True)
class SilverPosition:
    """The Bronze version that Silver holds all of. Not ``settled``: a build or a batch is in hand, or broke off, or the last
    batch ended inside the next version, of which Silver then holds a part."""

    generation: str
    bronze_version: int
    settled: bool
    seen: tuple[Any, ...]
    """Changes whenever the job has moved on: equal before and after means that nothing happened in between."""


class Folder:
    """A checkpoint's folder, wherever it lies."""

    def __init__(self, config: Config, path: str) -> None:
        self.path = path
        self._fs: FileSystem
        self._root: str
        self._fs, self._root = object_store.filesystem(config, path)

    def ids(self, name: str) -> list[int]:
        from pyarrow import fs

        found = self._fs.get_file_info(fs.FileSelector(f"{self._root}/{name}", allow_not_found=True))
        return sorted(int(info.base_name) for info in found if info.base_name.isdigit())

    def text(self, name: str) -> str | None:
        """The file without the byte 0 that Spark writes before some; None when there is none."""
        try:
            with self._fs.open_input_stream(f"{self._root}/{name}") as stream:
                return bytes(stream.read()).lstrip(b"\0").decode()
        except FileNotFoundError:
            return None

    def json(self, name: str, line: int) -> Any:
        """One line of a file of Spark's. Raises ``CheckpointInvalid``."""
        try:
            return json.loads((self.text(name) or "").splitlines()[line])
        except (ValueError, IndexError):
            job = self.path.rstrip("/").rsplit("/", 1)[-1].split("-")[0]  # silver's folder ends with its generation
            raise CheckpointInvalid(
                f"The file {self.path}/{name} is missing or damaged: how far the job has read cannot be told. Type: "
                f"python ops_utils.py rebuild {job}"
            ) from None


def bronze(config: Config) -> BronzePosition | None:
    """None before the first batch was committed. Raises ``CheckpointInvalid``."""
    folder = Folder(config, checkpoint(config.delta.base_path, "bronze"))
    committed = folder.ids("commits")
    if not committed:
        return None
    name, topic = f"offsets/{committed[-1]}", config.kafka.topic
    topic_id = (folder.text("topic_id") or "").strip() or None
    ends = folder.json(name, 2).get(topic, {})
    starts = folder.json("sources/0/0", 1).get(topic, {}) if folder.ids("sources/0") else {}
    clock = datetime.fromtimestamp(folder.json(name, 1)["batchTimestampMs"] / 1000, UTC)
    return BronzePosition(topic, topic_id, _numbers(starts), _numbers(ends), committed[-1], clock)


def _numbers(offsets: Mapping[str, int]) -> dict[int, int]:
    return {int(partition): offset for partition, offset in sorted(offsets.items(), key=lambda item: int(item[0]))}


def generation(config: Config) -> dict[str, Any] | None:
    """The last step of Silver's present generation, as its row; None before the first build, and when a new one is due."""
    found = _generations(config)
    return found[0] if found else None


def _generations(config: Config) -> tuple[dict[str, Any], int] | None:
    """The last row, and the table's version."""
    lake = Lake.of(config)
    try:
        found = lake.read(Query(f"SELECT * FROM {GENERATIONS.name} ORDER BY date_etat", (GENERATIONS.name,)))
    except TableMissing:
        return None
    rows = [dict(zip(found.names, row, strict=True)) for row in found.rows]
    return None if not rows or rows[-1]["etat"] == INVALID else (rows[-1], found.sources[0].version)


def delta_source_end(end: Mapping[str, Any]) -> tuple[int, bool]:
    """Where a batch of Delta's stream ended: the last version that was read whole, and whether nothing of the next one was
    read. Files of one version are counted from 0, and ``[PERFORMANCE] max_files_per_trigger`` may end a batch between two;
    a negative ``index`` stands before the first file."""
    return int(end["reservoirVersion"]) - 1, int(end.get("index", -1)) < 0


def silver(config: Config) -> SilverPosition | None:
    """None before the first build began, and while a new one is due."""
    if (found := _generations(config)) is None:
        return None
    last, seen = found
    folder = Folder(config, checkpoint(config.delta.base_path, f"silver-{last['generation']}"))
    planned, committed = folder.ids("offsets")[-1:], folder.ids("commits")[-1:]
    version, whole = last["bronze_version"], True
    if committed:
        version, whole = delta_source_end(folder.json(f"offsets/{committed[0]}", 2))
    settled = last["etat"] == "fin" and planned == committed and whole
    return SilverPosition(last["generation"], version, settled, (seen, *planned, None, *committed))
