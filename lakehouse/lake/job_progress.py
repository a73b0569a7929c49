"""Progress of the two jobs, read from the files of their checkpoints. Read-only and without a JVM: for tools that start in a
fraction of a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lakehouse.config import Config
from lakehouse.contract.table_properties import INVALID
from lakehouse.contract.tables import GENERATIONS, OPERATIONS, VENTES, checkpoint
from lakehouse.errors import TableMissing
from lakehouse.lake.checkpoint_folder import FileCheckpoint
from lakehouse.lake.operations_progress import NONE, OperationsProgress
from lakehouse.lake.query import Query
from lakehouse.lake.reader import Lake


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
    """The Bronze version that Silver holds all of. Not ``settled``: a build or a batch is in progress, or was interrupted, or the last
    batch ended inside the next version, of which Silver then holds a part. ``batch``: the last that was committed, -1 for the
    build; None while that is not whole. ``operations_version``: of the operations that Silver holds, ``NONE`` for none;
    ``step``: the last step of them that ended, -1 before the first."""

    generation: str
    bronze_version: int
    settled: bool
    batch: int | None
    seen: tuple[Any, ...]
    """Changes with every step of the job: equal before and after means that nothing happened in between."""
    operations_version: int = NONE
    step: int = -1

    @property
    def versions(self) -> dict[str, int]:
        """The versions of Bronze's tables that Silver holds; without that of the operations when it holds none."""
        read = {} if self.operations_version == NONE else {OPERATIONS.name: self.operations_version}
        return {VENTES.name: self.bronze_version, **read}


def bronze(config: Config) -> BronzePosition | None:
    """Bronze's position; None before the first batch was committed. Raises ``CheckpointInvalid``."""
    folder, topic = FileCheckpoint(config, checkpoint(config.delta.base_path, "bronze")), config.kafka.topic
    committed = folder.committed_ids()
    if not committed:
        return None
    batch = folder.existing(committed[-1])
    starts = folder.first_offsets().get(topic, {}) if folder.ids("sources/0") else {}
    clock = datetime.fromtimestamp(batch.clock_ms / 1000, UTC)
    with folder.reading():
        return BronzePosition(topic, folder.topic_id(), starts, batch.kafka_ends(topic), batch.batch_id, clock)


def generation(config: Config) -> dict[str, Any] | None:
    """The last step of Silver's present generation, as its row; None before the first build, and when a rebuild is due."""
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


def silver(config: Config) -> SilverPosition | None:
    """Silver's position; None before the first build began, and while a rebuild is due."""
    if (found := _generations(config)) is None:
        return None
    last, seen = found
    folder = FileCheckpoint(config, checkpoint(config.delta.base_path, f"silver-{last['generation']}"))
    planned, committed = folder.planned_ids()[-1:], folder.committed_ids()[-1:]
    version, whole = last["bronze_version"], True
    if committed:
        with folder.reading():
            end = folder.existing(committed[0]).delta_end()
        version, whole = end.whole_version, not end.is_inside_version
    built = last.get("operations_version")  # not there before a release that knew operations
    steps = OperationsProgress(folder, NONE if built is None else built)
    step_planned, step_ended = steps.seen()
    settled = last["etat"] == "fin" and planned == committed and whole and step_planned == step_ended
    batch = (committed or [-1])[0] if last["etat"] == "fin" and whole else None
    at = (seen, step_planned, step_ended, *planned, None, *committed)
    return SilverPosition(last["generation"], version, settled, batch, at, steps.read(), step_ended)
