"""The files of a streaming query's checkpoint, text in, values out: what Spark and its sources wrote.

=====================  ==============================================================================================
``metadata``           the query's id, as JSON
``offsets/<batch>``    the offset log: ``v1``, a line of metadata with the batch's clock, a line for each source
``commits/<batch>``    the commit log: ``v1``, a line of metadata with the next watermark
``sources/0/0``        the Kafka source's first offsets: a byte 0, ``v1``, the offsets
``state/0/_metadata``  the stateful operator: ``v1``, its description
=====================  ==============================================================================================

A line of a source is JSON of the source's own: ``{topic: {partition: next offset}}`` for Kafka, a ``DeltaOffset`` for a
table, ``-`` for none. Spark writes each file whole or not at all: a part of one is damage, and raises ``DamagedFile``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OFFSETS, COMMITS, METADATA = "offsets", "commits", "metadata"
FIRST_OFFSETS = "sources/0/0"
STATE, STATE_OPERATOR = "state/0", "state/0/_metadata/metadata"
TOPIC_ID = "topic_id"
"""Written by the Bronze job, not by Spark: the id of the topic that the offsets belong to."""
SETTINGS = "settings"
"""A folder of the Bronze job's: ``settings/<batch>`` has the settings from that batch on (``bronze.noted_settings``)."""
ROWS_DROPPED = "rows_dropped"
"""Written by the Bronze job when the watermark has dropped rows: the batch is committed without them."""


class DamagedFile(ValueError):
    """A file of a checkpoint that is empty, cut off or not of its format. ``str()`` completes "The checkpoint … cannot be
    used: …"."""

    def __init__(self, name: str, fault: str | None = None) -> None:
        """``name``: the file's path below the checkpoint."""
        super().__init__(fault or f"its file {name} is cut off or damaged")
        self.name = name


@dataclass(frozen=True)
class DeltaOffset:
    """Where the reading of a Delta table ends: before version ``version``, or, with an ``index``, after the file action of
    that number in it.

    The last file of a version is noted as the start of the next one, so that an index means more files of this version.
    """

    table_id: str | None
    version: int
    index: int | None = None

    @property
    def whole_version(self) -> int:
        """The last version that was read whole."""
        return self.version - 1

    @property
    def is_inside_version(self) -> bool:
        """Whether files of ``version`` were read, and not all of them: no version of the table equals what was read."""
        return self.index is not None


@dataclass(frozen=True)
class Planned:
    """One entry of the offset log: the batch's clock, in milliseconds since 1970, and where its reading ends
    (exclusive), source by source, as the source wrote it (None: nothing yet)."""

    batch_id: int
    clock_ms: int
    ends: tuple[Any, ...]

    def kafka_ends(self, topic: str) -> dict[int, int]:
        """By partition, the offset after the last one of the batch; empty when another topic was read."""
        return partitions(self.ends[0], topic, f"{OFFSETS}/{self.batch_id}")

    def delta_end(self) -> DeltaOffset:
        """Where the batch ends in the table that the query reads."""
        return delta_offset(self.ends[0], f"{OFFSETS}/{self.batch_id}")


def planned(batch_id: int, text: str) -> Planned:
    """The offset log's entry for a batch."""
    name = f"{OFFSETS}/{batch_id}"
    head, *sources = _body(name, text)
    clock = _object(name, head).get("batchTimestampMs")
    if type(clock) is not int or clock <= 0 or not sources:
        raise DamagedFile(name)
    return Planned(batch_id, clock, tuple(None if line == "-" else _object(name, line) for line in sources))


def next_watermark_ms(batch_id: int, text: str) -> int:
    """The commit log's entry for a batch: the watermark of the next one, in milliseconds since 1970; 0 for none yet."""
    name = f"{COMMITS}/{batch_id}"
    found = _object(name, _body(name, text)[0]).get("nextBatchWatermarkMs", 0)
    if type(found) is not int:
        raise DamagedFile(name)
    return found


def query_id(text: str) -> str:
    """The query's id: part of what makes a repeated batch harmless."""
    fault = "its metadata file is damaged"
    found = _object(METADATA, text, fault).get("id")
    if not found or not isinstance(found, str):
        raise DamagedFile(METADATA, fault)
    return found


def first_offsets(text: str) -> dict[str, dict[int, int]]:
    """topic → partition → offset at which the first batch began, as Spark's Kafka source noted it."""
    found = _object(FIRST_OFFSETS, _body(FIRST_OFFSETS, text)[0])
    return {topic: partitions(found, topic, FIRST_OFFSETS) for topic in found}


def state_operator(text: str) -> str:
    """The name of the query's stateful operator."""
    info = _object(STATE_OPERATOR, _body(STATE_OPERATOR, text)[0]).get("operatorInfo")
    if not isinstance(info, Mapping) or not isinstance(name := info.get("operatorName"), str):
        raise DamagedFile(STATE_OPERATOR)
    return name


def partitions(source: Mapping[str, Any] | None, topic: str, name: str) -> dict[int, int]:
    """Partition → offset of one topic, by partition, from what Spark's Kafka source wrote into the file ``name``."""
    found = (source or {}).get(topic, {})
    if not isinstance(found, Mapping) or not all(
        re.fullmatch(r"[0-9]{1,10}", partition) and type(offset) is int for partition, offset in found.items()
    ):
        raise DamagedFile(name)
    return dict(sorted((int(partition), offset) for partition, offset in found.items()))


def delta_offset(source: Mapping[str, Any] | None, name: str) -> DeltaOffset:
    """What Delta's source wrote into the file ``name``."""
    found = source or {}
    table, version, index = found.get("reservoirId"), found.get("reservoirVersion"), found.get("index", -1)
    if type(version) is not int or type(index) is not int or not isinstance(table, str | None):
        raise DamagedFile(name)
    # below 0: before the version's files (-1, and -100 in memory), or at a change of its schema (-20, -19)
    return DeltaOffset(table, version, index if index >= 0 else None)


def _body(name: str, text: str) -> list[str]:
    """The lines after the version, at least one. Not ``splitlines``: JSON may hold U+2028 and the like."""
    version, *lines = text.lstrip("\0").removesuffix("\n").split("\n")
    if not re.fullmatch(r"v[0-9]+\r?", version) or not lines:
        raise DamagedFile(name)
    return lines


def _object(name: str, text: str, fault: str | None = None) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise DamagedFile(name, fault) from None
    if not isinstance(found, dict):
        raise DamagedFile(name, fault)
    return found
