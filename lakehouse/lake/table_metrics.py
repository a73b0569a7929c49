"""The tables' state for the metrics, from their logs through ``deltalake``: no JVM, no query.

A handle is kept and updated, so that a sample reads only the log entries that came since the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.config import paths
from lakehouse.contract.tables import VENTES, TableSpec
from lakehouse.lake import history, table_handle
from lakehouse.observability import metrics
from lakehouse.observability.registry import Meter

if TYPE_CHECKING:
    from deltalake import DeltaTable


class TableWatch:
    """Version, files, bytes and commit time of the tables under a local ``base``. Tables that are not there yet, and
    those of a URI, have no figures."""

    def __init__(self, base: str, specs: Sequence[TableSpec], meter: Meter) -> None:
        self._base = base
        self._specs = () if paths.is_uri(base) else tuple(specs)
        self._meter = meter
        self._handles: dict[str, DeltaTable] = {}
        self._seen: dict[str, int] = {}

    def look(self) -> None:
        """Set the metrics of each table whose version has changed."""
        for spec in self._specs:
            path = spec.path(self._base)
            handle = self._handles.get(spec.name)
            if handle is None:
                if not table_handle.exists(path):
                    continue
                handle = self._handles[spec.name] = table_handle.opened(path)
            else:
                handle.update_incremental()
            if self._seen.get(spec.name) != handle.version():
                self._set(spec.name, path, handle)
                self._seen[spec.name] = handle.version()

    def _set(self, name: str, path: str, handle: DeltaTable) -> None:
        sizes = _sizes(handle)
        meter = self._meter
        meter.set(metrics.TABLE_VERSION, handle.version(), name)
        meter.set(metrics.TABLE_FILES, len(sizes), name)
        meter.set(metrics.TABLE_SMALL_FILES, sum(size < metrics.SMALL_FILE_BYTES for size in sizes), name)
        meter.set(metrics.TABLE_BYTES, sum(sizes), name)
        committed = history.committed(path, handle.version())
        meter.set(metrics.TABLE_COMMITTED, committed.timestamp() if committed else None, name)


def _sizes(handle: DeltaTable) -> list[int]:
    import pyarrow as pa

    actions: Any = pa.table(handle.get_add_actions(flatten=True))
    sizes: list[int] = actions.column("size_bytes").to_pylist()
    return sizes


def newest_sale(base: str) -> float | None:
    """The broker's time of the newest sale in Bronze's newest files, in seconds since 1970; None without a local
    table. For a job that has just started: one column of the files of the last commit that brought rows."""
    import pyarrow.parquet as parquet

    folder = Path(VENTES.path(base))
    if paths.is_uri(base) or not (folder / "_delta_log").is_dir():
        return None
    for added in history.added_newest_first(str(folder)):
        stamps = [
            value
            for name in added
            for value in parquet.read_table(folder / name, columns=["kafka_timestamp"]).column(0).to_pylist()
            if value is not None
        ]
        if stamps:
            return float(max(stamps).timestamp())
    return None
