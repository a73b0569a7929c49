"""Offsets in no table for a recorded reason: declared lost, erased, or removed by retention.

Each function: partition → ranges (first, and the offset after the last) of ``topic``, of records that are not older than
``since``, from which on the topic counts its offsets.
"""

from __future__ import annotations

from datetime import datetime

from lakehouse.contract.tables import EFFACES, PERTES, RETRAITS, TableSpec
from lakehouse.errors import TableMissing
from lakehouse.lake.query import Query
from lakehouse.lake.reader import Lake

Spans = dict[int, list[tuple[int, int]]]


def declared(lake: Lake, topic: str, since: datetime) -> Spans:
    """Gaps that an operator accepted as lost."""
    columns = "kafka_partition, premier_offset, dernier_offset, date_declaration"
    return _spans(lake, PERTES, columns, f"topic = '{topic}'", since)


def erased(lake: Lake, topic: str, since: datetime) -> Spans:
    """Rows deleted by an erasure."""
    columns = "kafka_partition, kafka_offset, kafka_offset, date_ingestion"
    return _spans(lake, EFFACES, columns, f"topic = '{topic}'", since)


def removed(lake: Lake, _topic: str, since: datetime) -> Spans:
    """Rows that retention removed from Bronze or from the rejects."""
    return _spans(lake, RETRAITS, "kafka_partition, premier_offset, dernier_offset, date_ingestion", "true", since)


def _spans(lake: Lake, spec: TableSpec, columns: str, where: str, since: datetime) -> Spans:
    names = ("p", "first", "last", "moment")
    picked = ", ".join(f"{column} AS {name}" for column, name in zip(columns.split(", "), names, strict=True))
    sql = f"SELECT DISTINCT {picked} FROM {spec.name} WHERE {where}"
    found: Spans = {}
    try:
        rows = lake.read(Query(sql, (spec.name,))).rows
    except TableMissing:
        return found
    for partition, first, last, moment in rows:
        if moment >= since:
            found.setdefault(partition, []).append((first, last + 1))
    return found
