"""A log file of any name, as log4j itself reads it: the file and its full ones lie where they should, and nothing beside them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.jvm import jars, log4j_names, spark_internals
from lakehouse.kafka.broker import properties

NAMES = ["sp ace #h ?q é", "'x' \"y\" %z a+b;c&d$e", "{f}<g>*~`x:y=z 100%", "$${sys:user.home}${x} %d{yyyy}%i%%"]


def sparks(spark: SparkSession, file: Path) -> str:
    """Spark's own configuration, which reads the names from its environment; here from the JVM's properties."""
    system = spark_internals.jvm(spark).java.lang.System
    system.setProperty("tests.log", str(file))
    system.setProperty("tests.log_PATTERN", log4j_names.pattern(file))
    text = Path(jars.__file__).with_name("log4j2-spark.properties").read_text(encoding="utf-8")
    assert text.count("${env:LAKEHOUSE_SPARK_LOG") == 2
    return text.replace("${env:LAKEHOUSE_SPARK_LOG", "${sys:tests.log")


def kafkas(_: SparkSession, file: Path) -> str:
    return properties.log4j_properties(file)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("configuration", [sparks, kafkas])
def test_a_log_and_its_full_files_have_the_names_that_they_were_given(
    spark: SparkSession, tmp_path: Path, name: str, configuration: Callable[[SparkSession, Path], str]
) -> None:
    file = tmp_path / "logs" / name / f"{name}.log"
    chosen = tmp_path / "log4j2.properties"
    text = configuration(spark, file)
    assert text.count("10MB") == 1
    chosen.write_text(text.replace("10MB", "500"), encoding="utf-8")
    jvm = spark_internals.jvm(spark)
    context = jvm.org.apache.logging.log4j.core.LoggerContext(name, None, jvm.java.net.URI(chosen.as_uri()))
    context.start()
    try:
        for _ in range(30):
            context.getLogger("tests").warn("a line of some length, so that a few fill a file")
    finally:
        context.stop()
    written = {path.relative_to(tmp_path / "logs") for path in (tmp_path / "logs").rglob("*") if path.is_file()}
    assert written == {
        file.relative_to(tmp_path / "logs").with_name(f"{name}.log{end}") for end in ("", ".1", ".2", ".3")
    }
