"""Reading the lake without a JVM: Delta tables through ``deltalake`` and its DataFusion.

Guarantee: a ``Lake`` opens each table once and keeps that version, so everything read through one ``Lake`` sees one
snapshot of each table, while the jobs go on writing. A file that vacuum removed under it raises ``SnapshotGone``:
a new ``Lake`` at the newest version reads on.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.config import Config, paths
from lakehouse.contract import tables
from lakehouse.contract.tables import TableSpec
from lakehouse.errors import ConfigError, LakehouseError, TableMissing, one_line
from lakehouse.lake import history as lake_history
from lakehouse.lake import net_sql, object_store, result, table_handle
from lakehouse.lake.query import Query, timestamp_type
from lakehouse.lake.result import Column, Flow, Kind, Result, Source
from lakehouse.wording import instant

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from lakehouse.lake.cuts import Cut

SPECS = {spec.name: spec for spec in tables.PUBLIC}
_READABLE = {**SPECS, **{spec.name: spec for spec in tables.INTERNAL}}
_LOST = "Roll the table back, or restore a backup: docs/TROUBLESHOOTING.md"
WRITERS = {"bronze": "spark_streaming_delta.py --once", "silver": "streaming_silver.py"}


class SnapshotGone(LakehouseError):
    """Files of the version that is being read were removed; ``pinned`` when the caller asked for that version."""

    def __init__(self, message: str, *, pinned: bool) -> None:
        super().__init__(message)
        self.pinned = pinned


class CutGone(SnapshotGone):
    """A version that a cut names is not there, or is another commit by now: the table was replaced."""


@dataclass(frozen=True)
class Snapshot:
    """One table at one version: which one, and deltalake's handle on its files."""

    source: Source
    handle: DeltaTable


