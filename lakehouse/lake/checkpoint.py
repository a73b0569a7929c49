"""A streaming query's checkpoint, read through Hadoop's file system: it may lie wherever Spark can write one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from lakehouse import atomic_file
from lakehouse.config import paths
from lakehouse.jvm import spark_internals
from lakehouse.lake.checkpoint_files import OFFSETS, TOPIC_ID, Planned
from lakehouse.lake.checkpoint_folder import AdvancedFolder


class Checkpoint(AdvancedFolder):
    """A checkpoint folder. Spark's own files are only read, except for a plan of which nothing was written."""

    def __init__(self, spark: SparkSession, path: str) -> None:
        super().__init__(path)
        self._spark = spark
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

    def note_topic_id(self, topic_id: str) -> None:
        self.write_text(TOPIC_ID, topic_id)

    def write_text(self, name: str, text: str) -> None:
        """A file of ours, which Spark does not look at: whole or not at all, on the disk or in the store when this returns."""
        if not paths.is_uri(self.path):
            file = Path(self.path, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.with_name(f".{file.name}.crc").unlink(
                missing_ok=True
            )  # Hadoop's, of a file that an earlier release wrote
            atomic_file.write(file, text)
            return
        stream = self._fs.create(self._at(name), True)  # a store makes an object of it when it is closed
        try:
            stream.write(text.encode("utf-8"))
        finally:
            stream.close()

    def forget(self, name: str) -> None:
        """Delete a file of ours."""
        self._fs.delete(self._at(name), False)

    def uncommitted(self) -> Planned | None:
        """The last batch when it was planned and not committed."""
        last, committed = self.planned_ids()[-1:], self.committed_ids()[-1:]
        return None if last == committed or not last else self.planned(last[0])

    def drop_snapshots(self, version: int) -> None:
        """Remove the state's snapshots of a ``version`` that is about to be written with other keys than an attempt before
        wrote. Spark writes a version's changes anew, and its snapshot only when one is due."""
        pattern = self._at("state", "*", "*", f"{version}*.{{zip,snapshot}}")
        for status in self._fs.globStatus(pattern) or ():
            if re.fullmatch(rf"{version}(_[^.]*)?\.(zip|snapshot)", status.getPath().getName()):
                self._fs.delete(status.getPath(), False)

    def set_plan(self, batch_id: int, setting: str, text: str) -> None:
        """Change a setting of Spark's that a batch was planned with, and that Spark takes from there when it repeats it. Its
        offsets and its clock stay. Atomic, as Spark writes such a file itself."""
        lines = (self.text(f"{OFFSETS}/{batch_id}") or "").split("\n")
        facts = json.loads(lines[1])
        facts["conf"][setting] = text
        lines[1] = json.dumps(facts, separators=(",", ":"))
        files = spark_internals.checkpoint_files(self._spark, self.path)
        stream = files.createAtomic(self._at(OFFSETS, str(batch_id)), True)
        try:
            stream.write("\n".join(lines).encode("utf-8"))
        except BaseException:
            stream.cancel()
            raise
        stream.close()

    def drop_plan_behind_the_clock(self) -> bool:
        """Forget a last batch that was planned at a time not after the committed one's: the sink refused it before it
        wrote anything (``ClockWentBack``), and would refuse it again. The next start plans it anew."""
        last, committed = self.planned_ids()[-1:], self.committed()
        planned = self.planned(last[0]) if last else None
        if not planned or not committed or planned.batch_id <= committed.batch_id:
            return False
        if planned.clock_ms > committed.clock_ms:
            return False
        return bool(self._fs.delete(self._at(OFFSETS, str(planned.batch_id)), False))
