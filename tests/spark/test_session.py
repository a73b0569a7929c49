"""What a started Spark is."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows what a process has mapped")
def test_a_session_starts_from_the_class_archive_that_set_up_made(spark: SparkSession) -> None:
    jvm = spark._jvm
    assert jvm is not None
    arguments = " ".join(jvm.java.lang.management.ManagementFactory.getRuntimeMXBean().getInputArguments())
    named = re.search(r"-XX:SharedArchiveFile=(\S+)", arguments)
    assert named, "no archive: make setup"
    pid = jvm.java.lang.ProcessHandle.current().pid()
    mapped = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    assert named[1] in mapped, f"Java did not accept {named[1]}"


def test_local_files_are_made_by_our_classes_with_the_umask(spark: SparkSession, tmp_path: Path) -> None:
    """Hadoop's own classes start a chmod for each file (decision 0033); both of its interfaces are asked."""
    jvm: Any = spark._jvm
    hadoop = spark._jsc.hadoopConfiguration()  # type: ignore[attr-defined]
    paths = [jvm.org.apache.hadoop.fs.Path(f"file://{tmp_path}/{name}") for name in ("one", "two", "three")]
    files = paths[0].getFileSystem(hadoop)
    context = jvm.org.apache.hadoop.fs.FileContext.getFileContext(paths[0].toUri(), hadoop)
    assert files.getClass().getName() == "ventes.LocalFiles"
    assert context.getDefaultFileSystem().getClass().getName() == "ventes.LocalFilesContext"

    files.create(paths[0]).close()
    flags = jvm.java.util.EnumSet.of(jvm.org.apache.hadoop.fs.CreateFlag.CREATE)
    context.create(
        paths[1], flags, spark.sparkContext._gateway.new_array(jvm.org.apache.hadoop.fs.Options.CreateOpts, 0)
    ).close()
    context.rename(
        paths[1], paths[2], spark.sparkContext._gateway.new_array(jvm.org.apache.hadoop.fs.Options.Rename, 0)
    )
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == ["one", "three"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}
