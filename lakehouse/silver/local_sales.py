"""Sales net of their operations for DataFusion, what a step of operations reads, and small tables made for the time of a question."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder

from lakehouse.config import Config
from lakehouse.contract.tables import OPERATIONS, VENTES
from lakehouse.lake import delta_tables, net_sql, table_changes, table_handle
from lakehouse.lake.net_sql import SOURCE_COLUMNS
from lakehouse.lake.operations_progress import NONE, OperationsStep
from lakehouse.lake.table_changes import Position
from lakehouse.silver import local_sql, operation_steps

_SOLD, _DONE = "sold", "done"


def asked(sql: str, **named: DeltaTable) -> pa.RecordBatchReader:
    """The rows of a SELECT over these tables, as they come."""
    builder = QueryBuilder()
    for name, table in named.items():
        builder.register(name, table)
    return pa.RecordBatchReader.from_stream(builder.execute(sql))


@contextmanager
def scratch(**rows: pa.Table) -> Iterator[dict[str, DeltaTable]]:
    """Tables of these rows for as long as the block runs: ``asked`` takes tables that lie in a folder."""
    with tempfile.TemporaryDirectory(prefix="sales-") as folder:
        made = {}
        for name, table in rows.items():
            path = str(Path(folder, name))
            table_handle.write(path, table)
            made[name] = table_handle.opened(path)
        yield made


@dataclass(frozen=True)
class LocalNetSales:
    """The table ``sales`` of ``local_sql``. ``plain``: none of the sales has an operation."""

    sold: DeltaTable
    done: DeltaTable | None = None

    @property
    def plain(self) -> bool:
        return self.done is None

    def asked(self, sql: str, **more: DeltaTable) -> pa.RecordBatchReader:
        """The rows of a SELECT over ``sales`` and these tables, as they come."""
        made = net_sql.plain(_SOLD) if self.done is None else net_sql.net(_SOLD, _DONE, "local", SOURCE_COLUMNS)
        named = {_SOLD: self.sold, **({_DONE: self.done} if self.done is not None else {}), **more}
        return asked(f"WITH {local_sql.SALES} AS ({made}) {sql}", **named)


def of_bronze(config: Config, *, sales: int, operations: int) -> LocalNetSales:
    """Bronze's sales at a version, with the operations at a version of theirs (``NONE``: without any)."""
    done = None if operations == NONE else delta_tables.opened(OPERATIONS, config, version=operations)
    return LocalNetSales(delta_tables.opened(VENTES, config, version=sales), done)


@contextmanager
def of_batch(config: Config, sold: DeltaTable, *, operations: int) -> Iterator[LocalNetSales]:
    """New sales with those of the operations up to a version that came before them."""
    if operations == NONE:
        yield LocalNetSales(sold)
        return
    done = delta_tables.opened(OPERATIONS, config, version=operations)
    about = "SELECT * FROM done WHERE vente_id IN (SELECT vente_id FROM sold)"
    came = asked(about, done=done, sold=sold).cast(delta_tables.schema(OPERATIONS)).read_all()
    if not came.num_rows:
        yield LocalNetSales(sold)
        return
    with scratch(done=came) as made:
        yield LocalNetSales(sold, made["done"])


_CONTEXT = pa.schema([delta_tables.schema(VENTES).field(name) for name in SOURCE_COLUMNS])
_ABOUT = delta_tables.schema(OPERATIONS).append(pa.field("nouvelle", pa.bool_()))


@dataclass(frozen=True)
class LocalChanges:
    """What a step changes: the tables of ``operation_steps``. ``sales`` and ``operations``: all of Bronze's, as the step has them."""

    tables: Mapping[str, DeltaTable]
    sales: DeltaTable
    operations: DeltaTable

    def asked(self, sql: str, **more: DeltaTable) -> pa.RecordBatchReader:
        """The rows of a SELECT over the states before and after, and these tables, as they come."""
        return asked(f"{operation_steps.states('local')} {sql}", **self.tables, **more)


@contextmanager
def changed(config: Config, step: OperationsStep) -> Iterator[LocalChanges | None]:
    """What the step changes; None when no sale of its operations has come yet."""
    sales = delta_tables.opened(VENTES, config, version=step.sales)
    operations = delta_tables.opened(OPERATIONS, config, version=step.upto)
    between = (Position(step.after + 1), Position(step.upto + 1))
    files = table_changes.added(OPERATIONS, config, *between, skip_removals=True)
    with table_changes.as_table(files, OPERATIONS, config) as news:
        found = [
            asked(operation_steps.BUYERS, sales=sales, news=news).read_all(),
            asked(operation_steps.CORRECTED, operations=operations, news=news).read_all(),
        ]
        if not found[0].num_rows:
            yield None
            return
        with scratch(clients=pa.concat_tables(found)) as clients:
            named = {"sales": sales, "operations": operations, **clients}
            context = asked(operation_steps.context("local"), **named).cast(_CONTEXT).read_all()
        with scratch(context=context) as made:
            about = asked(operation_steps.ABOUT_CONTEXT, operations=operations, news=news, **made)
            with scratch(operations=about.cast(_ABOUT).read_all()) as done:
                yield LocalChanges({**made, **done}, sales, operations)