class Lake:
    """The tables under ``base`` (a path or URI), each at one version.

    Without ``version``, ``versions`` and ``at`` that is the newest one when it is first asked for. ``version`` holds
    for questions about a single table, ``versions`` names tables, ``at`` (aware) takes the last version of each table
    committed at or before it; ``cut`` gives the versions of the tables that it names. Object stores: ``storage_options``, which ``of`` takes from the settings.
    """

    def __init__(
        self,
        base: str,
        *,
        version: int | None = None,
        versions: Mapping[str, int] | None = None,
        at: datetime | None = None,
        cut: Cut | None = None,
        storage_options: Mapping[str, str] | None = None,
    ) -> None:
        self.base = base
        self.version = version
        self.versions = dict(versions or {})
        self.at = at
        self.cut = cut
        self.storage_options = dict(storage_options) if storage_options else None
        self._open: dict[str, Snapshot] = {}

    @classmethod
    def of(cls, config: Config, **wishes: Any) -> Lake:
        """The lake of the settings, local or remote; ``wishes`` as for ``Lake``."""
        return cls(config.delta.base_path, storage_options=object_store.options(config), **wishes)

    def newest(self) -> Lake:
        """A fresh ``Lake`` with the same wishes, for a new question or after ``SnapshotGone``."""
        return Lake(
            self.base,
            version=self.version,
            versions=self.versions,
            at=self.at,
            cut=self.cut,
            storage_options=self.storage_options,
        )

    @property
    def travels(self) -> bool:
        """Whether a person asked for versions that are not the newest."""
        return self.version is not None or bool(self.versions) or self.at is not None

    def at_cut(self, cut: Cut) -> Lake:
        """A ``Lake`` at ``cut``; tables that are open at the versions that it names stay open."""
        fresh = Lake(self.base, cut=cut, storage_options=self.storage_options)
        fresh._open = {name: one for name, one in self._open.items() if cut.tables.get(name) == one.source}
        return fresh

    def advanced(self) -> Lake:
        """A fresh ``Lake`` at the newest versions, no longer at a cut; tables without a new commit stay open."""
        fresh = self.newest()
        fresh.cut = None
        if not paths.is_uri(self.base):
            kept = {
                name: snapshot
                for name, snapshot in self._open.items()
                if lake_history.is_newest(
                    SPECS[name].path(self.base), snapshot.source.version, snapshot.source.committed
                )
            }
            fresh._open.update(kept)
        return fresh

    def snapshot(self, name: str) -> Snapshot:
        """The table at its pinned version. Raises ``TableMissing``, or ``LakehouseError`` for an unknown version."""
        if name not in self._open:
            self._open[name] = self._pin(name)
        return self._open[name]

    def sources(self, specs: Iterable[TableSpec]) -> dict[str, Source]:
        """Each of these tables that exists, by its name, at its pinned version; in an object store without the commit's time,
        for which a store has to list all of the log."""
        there = {}
        for spec in specs:
            with contextlib.suppress(TableMissing):
                if paths.is_uri(self.base):
                    version = self.versions.get(spec.name)
                    version = self._load(spec.name).version() if version is None else version
                    there[spec.name] = Source(spec.name, version, None)
                else:
                    there[spec.name] = self.snapshot(spec.name).source
        return there

    def read(self, query: Query, *, max_rows: int | None = None) -> Result:
        """Run one query over its tables; money arrives as Decimal, times as aware UTC datetimes.

        ``max_rows`` stops reading there and marks the result as cut. The query is not checked here: text that a
        person wrote goes through ``explorer.sql_guard`` first.
        """
        found = self.flow(query)
        rows = list(found.rows if max_rows is None else islice(found.rows, max_rows + 1))
        cut = max_rows is not None and len(rows) > max_rows
        return Result(found.columns, rows[:max_rows], found.sources, cut)

    def flow(self, query: Query) -> Flow:
        """The same as a stream of rows: for answers that are too large for memory."""
        reader, sources = self.stream(query)

        def rows() -> Iterator[tuple[Any, ...]]:
            try:
                for batch in reader:
                    yield from result.rows(batch)
            except Exception as error:  # deltalake raises bare Exception for a failed file read
                raise self._explain(error, query.tables) from error

        return Flow(result.columns(reader.schema), rows(), sources)

    def stream(self, query: Query) -> tuple[Any, tuple[Source, ...]]:
        """The Arrow record batches of a query as they come, and what they are read from."""
        from deltalake import QueryBuilder

        if self.version is not None and len(query.tables) != 1:
            raise ConfigError(
                f"--version {self.version} needs a question about one table, and this one reads "
                f"{', '.join(query.tables) or 'none'}. Name it: --version {(query.tables or ('TABLE',))[0]}={self.version}, or use --at."
            )
        builder = QueryBuilder()
        opened, absent = [], []
        for name in dict.fromkeys(query.tables):
            try:
                opened.append(self.snapshot(name))
            except TableMissing:
                if name not in query.optional:
                    raise
                absent.append(f"{name} AS ({_no_rows(_READABLE[name])})")
        sql = f"WITH {', '.join(absent)}\n{query.sql}" if absent else query.sql
        if query.net and (done := self._operations()):
            opened.append(done)
        for snapshot in opened:
            builder.register(snapshot.source.table, snapshot.handle)
        try:
            if query.net:
                builder.execute(net_sql.view(operations=done is not None))
            return builder.execute(sql), tuple(snapshot.source for snapshot in opened)
        except Exception as error:  # as above
            raise self._explain(error, query.tables) from error

    def _operations(self) -> Snapshot | None:
        """The operations that belong to the sales of this moment: at a cut those that it names; None when there are none."""
        name = tables.OPERATIONS.name
        if self.cut is not None and name not in self.cut.tables:
            return None
        try:
            if self.version is not None:  # of the sales, which count their versions by themselves
                return Lake(self.base, storage_options=self.storage_options).snapshot(name)
            return self.snapshot(name)
        except TableMissing:
            return None

    @contextlib.contextmanager
    def reading(self, names: tuple[str, ...]) -> Iterator[None]:
        """Within it, an error while rows of these tables are read becomes a ``LakehouseError``: for readers of ``stream``."""
        try:
            yield
        except LakehouseError:
            raise
        except Exception as error:  # as above
            raise self._explain(error, names) from error

    def counts(self) -> Result:
        """One row per table of the lake: rows, version, time of the commit; nulls for a table that is not there."""
        if self.version is not None:
            raise ConfigError(
                f"--version {self.version} needs a question about one table. Name it: --version TABLE={self.version}, or use --at."
            )
        found: list[tuple[Any, ...]] = []
        sources: list[Source] = []
        self._need_base()
        missing: TableMissing | None = None
        for spec in tables.PUBLIC:
            try:
                source = self.snapshot(spec.name).source
            except TableMissing as error:
                missing = missing or error
                found.append((spec.name, spec.layer, None, None, None))
                continue
            count = self.read_one(Query(f"SELECT COUNT(*) FROM {spec.name}", (spec.name,)))
            found.append((spec.name, spec.layer, count, source.version, source.committed))
            sources.append(source)
        if missing and not sources:  # nothing to count: say what to run, or that nothing was there at that time
            raise missing
        kinds: tuple[tuple[str, Kind], ...] = (
            ("table", "text"), ("couche", "text"), ("lignes", "integer"), ("version", "integer"),
            ("date_commit", "timestamp"),
        )  # fmt: skip
        return Result(tuple(Column(name, kind) for name, kind in kinds), found, tuple(sources))

    def read_one(self, query: Query) -> Any:
        """The first value of the first row."""
        return self.read(query).rows[0][0]

    def history(self, name: str, *, limit: int | None = None, offset: int = 0) -> Result:
        """One row per commit that the log still holds, newest first."""
        found = lake_history.newest(lambda: self._load(name), None if limit is None else limit + offset)
        rows = [lake_history.row(commit) for commit in found[offset:]]
        sources = (Source(name, found[0]["version"], lake_history.moment(found[0].get("timestamp"))),) if found else ()
        return Result(lake_history.COLUMNS, rows, sources)

    def newest_handle(self, name: str) -> DeltaTable:
        """The table as it is now, whatever version this ``Lake`` holds. Raises ``TableMissing``."""
        return self._load(name)

    def _need_base(self) -> None:
        if not paths.is_uri(self.base) and not Path(self.base).is_dir():
            raise TableMissing(f"There is no lake at {self.base} yet. Type: make run")

    def _load(self, name: str, version: int | None = None) -> DeltaTable:
        from deltalake.exceptions import DeltaError, TableNotFoundError

        spec = _READABLE[name]
        path = spec.path(self.base)
        try:
            return table_handle.opened(path, self.storage_options, version=version)
        except TableNotFoundError:
            if version is not None:
                raise
            self._need_base()
            writer = f"Type: python {WRITERS[spec.layer]}"
            if name == tables.PERTES.name:
                writer = "It appears when a person accepts a loss: so far there was none."
            if name == tables.OPERATIONS.name:
                writer = "It appears with the first operation on a sale: so far there was none."
            if name == tables.CORRECTIONS.name:
                writer = "It appears when a refresh first changes a day that had ended: so far none did."
            if name == tables.REJOUES.name:
                writer = "It appears when a person replays a reject: so far there was none."
            raise TableMissing(f"Table {name} does not exist yet at {path}. {writer}") from None
        except (DeltaError, OSError) as error:
            if version is not None:
                raise
            text = one_line(error).rstrip(".")
            raise LakehouseError(
                f"Table {name} at {path} cannot be opened: {text}. {table_handle.next_command(path)}"
            ) from error

    def _pin(self, name: str) -> Snapshot:
        from deltalake.exceptions import DeltaError

        path = _READABLE[name].path(self.base)
        handle = self._load(name)
        newest = handle.version()
        cut = self.cut.tables.get(name) if self.cut else None
        wanted = self.versions.get(name, cut.version if cut else self.version)
        if wanted is None and self.at is not None:
            wanted = min(newest, lake_history.version_at(name, path, lambda: self._load(name), self.at))
        if cut is not None and newest < cut.version:
            raise self._not_in_cut(name)
        if wanted is not None and not 0 <= wanted <= newest:
            raise LakehouseError(
                f"Version {wanted} of {name} does not exist: the newest is {newest}. Type: query_utils.py history {name}"
            )
        try:
            if wanted is not None and wanted != newest:
                handle = self._load(name, wanted)
        except (DeltaError, OSError) as error:
            if cut is not None:
                raise self._not_in_cut(name) from error
            asked = f"state of {instant(self.at)}" if self.at is not None else f"version {wanted}"
            raise LakehouseError(
                f"The {asked} of {name} can no longer be read: its log entries were cleaned up "
                f"([DELTA] log_retention). Type: query_utils.py history {name}"
            ) from error
        if lake_history.is_blank(path, handle.version()):
            text = f"the log entry of version {handle.version()} is empty"
            raise LakehouseError(f"Table {name} at {path} cannot be opened: {text}. {table_handle.next_command(path)}")
        source = Source(name, handle.version(), self._committed(name, handle.version()))
        if cut is not None and cut.committed is not None and source.committed not in (None, cut.committed):
            raise self._not_in_cut(name)
        return Snapshot(source, handle)

    def _not_in_cut(self, name: str) -> CutGone:
        assert self.cut is not None
        return CutGone(
            f"Cut {self.cut.number} cannot be read any more: its version of {name} was removed or replaced. Take a later one: "
            "--cut last",
            pinned=self.travels,
        )

    def _committed(self, name: str, version: int) -> datetime | None:
        path = _READABLE[name].path(self.base)
        if not paths.is_uri(path):
            return lake_history.committed(path, version)
        found = lake_history.newest(lambda: self._load(name), None)
        return next(
            (lake_history.moment(commit.get("timestamp")) for commit in found if commit["version"] == version), None
        )

    def _explain(self, error: Exception, names: tuple[str, ...]) -> Exception:
        text = str(error)
        gone = re.search(r"Object at location (.+?) not found", text)
        damaged = re.search(r"Parquet error.*?file (.+?\.parquet)", text)
        if gone is None and "No such file" not in text:
            if damaged:
                return LakehouseError(f"Cannot read {', '.join(names)}: the file {damaged[1]} is damaged. {_LOST}")
            return LakehouseError(f"The query failed: {' '.join(text.split())[:500]}")
        table = next((name for name in names if gone and f"/{name}/" in gone[1]), ", ".join(names))
        pinned = self.version is not None or self.at is not None or table in self.versions
        read = ", ".join(f"{n} version {self._open[n].source.version}" for n in names if n in self._open)
        advice = (
            f"its files were removed ([DELTA] deleted_file_retention). Type: query_utils.py history {table}"
            if pinned
            else f"a file was removed while it was read. Run the same command again; if it says so again, it is lost. {_LOST}"
        )
        return SnapshotGone(f"Cannot read {read}: {advice}", pinned=pinned)


def _no_rows(spec: TableSpec) -> str:
    """A SELECT with the table's columns and no row."""

    def null(kind: str) -> str:
        return f"arrow_cast(NULL, {timestamp_type()})" if kind == "TIMESTAMP" else f"CAST(NULL AS {kind})"

    columns = (f'{null(kind)} AS "{name}"' for name, kind in spec.columns)
    return f"SELECT {', '.join(columns)} WHERE false"
