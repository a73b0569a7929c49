"""Accounts for every offset that the Bronze job consumed: the table that holds it, or why none does. No JVM."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from lakehouse.config import Config
from lakehouse.contract.table_properties import SALT, TOPIC_SINCE
from lakehouse.contract.tables import EFFACES, OPERATIONS, REJETS, REJOUES, VENTES, TableSpec
from lakehouse.errors import TableMissing
from lakehouse.lake.job_progress import BronzePosition
from lakehouse.lake.query import Query, literal
from lakehouse.lake.reader import Lake
from lakehouse.maintenance import erasure
from lakehouse.operations.reconcile import (
    batch_counts,
    explained_offsets,
    foreign_commits,
    kafka_reread,
    stored_rejects,
    unique_keys,
    unread_offsets,
)
from lakehouse.operations.reconcile.audit_evidence import Evidence, Finding
from lakehouse.operations.reconcile.explained_offsets import Recorded
from lakehouse.operations.reconcile.offset_balance import (
    Break,
    OffsetBalance,
    Ranges,
    UnaccountedOffsets,
    digest,
    joined,
    split,
    unaccounted,
    without,
)
from lakehouse.operations.recovery import replay
from lakehouse.wording import counted

_NAMED = 20
"""Ranges of aborted offsets that the record names; it counts all."""
_Held = Mapping[int, tuple[int, int]] | str | None
"""What Kafka holds by partition; a sentence when it does not say; None when it was not asked."""
_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass
class BronzeResult:
    """Result of the checks. ``ranges``: the consumed offsets of each partition; ``proven`` and ``commits``: for the next
    reconciliation; ``acceptable``: the differences that a person may accept as they are."""

    balance: OffsetBalance
    ranges: Ranges
    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    proofs: dict[str, int] = field(default_factory=dict)
    proven: dict[str, Any] = field(default_factory=dict)
    acceptable: list[Finding] = field(default_factory=list)
    commits: dict[str, Any] = field(default_factory=dict)

    def add(self, findings: Iterable[Finding]) -> None:
        """Add differences that a person may accept."""
        for one in findings:
            self.acceptable.append(one)
            self.differences.append(one.text)


class BronzeReconciliation:
    """Reconciles Bronze with the consumed offsets, at the versions that ``lake`` holds; ``before`` is the last signed record, or {}."""

    def __init__(
        self, config: Config, lake: Lake, position: BronzePosition, evidence: Evidence, before: Mapping[str, Any]
    ) -> None:
        self._config = config
        self._evidence = evidence
        self._commits: Mapping[str, Any] = before.get("commits", {})
        self._lake = lake
        self._position = position
        self._zone: tzinfo = config.analytics.timezone
        self._since = self._topic_since()
        same = before.get("topic_id") == position.topic_id and before.get("topic") == position.topic
        self._proven: Mapping[str, Any] = before.get("proven", {}) if same else {}
        self._signed_versions: Mapping[str, int] = before.get("proven_versions", {}) if same else {}
        ranges = {
            p: (min(position.starts.get(p, 0), int(self._proven.get(str(p), {}).get("first", end))), end)
            for p, end in position.ends.items()
        }
        self._result = BronzeResult(OffsetBalance(), ranges)
        self._kafka_answered = False
        self._changed: dict[int, tuple[int, int]] = {}
        self._untied: explained_offsets.Spans = {}
        """Offsets of records that are not tied to anything: a finding names each already."""

    def _topic_since(self) -> datetime:
        """Since when rows come from the present topic: a recreated topic counts its offsets from 0 again."""
        noted = self._lake.snapshot(VENTES.name).handle.metadata().configuration.get(TOPIC_SINCE, "")
        topic_id, _, since = noted.partition(" ")
        return datetime.fromisoformat(since) if since and topic_id == self._position.topic_id else _EPOCH

    def run(self, *, ask_kafka: bool, progress: Callable[..., Any]) -> BronzeResult:
        """Run all checks. Raises ``SnapshotGone``."""
        result = self._result
        with progress("offsets in the tables") as advance:
            found, doubled = unaccounted(self._breaks(), result.ranges, self._day(self._position.clock))
            advance(1)
            self._count_rows()
            advance(1)
        result.differences += [f"{gap} stands more than once" for gap in doubled]
        result.balance.add_offsets(found, "consumed")
        for gap in doubled:  # a surplus row is not a surplus message
            result.balance.add(gap.partition, gap.day, "consumed", -1)
        with progress("commits") as advance:
            removals = self._look_at_commits()
            advance(1)
        for count, recorded in self._recorded(removals):
            explained, found = split(found, recorded.spans)
            result.balance.add_offsets(explained, count)
            result.add(recorded.findings)
            result.notes += recorded.notes
            for p, spans in recorded.untied.items():
                self._untied.setdefault(p, []).extend(spans)
        fresh = self._without_signed(found)
        held = kafka_reread.held(self._config, self._position.topic_id) if ask_kafka else None
        self._read_again(fresh, held, progress)
        self._compare_rejects(held, progress)
        with progress("rows that stand twice, rows that were written") as advance:
            self._doubled_rows()
            advance(1)
            for spec in (*self._accepted(), REJETS):
                commits, differences = batch_counts.compare(self._lake, spec, self._signed_versions.get(spec.name, -1))
                result.differences += differences
                if commits:
                    self._prove(f"commits of {spec.name} whose rows were counted", commits)
        self._sign(found)
        return result

    def _look_at_commits(self) -> Mapping[str, int]:
        """Check the tables' commits; the rows that retention removed, by removal."""
        looked = foreign_commits.look(
            self._config, self._lake, foreign_commits.OF_BRONZE, self._evidence, self._commits
        )
        self._result.add(looked.findings)
        self._result.notes += looked.notes
        self._result.commits = looked.at
        return looked.removals

    def _recorded(self, removals: Mapping[str, int]) -> Iterator[tuple[str, Recorded]]:
        lake, topic, since, evidence = self._lake, self._position.topic, self._since, self._evidence
        yield "removed", explained_offsets.removed(self._config, lake, since, evidence, removals)
        yield "declared", explained_offsets.declared(lake, topic, since, evidence)
        yield "erased", explained_offsets.erased(lake, topic, since, evidence)

    # --- what the tables hold ----------------------------------------------------------------------------------------

    def _has(self, spec: TableSpec) -> bool:
        try:
            self._lake.snapshot(spec.name)
        except TableMissing:
            return False
        return True

    def _accepted(self) -> tuple[TableSpec, ...]:
        """The tables of what was accepted: the operations' only when there has been one."""
        return (VENTES, OPERATIONS) if self._has(OPERATIONS) else (VENTES,)

    def _inside(self) -> str:
        ranges = (
            f"(kafka_partition = {p} AND kafka_offset >= {first} AND kafka_offset < {end})"
            for p, (first, end) in self._result.ranges.items()
        )
        since = ""
        if self._since > _EPOCH:
            since = f" AND date_ingestion >= {literal(self._since)}"
        return f"({' OR '.join(ranges)}){since}"

    def _rejects(self) -> tuple[str, tuple[str, ...]]:
        """Rejects that did not become sales later."""
        tables: tuple[str, ...] = (REJETS.name,)
        sql = f"SELECT kafka_partition, kafka_offset, kafka_timestamp FROM {REJETS.name} r WHERE {self._inside()} AND topic = '{self._position.topic}'"
        if self._has(REJOUES):
            notes, noted = replay.standing_notes(self._lake)
            tables += noted
            results = ", ".join(map(literal, replay.INGESTED))
            sql += (
                f" AND NOT EXISTS (SELECT 1 FROM ({notes}) j WHERE j.resultat IN ({results}) AND j.topic = r.topic"
                f" AND j.kafka_partition = r.kafka_partition AND j.kafka_offset = r.kafka_offset"
                f" AND j.kafka_timestamp = r.kafka_timestamp)"
            )
        return sql, tables

    def _breaks(self) -> Iterator[Break]:
        rejects, tables = self._rejects()
        rows = " UNION ALL ".join(
            (
                *(
                    f"SELECT kafka_partition, kafka_offset, kafka_timestamp FROM {spec.name} WHERE {self._inside()}"
                    for spec in self._accepted()
                ),
                rejects,
            )
        )
        sql = f"""
            SELECT p, previous, previous_t, o, t, following IS NULL AS last FROM (
                SELECT kafka_partition AS p, kafka_offset AS o, kafka_timestamp AS t,
                       LAG(kafka_offset) OVER w AS previous, LAG(kafka_timestamp) OVER w AS previous_t,
                       LEAD(kafka_offset) OVER w AS following
                FROM ({rows}) WINDOW w AS (PARTITION BY kafka_partition ORDER BY kafka_offset))
            WHERE previous IS NULL OR o <> previous + 1 OR following IS NULL ORDER BY p, o"""
        named = tuple(dict.fromkeys((*(spec.name for spec in self._accepted()), *tables)))
        for p, previous, previous_t, o, t, last in self._lake.read(Query(sql, named)).rows:
            yield Break(p, previous, previous_t and self._day(previous_t), o, self._day(t), last)

    def _day(self, moment: datetime) -> date:
        return moment.astimezone(self._zone).date()

    def _count_rows(self) -> None:
        rejects, tables = self._rejects()
        accepted = (
            (count, f"SELECT kafka_partition, kafka_timestamp FROM {spec.name} WHERE {self._inside()}", (spec.name,))
            for count, spec in zip(("bronze", "operations"), self._accepted(), strict=False)
        )
        for count, rows, read in (*accepted, ("rejected", rejects, tables)):
            # quarters of an hour: every time zone's days begin at one
            sql = f"SELECT kafka_partition, date_bin(INTERVAL '15 minutes', kafka_timestamp), COUNT(*) FROM ({rows}) GROUP BY 1, 2"
            for partition, moment, n in self._lake.read(Query(sql, read)).rows:
                self._result.balance.add(partition, self._day(moment), count, n)
                self._result.balance.add(partition, self._day(moment), "consumed", n)
        for what, spec in zip(("sale", "operation"), self._accepted(), strict=False):
            outside = f"SELECT COUNT(*) FROM {spec.name} WHERE NOT ({self._inside()})"
            if n := self._lake.read_one(Query(outside, (spec.name,))):
                self._result.notes.append(
                    f"{counted(n, what)} of Bronze outside of what this checkpoint has committed (an earlier one's, or a batch in hand)"
                )

    def _copies_of_erased(self, wanted: set[str], spec: TableSpec) -> set[str]:
        """The subset of the ids that was erased: of sales (vente_id), or of operations (operation_id)."""
        if not wanted or not self._has(EFFACES):
            return set()
        salt = self._lake.snapshot(EFFACES.name).handle.metadata().configuration.get(SALT, "")
        sql = f"SELECT empreinte FROM {EFFACES.name} WHERE empreinte IS NOT NULL AND table_effacee = '{spec.name}'"
        known = {row[0] for row in self._lake.read(Query(sql, (EFFACES.name,))).rows}
        return {one for one in wanted if erasure.fingerprint(salt, one) in known}

    # --- unaccounted offsets -----------------------------------------------------------------------------------------

    def _without_signed(self, found: list[UnaccountedOffsets]) -> list[UnaccountedOffsets]:
        """The unaccounted offsets that no signed record explains. If those of a record are no longer exactly the same, all
        of that partition are checked again."""
        fresh: list[UnaccountedOffsets] = []
        for p in self._result.ranges:
            mine = [gap for gap in found if gap.partition == p]
            signed = self._proven.get(str(p))
            if signed is None:
                fresh += mine
                continue
            within, outside = split(mine, {p: [(signed["first"], signed["until"])]})
            if digest(within) != signed["digest"]:
                self._changed[p] = (signed["first"], signed["until"])
                self._signed_versions = {}  # check every commit that the log still has
                fresh += mine
                continue
            if not signed["asked"]:
                fresh += mine
                continue
            fresh += outside
            for day, counts in signed["days"].items():
                for count, n in counts.items():
                    self._result.balance.add(p, date.fromisoformat(day), count, n)
                    self._prove("signed off before", n)
        return fresh

    def _prove(self, how: str, n: int) -> None:
        self._result.proofs[how] = self._result.proofs.get(how, 0) + n

    def _read_again(self, fresh: list[UnaccountedOffsets], held: _Held, progress: Callable[..., Any]) -> None:
        """Read the unaccounted offsets again, as far as Kafka still holds them."""
        result, unread, why = self._result, fresh, "Kafka was not asked (--without-kafka)"
        if isinstance(held, str):
            result.notes.append(f"Kafka was not asked: {held}")
            why = "Kafka was not asked: see the notes"
        elif held is not None:
            self._kafka_answered, why = True, "Kafka no longer holds them"
        if fresh and isinstance(held, Mapping):
            with progress("reading messages again", sum(gap.size for gap in fresh)) as advance:
                within, unread = split(fresh, {p: [span] for p, span in held.items()})
                messages = list(kafka_reread.validated(self._config, within, advance))
                empty = list(without(within, ((partition, offset) for partition, offset, *_ in messages)))
                aborted = kafka_reread.aborted(self._config, empty)
            after = kafka_reread.held(self._config, self._position.topic_id)
            if not isinstance(after, str):  # what retention took while we read was perhaps not read
                within, gone = split(within, {p: [span] for p, span in after.items()})
                unread = unread + gone
                messages = [m for m in messages if m[0] in after and m[1] >= after[m[0]][0]]
                aborted = [m for m in aborted if m.partition in after and m.offset >= after[m.partition][0]]
            self._explain(within, messages, aborted)
        result.balance.add_offsets(unread, "unread")
        _, unnamed = split(unread, self._untied)
        result.add(unread_offsets.findings(unnamed, self._position.topic_id, self._evidence, why, self._changed))
        if unread:
            self._prove("not proven: Kafka was not asked, or no longer holds them", sum(gap.size for gap in unread))

    def _compare_rejects(self, held: _Held, progress: Callable[..., Any]) -> None:
        """The rejects that no signed record has compared with Kafka yet. Their messages stay as they are there: so of each that
        was compared, the table's own commits tell whether it was changed later."""
        if not isinstance(held, Mapping):
            return
        spans = {}
        for p, (first, end) in self._result.ranges.items():
            begin, stable = held.get(p, (end, end))
            spans[p] = (max(first, begin, self._rejects_until(p)), min(end, stable))
        with progress("comparing rejects with Kafka") as advance:
            where = f"{self._inside()} AND topic = '{self._position.topic}'"
            compared, found = stored_rejects.compare(self._config, self._lake, where, spans, advance)
        self._result.differences += found
        if compared:
            self._prove("read again in Kafka: the message of a reject", compared)

    def _rejects_until(self, partition: int) -> int:
        return int(self._proven.get(str(partition), {}).get("rejects_until", 0))

    def _explain(
        self,
        within: list[UnaccountedOffsets],
        messages: list[tuple[int, int, date, kafka_reread.Valid | None, str]],
        aborted: list[kafka_reread.TopicMessage],
    ) -> None:
        result = self._result
        wanted = {valid for _, _, _, valid, _ in messages if valid}
        known: set[kafka_reread.Valid] = set()
        erased: set[kafka_reread.Valid] = set()
        for spec in (VENTES, OPERATIONS):
            mine = {valid for valid in wanted if valid.column in spec.keys}
            there = batch_counts.existing(self._lake, {valid.id for valid in mine}, spec)
            gone = self._copies_of_erased({valid.id for valid in mine} - there, spec)
            known |= {valid for valid in mine if valid.id in there}
            erased |= {valid for valid in mine if valid.id in gone}
        about_erased = self._copies_of_erased({valid.vente_id for valid in wanted - known - erased}, VENTES)
        empty: dict[tuple[int, date], int] = {}
        for gap in within:
            empty[gap.partition, gap.day] = empty.get((gap.partition, gap.day), 0) + gap.size
        for partition, offset, day, valid, reason in messages:
            empty[partition, day] -= 1
            what = "operation" if valid and valid.column in OPERATIONS.keys else "sale"
            copy = f"read again in Kafka: a copy of {'an' if what == 'operation' else 'a'} {what} that"
            if valid in known:
                result.balance.add(partition, day, "duplicates", 1)
                self._prove(f"{copy} Bronze holds", 1)
            elif valid in erased:
                result.balance.add(partition, day, "duplicates", 1)
                self._prove(f"{copy} was erased", 1)
            elif valid and valid.vente_id in about_erased:
                result.balance.add(partition, day, "duplicates", 1)
                self._prove("read again in Kafka: an operation on a sale that was erased", 1)
            else:
                what = (
                    f"the {what} {valid.id} is not in Bronze"
                    if valid
                    else f"the bad message ({reason}) is not in {REJETS.name}"
                )
                result.differences.append(
                    f"{UnaccountedOffsets(partition, offset, offset, day)} was consumed, and {what}"
                )
        for message in aborted:
            empty[message.partition, message.gap.day] -= 1
            result.balance.add(message.partition, message.gap.day, "aborted", 1)
        self._name_aborted(aborted)
        for (partition, day), n in empty.items():
            if n:
                result.balance.add(partition, day, "markers", n)
                self._prove("Kafka holds no message there: a transaction's marker, or compaction", n)

    def _name_aborted(self, aborted: list[kafka_reread.TopicMessage]) -> None:
        if not aborted:
            return
        self._prove("read again in Kafka: a message of an aborted transaction", len(aborted))
        spans = joined(UnaccountedOffsets(m.partition, m.offset, m.offset, m.gap.day) for m in aborted)
        more = f" and {len(spans) - _NAMED} more ranges" if len(spans) > _NAMED else ""
        self._result.notes.append(
            f"messages of aborted transactions, which are in no table: {'; '.join(map(str, spans[:_NAMED]))}{more}"
        )

    # --- rows --------------------------------------------------------------------------------------------------------

    def _doubled_rows(self) -> None:
        sql = f"SELECT vente_id, COUNT(*) FROM {VENTES.name} GROUP BY vente_id HAVING COUNT(*) > 1 ORDER BY 1 LIMIT 100"
        for vente_id, n in self._lake.read(Query(sql, (VENTES.name,))).rows:
            self._result.differences.append(f"the sale {vente_id} stands {n} times in {VENTES.name}")
        for spec in unique_keys.OF_BRONZE:
            self._result.differences += unique_keys.doubled(self._lake, spec)

    def _sign(self, found: list[UnaccountedOffsets]) -> None:
        """Record what the next reconciliation can build on: nothing when something differs."""
        result = self._result
        if result.differences:
            result.proven = dict(self._proven)
            return
        lines = result.balance.by_day()
        for p, (first, end) in result.ranges.items():
            days = {
                str(line.day): {
                    name: n for name in ("duplicates", "markers", "aborted", "unread") if (n := getattr(line, name))
                }
                for line in lines
                if line.partition == p
            }
            mine = digest(gap for gap in found if gap.partition == p)
            result.proven[str(p)] = {
                "first": first,
                "until": end,
                "digest": mine,
                "asked": self._kafka_answered or not any("unread" in counts for counts in days.values()),
                "days": {d: c for d, c in days.items() if c},
                "rejects_until": end if self._kafka_answered else self._rejects_until(p),
            }
