"""A streaming query's checkpoint, read through Hadoop's file system: it may lie wherever Spark can write one."""

from __future__ import annotations

import re
from typing import Any

from pyspark.sql import SparkSession

from lakehouse.jvm import spark_internals
from lakehouse.lake import checkpoint_validation
from lakehouse.lake.checkpoint_files import OFFSETS, TOPIC_ID
from lakehouse.lake.checkpoint_folder import CheckpointFolder


class Checkpoint(CheckpointFolder):
    """A checkpoint folder. Spark's own files are only read, except for a plan of which nothing was written."""

    def __init__(self, spark: SparkSession, path: str) -> None:
        super().__init__(path)
        self._jvm: Any = spark_internals.jvm(spark)
        root = self._jvm.org.apache.hadoop.fs.Path(path)
        self._fs = root.getFileSystem(spark_internals.hadoop_configuration(spark))

    def _at(self, *parts: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path("/".join((self.path, *parts)))

    def ids(self, name: str) -> list[int]:
        path = self._at(name)
        if not self._fs.exists(path):
            return []
        names = [status.getPath().getName() for status in self._fs.listStatus(path)]
        return sorted(int(name) for name in names if re.fullmatch(r"\d+", name))

    def text(self, name: str) -> str | None:
        if not self._fs.exists(self._at(name)):
            return None
        stream = self._fs.open(self._at(name))
        try:
            return str(self._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8")).lstrip("\0")
        finally:
            stream.close()

    def check(self, *, topic: str | None = None, table_id: str | None = None) -> None:
        """Raises ``CheckpointInvalid`` for one that the job cannot go on from: see ``checkpoint_validation.fault``."""
        found = checkpoint_validation.fault(self, self.job, topic=topic, table_id=table_id)
        if found:
            raise checkpoint_validation.refusal(self.path, self.job, found)

    def note_topic_id(self, topic_id: str) -> None:
        stream = self._fs.create(self._at(TOPIC_ID), True)
        try:
            stream.write(topic_id.encode("ascii"))
        finally:
            stream.close()

    def drop_plan_behind_the_clock(self) -> bool:
        """Forget a last batch that was planned at a time not after the committed one's: the sink refused it before it
        wrote anything (``ClockWentBack``), and with that time it always would. The next start plans it anew."""
        last, committed = self.planned_ids()[-1:], self.committed()
        planned = self.planned(last[0]) if last else None
        if not planned or not committed or planned.batch_id <= committed.batch_id:
            return False
        if planned.clock_ms > committed.clock_ms:
            return False
        return bool(self._fs.delete(self._at(OFFSETS, str(planned.batch_id)), False))
