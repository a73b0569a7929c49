"""Writes of Silver without a JVM: one batch merged into every table, or every table rebuilt.

Guarantee: that of ``sink``, and in the same words of the tables' logs, so that either engine repeats what the other began. Each
commit carries (application id, batch id), which is looked for first: a batch that is repeated after a crash, between
whichever two commits, changes nothing twice.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from functools import partial
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from deltalake.table import TableMerger

from lakehouse.config import Config
from lakehouse.contract.table_properties import KEPT_FROM
from lakehouse.contract.tables import CORRECTIONS, MEMBRES, TENDANCES, VENTES, TableSpec
from lakehouse.errors import LakehouseError, one_line
from lakehouse.lake import delta_tables, table_handle
from lakehouse.lake.query import literal, named, quoted
from lakehouse.lake.table_settings import wanted_properties
from lakehouse.maintenance import compaction
from lakehouse.observability import log
from lakehouse.silver import aggregates, engine_choice, local_sql, operation_steps
from lakehouse.silver.aggregates import Aggregate
from lakehouse.silver.local_sales import LocalChanges, LocalNetSales, asked, scratch
from lakehouse.silver.local_sql import Span

_log = log.get("silver")

ENGINE = "local"


class LocalSink:
    """Writes the Silver tables of one generation. The caller holds Silver's writer lock."""

    def __init__(
        self,
        config: Config,
        entries: Sequence[Aggregate],
        generation: str,
        merged: Callable[[str, float], None] = lambda _table, _seconds: None,
    ) -> None:
        """``merged`` is called with each table and the seconds that its merge took."""
        self._merged = merged
        self._config = config
        self._entries = entries
        self._generation = generation
        self.rows = 0

    def _app_id(self, table: TableSpec) -> str:
        return f"{table.name}-{self._generation}"

    # --- one batch ---------------------------------------------------------------------------------------------------

    def __call__(self, sales: LocalNetSales, batch_id: int) -> None:
        """Merge the rows of ``sales`` into every table."""
        started = time.monotonic()
        counted = sales.asked(local_sql.BY_DAY).read_all().to_pylist()
        if not counted:
            return
        days = [row["jour"] for row in counted]
        rows = sum(row["n"] for row in counted)
        if min(days) < (today := self._today()):
            changes = local_sql.corrections([local_sql.ADDED], today, self._generation, batch_id)
            self._record(lambda: sales.asked(changes), self._app_id(CORRECTIONS), batch_id)
        members = self._add_members(sales, days, batch_id)
        for entry in self._entries:
            began = time.monotonic()
            self._merge(sales, members, entry, days, batch_id)
            self._merged(entry.table.name, time.monotonic() - began)
        self.rows += rows
        _log.info("merged", batch_id=batch_id, sales=rows, days=len(days), seconds=round(time.monotonic() - started, 1))

    def _add_members(self, sales: LocalNetSales, days: Sequence[date], batch_id: int) -> DeltaTable:
        """Append the members that the table does not know; the member table, in which this batch's have its number."""
        table = delta_tables.opened(MEMBRES, self._config)
        if not delta_tables.has_batch(table, self._app_id(MEMBRES), batch_id):
            sql = local_sql.new_members(self._entries, days, batch_id)
            found = sales.asked(sql, **{MEMBRES.name: table})
            self._append(found, MEMBRES, self._app_id(MEMBRES), batch_id)
        return delta_tables.opened(MEMBRES, self._config)

    def _merge(
        self, sales: LocalNetSales, members: DeltaTable, entry: Aggregate, days: Sequence[date], batch_id: int
    ) -> None:
        table, app_id = delta_tables.opened(entry.table, self._config), self._app_id(entry.table)
        if delta_tables.has_batch(table, app_id, batch_id):
            return
        sql = local_sql.new_partials(entry, _kept(table, entry.table), days, batch_id, plain=sales.plain)
        found = sales.asked(sql, **({MEMBRES.name: members} if entry.member_measures else {})).read_all()
        (
            table.merge(
                found,
                aggregates.merge_condition(entry, days, "local"),
                source_alias="s",
                target_alias="t",
                commit_properties=delta_tables.stamped(
                    "silver batch", {"batch": batch_id, "engine": ENGINE}, once=(app_id, batch_id)
                ),
                post_commithook_properties=delta_tables.HOOKS,
            )
            .when_matched_update(aggregates.update_values(entry, "local"))
            .when_not_matched_insert(aggregates.insert_values(entry, "local"))
            .execute()
        )
        self._committed(table, entry.table)

    def _append(self, rows: pa.RecordBatchReader, spec: TableSpec, app_id: str, batch_id: int) -> None:
        """One commit, of which a repeat is refused by the caller; none when there is no row."""
        made = rows.cast(delta_tables.schema(spec)).read_all()
        if made.num_rows:
            table_handle.write(
                spec.path(self._config.delta.base_path),
                made,
                mode="append",
                commit_properties=delta_tables.stamped(
                    "silver batch", {"batch": batch_id, "engine": ENGINE}, once=(app_id, batch_id)
                ),
                post_commithook_properties=delta_tables.HOOKS,
            )
            self._committed(delta_tables.opened(spec, self._config), spec)

    def _committed(self, table: DeltaTable, spec: TableSpec) -> None:
        """What Delta does inside a commit of Spark's: the version's checksum, and now and then the log's checkpoint."""
        delta_tables.committed(table, spec, self._config)
        if table.version() and table.version() % self._config.delta.checkpoint_interval == 0:
            compaction.checkpoint_log(self._config, spec)

    def merge_small_files(self) -> int:
        """What Delta's automatic compaction does for Spark's appends. The files that went, less those that came."""
        if not self._config.delta.auto_compact:
            return 0
        enough, tables = self._config.delta.auto_compact_min_files, (MEMBRES, CORRECTIONS)
        gone = 0
        for spec in tables:
            try:
                if delta_tables.exists(spec, self._config):
                    gone += compaction.merge_small(self._config, spec, at_least=enough)
            except (
                LakehouseError,
                DeltaError,
                OSError,
            ) as error:  # no reason to stop: it is tried again after the next pass
                _log.warning("small files were not merged; the job goes on", table=spec.name, fault=one_line(error))
        return gone

    # --- one step of operations --------------------------------------------------------------------------------------

    def apply(self, changed: LocalChanges, number: int) -> None:
        """Take the changed sales out of every table as they were, and put them back as they are."""
        started = time.monotonic()
        days = [row["jour"] for row in changed.asked(operation_steps.DAYS).read_all().to_pylist()]
        if min(days) < (today := self._today()):
            changes = local_sql.corrections(
                [operation_steps.CHANGES], today, self._generation, operation_steps.lot(number)
            )
            self._record(lambda: changed.asked(changes), operation_steps.app_id(CORRECTIONS, self._generation), number)
        self._change_members(changed, days, number)
        for entry in self._entries:
            began = time.monotonic()
            self._shift(changed, entry, days, number)
            self._merged(entry.table.name, time.monotonic() - began)
        _log.info("operations merged", step=number, days=len(days), seconds=round(time.monotonic() - started, 1))

    def _change_members(self, changed: LocalChanges, days: Sequence[date], number: int) -> None:
        table, app_id = delta_tables.opened(MEMBRES, self._config), operation_steps.app_id(MEMBRES, self._generation)
        if delta_tables.has_batch(table, app_id, number):
            return
        found = changed.asked(local_sql.changed_members(self._entries, operation_steps.lot(number))).read_all()
        if not found.num_rows:
            return
        same = " AND ".join(f"(t.{key} IS NOT DISTINCT FROM s.{key})" for key in MEMBRES.keys)
        days = [day for day in found["jour"].unique().to_pylist() if day is not None]
        pruned = f"(t.jour IS NULL OR {aggregates.day_condition(MEMBRES, days, alias='t.') or 'false'})"
        merge = self._merge_into(table, found, f"{pruned} AND {same}", app_id, number)
        merge = merge.when_matched_delete("s.gone").when_not_matched_insert(
            {name: f"s.{name}" for name in MEMBRES.names}, "NOT s.gone"
        )
        merge.execute()
        self._committed(table, MEMBRES)

    def _shift(self, changed: LocalChanges, entry: Aggregate, days: Sequence[date], number: int) -> None:
        spec = entry.table
        table, app_id = delta_tables.opened(spec, self._config), operation_steps.app_id(spec, self._generation)
        if delta_tables.has_batch(table, app_id, number):
            return
        since = literal(kept) if (kept := _kept(table, spec)) else None
        with self._read_again(changed, entry, table, days, since) as rest:
            sql = operation_steps.shifted(entry, "local", since=since, rest=bool(rest))
            found = changed.asked(sql, **rest).read_all()
        merge = self._merge_into(table, found, aggregates.merge_condition(entry, days, "local"), app_id, number)
        (
            merge.when_matched_delete(operation_steps.is_empty(entry, "local"))
            .when_matched_update(operation_steps.update_values(entry, "local"))
            .when_not_matched_insert(
                operation_steps.insert_values(entry, "local"), operation_steps.is_row(entry, "local")
            )
            .execute()
        )
        self._committed(table, spec)

    @contextmanager
    def _read_again(
        self, changed: LocalChanges, entry: Aggregate, table: DeltaTable, days: Sequence[date], since: str | None
    ) -> Iterator[dict[str, DeltaTable]]:
        """``rest``, when measures of some keys rested on what is gone, and Bronze is asked for the others."""
        with ExitStack() as made:
            rest: dict[str, DeltaTable] = {}
            for scope in operation_steps.scopes(entry):
                sql = operation_steps.lost(entry, "local", since=since, rest=bool(rest))
                lost = changed.asked(sql, target=table, **rest).read_all()
                if not lost.num_rows:
                    break
                there = lost["jour"].unique().to_pylist() if scope == "its days" else days
                within = aggregates.day_condition(VENTES, there) if scope != "everywhere" else None
                keys = made.enter_context(scratch(lost=lost))
                tables = {"sales": changed.sales, "operations": changed.operations, **keys, **rest}
                again = asked(operation_steps.read_again(entry, within, "local", rest=bool(rest)), **tables).read_all()
                rest = made.enter_context(scratch(rest=again))
            yield rest

    def _merge_into(self, table: DeltaTable, rows: pa.Table, condition: str, app_id: str, number: int) -> TableMerger:
        facts = {"batch": number, "engine": ENGINE}
        return table.merge(
            rows,
            condition,
            source_alias="s",
            target_alias="t",
            commit_properties=delta_tables.stamped("silver operations", facts, once=(app_id, number)),
            post_commithook_properties=delta_tables.HOOKS,
        )

    # --- days that had ended -----------------------------------------------------------------------------------------

    def _today(self) -> date:
        return datetime.now(self._config.analytics.timezone).date()

    def _record(self, changes: Callable[[], pa.RecordBatchReader], app_id: str, batch_id: int) -> None:
        """Record the corrections before the figures change: a crash in between repeats the batch, not this."""
        delta_tables.ensure(CORRECTIONS, self._config, what="silver job")
        table = delta_tables.opened(CORRECTIONS, self._config)
        if not delta_tables.has_batch(table, app_id, batch_id):
            self._append(changes(), CORRECTIONS, app_id, batch_id)

    # --- all of Bronze -----------------------------------------------------------------------------------------------

    def build(self, sales: LocalNetSales, stop: threading.Event | None = None) -> bool:
        """Replace every table by its recompute over ``sales``, each in one commit; a repeat changes nothing. False when
        ``stop`` was set between two tables: the next start finishes the build."""
        if delta_tables.exists(TENDANCES, self._config):
            hours = delta_tables.opened(TENDANCES, self._config)
            changes = [local_sql.ADDED, local_sql.REVERSED]
            sql = local_sql.corrections(changes, self._today(), self._generation, 0)
            self._record(lambda: sales.asked(sql, **{TENDANCES.name: hours}), f"{self._app_id(CORRECTIONS)}-build", 0)
        spans = _spans(sales.sold, engine_choice.chunk_bytes(self._config))
        self._replace(self._pieces(sales.asked, self._members_by(spans), MEMBRES), MEMBRES)
        for entry in self._entries:
            if stop is not None and stop.is_set():
                return False
            _log.info("building", table=entry.table.name)
            there = delta_tables.exists(entry.table, self._config)
            since = _kept(delta_tables.opened(entry.table, self._config), entry.table) if there else None
            dated = spans if "jour" in entry.table.keys else [None]
            queries = (local_sql.rows(entry, since, span, plain=sales.plain) for span in dated)
            pieces = self._pieces(sales.asked, queries, entry.table)
            self._replace(pieces, entry.table)
        return True

    def gain_columns(self) -> None:
        """Add the columns that tables of an earlier release lack, with their values, each table in one commit."""
        for entry in self._entries:
            table = delta_tables.opened(entry.table, self._config)
            there = {field.name for field in table.schema().fields}
            if there >= set(entry.table.names):
                continue
            _log.info("adding columns", table=entry.table.name)
            values = {name: quoted(name, "local") for name in entry.table.names}
            values |= {name: sql for name, sql in aggregates.gained_values(entry).items() if name not in there}
            spans = _spans(table, engine_choice.chunk_bytes(self._config)) if "jour" in entry.table.keys else [None]
            queries = (f"SELECT {named(values)} FROM held {local_sql.within(span)}" for span in spans)
            rows = self._pieces(partial(_held, table), queries, entry.table)
            self._replace(rows, entry.table, operation_steps.gained_id(entry.table, self._generation))

    def _members_by(self, spans: Sequence[Span]) -> Iterator[str]:
        for entry in self._entries:
            for measure in entry.member_measures:
                for span in spans if aggregates.members_have_day(entry, measure) else [None]:
                    yield local_sql.with_batch(local_sql.members_of(entry, measure, span), -1)

    def _pieces(
        self, ask: Callable[[str], pa.RecordBatchReader], queries: Iterable[str], spec: TableSpec
    ) -> pa.RecordBatchReader:
        """The rows of all the queries, of which one is held in memory at a time. Each is asked in a thread of its own:
        deltalake, which takes the rows, cannot ask while it does."""
        schema = delta_tables.schema(spec)

        def piece(sql: str) -> pa.Table:
            return ask(sql).cast(schema).read_all()

        def batches() -> Iterator[pa.RecordBatch]:
            with ThreadPoolExecutor(1) as other:
                for sql in queries:
                    yield from other.submit(piece, sql).result().to_batches()

        return pa.RecordBatchReader.from_batches(schema, batches())

    def _replace(self, rows: pa.RecordBatchReader, spec: TableSpec, app_id: str | None = None) -> None:
        """Make ``rows`` the whole table, in one commit, which also creates a table that is missing."""
        config, app_id = self._config, app_id or f"{self._app_id(spec)}-build"
        options: dict[str, Any] = {}
        path = spec.path(config.delta.base_path)
        there = delta_tables.exists(spec, config)
        if there:
            delta_tables.ensure(spec, config, what="silver job")
            table = delta_tables.opened(spec, config)
            if delta_tables.has_batch(table, app_id, 0):
                return
            if [field.name for field in table.schema().fields] != list(spec.names):
                options["schema_mode"] = "overwrite"
        else:
            options["configuration"] = wanted_properties(spec, config)
        table_handle.write(
            path,
            rows,
            mode="overwrite",
            partition_by=list(spec.partition_by) or None,
            commit_properties=delta_tables.stamped(
                "silver build", {"generation": self._generation, "engine": ENGINE}, once=(app_id, 0)
            ),
            post_commithook_properties=delta_tables.HOOKS,
            **options,
        )
        self._committed(delta_tables.opened(spec, config), spec)


def _held(table: DeltaTable, sql: str) -> pa.RecordBatchReader:
    return asked(sql, held=table)


def _kept(table: DeltaTable, spec: TableSpec) -> date | None:
    """The day before which retention removed the table's days: one late sale would count as the whole day."""
    since = table.metadata().configuration.get(KEPT_FROM) if "jour" in spec.keys else None
    return date.fromisoformat(since) if since else None


def _spans(sales: DeltaTable, most: int) -> list[Span]:
    """Bronze's days in groups of neighbours, of at most so many bytes of its files each, or of one day."""
    actions: Any = pa.table(sales.get_add_actions(flatten=True))
    sizes: Counter[date] = Counter()
    for day, size in zip(actions["partition.jour"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True):
        sizes[day] += size
    spans: list[Span] = []
    held = most
    for day in sorted(sizes):
        if held + sizes[day] > most:
            spans.append((day, day))
            held = 0
        spans[-1] = (spans[-1][0], day)
        held += sizes[day]
    return spans
