"""Consumed offsets that are in no table and that nobody can look at: Kafka dropped them, does not answer, or was not asked.

Copies of sales lie at such offsets, and so could sales that were lost: which it was cannot be told any more. So each is a
difference, until Kafka is asked while it holds them, or a person accepts them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lakehouse.operations.reconcile.audit_evidence import TYPE, Evidence, Finding
from lakehouse.operations.reconcile.offset_balance import UnaccountedOffsets, joined

UNREAD = "unread"
_NAMED = 10
"""Ranges of one partition that are named."""


def findings(
    unread: Sequence[UnaccountedOffsets],
    topic_id: str | None,
    evidence: Evidence,
    why: str,
    changed: Mapping[int, tuple[int, int]],
) -> list[Finding]:
    """One for each partition with unread offsets that no person accepted. ``changed``: by partition, the range in which the
    offsets that are in no table are no longer those of the last signed record."""
    return list(_findings(unread, topic_id, evidence, why, changed))


def _findings(
    unread: Sequence[UnaccountedOffsets],
    topic_id: str | None,
    evidence: Evidence,
    why: str,
    changed: Mapping[int, tuple[int, int]],
) -> Iterator[Finding]:
    for p in sorted({gap.partition for gap in unread}):
        mine = [gap for gap in unread if gap.partition == p]
        size = sum(gap.size for gap in mine)
        key = (UNREAD, topic_id, p, mine[0].first, mine[-1].last + 1, size)
        if _left(mine, topic_id, evidence):
            yield Finding(_changed(p, changed[p]) if p in changed else _text(p, mine, size, why), key)


def _left(mine: Sequence[UnaccountedOffsets], topic_id: str | None, evidence: Evidence) -> list[UnaccountedOffsets]:
    """The unread offsets that were not accepted: a person accepted a number of unread offsets between two, and no more than these."""
    left = list(mine)
    for kind, *rest in sorted(evidence.accepted, key=repr):
        if kind != UNREAD or rest[:2] != [topic_id, mine[0].partition]:
            continue
        first, end, size = rest[2:]
        if sum(gap.size for gap in left if first <= gap.first and gap.last < end) <= size:
            left = [gap for gap in left if not (first <= gap.first and gap.last < end)]
    return left


def _text(partition: int, mine: Sequence[UnaccountedOffsets], size: int, why: str) -> str:
    spans = joined(mine)
    named = ", ".join(f"{one.first} to {one.last}" if one.size > 1 else f"{one.first}" for one in spans[:_NAMED])
    more = f" and {len(spans) - _NAMED} more ranges" if len(spans) > _NAMED else ""
    return (
        f"partition {partition}: {size} consumed offsets are in no table, and whether sales lay there cannot be told, since "
        f"{why}: {named}{more}. Reconcile while Kafka answers and holds them; what it no longer holds a person can only "
        f"accept: {TYPE}"
    )


def _changed(partition: int, span: tuple[int, int]) -> str:
    return (
        f"partition {partition}: the offsets up to {span[1] - 1} that are in no table are not those of the last signed record, "
        f"and Kafka was not asked or no longer holds them"
    )
