"""Delta tables without a JVM, for operators and for a job's start. Who writes holds the lock of the table's job.

Each commit carries its origin as ``userMetadata``, as the jobs' own commits do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction

from lakehouse import crash_points
from lakehouse.config import Config, paths
from lakehouse.contract.tables import TableSpec
from lakehouse.lake import object_store, table_handle, version_checksum
from lakehouse.lake.table_settings import statistics, wanted_properties
from lakehouse.observability import provenance

_SIMPLE = {
    "STRING": pa.string(), "BIGINT": pa.int64(), "INT": pa.int32(), "DATE": pa.date32(), "BOOLEAN": pa.bool_(),
    "BINARY": pa.binary(), "TIMESTAMP": pa.timestamp("us", "UTC"), "DECIMAL(18,2)": pa.decimal128(18, 2),
    "DECIMAL(28,2)": pa.decimal128(28, 2),
}  # fmt: skip


def can_create(spec: TableSpec) -> bool:
    """Whether ``schema`` knows all of the table's types."""
    return all(kind in _SIMPLE for _, kind in spec.columns)


def arrow_type(kind: str) -> pa.DataType:
    """A column type of a ``TableSpec`` as Arrow has it. Raises ``KeyError`` for one that no table here has."""
    name, _, inner = kind.removesuffix(">").partition("<")
    if name == "ARRAY":
        return pa.list_(arrow_type(inner))
    if name == "STRUCT":
        return pa.struct([(field, arrow_type(of)) for field, of in (part.split(": ") for part in inner.split(", "))])
    return _SIMPLE[kind]


def schema(spec: TableSpec) -> pa.Schema:
    """The columns as Arrow has them."""
    return _arrow(spec.columns)


def _arrow(columns: Iterable[tuple[str, str]]) -> pa.Schema:
    return pa.schema([(name, arrow_type(kind)) for name, kind in columns])


def opened(spec: TableSpec, config: Config, *, version: int | None = None) -> DeltaTable:
    """The table at its newest version, or at ``version``. Raises ``TableNotFoundError`` (deltalake's) when it does not exist."""
    return table_handle.opened(spec.path(config.delta.base_path), object_store.options(config), version=version)


def exists(spec: TableSpec, config: Config) -> bool:
    """Whether the table has a first commit."""
    return table_handle.exists(spec.path(config.delta.base_path), object_store.options(config))


def properties(spec: TableSpec, config: Config) -> dict[str, str]:
    """The table's properties as they are now."""
    return dict(opened(spec, config).metadata().configuration)


def stamped(what: str, facts: Mapping[str, Any], *, once: tuple[str, int] | None = None) -> CommitProperties:
    """Commit properties with the provenance of this process: ``what`` it does, and ``facts``; ``once``: the application id and
    batch that ``has_batch`` then finds."""
    return CommitProperties(
        custom_metadata={"userMetadata": provenance.commit_metadata(what, **facts)},
        app_transactions=[Transaction(*once)] if once else None,
    )


def has_batch(table: DeltaTable, app_id: str, batch_id: int) -> bool:
    """Whether the table has ``batch_id`` of ``app_id``, or a later one, from whichever writer. Who asks holds the writer's
    lock: nobody commits between the question and a commit of its own."""
    last = table.transaction_version(app_id)
    return last is not None and last >= batch_id


# checkpoints and clean-up of the log stay with the table's own job
HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


def committed(table: DeltaTable, spec: TableSpec, config: Config) -> None:
    """After commits of ``table``: leave the checksum that Spark would otherwise spend a job on. In an object store its own
    log store alone writes into the log."""
    crash_points.step(f"after a commit of {spec.name}")
    if not paths.is_remote(config):
        version_checksum.write(spec.path(config.delta.base_path), table.version())


def append(rows: Sequence[Mapping[str, Any]], spec: TableSpec, config: Config, *, what: str, **facts: Any) -> None:
    """One commit; creates the table when it is missing, and adds the optional columns that a row has."""
    used = {name for row in rows for name in row}
    columns = (*spec.columns, *(column for column in spec.optional if column[0] in used))
    wanted = statistics(spec)
    known = opened(spec, config).metadata().configuration if exists(spec, config) else wanted
    if not wanted.items() <= known.items():  # an earlier release made the table
        set_properties(spec, config, wanted, what=what)
    table_handle.write(
        spec.path(config.delta.base_path),
        pa.Table.from_pylist(list(rows), _arrow(columns)),
        object_store.options(config),
        mode="append",
        schema_mode="merge" if spec.optional else None,
        partition_by=list(spec.partition_by) or None,
        configuration=wanted,
        commit_properties=stamped(what, facts),
        post_commithook_properties=HOOKS,
    )


def create(spec: TableSpec, config: Config, properties: Mapping[str, str], *, what: str) -> None:
    """One commit that makes an empty table with these properties."""
    made = table_handle.create(
        spec.path(config.delta.base_path),
        schema(spec),
        object_store.options(config),
        partition_by=list(spec.partition_by) or None,
        configuration=dict(properties),
        commit_properties=stamped(what, {}),
        raise_if_key_not_exists=False,
    )
    committed(made, spec, config)


def ensure(spec: TableSpec, config: Config, *, what: str) -> None:
    """Create the table when it is missing; set the properties that differ from the settings."""
    wanted = wanted_properties(spec, config)
    if not exists(spec, config):
        create(spec, config, wanted, what=what)
        return
    current = properties(spec, config)
    if changed := {key: value for key, value in wanted.items() if current.get(key) != value}:
        set_properties(spec, config, changed, what=what)


def delete(spec: TableSpec, config: Config, predicate: str, *, what: str, **facts: Any) -> None:
    """One commit that deletes the rows for which ``predicate`` (SQL) is true; none when there is no such row."""
    table = opened(spec, config)
    table.delete(predicate, commit_properties=stamped(what, facts), post_commithook_properties=HOOKS)
    committed(table, spec, config)


def set_properties(spec: TableSpec, config: Config, wanted: Mapping[str, str], *, what: str) -> None:
    """One commit that sets table properties."""
    table = opened(spec, config)
    table.alter.set_table_properties(
        dict(wanted),
        raise_if_not_exists=False,
        commit_properties=stamped(what, {}),
        post_commithook_properties=HOOKS,
    )
    committed(table, spec, config)


def restore(spec: TableSpec, config: Config, version: int, *, what: str, **facts: Any) -> dict[str, Any]:
    """One commit that makes the table what it was at ``version``; the files that came and went."""
    table = opened(spec, config)
    done = table.restore(
        version, commit_properties=stamped(what, {"version": version, **facts}), post_commithook_properties=HOOKS
    )
    committed(table, spec, config)
    return done
