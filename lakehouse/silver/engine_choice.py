"""Which engine a Silver job uses, and why: what the settings ask for, where the lake lies, and what fits into memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from lakehouse.config import Config, paths
from lakehouse.errors import ConfigError
from lakehouse.jvm import launch
from lakehouse.silver.engine import EngineName

_EXPANSION = 40
"""Bytes of memory for a byte of Bronze's Parquet where nearly every sale has a client and day of its own: 1.3 GB for a build
over 33 MB, 400,000 sales."""
_CHUNK = 8 * 2**20
_WRITTEN = 450
"""Bytes of memory for a row of the largest table while a build writes it: 1.9 GB for 4.3 million rows of ``ventes_aggreges``,
of 365 days (deltalake 1.6.6 keeps the files of all partitions open until the commit)."""


@dataclass(frozen=True)
class Choice:
    """An engine, and in a few words why it is that one."""

    engine: EngineName
    reason: str


def chosen(config: Config) -> Choice:
    """The engine of a job. Raises ``ConfigError`` for ``local`` where only Spark may write."""
    asked, obstacle = config.analytics.engine, needs_spark(config)
    if asked == "spark":
        return Choice("spark", "[ANALYTICS] engine = spark")
    if obstacle is None:
        return Choice("local", f"[ANALYTICS] engine = {asked}")
    if asked == "local":
        raise ConfigError(f"[ANALYTICS] engine = local is not accepted: {obstacle}. Expected spark or auto.")
    return Choice("spark", obstacle)


def needs_spark(config: Config) -> str | None:
    """Why no other engine may write this lake; None when one may."""
    if paths.is_remote(config):
        return f"the lake lies at {config.delta.base_path}, where Spark's log store guards the commits"
    if launch.under_submit():
        return "the job was started by spark-submit"
    if not launch.is_local(config.spark.master):
        return f"[SPARK] master = {config.spark.master} is a cluster"
    return None


def too_large(config: Config, files: Iterable[int]) -> str | None:
    """Why the local engine does not read Bronze files of these sizes (bytes) at once; None when they fit into its memory."""
    return _beyond(config, sum(files) * _EXPANSION)


def too_large_to_build(config: Config, days: Collection[int], rows: int) -> str | None:
    """Why the local engine does not build tables of at most so many rows from days of these sizes (bytes of Bronze's
    files); None when that fits into its memory. It aggregates some days at a time, and holds what it writes until it commits."""
    at_once = min(sum(days), max(*days, chunk_bytes(config), 0))
    return _beyond(config, at_once * _EXPANSION + rows * _WRITTEN)


def _beyond(config: Config, bytes_needed: int) -> str | None:
    need, budget = bytes_needed / 2**20, config.analytics.engine_memory
    if need <= budget:
        return None
    return f"it would need about {need:.0f} MiB, and [ANALYTICS] engine_memory is {budget}"


def fitting(config: Config, files: Sequence[int]) -> int:
    """How many of the first files make one batch of the local engine: one at least."""
    most = min(len(files), config.performance.max_files_per_trigger)
    return next((number for number in range(most, 1, -1) if too_large(config, files[:number]) is None), min(most, 1))


def chunk_bytes(config: Config) -> int:
    """Bytes of Bronze's files that the local engine aggregates at a time while it builds: a quarter of its memory, and less
    when that is much, since more at a time is no faster."""
    return min(config.analytics.engine_memory * 2**20 // (4 * _EXPANSION), _CHUNK)


def other(engine: EngineName) -> EngineName:
    """The one that checks what this one wrote."""
    return "local" if engine == "spark" else "spark"
