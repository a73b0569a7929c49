"""A lake as the jobs leave it, without a JVM: Bronze with Kafka coordinates, its ledger, both checkpoints, Silver."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from lakehouse.contract import tables
from lakehouse.contract.tables import GENERATIONS, REJETS, SILVER, VENTES, TableSpec
from lakehouse.observability import audit_log, provenance
from tests.support import lakes
from tests.support.lakes import Row

TOPIC = "ventes_stream"
CLOCK = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOLES = {0: (3, 4), 2: (0,), 3: (7, 20)}
"""Offsets of copies that were left out, by partition."""
QUERY, GENERATION = "q1", "g1"
"""Of the Bronze job's checkpoint, and of Silver."""


def placed(rows: Sequence[Row]) -> list[Row]:
    """The rows with offsets as Kafka counts them, a copy left out at each of ``HOLES``."""
    following: dict[int, int] = defaultdict(int)
    made = []
    for row in sorted(rows, key=lambda row: row["kafka_timestamp"]):
        partition = row["kafka_partition"]
        while following[partition] in HOLES.get(partition, ()):
            following[partition] += 1
        made.append({**row, "kafka_offset": following[partition]})
        following[partition] += 1
    return made


def append(base: str, spec: TableSpec, rows: Sequence[Row], clock: datetime, batch: int) -> None:
    """One batch's commit, with the ledger that the job writes."""
    origin = provenance.commit_metadata("bronze batch", batch=batch, clock_ms=int(clock.timestamp() * 1000))
    commit(base, spec, [{**row, "date_ingestion": clock} for row in rows], origin, (f"{spec.name}-{QUERY}", batch))


def commit(
    base: str,
    spec: TableSpec,
    rows: Sequence[Row],
    origin: str,
    transaction: tuple[str, int] | None = None,
    mode: Literal["append", "overwrite"] = "append",
) -> None:
    """One commit that says who made it, and which batch of an application it is."""
    write_deltalake(
        spec.path(base),
        lakes.arrow_table(spec, rows),
        mode=mode,
        partition_by=list(spec.partition_by) or None,
        commit_properties=marked(origin, transaction),
    )


def marked(origin: str, transaction: tuple[str, int] | None = None) -> CommitProperties:
    """What a commit says of itself."""
    transactions = [Transaction(*transaction)] if transaction else None
    return CommitProperties(custom_metadata={"userMetadata": origin}, app_transactions=transactions)


def bronze_checkpoint(base: str, ends: dict[int, int], batch: int, clock: datetime) -> None:
    folder = Path(tables.checkpoint(base, "bronze"))
    for name in ("offsets", "commits", "sources/0"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "topic_id").write_text("topic-1")
    (folder / "metadata").write_text(f'{{"id":"{QUERY}"}}')
    starts = json.dumps({TOPIC: {str(p): 0 for p in ends}})
    (folder / "sources" / "0" / "0").write_bytes(b"\0v1\n" + starts.encode())
    head = json.dumps({"batchTimestampMs": int(clock.timestamp() * 1000)})
    ends_text = json.dumps({TOPIC: {str(p): end for p, end in ends.items()}})
    (folder / "offsets" / str(batch)).write_text(f"v1\n{head}\n{ends_text}")
    (folder / "commits" / str(batch)).write_text("v1\n{}")


def silver_settled(
    base: str, bronze_version: int, generation: str = GENERATION, after: timedelta = timedelta()
) -> None:
    rows = [
        {"generation": generation, "etat": etat, "bronze_version": bronze_version, "definition": "d",
         "date_etat": CLOCK + after + timedelta(seconds=n)}
        for n, etat in enumerate(("debut", "fin"))
    ]  # fmt: skip
    commit(base, GENERATIONS, rows, provenance.commit_metadata("silver job"))


def silver_built(base: str, rows: Sequence[Row], generation: str = GENERATION) -> None:
    """All six tables anew from these sales, as a build commits them."""
    origin = provenance.commit_metadata("silver build", generation=generation)
    made = lakes.silver(rows)
    for spec in SILVER:
        commit(base, spec, made[spec.name], origin, (f"{spec.name}-{generation}-build", 0), mode="overwrite")


def accept_unread(base: str, sizes: Mapping[int, int]) -> None:
    """A person has accepted so many offsets of each partition that nobody can read any more: the copies that were left out."""
    keys = [["unread", "topic-1", p, 0, 10**9, size] for p, size in sizes.items()]
    log = audit_log.AuditLog(Path(base) / "audit")
    log.append(verb="audit accept", arguments={}, state="end", exit_code=0, summary={"accepted": keys})


def build(base: str, *, count: int = 300, trailing: int = 2) -> list[Row]:
    """Two batches, one reject in each partition, ``trailing`` copies at each end, Silver settled. Returns the sales."""
    rows = placed(lakes.sales(count))
    batches = (rows[: count // 2], rows[count // 2 :])
    for batch, part in enumerate(batches):
        append(base, VENTES, part, CLOCK + timedelta(minutes=batch), batch)
    ends: dict[int, int] = defaultdict(int)
    for row in rows:
        ends[row["kafka_partition"]] = max(ends[row["kafka_partition"]], row["kafka_offset"] + 1)
    latest = max(row["kafka_timestamp"] for row in rows)
    rejects = [
        {**lakes.rejects()[0], "topic": TOPIC, "kafka_partition": p, "kafka_offset": ends[p], "kafka_timestamp": latest}
        for p in ends
    ]
    append(base, REJETS, rejects, CLOCK + timedelta(minutes=1), 1)
    bronze_checkpoint(base, {p: end + 1 + trailing for p, end in ends.items()}, 1, CLOCK + timedelta(minutes=1))
    silver_built(base, rows)
    silver_settled(base, DeltaTable(VENTES.path(base)).version())
    accept_unread(base, {p: len(HOLES.get(p, ())) + trailing for p in ends})
    return rows


def table(base: str, spec: TableSpec) -> Any:
    return DeltaTable(spec.path(base))


def sums(record: Mapping[str, Any]) -> Counter[str]:
    """The counts of a reconciliation's record over all partitions."""
    found: Counter[str] = Counter()
    for line in record["per_partition"]:
        found.update({name: line[name] for name in line if name != "partition"})
    return found
