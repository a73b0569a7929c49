"""Small files of the tables that micro-batches append to: merged by the job itself between two batches, without Spark;
and the checkpoints of these tables' logs.

Delta's own automatic compaction and its own checkpoints do the same as Spark jobs inside the commit: two seconds for 60
files, and two for a checkpoint, in which the sales wait. ``deltalake`` takes a tenth of it
(docs/decisions/0023-compaction-by-the-writer.md).
"""

from __future__ import annotations

from collections import defaultdict

from deltalake.exceptions import DeltaError

from lakehouse.config import Config
from lakehouse.contract.tables import BRONZE, TableSpec
from lakehouse.errors import LakehouseError, one_line
from lakehouse.lake.table_settings import maintained_by_writer
from lakehouse.maintenance import compaction
from lakehouse.observability import log

_log = log.get("bronze")


class SmallFiles:
    """Counts the files and commits that one process writes; merges the files by partition when there are enough of them, and
    makes a checkpoint each time that a table's version has passed a multiple of ``[DELTA] checkpoint_interval``."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._enough = config.delta.auto_compact_min_files
        self._interval = config.delta.checkpoint_interval
        self._tables = [spec for spec in BRONZE if maintained_by_writer(spec, config)]
        self._new: dict[str, int] = defaultdict(int)
        self._passed: set[str] = set()
        """Tables whose version has passed a multiple of the interval since the last look."""

    def written(self, spec: TableSpec, files: int, *, before: int, after: int) -> None:
        """A commit added so many files to the table, and brought it from one version to another."""
        self._new[spec.name] += files
        if before // self._interval < after // self._interval:
            self._passed.add(spec.name)

    def between_batches(self) -> int:
        """Do what is due; the caller is the tables' only writer. The files that went, less those that came. A failure
        is no reason to stop the job: it is logged, and tried again when as much has come again."""
        gone = 0
        for spec in self._tables:
            if self._config.delta.auto_compact and self._new[spec.name] >= self._enough:
                gone += self._merge(spec)
            if spec.name in self._passed:
                self._checkpoint(spec)
        self._passed.clear()
        return gone

    def _checkpoint(self, spec: TableSpec) -> None:
        try:
            compaction.checkpoint_log(self._config, spec)
        except (LakehouseError, DeltaError, OSError) as error:
            _log.warning("no checkpoint of the log; the job goes on", table=spec.name, fault=one_line(error))

    def _merge(self, spec: TableSpec) -> int:
        self._new[spec.name] = 0
        try:
            return compaction.merge_small(self._config, spec, at_least=self._enough)
        except (LakehouseError, DeltaError, OSError) as error:
            _log.warning("small files were not merged; the job goes on", table=spec.name, fault=one_line(error))
            return 0
