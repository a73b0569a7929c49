"""The engine in the job's own process: ``deltalake`` and its DataFusion, without a JVM. Local lakes only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from lakehouse.config import Config
from lakehouse.contract.tables import GENERATIONS, VENTES, TableSpec
from lakehouse.lake import delta_tables, table_changes
from lakehouse.lake.local_checkpoint import Batch, LocalCheckpoint
from lakehouse.lake.table_changes import Position
from lakehouse.observability.provenance import read_origin
from lakehouse.silver import local_sql
from lakehouse.silver.aggregates import Aggregate
from lakehouse.silver.engine import Difference, EngineName, Generation
from lakehouse.silver.local_sink import LocalSink, asked


class LocalEngine:
    """``Engine`` in this process."""

    name: EngineName = "local"

    def __init__(self, config: Config, entries: Sequence[Aggregate]) -> None:
        self._config = config
        self._entries = entries

    def bronze_version(self) -> int:
        return self.version(VENTES)

    def bronze_id(self) -> str:
        return str(delta_tables.opened(VENTES, self._config).metadata().id)

    def removals(self, *, after: int, upto: int) -> Iterator[tuple[int, str, str | None]]:
        for version, info in table_changes.removals(VENTES, self._config, after=after, upto=upto):
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
        sales = delta_tables.opened(VENTES, self._config, version=generation.bronze_version)
        return LocalSink(self._config, self._entries, generation.name).build(sales, stop)

    def advance(
        self,
        generation: Generation,
        *,
        skip_removals: bool,
        merged: Callable[[str, float], None],
        beat: Callable[[], None],
    ) -> tuple[int, Exception | None]:
        sink = LocalSink(self._config, self._entries, generation.name, merged)
        checkpoint, newest = self.checkpoint(generation), Position(self.bronze_version() + 1)
        try:
            while batch := checkpoint.unfinished() or self._planned(checkpoint, newest, skip_removals=skip_removals):
                beat()
                files = table_changes.added(VENTES, self._config, batch.start, batch.end, skip_removals=skip_removals)
                with table_changes.as_table(files, VENTES, self._config) as sales:
                    sink(sales, batch.id)
                checkpoint.finish(batch)
        except Exception as failure:  # noqa: BLE001  # deltalake raises bare exceptions; the job says what follows
            return sink.rows, failure
        sink.merge_small_files()
        return sink.rows, None

    def _planned(self, checkpoint: LocalCheckpoint, newest: Position, *, skip_removals: bool) -> Batch | None:
        """The next batch, of as many files as ``[PERFORMANCE] max_files_per_trigger`` lets in; None when nothing is new."""
        start = checkpoint.consumed()
        if start >= newest:
            return None
        files = table_changes.added(VENTES, self._config, start, newest, skip_removals=skip_removals)
        most = self._config.performance.max_files_per_trigger
        end = files[most - 1].end if len(files) > most else newest
        return checkpoint.plan(end, table_id=self.bronze_id())

    def bronze_sizes(self, version: int | None = None) -> list[int]:
        """The bytes of each file of Bronze."""
        actions: Any = pa.table(delta_tables.opened(VENTES, self._config, version=version).get_add_actions())
        return [int(size) for size in actions.column("size_bytes").to_pylist()]

    def new_sizes(self, generation: Generation, *, skip_removals: bool) -> list[int]:
        """The bytes of each file that a pass would read."""
        start, newest = self.checkpoint(generation).consumed(), Position(self.bronze_version() + 1)
        files = table_changes.added(VENTES, self._config, start, newest, skip_removals=skip_removals)
        return [file.bytes for file in files]

    def version(self, spec: TableSpec) -> int:
        return delta_tables.opened(spec, self._config).version()

    def differences(
        self, entry: Aggregate, *, bronze_version: int, version: int, since: date | None, limit: int
    ) -> list[Difference]:
        sales = delta_tables.opened(VENTES, self._config, version=bronze_version)
        named: dict[str, DeltaTable] = {
            local_sql.SALES: sales,
            entry.table.name: delta_tables.opened(entry.table, self._config, version=version),
        }
        rows = asked(local_sql.differences(entry, since, limit), **named).read_all().to_pylist()
        return [cell for row in rows for cell in _cells(entry, row)][:limit]

    def doubled(self, spec: TableSpec, *, version: int | None, limit: int) -> list[Difference]:
        if not delta_tables.exists(spec, self._config):
            return []
        table = delta_tables.opened(spec, self._config, version=version)
        rows = asked(local_sql.doubled(spec, limit), **{spec.name: table}).read_all().to_pylist()
        return [Difference(spec.name, _shown(spec.identity, row), "*", "1 row", f"{row['n']} rows") for row in rows]


def _cells(entry: Aggregate, row: Mapping[str, Any]) -> Iterator[Difference]:
    key = _shown(entry.table.keys, {name: row[f"k{number}"] for number, name in enumerate(entry.table.keys)})
    pairs = [(name, row[f"e{number}"], row[f"a{number}"]) for number, name in enumerate(entry.compared)]
    if row["expected"] and row["found"]:
        for name, expected, found in pairs:
            if expected != found:
                yield Difference(entry.table.name, key, name, _text(expected), _text(found))
    else:
        sides = (_row([pair[1] for pair in pairs], row["expected"]), _row([pair[2] for pair in pairs], row["found"]))
        yield Difference(entry.table.name, key, "*", *sides)


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
