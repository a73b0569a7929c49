"""Appends to Bronze's tables, each batch once, and counts what Delta wrote."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from pyspark.sql import DataFrame, SparkSession

from lakehouse.config import Config
from lakehouse.contract.tables import TableSpec
from lakehouse.lake import append, spark_tables
from lakehouse.lake.append import Append, Target
from lakehouse.lake.checkpoint import Checkpoint
from lakehouse.maintenance.small_files import SmallFiles
from lakehouse.observability import metrics
from lakehouse.observability.registry import Meter


class TableWriter:
    """One checkpoint's writer. A batch that a table has already is not written to it again."""

    def __init__(
        self, spark: SparkSession, config: Config, checkpoint: Checkpoint, meter: Meter, *, application: str = ""
    ) -> None:
        """``application``: of a writer whose batches are not the query's own, and are numbered by itself."""
        self._application = application
        self._spark = spark
        self._config = config
        self._checkpoint = checkpoint
        self._meter = meter
        self._query_id: str | None = None
        self._versions: dict[str, int] = {}
        self.small_files = SmallFiles(config)

    def _app_id(self, spec: TableSpec) -> str:
        if self._query_id is None:
            self._query_id = self._checkpoint.query_id()
        # The query's own id, never a constant: a reset checkpoint with an old id would silently skip data.
        return f"{spec.name}-{self._query_id}{self._application}"

    def begin(self, spec: TableSpec, batch_id: int) -> Append | None:
        """An append in steps; None when the table has the batch already."""
        return append.begin(Target(self._spark, spec, self._config, self._app_id(spec), batch_id))

    def has(self, spec: TableSpec, batch_id: int) -> bool:
        """Whether the table has the batch already; a table that is not there has none."""
        return spark_tables.exists(self._spark, spec, self._config) and self.begin(spec, batch_id) is None

    def append(
        self, rows: DataFrame, spec: TableSpec, *, batch_id: int, batch_rows: int, facts: Mapping[str, object]
    ) -> int | None:
        """Commit ``rows``, in one file if the whole batch (``batch_rows``) is small, with ``facts`` in the commit. Returns
        what ``commit`` returns."""
        if batch_rows <= self._config.performance.small_batch_rows:
            rows = rows.coalesce(1)
        app_id = self._app_id(spec)
        return self.commit(
            spec,
            lambda: spark_tables.append(rows, spec, self._config, app_id=app_id, batch_id=batch_id, facts=facts),
        )

    def commit(self, spec: TableSpec, commit: Callable[[], None]) -> int | None:
        """Returns the rows that were written, as Delta counted them; None when it had this batch already."""
        before = self._versions.get(spec.name)
        if before is None:
            before = spark_tables.last_version(self._spark, spec, self._config)
        began = time.monotonic()
        commit()
        self._meter.observe(metrics.COMMIT_SECONDS, time.monotonic() - began, spec.name)
        now = self._versions[spec.name] = spark_tables.last_version(self._spark, spec, self._config)
        if now == before:
            return None
        counted, files = spark_tables.written(self._spark, spec, self._config, after=before, upto=now)
        self.small_files.written(spec, files, before=before, after=now)
        return counted
