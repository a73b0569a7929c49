"""The private names of pyspark that the project uses, each behind a function. docs/UPGRADING.md lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from subprocess import Popen

    from pyspark.sql import DataFrame, SparkSession


def jvm(session: SparkSession) -> Any:
    """The session's JVM as py4j exposes it: its packages are attributes."""
    assert session._jvm is not None
    return session._jvm


def java_session(session: SparkSession) -> Any:
    """The Java ``SparkSession``."""
    return session._jsparkSession


def java_frame(rows: DataFrame) -> Any:
    """The Java ``Dataset``."""
    return rows._jdf


def hadoop_configuration(session: SparkSession) -> Any:
    """Hadoop's configuration of the session's context."""
    return session._jsc.hadoopConfiguration()


def checkpoint_files(session: SparkSession, path: str) -> Any:
    """Spark's own way to write the files of the checkpoint at ``path``."""
    java = jvm(session)
    manager = getattr(java.org.apache.spark.sql.execution.streaming.checkpointing, "CheckpointFileManager$")
    made = getattr(manager, "MODULE$")
    return made.create(java.org.apache.hadoop.fs.Path(path), hadoop_configuration(session))


def java_process() -> Popen[bytes]:
    """The process of the JVM that this process started."""
    from pyspark import SparkContext

    assert SparkContext._gateway is not None
    process: Popen[bytes] = SparkContext._gateway.proc
    return process
