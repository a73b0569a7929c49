"""What a streaming query's checkpoint says of it: which batches were planned, which were committed, up to where.

Read through Hadoop's file system, so that a checkpoint may lie wherever Spark can write one.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from lakehouse.errors import CheckpointInvalid
from lakehouse.jvm import spark_internals
from lakehouse.lake import checkpoint_validation


@dataclass(frozen=True)
class Planned:
    """One entry of the offset log: the batch's clock, in milliseconds since 1970, and where its reading ends
    (exclusive), source by source."""

    batch_id: int
    clock_ms: int
    ends: tuple[Any, ...]


class Checkpoint:
    """A checkpoint folder. Spark's own files are only read, except for a plan of which nothing was written."""

    def __init__(self, spark: SparkSession, path: str) -> None:
        self._jvm: Any = spark_internals.jvm(spark)
        self.path = path
        self._job = path.rstrip("/").rsplit("/", 1)[-1].split("-")[0]  # silver's folder ends with its generation
        root = self._jvm.org.apache.hadoop.fs.Path(path)
        self._fs = root.getFileSystem(spark_internals.hadoop_configuration(spark))

    def _at(self, *parts: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path("/".join((self.path, *parts)))

    def _ids(self, folder: str) -> list[int]:
        path = self._at(folder)
        if not self._fs.exists(path):
            return []
        names = [status.getPath().getName() for status in self._fs.listStatus(path)]
        return sorted(int(name) for name in names if re.fullmatch(r"\d+", name))

    def _text(self, *parts: str) -> str:
        stream = self._fs.open(self._at(*parts))
        try:
            return str(self._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
        finally:
            stream.close()

    def planned_ids(self) -> list[int]:
        return self._ids("offsets")

    def committed_ids(self) -> list[int]:
        return self._ids("commits")

    def is_new(self) -> bool:
        """True before the first batch was planned."""
        return not self.planned_ids()

    def ids(self, name: str) -> list[int]:
        return self._ids(name)

    def text(self, name: str) -> str | None:
        return self._text(name).lstrip("\0") if self._fs.exists(self._at(name)) else None

    def check(self, *, topic: str | None = None, table_id: str | None = None) -> None:
        """Raises ``CheckpointInvalid`` for one that the job cannot go on from: see ``soundness.fault``."""
        found = checkpoint_validation.fault(self, self._job, topic=topic, table_id=table_id)
        if found:
            raise self.refusal(found)

    def refusal(self, fault: str) -> CheckpointInvalid:
        """The error that refuses to go on from this checkpoint."""
        return checkpoint_validation.refusal(self.path, self._job, fault)

    def query_id(self) -> str | None:
        """The query's id, None for a checkpoint that was never used. It is part of what makes a repeat harmless."""
        text = self.text("metadata")
        if text is None:
            if self.planned_ids():
                raise self.refusal("it has batches but no metadata file")
            return None
        try:
            return str(json.loads(text)["id"])
        except (ValueError, KeyError, TypeError):
            raise self.refusal("its metadata file is damaged") from None

    def planned(self, batch_id: int) -> Planned | None:
        """The offset log's entry for one batch; None when it is not there (old ones are purged)."""
        if not self._fs.exists(self._at("offsets", str(batch_id))):
            return None
        lines = self._text("offsets", str(batch_id)).splitlines()
        try:
            clock = int(json.loads(lines[1])["batchTimestampMs"])
            ends = tuple(None if line == "-" else json.loads(line) for line in lines[2:])
            return Planned(batch_id, clock, ends)
        except (ValueError, KeyError, IndexError, TypeError):
            raise self.refusal(f"its file offsets/{batch_id} is cut off or damaged") from None

    def committed(self) -> Planned | None:
        """The last committed batch; None before the first."""
        committed = self.committed_ids()
        return self.planned(committed[-1]) if committed else None

    def first_offsets(self) -> Any:
        """topic → partition → offset at which the first batch began, as Spark's Kafka source has noted it."""
        text = self.text("sources/0/0")
        if text is None:
            raise self.refusal("it does not say where its first batch began (sources/0/0)")
        return json.loads(text.splitlines()[-1])

    def topic_id(self) -> str | None:
        """The id of the topic that this checkpoint's offsets belong to; None when it was not noted."""
        return (self._text("topic_id").strip() or None) if self._fs.exists(self._at("topic_id")) else None

    def note_topic_id(self, topic_id: str) -> None:
        stream = self._fs.create(self._at("topic_id"), True)
        try:
            stream.write(topic_id.encode("ascii"))
        finally:
            stream.close()

    def write(self, name: str, text: str) -> None:
        """A file of our own beside Spark's: whole or not at all, in the place of one that is there."""
        folder, _, last = name.rpartition("/")
        made, place = self._at(folder, f".{last}.tmp"), self._at(name)
        stream = self._fs.create(made, True)
        try:
            stream.write(text.encode())
        finally:
            stream.close()
        self._fs.delete(place, False)
        if not self._fs.rename(made, place):
            raise OSError(f"{self.path}/{name} cannot be written")

    def drop_plan_behind_the_clock(self) -> bool:
        """Forget a last batch that was planned at a time not after the committed one's: the sink refused it before it
        wrote anything (``ClockWentBack``), and with that time it always would. The next start plans it anew."""
        last, committed = self.planned_ids()[-1:], self.committed()
        planned = self.planned(last[0]) if last else None
        if not planned or not committed or planned.batch_id <= committed.batch_id:
            return False
        if planned.clock_ms > committed.clock_ms:
            return False
        return bool(self._fs.delete(self._at("offsets", str(planned.batch_id)), False))
