"""Rows of ``ventes_rejetees`` compared with the messages that they were made from, as far as Kafka still holds these. No JVM.

Messages that were isolated are left out: not all of such a one may be stored, and to read it again may cost its memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from lakehouse.config import Config
from lakehouse.contract.sale import ILLISIBLE
from lakehouse.contract.tables import REJETS
from lakehouse.lake.query import Query
from lakehouse.lake.reader import Lake
from lakehouse.operations.reconcile import kafka_reread
from lakehouse.operations.reconcile.offset_balance import UnaccountedOffsets

_HASHED = ("valeur", "cle")


def compare(
    config: Config, lake: Lake, where: str, spans: Mapping[int, tuple[int, int]], advance: Callable[[int], None]
) -> tuple[int, list[str]]:
    """(messages that were compared, differences) of the rejects in ``spans``: partition → first offset and the one after the
    last. ``where``: SQL that chooses rows of the topic as it is now. Raises ``BrokerUnavailable`` and ``SnapshotGone``."""
    stored = _stored(config, lake, where, spans)
    gaps = [gap for _, (gap, _) in sorted(stored.items())]
    compared, found = 0, []
    for message in kafka_reread.read(config, gaps, advance):
        gap, held = stored[message.partition, message.offset]
        compared += 1
        for name, mine, value in zip(_HASHED, held, (message.value, message.key), strict=True):
            if mine != _digest(value):
                found.append(f"{gap}: {REJETS.name} holds another {name} than the message in Kafka")
    return compared, found


def _stored(
    config: Config, lake: Lake, where: str, spans: Mapping[int, tuple[int, int]]
) -> dict[tuple[int, int], tuple[UnaccountedOffsets, tuple[bytes | None, bytes | None]]]:
    """Partition and offset → partition, offset and day, and the hashes of the value and the key."""
    inside = " OR ".join(
        f"(kafka_partition = {p} AND kafka_offset >= {first} AND kafka_offset < {end})"
        for p, (first, end) in spans.items()
    )
    sql = (
        f"SELECT kafka_partition, kafka_offset, kafka_timestamp, {', '.join(_HASHED)} FROM {REJETS.name} "
        f"WHERE {where} AND motif <> '{ILLISIBLE}' AND ({inside or 'false'})"
    )
    found = {}
    for p, offset, moment, value, key in lake.flow(Query(sql, (REJETS.name,))).rows:
        day = moment.astimezone(config.analytics.timezone).date()
        found[p, offset] = UnaccountedOffsets(p, offset, offset, day), (_digest(value), _digest(key))
    return found


def _digest(value: bytes | None) -> bytes | None:
    return None if value is None else hashlib.sha256(value).digest()
