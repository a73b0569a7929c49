"""Replay of rejected messages: validated again, and the valid ones appended to Bronze. No JVM.

Guarantee: each (topic, partition, offset) becomes at most one row of Bronze, however often a replay is repeated or
killed. It works under Bronze's writer lock, and looks first whether a message's own row, or its sale, stands in Bronze
already. Its order: exact deduplication is extended for copies that may still come, the sales are appended in one commit, the
results are noted; a kill between two of these leaves what the next replay finds and goes on from.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lakehouse.config import Config
from lakehouse.contract import sale, unreadable
from lakehouse.contract.business_time import local_day
from lakehouse.contract.table_properties import EXACT_DEDUP_UNTIL, ZONES, with_zone
from lakehouse.contract.tables import CHAMPS_INCONNUS, OPERATIONS, REJETS, REJOUES, VENTES, TableSpec
from lakehouse.errors import TableMissing
from lakehouse.lake import delta_tables
from lakehouse.lake.query import Query, literal
from lakehouse.lake.reader import Lake
from lakehouse.observability import provenance
from lakehouse.operations.reconcile import batch_counts

VENTE = "vente"
OPERATION = "operation"
DOUBLON = "doublon"

INGESTED = {VENTE: VENTES, OPERATION: OPERATIONS}
"""The result of a replayed message → the table that it then stands in."""
_PLACE = ("kafka_partition", "kafka_offset", "kafka_timestamp")


def ingested(lake: Lake) -> dict[str, TableSpec]:
    """``INGESTED``, without the tables that are not there."""
    found = {}
    for result, spec in INGESTED.items():
        with contextlib.suppress(TableMissing):
            lake.snapshot(spec.name)
            found[result] = spec
    return found


def standing_notes(lake: Lake) -> tuple[str, tuple[str, ...]]:
    """SQL of the results of earlier replays that still hold, and the tables that it reads: what left Bronze with a rollback may be
    replayed again."""
    there = ingested(lake)
    joins = " ".join(
        f"LEFT JOIN {spec.name} ON {' AND '.join(f'{spec.name}.{name} = n.{name}' for name in _PLACE)}"
        for spec in there.values()
    )
    held = (f"(n.resultat = '{result}' AND {spec.name}.kafka_offset IS NOT NULL)" for result, spec in there.items())
    others = f"n.resultat NOT IN ({', '.join(map(literal, INGESTED))})"
    sql = (
        f"SELECT n.topic, n.kafka_partition, n.kafka_offset, n.kafka_timestamp, n.resultat FROM {REJOUES.name} n {joins} "
        f"WHERE {' OR '.join((others, *held))}"
    )
    return sql, (REJOUES.name, *(spec.name for spec in there.values()))


Place = tuple[int, int]
"""Partition and offset."""


@dataclass(frozen=True)
class Reject:
    """One row of the reject table that was not replayed yet."""

    topic: str
    partition: int
    offset: int
    kafka_timestamp: datetime
    motif: str
    explication: str
    valeur: bytes | None
    cle: bytes | None

    @property
    def key(self) -> tuple[str, int, int, datetime]:
        return self.topic, self.partition, self.offset, self.kafka_timestamp


@dataclass(frozen=True)
class Decision:
    """A reject and what became of it: ``resultat`` is ``vente``, ``operation``, ``doublon`` or, for one that stays, its reason.
    ``champs``: what a sale has beyond the contract, as JSON."""

    reject: Reject
    resultat: str
    explication: str
    fields: Mapping[str, Any] | None
    edited: bytes | None
    champs: str | None = None

    @property
    def settled(self) -> bool:
        return self.resultat in (*INGESTED, DOUBLON)

    @property
    def id(self) -> tuple[str, str] | None:
        """What it became, and the id of that."""
        return (self.resultat, self.fields[INGESTED[self.resultat].keys[0]]) if self.fields else None


_COLUMNS = ("topic", "kafka_partition", "kafka_offset", "kafka_timestamp", "motif", "explication", "valeur", "cle")


def _open(lake: Lake, motif: str | None) -> tuple[str, tuple[str, ...]]:
    """SQL over the rejects that were not replayed yet, and the tables that it reads."""
    conditions = ["true"]
    tables: tuple[str, ...] = (REJETS.name,)
    if motif is not None:
        wanted = literal(motif.replace("*", "%"))
        conditions.append(f"motif LIKE {wanted}" if "*" in motif else f"motif = {wanted}")
    with contextlib.suppress(TableMissing):
        lake.snapshot(REJOUES.name)
        notes, noted = standing_notes(lake)
        tables += noted
        same = " AND ".join(f"j.{name} = r.{name}" for name in (*REJETS.keys, "kafka_timestamp"))
        conditions.append(f"NOT EXISTS (SELECT 1 FROM ({notes}) j WHERE {same})")
    return f"FROM {REJETS.name} r WHERE {' AND '.join(conditions)}", tables


def waiting(
    lake: Lake, *, motif: str | None = None, places: Iterable[Place] = (), limit: int | None = None
) -> list[Reject]:
    """The rejects that were not replayed yet, by place. ``motif`` may hold ``*``. Raises ``TableMissing``."""
    source, tables = _open(lake, motif)
    wanted = set(places)
    at = f" AND kafka_offset IN ({', '.join(str(offset) for _, offset in wanted)})" if wanted else ""
    sql = f"SELECT {', '.join(_COLUMNS)} {source}{at} ORDER BY kafka_partition, kafka_offset, kafka_timestamp"
    rows = lake.read(Query(sql if limit is None else f"{sql} LIMIT {limit}", tables)).rows
    found = [Reject(*row) for row in rows]
    return [reject for reject in found if not wanted or (reject.partition, reject.offset) in wanted]


def never_rejected(lake: Lake, places: Iterable[Place]) -> list[Place]:
    """The places at which the reject table has no message. Raises ``TableMissing``."""
    wanted = set(places)
    at = ", ".join(str(offset) for _, offset in wanted) or "-1"
    sql = f"SELECT DISTINCT kafka_partition, kafka_offset FROM {REJETS.name} WHERE kafka_offset IN ({at})"
    return sorted(wanted - set(lake.read(Query(sql, (REJETS.name,))).rows))


def counts(lake: Lake, motif: str | None = None) -> dict[str, int]:
    """The number of rejects that wait for a replay, by reason. Raises ``TableMissing``."""
    source, tables = _open(lake, motif)
    return dict(lake.read(Query(f"SELECT motif, COUNT(*) {source} GROUP BY motif", tables)).rows)


def validate(reject: Reject, edited: bytes | None, tolerance: timedelta) -> Decision:
    """Validate a reject by the present contract, as Bronze does. Of one that was cut off, only a correction can be."""
    kept = unreadable.cut_off(reject.explication) if reject.motif == sale.ILLISIBLE else None
    if edited is None and kept:
        why = f"Only {kept} were kept, so that it cannot be validated: have it sent again, or type it anew with --edit."
        return Decision(reject, reject.motif, why, None, edited)
    verdict = sale.validate(reject.valeur if edited is None else edited)
    if verdict.canonique is None:
        return Decision(reject, verdict.motif or "", verdict.explication or "", None, edited)
    fields = sale.fields_of(verdict.canonique)
    if fields["timestamp"] > reject.kafka_timestamp + tolerance:
        return Decision(reject, sale.FUTUR, "The field timestamp lies too far after the broker's clock.", None, edited)
    return Decision(reject, OPERATION if verdict.operation else VENTE, "", fields, edited, verdict.champs)


def changed(value: bytes | None, pairs: Mapping[str, str]) -> bytes:
    """The message with some fields replaced; a text that is JSON is taken as such, any other as a string. Raises
    ``ValueError`` when the message is no JSON object."""

    class Raw(str):
        """A number's own text: an amount never passes through a float."""

    fields = json.loads((value or b"").decode("utf-8"), parse_float=Raw, parse_int=Raw)
    if not isinstance(fields, dict):
        raise ValueError("the message is no JSON object")
    texts = {
        name: item if isinstance(item, Raw) else json.dumps(item, ensure_ascii=False) for name, item in fields.items()
    }
    for name, text in pairs.items():
        try:
            json.loads(text)
            texts[name] = text
        except ValueError:
            texts[name] = json.dumps(text, ensure_ascii=False)
    return f"{{{', '.join(f'{json.dumps(name)}: {text}' for name, text in texts.items())}}}".encode()


