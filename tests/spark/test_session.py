"""What a started Spark is."""

from __future__ import annotations

import re
import sys
from pathlib import Path

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
