"""Rolls one table back to an earlier version, such that the jobs downstream correct themselves. No JVM.

Each step leaves a state that the jobs understand, in this order: Silver is told to build anew, Bronze's checkpoint is
moved away so that the topic is read again, the table is restored. A kill between two steps costs work, never a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deltalake.exceptions import DeltaError

from lakehouse import crash_points
from lakehouse.config import Config, paths
from lakehouse.contract.table_properties import INVALID, TOPIC_SINCE
from lakehouse.contract.tables import (
    BRONZE,
    CORRECTIONS,
    EFFACES,
    GENERATIONS,
    PERTES,
    REJETS,
    REJOUES,
    SILVER,
    VENTES,
    TableSpec,
    checkpoint,
)
from lakehouse.errors import ConfigError, LakehouseError, TableMissing, is_full_disk, one_line
from lakehouse.lake import delta_tables, job_progress
from lakehouse.lake.query import Query
from lakehouse.lake.reader import SPECS, Lake
from lakehouse.lake.writer_lock import writer_lock
from lakehouse.operations.reconcile import kafka_reread

WHAT = "restore-table"


@dataclass(frozen=True)
class RestorePlan:
    """What a restore does: rows that leave the table and rows that come back to it, counted by the table's keys;
    both None when a file of the present version is lost. ``gone``: those that leave and that Kafka cannot give again (None:
    not known); ``downstream``: what follows."""

    spec: TableSpec
    now: int
    version: int
    leaving: int | None
    returning: int | None
    gone: int | None
    downstream: tuple[str, ...]


def check(name: str) -> TableSpec:
    """Raises ``ConfigError`` for a table that may not be rolled back."""
    spec = SPECS[name]
    if spec in (PERTES, REJOUES, CORRECTIONS):
        raise ConfigError(f"{name} is a record of what was decided or restated: it is not rolled back.")
    return spec


@contextmanager
def locked(config: Config, spec: TableSpec) -> Iterator[None]:
    """Hold every lock that the restore of ``spec`` needs."""
    with ExitStack() as held:
        for job in ("bronze",) * (spec in BRONZE) + ("silver",) * (spec is not REJETS):
            held.enter_context(writer_lock(config, job))
        yield


def plan(config: Config, spec: TableSpec, version: int) -> RestorePlan:
    """What the restore would change. Raises ``LakehouseError`` for a version that is not there."""
    lake, back = Lake.of(config), Lake.of(config, versions={spec.name: version})
    now = lake.snapshot(spec.name).source.version
    then = back.snapshot(spec.name)
    if version == now:
        raise ConfigError(
            f"{spec.name} is at version {now}: name an earlier one. They are listed by: python ops_utils.py history {spec.name}"
        )
    same = " AND ".join(f"a.{key} = b.{key}" for key in spec.keys)
    from deltalake import QueryBuilder

    both = QueryBuilder().register("now", lake.snapshot(spec.name).handle).register("back", then.handle)

    def rows(sql: str) -> list[tuple[Any, ...]]:
        from lakehouse.lake import result

        with lake.reading((spec.name,)):
            return [row for batch in both.execute(sql) for row in result.rows(batch)]

    left = f"FROM now a WHERE NOT EXISTS (SELECT 1 FROM back b WHERE {same})"
    leaving: int | None = None
    returning: int | None = None
    gone: int | None = 0
    try:
        ((leaving,),) = rows(f"SELECT COUNT(*) {left}")
        ((returning,),) = rows(f"SELECT COUNT(*) FROM back a WHERE NOT EXISTS (SELECT 1 FROM now b WHERE {same})")
    except LakehouseError:
        rows(f"SELECT COUNT(DISTINCT {spec.keys[0]}) FROM back")  # a version that is lost itself is not gone back to
        leaving = returning = gone = None
    if spec in BRONZE and leaving:
        position = job_progress.bronze(config)
        held = kafka_reread.held(config, position.topic_id if position else None)
        if isinstance(held, str):
            gone = None
        else:
            kept = " OR ".join(f"(kafka_partition = {p} AND kafka_offset >= {first})" for p, (first, _) in held.items())
            ((gone,),) = rows(f"SELECT COUNT(*) {left} AND NOT ({kept or 'false'})")
    return RestorePlan(spec, now, version, leaving, returning, gone, _downstream(spec, gone, _erased(lake, spec)))


def _erased(lake: Lake, spec: TableSpec) -> int:
    """Rows of the table that were deleted by an erasure."""
    try:
        sql = f"SELECT COUNT(*) FROM {EFFACES.name} WHERE table_effacee = '{spec.name}'"
        return int(lake.read_one(Query(sql, (EFFACES.name,))))
    except TableMissing:
        return 0


def _downstream(spec: TableSpec, gone: int | None, erased: int) -> tuple[str, ...]:
    if spec in SILVER:
        return ("Silver's next pass builds all six tables anew from Bronze: the restored figures stand until then.",)
    again = (
        "Bronze's checkpoint is moved aside: its next start reads the topic again from what Kafka still holds, lets nothing "
        "in twice, and so ingests again what leaves the table now."
    )
    lost = {
        None: "Whether Kafka still holds what leaves the table cannot be said: it does not answer, or rows cannot be counted.",
        0: "Kafka still holds all that leaves the table.",
    }.get(gone, f"{gone} rows that leave the table lie before what Kafka still holds: they do not come back.")
    if erased:
        lost += (
            f" {erased} rows of it were deleted by an erasure: those of them that come back with the version are to be "
            f"erased again."
        )
    if spec is not REJETS:
        rows = "sales" if spec is VENTES else "operations"
        return (
            again,
            lost,
            f"Silver's next pass builds all six tables anew: a restore would reach it as {rows} that come twice.",
        )
    return (again, lost)


def restore(config: Config, found: RestorePlan) -> list[str]:
    """Restore the table, under the locks of ``locked``; a line for each step that was done."""
    spec, done = found.spec, []
    if spec is not REJETS and _invalidate_silver(config):
        done.append("Silver was told to build anew")
    if spec in BRONZE and (moved := _move_checkpoint(config)):
        done.append(f"Bronze's checkpoint was moved to {moved}")
    since = Lake.of(config).newest_handle(spec.name).metadata().configuration.get(TOPIC_SINCE)
    try:
        delta_tables.restore(spec, config, found.version, what=WHAT, leaving=found.leaving, returning=found.returning)
    except (DeltaError, OSError) as error:
        if is_full_disk(error):
            raise
        raise LakehouseError(
            f"{spec.name} cannot be restored to version {found.version}: {one_line(error, 200)}. If its files were "
            f"removed ([DELTA] deleted_file_retention), choose a later one: python ops_utils.py history {spec.name}"
        ) from None
    if since and spec is VENTES:
        delta_tables.set_properties(spec, config, {TOPIC_SINCE: since}, what=WHAT)
    done.append(f"{spec.name} is what it was at version {found.version}")
    return done


def _invalidate_silver(config: Config) -> bool:
    """Mark Silver's generation invalid; False when there is none, or when it is marked already."""
    last = job_progress.generation(config)
    if last is None:
        return False
    row = {
        "generation": last["generation"], "etat": INVALID, "bronze_version": last["bronze_version"], "definition": "",
        "date_etat": datetime.now(UTC),
    }  # fmt: skip
    delta_tables.append([row], GENERATIONS, config, what=WHAT)
    return True


def invalidate_silver(config: Config) -> bool:
    """End Silver's generation, so that its next pass builds anew; the caller holds Silver's lock."""
    return _invalidate_silver(config)


def _move_checkpoint(config: Config) -> str | None:
    return move_aside(checkpoint(config.delta.base_path, "bronze"), "before-restore")


def move_aside(place: str, why: str) -> str | None:
    """Rename a checkpoint's folder, and say to what; None when there is none. Raises ``LakehouseError`` for a URI."""
    if paths.is_uri(place):
        raise LakehouseError(f"Move the checkpoint away by hand first, since it lies in an object store: {place}")
    path = Path(place)
    if not path.exists():
        return None
    aside = path.with_name(f"{path.name}.{why}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    crash_points.step(f"before {path.name} is moved aside")
    path.rename(aside)
    crash_points.step(f"after {path.name} was moved aside")
    return str(aside)