class Replay:
    """One replay over the newest state of the lake. ``write`` is for the holder of Bronze's lock."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lake = Lake.of(config)

    def choose(self, *, motif: str | None, places: Sequence[Place]) -> list[Reject]:
        return waiting(self._lake, motif=motif, places=places)

    def never_rejected(self, places: Sequence[Place]) -> list[Place]:
        return never_rejected(self._lake, places) if places else []

    def decide(self, rejects: Sequence[Reject], edit: Callable[[Reject], bytes | None]) -> list[Decision]:
        """What becomes of each: a sale or an operation once, whatever of it stands in Bronze or comes twice here."""
        tolerance = self._config.streaming.future_tolerance
        decisions = [validate(reject, edit(reject), tolerance) for reject in rejects]
        landed = self._landed()
        wanted = {one.id for one in decisions if one.id and one.reject.key[1:] not in landed}
        taken = {
            (result, one)
            for result, spec in INGESTED.items()
            for one in batch_counts.existing(self._lake, {name for of, name in wanted if of == result}, spec)
        }
        return list(self._once(decisions, landed, taken))

    def _once(self, decisions: Iterable[Decision], landed: set[Any], taken: set[tuple[str, str]]) -> Iterator[Decision]:
        for one in decisions:
            if one.id is None:
                yield one
            elif one.reject.key[1:] in landed:  # a replay that was killed had appended it
                yield Decision(one.reject, one.resultat, "Its row is in Bronze already.", None, one.edited)
            elif one.id in taken:
                what = "operation" if one.resultat == OPERATION else "sale"
                yield Decision(one.reject, DOUBLON, f"Bronze holds this {what} already.", None, one.edited)
            else:
                taken.add(one.id)
                yield one

    def _landed(self) -> set[tuple[int, int, datetime]]:
        """Coordinates that are in the reject table and in Bronze."""
        found: set[tuple[int, int, datetime]] = set()
        for spec in ingested(self._lake).values():
            same = " AND ".join(f"v.{name} = r.{name}" for name in _PLACE)
            sql = (
                f"SELECT {', '.join(f'v.{name}' for name in _PLACE)} FROM {spec.name} v JOIN {REJETS.name} r ON {same}"
            )
            found |= {(row[0], row[1], row[2]) for row in self._lake.read(Query(sql, (spec.name, REJETS.name))).rows}
        return found

    def write(self, decisions: Sequence[Decision]) -> None:
        """Append the sales and the operations, then note every settled reject. Repeating it after a kill goes through ``decide`` again."""
        new = {result: [one for one in decisions if one.resultat == result and one.fields] for result in INGESTED}
        now = datetime.now(UTC)
        now = now.replace(
            microsecond=now.microsecond // 1000 * 1000 + 1
        )  # no batch's clock: those are whole milliseconds
        if new[VENTE]:
            self._prepare(new[VENTE])
        if new[OPERATION]:
            delta_tables.ensure(OPERATIONS, self._config, what="rejects replay")
        for result, spec in INGESTED.items():
            if new[result]:
                rows = [self._row(one, now) for one in new[result]]
                delta_tables.append(rows, spec, self._config, what="rejects replay", date_ingestion=now.isoformat())
        self._note([one for one in decisions if one.settled], now)

    def _prepare(self, new: Sequence[Decision]) -> None:
        """The deduplication state does not know these sales: until none of their copies can be on time any more, every sale
        is compared with Bronze, under whatever zone's day a copy stands. The job reads the properties when it starts, and it
        does not run now."""
        latest = max(one.fields["timestamp"] for one in new if one.fields)
        until = latest + self._config.streaming.watermark_delay + timedelta(minutes=1)
        found = self._lake.snapshot(VENTES.name).handle.metadata().configuration
        wanted = {
            ZONES: with_zone(found.get(ZONES), self._config.analytics.timezone.key, datetime.now(UTC), empty=False)
        }
        held = found.get(EXACT_DEDUP_UNTIL)
        if until > datetime.now(UTC) and (held is None or datetime.fromisoformat(held) < until):
            wanted[EXACT_DEDUP_UNTIL] = until.isoformat(timespec="seconds")
        changed = {name: value for name, value in wanted.items() if found.get(name) != value}
        if changed:
            delta_tables.set_properties(VENTES, self._config, changed, what="rejects replay")

    def _row(self, one: Decision, now: datetime) -> dict[str, Any]:
        assert one.fields is not None
        event, reject = one.fields["timestamp"], one.reject
        keep = one.champs and one.resultat == VENTE and self._config.streaming.champs_inconnus == "garder"
        return {
            **one.fields,
            **({CHAMPS_INCONNUS: one.champs} if keep else {}),
            "jour": local_day(event, self._config.analytics.timezone),
            "date_ingestion": now,
            "kafka_partition": reject.partition,
            "kafka_offset": reject.offset,
            "kafka_timestamp": reject.kafka_timestamp,
            "est_tardif": event < reject.kafka_timestamp - self._config.streaming.watermark_delay,
        }

    def _note(self, settled: Sequence[Decision], now: datetime) -> None:
        if not settled:
            return
        rows = [
            {
                "topic": one.reject.topic, "kafka_partition": one.reject.partition, "kafka_offset": one.reject.offset,
                "kafka_timestamp": one.reject.kafka_timestamp, "resultat": one.resultat,
                "vente_id": one.fields["vente_id"] if one.fields else None, "corrige": one.edited is not None,
                "correction": None if one.edited is None else one.edited.decode("utf-8", "backslashreplace"),
                "date_rejeu": now, "operateur": provenance.who(), "run": provenance.RUN_ID,
            }
            for one in settled
        ]  # fmt: skip
        delta_tables.append(rows, REJOUES, self._config, what="rejects replay")
