"""What the settings say of a table: its Delta properties, and who sees to its small files and its log."""

from __future__ import annotations

from datetime import timedelta

from lakehouse.config import Config, paths
from lakehouse.contract.tables import BRONZE, TableSpec


def maintained_by_writer(spec: TableSpec, config: Config) -> bool:
    """Whether the writer merges the table's small files and makes its log's checkpoints, and not Delta inside a commit. Local
    tables: in an object store, Spark alone writes what Spark's log store guards."""
    return spec in BRONZE and not paths.is_remote(config)


_DELTAS_OWN = 200
"""Delta makes its checkpoint, a Spark job inside the commit for which sales wait some seconds, at every such multiple of the
writer's interval, whether the writer's is there or not."""


def _interval(value: timedelta) -> str:
    return f"interval {value.total_seconds():.0f} seconds"


def wanted_properties(spec: TableSpec, config: Config) -> dict[str, str]:
    """What the settings say of a table."""
    delta, by_writer = config.delta, maintained_by_writer(spec, config)
    properties = {
        # where the writer makes the checkpoints, Delta's are for when that has failed for long
        "delta.checkpointInterval": str(delta.checkpoint_interval * (_DELTAS_OWN if by_writer else 1)),
        "delta.logRetentionDuration": _interval(delta.log_retention),
        "delta.deletedFileRetentionDuration": _interval(delta.deleted_file_retention),
        "delta.autoOptimize.autoCompact": str(delta.auto_compact and not by_writer).lower(),
    }
    return properties | statistics(spec)


def statistics(spec: TableSpec) -> dict[str, str]:
    """The table property that says which columns have file statistics."""
    return {"delta.dataSkippingStatsColumns": ",".join(f"`{name}`" for name in spec.stats)} if spec.stats else {}
