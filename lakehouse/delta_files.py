"""EDGE. Writes to Delta tables without a JVM, for operators. The caller holds the writer lock of the table's job.

Each commit carries its origin as ``userMetadata``, as the jobs' own commits do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, write_deltalake

from lakehouse import runinfo
from lakehouse.config import Config
from lakehouse.tables import TableSpec

_SIMPLE = {
    "STRING": pa.string(), "BIGINT": pa.int64(), "INT": pa.int32(), "DATE": pa.date32(), "BOOLEAN": pa.bool_(),
    "BINARY": pa.binary(), "TIMESTAMP": pa.timestamp("us", "UTC"), "DECIMAL(18,2)": pa.decimal128(18, 2),
    "DECIMAL(28,2)": pa.decimal128(28, 2),
}  # fmt: skip


def schema(spec: TableSpec) -> pa.Schema:
    """The columns as Arrow has them. Raises ``KeyError`` for a type that no operator writes."""
    return pa.schema([(name, _SIMPLE[kind]) for name, kind in spec.columns])


def properties(what: str, facts: Mapping[str, Any]) -> CommitProperties:
    """The origin that a commit carries."""
    return CommitProperties(custom_metadata={"userMetadata": runinfo.commit_metadata(what, **facts)})


# checkpoints and clean-up of the log stay with the table's own job
HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


def append(rows: Sequence[Mapping[str, Any]], spec: TableSpec, config: Config, *, what: str, **facts: Any) -> None:
    """One commit; creates the table when it is missing."""
    write_deltalake(
        spec.path(config.delta.base_path),
        pa.Table.from_pylist(list(rows), schema(spec)),
        mode="append",
        partition_by=list(spec.partition_by) or None,
        commit_properties=properties(what, facts),
        post_commithook_properties=HOOKS,
    )


def set_properties(spec: TableSpec, config: Config, wanted: Mapping[str, str], *, what: str) -> None:
    """One commit that sets table properties."""
    DeltaTable(spec.path(config.delta.base_path)).alter.set_table_properties(
        dict(wanted),
        raise_if_not_exists=False,
        commit_properties=properties(what, {}),
        post_commithook_properties=HOOKS,
    )


def restore(spec: TableSpec, config: Config, version: int, *, what: str, **facts: Any) -> dict[str, Any]:
    """One commit that makes the table what it was at ``version``; the files that came and went."""
    return DeltaTable(spec.path(config.delta.base_path)).restore(
        version, commit_properties=properties(what, {"version": version, **facts}), post_commithook_properties=HOOKS
    )
