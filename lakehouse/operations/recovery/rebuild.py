"""Rebuilding a checkpoint that is lost or unusable: what can be read again, and moving the old one away. No JVM.

Bronze's next start makes the new checkpoint: it reads the topic again and compares every sale with Bronze (exact
deduplication, see docs/PROOFS.md). Silver's next pass builds its tables anew. A kill between two steps loses nothing: the
step that lets a job start again, the folder's new name, is the last one.
"""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from lakehouse.config import Config
from lakehouse.contract.table_properties import TOPIC_SINCE
from lakehouse.contract.tables import BRONZE, PERTES, REJETS, VENTES, checkpoint
from lakehouse.errors import CheckpointInvalid, TableMissing
from lakehouse.kafka import clients
from lakehouse.lake import checkpoint_validation, delta_tables, job_progress
from lakehouse.lake.checkpoint_files import METADATA
from lakehouse.lake.checkpoint_folder import FileCheckpoint
from lakehouse.lake.query import Query, literal
from lakehouse.lake.reader import Lake
from lakehouse.observability import audit_log
from lakehouse.operations.recovery import restore
from lakehouse.wording import counted

WHAT = "rebuild"


@dataclass(frozen=True)
class OffsetRange:
    """One Kafka partition: Kafka holds ``first`` to ``end`` (exclusive), of which ``standing`` stand in a table.
    ``read_to``: the offset after the last that is known to have been read; None when none is."""

    partition: int
    first: int
    end: int
    standing: int
    read_to: int | None

    @property
    def lost(self) -> tuple[int, int] | None:
        """Offsets, both included, that were not read as far as is known and that Kafka no longer holds."""
        return (self.read_to, self.first - 1) if self.read_to is not None and self.read_to < self.first else None


@dataclass(frozen=True)
class RebuildPlan:
    """``fault``: why the checkpoint cannot be used, None when it can; ``exists``: there is one. ``exact``: the
    checkpoint still tells how far it had read. ``beyond``: rows of the tables that Kafka could not give again."""

    job: str
    place: str
    exists: bool
    fault: str | None
    stretches: tuple[OffsetRange, ...] = ()
    exact: bool = False
    beyond: int = 0
    sales: int = 0
    generation: str | None = None


def plan(config: Config, job: str) -> RebuildPlan:
    """What is wrong, and what a new checkpoint could read. Raises ``BrokerUnavailable`` when Kafka does not answer."""
    return _bronze(config) if job == "bronze" else _silver(config)


def _bronze(config: Config) -> RebuildPlan:
    place = checkpoint(config.delta.base_path, "bronze")
    folder = FileCheckpoint(config, place)
    fault = checkpoint_validation.fault(folder, "bronze", topic=config.kafka.topic)
    now = clients.topic_id(config)
    held = clients.earliest_and_latest_offsets(config)
    noted = folder.topic_id()
    since = _since(config, now) if noted in (None, now) else None
    if since is None:
        fault = fault or "the topic was created anew since it was read"
    ends = _ends(config) if noted in (None, now) else None
    if ends and any(end > held.get(p, (0, 0))[1] for p, end in ends.items()):
        fault = fault or "the topic ends before what was read of it"
    standing = _standing(config, held, since)
    stretches = tuple(
        OffsetRange(p, first, end, standing.get(p, (0, None))[0], _known(p, ends, standing))
        for p, (first, end) in sorted(held.items())
    )
    everything = _count(config)
    return RebuildPlan(
        "bronze", place, bool(folder.planned_ids() or folder.committed_ids() or folder.text(METADATA)), fault,
        stretches, ends is not None, everything - sum(one.standing for one in stretches), everything,
    )  # fmt: skip


def _ends(config: Config) -> Mapping[int, int] | None:
    try:
        found = job_progress.bronze(config)
    except CheckpointInvalid:
        return None
    return found.ends if found and found.ends else None


def _known(p: int, ends: Mapping[int, int] | None, standing: Mapping[int, tuple[int, int | None]]) -> int | None:
    if ends is not None:
        return ends.get(p)
    return standing.get(p, (0, None))[1]


