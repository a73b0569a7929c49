"""Row counts per batch: as many rows as each commit of Bronze says it wrote must be in the table now."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.contract.tables import EFFACES, RETRAITS, VENTES, TableSpec
from lakehouse.errors import TableMissing
from lakehouse.lake import history
from lakehouse.lake.query import Query, literal
from lakehouse.lake.reader import Lake
from lakehouse.observability.provenance import read_origin
from lakehouse.wording import counted, instant

_MEANWHILE = 200
"""Commits that a running job may add between two readings of the log."""


def compare(lake: Lake, spec: TableSpec, after: int) -> tuple[int, list[str]]:
    """(commits that were compared, differences), of the versions above ``after`` up to the one that ``lake`` holds.

    A commit's rows are known by ``date_ingestion``, its batch's clock, which no other batch has. Commits of other
    writers, which do not record their rows, are not compared: their rows show up as duplicate offsets.
    """
    newest = lake.snapshot(spec.name).source.version
    written: dict[datetime, tuple[int, int, str]] = {}
    for commit in _commits(lake, spec, after, newest):
        if commit.get("operation") == "RESTORE":  # what came after the restored version is not there any more
            back = int(commit["operationParameters"].get("version", -1))
            written = {clock: entry for clock, entry in written.items() if entry[0] <= back}
            continue
        origin = read_origin(commit)
        clock, rows = origin.rows_at()
        if clock is not None and rows is not None:
            written[clock] = (int(commit["version"]), rows, origin.shown())
    if not written:
        return 0, []
    sql = f"SELECT date_ingestion, COUNT(*) FROM {spec.name} WHERE date_ingestion >= {literal(min(written))} GROUP BY 1"
    present: dict[datetime, int] = dict(lake.read(Query(sql, (spec.name,))).rows)
    removed, erased = _removed(lake, spec), _erased(lake, spec)
    return len(written), [
        f"{spec.name}: the commit of version {version} ({instant(clock)}, {what}) wrote {counted(rows, 'row')}, "
        f"{present.get(clock, 0)} stand there now"
        for clock, (version, rows, what) in written.items()
        if rows - present.get(clock, 0) - erased.get(clock, 0) not in (0, removed.get(clock, 0))
    ]


def _removed(lake: Lake, spec: TableSpec) -> dict[datetime, int]:
    """Rows per batch that retention recorded as removed. After a kill some may still be there."""
    sql = (
        f"SELECT date_ingestion, SUM(dernier_offset - premier_offset + 1) FROM {RETRAITS.name} "
        f"WHERE table_source = '{spec.name}' GROUP BY 1"
    )
    try:
        return dict(lake.read(Query(sql, (RETRAITS.name,))).rows)
    except TableMissing:
        return {}


def _erased(lake: Lake, spec: TableSpec) -> dict[datetime, int]:
    """Rows deleted by an erasure, per ``date_ingestion``; rows present again are not counted."""
    try:
        lake.snapshot(EFFACES.name)
    except TableMissing:
        return {}
    same = " AND ".join(f"r.{name} = e.{name}" for name in ("kafka_partition", "kafka_offset", "date_ingestion"))
    sql = (
        f"SELECT date_ingestion, COUNT(*) FROM (SELECT DISTINCT e.date_ingestion, e.kafka_partition, e.kafka_offset "
        f"FROM {EFFACES.name} e LEFT JOIN {spec.name} r ON {same} "
        f"WHERE e.table_effacee = '{spec.name}' AND r.kafka_offset IS NULL) GROUP BY 1"
    )
    return dict(lake.read(Query(sql, (EFFACES.name, spec.name))).rows)


def _commits(lake: Lake, spec: TableSpec, after: int, newest: int) -> list[dict[str, Any]]:
    if newest <= after:
        return []
    found = history.newest(lambda: lake.newest_handle(spec.name), newest - after + _MEANWHILE)
    return sorted((c for c in found if after < c["version"] <= newest), key=lambda c: int(c["version"]))


def existing(lake: Lake, wanted: set[str], spec: TableSpec = VENTES) -> set[str]:
    """The subset of the ids that Bronze holds: of sales (vente_id), or of operations (operation_id)."""
    if not wanted:
        return set()
    name = spec.keys[0]
    values, found = pa.array(sorted(wanted), pa.string()), set()
    try:
        reader, _ = lake.stream(Query(f"SELECT {name} FROM {spec.name}", (spec.name,)))
    except TableMissing:
        return set()
    with lake.reading((spec.name,)):
        for batch in pa.RecordBatchReader.from_stream(reader):
            column = pc.cast(batch.column(0), pa.string())
            found |= set(column.filter(pc.is_in(column, value_set=values)).to_pylist())
    return found
