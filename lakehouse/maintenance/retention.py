"""Retention: rows older than the settings keep are recorded, then deleted from their table. No JVM.

The caller is the table's only writer. What leaves Bronze is recorded in ``retraits`` (which offsets, of which batch) and
``retraits_sommes`` (how many sales, how much money), without a word about whose sales they were. Written before the
rows go: after a kill in between the rows still stand, and the next round writes the record anew.

Bronze's rows go by two ages, that of the event and that of the arrival, so that a sale of 1997 that came today stays as
long as every other; both follow from one day, so that a removal that is repeated means the same rows.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from lakehouse.config import Config
from lakehouse.contract.table_properties import KEPT_FROM, RETENTION
from lakehouse.contract.tables import (
    AGGREGES,
    MEMBRES,
    OPERATIONS,
    PAR_PRODUIT,
    REJETS,
    RETRAITS,
    SILVER,
    SOMMES,
    TENDANCES,
    VENTES,
    TableSpec,
)
from lakehouse.errors import CheckpointInvalid, LakehouseError, TableMissing
from lakehouse.lake import delta_tables, job_progress
from lakehouse.lake.net_sql import NET
from lakehouse.lake.operations_progress import NONE
from lakehouse.lake.query import Query, literal
from lakehouse.lake.reader import Lake

BY_DAY = (AGGREGES, PAR_PRODUIT, TENDANCES)
"""The Silver tables whose rows have an age."""


@dataclass(frozen=True)
class Removal:
    """Rows of ``table`` of days before ``day`` that arrived before ``arrived``; ``before``: the version of the table that
    still held them. ``name``: its id, once it is on record."""

    table: str
    day: date
    arrived: datetime
    before: int = -1
    name: str = ""

    def where(self, alias: str = "") -> str:
        return f"{alias}jour < {literal(self.day)} AND {alias}date_ingestion < {literal(self.arrived)}"


@dataclass(frozen=True)
class Due:
    """What retention would take out of one table now. ``waits``: why it may not yet."""

    spec: TableSpec
    day: date
    rows: int
    amount: Decimal | None
    waits: str | None
    removal: Removal | None


def days(config: Config, spec: TableSpec) -> int:
    """For how many days the table keeps its rows; 0 for ever."""
    delta = config.delta
    if spec is VENTES:
        return delta.retention_days_bronze
    return delta.retention_days_rejects if spec is REJETS else delta.retention_days_silver


def first_day(config: Config, spec: TableSpec, now: datetime) -> date | None:
    """The first day that the settings keep; None when they keep everything, or the table has no days."""
    kept = days(config, spec)
    if not kept or spec not in (VENTES, REJETS, *BY_DAY, MEMBRES):
        return None
    return now.astimezone(config.analytics.timezone).date() - timedelta(days=kept)


def due(config: Config, spec: TableSpec, *, now: datetime | None = None) -> Due | None:
    """None when the settings keep everything, or the table has no days. Nothing is changed."""
    day = first_day(config, spec, now or datetime.now(UTC))
    if day is None:
        return None
    zone, lake = config.analytics.timezone, Lake.of(config)
    if spec not in (VENTES, REJETS):
        found = f"SELECT COUNT(*) FROM {spec.name} WHERE jour < {literal(day)}"
        return Due(spec, day, int(lake.read_one(Query(found, (spec.name,)))), None, None, None)
    arrived = datetime.combine(day, time(), zone).astimezone(UTC)
    removal = Removal(spec.name, day, arrived, lake.snapshot(spec.name).source.version)
    money = "SUM(montant)" if spec is VENTES else "NULL"
    ((rows, amount),) = lake.read(
        Query(f"SELECT COUNT(*), {money} FROM {spec.name} WHERE {removal.where()}", (spec.name,))
    ).rows
    waits = _silver_waits(config, removal, rows) if spec is VENTES and rows else None
    return Due(spec, day, rows, amount, waits, removal)


def _silver_waits(config: Config, removal: Removal, rows: int) -> str | None:
    """A sentence while Silver has not merged all of the rows."""
    try:
        silver = job_progress.silver(config)
        if silver is None:
            return None
        lake = Lake.of(config, versions={VENTES.name: silver.bronze_version})
        known = lake.read_one(Query(f"SELECT COUNT(*) FROM {VENTES.name} WHERE {removal.where()}", (VENTES.name,)))
        about = _operations_about(config, removal) - _operations_about(config, removal, silver.operations_version)
    except (CheckpointInvalid, LakehouseError) as error:
        return f"whether Silver has taken them in cannot be told: {error}"
    left = str(rows - known) if known < rows else ""
    if about:
        left = left or "the newest operations on some"
    return f"Silver has not merged {left} of them yet: python streaming_silver.py" if left else None


def _operations_about(config: Config, removal: Removal, version: int | None = None) -> int:
    """The operations on the rows, of a version or the newest."""
    if version == NONE or not delta_tables.exists(OPERATIONS, config):
        return 0
    lake = Lake.of(config, versions={} if version is None else {OPERATIONS.name: version})
    due = f"SELECT vente_id FROM {VENTES.name} WHERE {removal.where()}"
    count = f"SELECT COUNT(*) FROM {OPERATIONS.name} WHERE vente_id IN ({due})"
    return int(lake.read_one(Query(count, (OPERATIONS.name, VENTES.name))))


def apply(config: Config, found: Due) -> int:
    """Take the rows out; how many left. 0 when there are none, or when they have to wait."""
    if found.waits or not found.rows:
        return 0
    spec = found.spec
    if found.removal is None:
        if spec is not MEMBRES:
            mark(config, spec, found.day)
        _delete(config, spec, f"jour < '{found.day}'", rows=found.rows, day=str(found.day))
        return found.rows
    forget_unfinished(config, spec)
    name = uuid.uuid4().hex[:12]
    _record(config, found.removal, name)
    facts = {"rows": found.rows, "day": str(found.day), "retrait": name}
    amount = {"amount": str(found.amount)} if found.amount is not None else {}
    _delete(config, spec, found.removal.where(), **facts, **amount)
    return found.rows


def mark(config: Config, spec: TableSpec, day: date) -> None:
    """Note from which day on a Silver table is complete; the day never goes back."""
    known = kept_from(config, spec)
    if known is None or known < day:
        delta_tables.set_properties(spec, config, {KEPT_FROM: day.isoformat()}, what=RETENTION)


def kept_from(config: Config, spec: TableSpec) -> date | None:
    """The first day that a Silver table keeps; None when it keeps all."""
    text = delta_tables.opened(spec, config).metadata().configuration.get(KEPT_FROM)
    return date.fromisoformat(text) if text else None


def _delete(config: Config, spec: TableSpec, where: str, **facts: Any) -> None:
    delta_tables.delete(spec, config, where, what=RETENTION, **facts)


# --- the record ------------------------------------------------------------------------------------------------------


def _record(config: Config, removal: Removal, name: str) -> None:
    lake = Lake.of(config, versions={removal.table: removal.before})
    head = {
        "retrait": name, "table_source": removal.table, "jour_limite": removal.day, "date_limite": removal.arrived,
        "version_avant": removal.before,
    }  # fmt: skip
    ranges = f"""
        SELECT kafka_partition, MIN(kafka_offset), MAX(kafka_offset), date_ingestion FROM (
            SELECT kafka_partition, kafka_offset, date_ingestion, kafka_offset - CAST(ROW_NUMBER() OVER (
                PARTITION BY kafka_partition, date_ingestion ORDER BY kafka_offset) AS BIGINT) AS island
            FROM {removal.table} WHERE {removal.where()})
        GROUP BY kafka_partition, date_ingestion, island"""
    rows = [
        {**head, "kafka_partition": p, "premier_offset": first, "dernier_offset": last, "date_ingestion": clock}
        for p, first, last, clock in lake.read(Query(ranges, (removal.table,))).rows
    ]
    delta_tables.append(rows, RETRAITS, config, what=RETENTION)  # first: it is what names the removal
    if removal.table == VENTES.name:
        delta_tables.append([{**head, **one} for one in _sums(lake, removal)], SOMMES, config, what=RETENTION)


def _sums(lake: Lake, removal: Removal) -> list[dict[str, Any]]:
    """Sales, money and items by country and by segment, net of their operations, as Silver holds them."""
    found = []
    for dimension in ("pays", "segment"):
        sql = (
            f"SELECT {dimension}, COUNT(*), SUM(montant), SUM(CAST(quantite AS BIGINT)) FROM {NET} "
            f"WHERE {removal.where()} GROUP BY 1"
        )
        for key, sales, amount, items in lake.read(Query(sql, (VENTES.name,), net=True)).rows:
            found.append({"dimension": dimension, "cle": key, "ventes": sales, "montant": amount, "articles": items})
    return found


def removals(config: Config, spec: TableSpec) -> list[Removal]:
    """All that are on record for one table of Bronze."""
    sql = (
        f"SELECT DISTINCT table_source, jour_limite, date_limite, version_avant, retrait FROM {RETRAITS.name} "
        f"WHERE table_source = '{spec.name}'"
    )
    try:
        return [Removal(*row) for row in Lake.of(config).read(Query(sql, (RETRAITS.name,))).rows]
    except TableMissing:
        return []


def stands(lake: Lake, removal: Removal) -> bool:
    """Whether rows of the removal are in the table as ``lake`` holds it."""
    sql = f"SELECT COUNT(*) FROM {removal.table} WHERE {removal.where()}"
    return bool(lake.read_one(Query(sql, (removal.table,))))


def forget_unfinished(config: Config, spec: TableSpec) -> None:
    """Drop the records of rows that stand: the command was killed before they went, or a restore brought them back."""
    lake = Lake.of(config)
    for one in removals(config, spec):
        if stands(lake, one):
            for record in (SOMMES, RETRAITS):
                if delta_tables.exists(record, config):
                    _delete(config, record, f"retrait = '{one.name}'", retrait=one.name)


def gone(config: Config, lake: Lake, generation_from: int) -> list[Removal]:
    """Removals of sales that Silver's present generation, built from Bronze's version ``generation_from``, had merged,
    and that Bronze as ``lake`` holds it no longer has."""
    return [
        one for one in removals(config, VENTES) if generation_from <= one.before and not stands(lake, one)
    ]  # fmt: skip


def ids(found: Sequence[Removal]) -> str:
    """As the list of an SQL ``IN``."""
    return ", ".join(f"'{one.name}'" for one in found)


@dataclass(frozen=True)
class Kept:
    """What retention has changed in the comparison. ``since``: the first day that both sides hold whole, by table;
    ``removed``: the sales that Silver's figures hold and that Bronze no longer has."""

    since: Mapping[str, date] = field(default_factory=dict)
    removed: tuple[Removal, ...] = ()


def kept(config: Config, lake: Lake) -> Kept:
    """For Silver's present generation, at the versions of ``lake``."""
    last = job_progress.generation(config)
    removed = tuple(gone(config, lake, last["bronze_version"])) if last else ()
    since = {}
    for spec in SILVER:
        marks = [one.day for one in removed]
        if spec in BY_DAY and (day := kept_from(config, spec)):
            marks.append(day)
        if marks:
            since[spec.name] = max(marks)
    return Kept(since, removed)
