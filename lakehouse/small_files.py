"""EDGE. The small files that micro-batches leave are merged by the job itself, between two batches and without Spark.

Delta's own automatic compaction does the same as Spark jobs inside the commit: two seconds for 60 files, in which the
sales wait, and once in each session for every partition of a table, however few files that has. ``deltalake`` takes a
tenth of it (docs/decisions/0035-compaction-by-the-writer.md).
"""

from __future__ import annotations

from collections import defaultdict

from deltalake.exceptions import DeltaError

from lakehouse import log, places, upkeep
from lakehouse.config import Config
from lakehouse.errors import LakehouseError, one_line
from lakehouse.tables import REJETS, VENTES, TableSpec

_log = log.get("bronze")

OURS = (VENTES, REJETS)
"""The tables whose writer does this: those that each micro-batch of Bronze appends to."""


def merged_by_writer(spec: TableSpec, config: Config) -> bool:
    """Whether the writer merges the table's small files, and not Delta's automatic compaction. Local tables: in an object
    store, Spark alone writes what Spark's log store guards."""
    return spec in OURS and not places.is_remote(config)


class SmallFiles:
    """Counts the files that one process writes, and merges them by partition when there are enough of them."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._enough = config.delta.auto_compact_min_files
        self._tables = [spec for spec in OURS if config.delta.auto_compact and merged_by_writer(spec, config)]
        self._new: dict[str, int] = defaultdict(int)

    def written(self, spec: TableSpec, files: int) -> None:
        """A commit added so many files to the table."""
        self._new[spec.name] += files

    def between_batches(self) -> int:
        """Merge what is due; the caller is the tables' only writer. The files that went, less those that came. A failure
        is no reason to stop the job: it is logged, and tried again when as many files have come again."""
        return sum(self._merge(spec) for spec in self._tables if self._new[spec.name] >= self._enough)

    def _merge(self, spec: TableSpec) -> int:
        self._new[spec.name] = 0
        try:
            return upkeep.merge_small(self._config, spec, at_least=self._enough)
        except (LakehouseError, DeltaError, OSError) as error:
            _log.warning("small files were not merged; the job goes on", table=spec.name, fault=one_line(error))
            return 0
