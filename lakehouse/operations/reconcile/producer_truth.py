"""Compares the producer's truth file (``--truth``) with Bronze. No JVM. The rules: ``sent_vs_stored``."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta, tzinfo
from pathlib import Path
from typing import Any

from lakehouse.config.settings import Streaming
from lakehouse.contract.sale import FIELDS
from lakehouse.contract.tables import OPERATIONS, PERTES, REJETS, VENTES, TableSpec
from lakehouse.errors import LakehouseError, TableMissing
from lakehouse.lake.query import Query
from lakehouse.lake.reader import Lake
from lakehouse.operations.reconcile.sent_vs_stored import UTC, Difference, Row, Sent, compare


def read(paths: Iterable[Path]) -> list[Sent]:
    """The messages of one or more truth files. An incomplete last line, cut by SIGKILL, is ignored.

    Raises ``LakehouseError`` for any other line that cannot be read.
    """
    lines = [line for path in paths for line in _lines(path)]
    acknowledged_lines = {(line["run"], line["n"]): line for line in lines if line["etat"] == "acquitte"}
    return [_sent(line, acknowledged_lines.get((line["run"], line["n"]))) for line in lines if line["etat"] == "prevu"]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    if "\n" not in text:
        return
    for number, line in enumerate(text[: text.rindex("\n")].split("\n"), start=1):
        try:
            yield json.loads(line)
        except ValueError as error:
            raise LakehouseError(f"{path}:{number} is no line of a truth file: {error}.") from None


def _sent(line: Row, answer: Row | None) -> Sent:
    value = line.get("valeur_base64")
    return Sent(
        vente_id=line["vente_id"],
        motif=line["motif"],
        fields={} if line["motif"] else {name: line[name] for name in FIELDS},
        value=None if value is None else base64.b64decode(value),
        acknowledged=answer is not None,
        partition=answer["partition"] if answer else None,
        offset=answer["offset"] if answer else None,
        kind=line["kind"],
        operation=line.get("operation"),
    )


def held(spec: TableSpec, base: str) -> list[dict[str, Any]]:
    """All rows of one table, as Python values; none when the table does not exist.

    Not through pyarrow's dataset: its reading threads call back into Python for each file, and one that does so while
    the interpreter ends aborts the process.
    """
    try:
        found = Lake(base).read(Query(f"SELECT * FROM {spec.name}", (spec.name,)))
    except TableMissing:
        return []
    names = [column.name for column in found.columns]
    return [dict(zip(names, row, strict=True)) for row in found.rows]


def check(
    sent: Iterable[Sent], base: str, *, watermark_delay: timedelta = Streaming.watermark_delay, timezone: tzinfo = UTC
) -> list[Difference]:
    """Compare what was sent with the tables under ``base``."""
    lost = [(row["kafka_partition"], row["premier_offset"], row["dernier_offset"]) for row in held(PERTES, base)]
    return compare(
        list(sent),
        held(VENTES, base),
        held(REJETS, base),
        operations=held(OPERATIONS, base),
        lost=lost,
        watermark_delay=watermark_delay,
        timezone=timezone,
    )


def counts(sent: Iterable[Sent]) -> Counter[str]:
    """Messages by kind, and the keys ``messages``, ``acquittees``, ``ventes`` (different sales) and ``rejets``."""
    messages = list(sent)
    found = Counter(f"kind:{message.kind}" for message in messages)
    found["messages"] = len(messages)
    found["acquittees"] = sum(message.acknowledged for message in messages)
    found["ventes"] = len({message.vente_id for message in messages if message.motif is None and not message.operation})
    found["rejets"] = sum(message.motif is not None for message in messages)
    return found