def _since(config: Config, topic_id: str) -> str | None:
    """SQL for the rows that come from the topic as it is now; None when the tables are of an earlier one."""
    try:
        noted = Lake.of(config).newest_handle(VENTES.name).metadata().configuration.get(TOPIC_SINCE, "")
    except TableMissing:
        return "true"
    known, _, moment = noted.partition(" ")
    if not noted:
        return "true"
    if known != topic_id:
        return None
    return f"date_ingestion >= {literal(datetime.fromisoformat(moment))}"


def _rows(config: Config, columns: str, where: str) -> tuple[str, tuple[str, ...]] | None:
    """Rows of Bronze, of its rejects those of this topic, as SQL; None before the tables exist."""
    lake = Lake.of(config)
    parts, tables = [], []
    for spec in BRONZE:
        own = f"topic = '{config.kafka.topic}'" if spec is REJETS else "true"
        try:
            lake.snapshot(spec.name)
        except TableMissing:
            continue
        parts.append(f"SELECT {columns} FROM {spec.name} WHERE ({where}) AND {own}")
        tables.append(spec.name)
    return (" UNION ALL ".join(parts), tuple(tables)) if parts else None


def _standing(
    config: Config, held: Mapping[int, tuple[int, int]], since: str | None
) -> dict[int, tuple[int, int | None]]:
    """By partition: the rows whose messages Kafka still holds, and the offset after the last row's."""
    if since is None or (found := _rows(config, "kafka_partition AS p, kafka_offset AS o", since)) is None:
        return {}
    kept = " OR ".join(f"(p = {p} AND o >= {first})" for p, (first, _) in held.items()) or "false"
    sql = f"SELECT p, SUM(CASE WHEN {kept} THEN 1 ELSE 0 END), MAX(o) + 1 FROM ({found[0]}) GROUP BY p"
    return {p: (int(n), after) for p, n, after in Lake.of(config).read(Query(sql, found[1])).rows}


def _count(config: Config) -> int:
    found = _rows(config, "1 AS one", "true")
    return int(Lake.of(config).read_one(Query(f"SELECT COUNT(*) FROM ({found[0]})", found[1]))) if found else 0


def _silver(config: Config) -> RebuildPlan:
    last = job_progress.generation(config)
    if last is None:
        return RebuildPlan("silver", checkpoint(config.delta.base_path, "silver"), False, None)
    place = checkpoint(config.delta.base_path, f"silver-{last['generation']}")
    folder, lake = FileCheckpoint(config, place), Lake.of(config)
    fault = checkpoint_validation.fault(folder, "silver", table_id=str(lake.newest_handle(VENTES.name).metadata().id))
    sales = int(lake.read_one(Query(f"SELECT COUNT(*) FROM {VENTES.name}", (VENTES.name,))))
    return RebuildPlan("silver", place, not folder.is_new(), fault, sales=sales, generation=last["generation"])


def rebuild(config: Config, found: RebuildPlan) -> list[str]:
    """Make room for a new checkpoint, under the job's writer lock; a line for each step that was done."""
    done = []
    if found.job == "silver" and restore.invalidate_silver(config):
        done.append("Silver was told to build anew")
    if n := _declare(config, found):
        done.append(f"recorded in bronze/{PERTES.name}: {counted(n, 'gap')}")
    if moved := restore.move_aside(found.place, "broken"):
        done.append(f"the checkpoint was moved to {moved}")
    return done


def _declare(config: Config, found: RebuildPlan) -> int:
    """Record the offsets that can no longer be read as lost; idempotent."""
    try:
        known = Lake.of(config).read(
            Query(f"SELECT topic, kafka_partition, premier_offset, dernier_offset FROM {PERTES.name}", (PERTES.name,))
        )
        there = {tuple(row) for row in known.rows}
    except TableMissing:
        there = set()
    now, who, topic = datetime.now(UTC), getpass.getuser(), config.kafka.topic
    new = [one for one in found.stretches if one.lost and (topic, one.partition, *one.lost) not in there]
    rows = [
        {
            "topic": topic, "kafka_partition": one.partition, "premier_offset": one.lost[0], "dernier_offset": one.lost[1],
            "date_declaration": now, "operateur": who,
        }
        for one in new
        if one.lost
    ]  # fmt: skip
    if rows:
        audit_log.declare_losses(config, WHAT, [(topic, one.partition, *one.lost) for one in new if one.lost])
        delta_tables.append(rows, PERTES, config, what=WHAT)
    return len(rows)
