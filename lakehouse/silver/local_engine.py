"""The engine in the job's own process: ``deltalake`` and its DataFusion, without a JVM. Local lakes only."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.config import Config
from lakehouse.contract.tables import GENERATIONS, OPERATIONS, VENTES, TableSpec
from lakehouse.lake import delta_tables, table_changes
from lakehouse.lake.local_checkpoint import Batch, LocalCheckpoint
from lakehouse.lake.operations_progress import NONE, OperationsStep
from lakehouse.lake.table_changes import Position
from lakehouse.maintenance import compaction
from lakehouse.observability.provenance import read_origin
from lakehouse.silver import engine_choice, local_sales, local_sql
from lakehouse.silver.aggregates import Aggregate
from lakehouse.silver.engine import CellDifference, EngineName, Generation
from lakehouse.silver.local_sales import LocalNetSales, asked
from lakehouse.silver.local_sink import LocalSink


@dataclass(frozen=True)
class BronzeFile:
    """A data file of Bronze: its path in the table, its day, its size."""

    path: str
    day: str
    bytes: int


class LocalEngine:
    """``Engine`` in this process."""

    name: EngineName = "local"

    def __init__(self, config: Config, entries: Sequence[Aggregate]) -> None:
        self._config = config
        self._entries = entries

    def bronze_version(self) -> int:
        return self.version(VENTES)

    def operations_version(self) -> int:
        return self.version(OPERATIONS) if delta_tables.exists(OPERATIONS, self._config) else NONE

    def table_id(self, spec: TableSpec) -> str:
        return str(delta_tables.opened(spec, self._config).metadata().id)

    def removals(self, spec: TableSpec, *, after: int, upto: int) -> Iterator[tuple[int, str, str | None]]:
        for version, info in table_changes.removals(spec, self._config, after=after, upto=upto):
            yield version, str(info.get("operation")), read_origin(info).what

    def last_state(self) -> Mapping[str, Any] | None:
        if not delta_tables.exists(GENERATIONS, self._config):
            return None
        sql = f"SELECT * FROM {GENERATIONS.name} ORDER BY date_etat DESC LIMIT 1"
        rows = asked(sql, **{GENERATIONS.name: delta_tables.opened(GENERATIONS, self._config)}).read_all().to_pylist()
        return rows[0] if rows else None

    def record(self, row: Mapping[str, Any]) -> None:
        delta_tables.ensure(GENERATIONS, self._config, what="silver job")
        delta_tables.append([row], GENERATIONS, self._config, what="silver job", engine=self.name)

    def checkpoint(self, generation: Generation) -> LocalCheckpoint:
        path = generation.checkpoint(self._config.delta.base_path)
        return LocalCheckpoint(self._config, path, Position(generation.bronze_version + 1))

    def build(self, generation: Generation, stop: threading.Event) -> bool:
        sales = local_sales.of_bronze(
            self._config, sales=generation.bronze_version, operations=generation.operations_version
        )
        return LocalSink(self._config, self._entries, generation.name).build(sales, stop)

    def advance(
        self,
        generation: Generation,
        *,
        operations: int,
        skip_removals: bool,
        merged: Callable[[str, float], None],
        beat: Callable[[], None],
    ) -> tuple[int, Exception | None]:
        sink = self._sink(generation, merged, beat)
        checkpoint, newest = self.checkpoint(generation), Position(self.bronze_version() + 1)
        try:
            while batch := checkpoint.unfinished() or self._planned(checkpoint, newest, skip_removals=skip_removals):
                files = table_changes.added(VENTES, self._config, batch.start, batch.end, skip_removals=skip_removals)
                with (
                    table_changes.as_table(files, VENTES, self._config) as sold,
                    local_sales.of_batch(self._config, sold, operations=operations) as sales,
                ):
                    sink(sales, batch.id)
                checkpoint.finish(batch)
        except Exception as failure:  # noqa: BLE001  # deltalake raises bare exceptions; the job says what follows
            return sink.rows, failure
        sink.merge_small_files()
        return sink.rows, None

    def apply(
        self,
        generation: Generation,
        step: OperationsStep,
        merged: Callable[[str, float], None],
        beat: Callable[[], None],
    ) -> None:
        sink = self._sink(generation, merged, beat)
        with local_sales.changed(self._config, step) as found:
            if found is not None:
                sink.apply(found, step.number)

    def gain_columns(self, generation: Generation) -> None:
        LocalSink(self._config, self._entries, generation.name).gain_columns()

    def _sink(
        self, generation: Generation, merged: Callable[[str, float], None], beat: Callable[[], None]
    ) -> LocalSink:
        def noted(table: str, seconds: float) -> None:
            merged(table, seconds)
            beat()

        return LocalSink(self._config, self._entries, generation.name, noted)

    def _planned(self, checkpoint: LocalCheckpoint, newest: Position, *, skip_removals: bool) -> Batch | None:
        """The next batch, of as many files as ``[PERFORMANCE] max_files_per_trigger`` and ``[ANALYTICS] engine_memory`` let in;
        None when nothing is new."""
        start = checkpoint.consumed()
        if start >= newest:
            return None
        files = table_changes.added(VENTES, self._config, start, newest, skip_removals=skip_removals)
        most = engine_choice.fitting(self._config, [file.bytes for file in files])
        end = files[most - 1].end if most < len(files) else newest
        return checkpoint.plan(end, table_id=self.table_id(VENTES))

    def bronze_files(self, version: int | None = None) -> list[BronzeFile]:
        """The files of Bronze, at ``version`` or as it is now."""
        table = delta_tables.opened(VENTES, self._config, version=version)
        actions: Any = pa.table(table.get_add_actions(flatten=True))
        columns = [actions.column(name).to_pylist() for name in ("path", "partition.jour", "size_bytes")]
        return [BronzeFile(path, str(day), int(size)) for path, day, size in zip(*columns, strict=True)]

    def new_files(self, generation: Generation, newest: int) -> list[BronzeFile]:
        """The files that a pass up to the version ``newest`` would read."""
        start = self.checkpoint(generation).consumed()
        found = table_changes.added(VENTES, self._config, start, Position(newest + 1), skip_removals=True)
        return [BronzeFile(file.add["path"], file.add["partitionValues"]["jour"], file.bytes) for file in found]

    def too_large_to_build(self, version: int, files: Iterable[BronzeFile]) -> str | None:
        """Why the tables are not built here from these files, Bronze's at ``version``; None when they may be."""
        days: Counter[str] = Counter()
        for file in files:
            days[file.day] += file.bytes
        if too_large := engine_choice.too_large_to_build(self._config, days.values(), 0):
            return too_large
        sales = delta_tables.opened(VENTES, self._config, version=version)
        counts = LocalNetSales(sales).asked(local_sql.row_counts(self._entries)).read_all().to_pylist()
        return engine_choice.too_large_to_build(self._config, days.values(), max(counts[0].values(), default=0))

    def cannot_read(self, files: Iterable[BronzeFile]) -> str | None:
        """Why these files are not for this engine; None when they are."""
        root = Path(VENTES.path(self._config.delta.base_path))
        for file in files:
            if not compaction.safe_day(file.day) and _has_int96(root / unquote(file.path)):
                return f"the file {file.path} holds its times as INT96, which reaches from 1678 to 2262 here, and is of {file.day}"
        return None

    def properties(self, spec: TableSpec) -> Mapping[str, str]:
        return delta_tables.properties(spec, self._config)

    def version(self, spec: TableSpec) -> int:
        return delta_tables.opened(spec, self._config).version()

    def differences(
        self,
        entry: Aggregate,
        *,
        bronze_version: int,
        operations: int,
        version: int,
        since: date | None,
        limit: int,
    ) -> list[CellDifference]:
        sales = local_sales.of_bronze(self._config, sales=bronze_version, operations=operations)
        table = delta_tables.opened(entry.table, self._config, version=version)
        sql = local_sql.differences(entry, since, limit, plain=sales.plain)
        rows = sales.asked(sql, **{entry.table.name: table}).read_all().to_pylist()
        return [cell for row in rows for cell in _cells(entry, row)][:limit]

    def doubled(self, spec: TableSpec, *, version: int | None, limit: int) -> list[CellDifference]:
        if not delta_tables.exists(spec, self._config):
            return []
        table = delta_tables.opened(spec, self._config, version=version)
        rows = asked(local_sql.doubled(spec, limit), **{spec.name: table}).read_all().to_pylist()
        return [CellDifference(spec.name, _shown(spec.identity, row), "*", "1 row", f"{row['n']} rows") for row in rows]


