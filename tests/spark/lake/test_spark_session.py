"""What a started Spark is."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from py4j.protocol import Py4JJavaError
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
    """Hadoop's own classes start a chmod for each file (decision 0021); both of its interfaces are asked."""
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


def test_a_local_log_is_listed_as_by_deltas_own_store(spark: SparkSession, tmp_path: Path) -> None:
    """Without asking for what is older (decision 0028): the same files, sizes and order, and the same error."""
    jvm: Any = spark._jvm
    hadoop = spark._jsc.hadoopConfiguration()  # type: ignore[attr-defined]
    log = tmp_path / "_delta_log"
    log.mkdir()
    for version in range(12):
        (log / f"{version:020}.json").write_text("{}" * version)
        (log / f"{version:020}.crc").write_text("{}")
        (log / f".{version:020}.json.crc").write_text("crc")
    (log / f"{9:020}.checkpoint.parquet").write_text("PAR1")
    (log / "_last_checkpoint").write_text("{}")
    (log / "_staged_commits").mkdir()
    ours = jvm.ventes.LocalLogStore(hadoop)
    deltas = jvm.io.delta.storage.HDFSLogStore(hadoop)

    def listed(store: Any, first: str, folder: Path = log) -> list[tuple[str, int, int, bool]]:
        found, each = [], store.listFrom(jvm.org.apache.hadoop.fs.Path(f"file://{folder}/{first}"), hadoop)
        while each.hasNext():
            one = each.next()
            found.append((one.getPath().toString(), one.getLen(), one.getModificationTime(), one.isDirectory()))
        return found

    for first in (f"{9:020}.", f"{0:020}.", f"{11:020}.json", f"{12:020}.", "_"):
        assert listed(ours, first) == listed(deltas, first)
    assert [Path(name).name for name, *_ in listed(ours, f"{11:020}.")] == [
        f"{11:020}.crc", f"{11:020}.json", "_last_checkpoint", "_staged_commits",
    ]  # fmt: skip
    for store in (ours, deltas):
        with pytest.raises(Py4JJavaError, match="FileNotFoundException"):
            listed(store, f"{0:020}.", tmp_path / "nowhere")

    table = tmp_path / "table"
    spark.range(1).write.format("delta").save(str(table))
    used = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(spark._jsparkSession, str(table)).store()
    place = jvm.org.apache.hadoop.fs.Path(f"file://{table}/_delta_log")
    assert used.getDelegate(place).logStoreImpl().getClass().getName() == "ventes.LocalLogStore"