def _has_int96(file: Path) -> bool:
    """Whether an earlier release wrote the file."""
    try:
        schema = pq.ParquetFile(file).schema
    except OSError:
        return False  # that it is gone is said by what reads it
    return any(schema.column(number).physical_type == "INT96" for number in range(len(schema)))


def _cells(entry: Aggregate, row: Mapping[str, Any]) -> Iterator[CellDifference]:
    key = _shown(entry.table.keys, {name: row[f"k{number}"] for number, name in enumerate(entry.table.keys)})
    pairs = [(name, row[f"e{number}"], row[f"a{number}"]) for number, name in enumerate(entry.compared)]
    if row["expected"] and row["found"]:
        for name, expected, found in pairs:
            if expected != found:
                yield CellDifference(entry.table.name, key, name, _text(expected), _text(found))
    else:
        sides = (_row([pair[1] for pair in pairs], row["expected"]), _row([pair[2] for pair in pairs], row["found"]))
        yield CellDifference(entry.table.name, key, "*", *sides)


def _shown(names: Sequence[str], row: Mapping[str, Any]) -> str:
    return " × ".join(f"{name}={_text(row[name])}" for name in names)


def _row(values: Sequence[Any], there: bool) -> str:
    return f"{{{', '.join(map(_text, values))}}}" if there else "null"


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, dict):
        return _row(list(value.values()), there=True)
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return str(value)
