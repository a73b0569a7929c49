"""The only place that builds a SparkSession."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from py4j.protocol import Py4JError
from pyspark.errors import PySparkRuntimeError
from pyspark.sql import SparkSession

from lakehouse.config import Config
from lakehouse.errors import ConfigError, SetupError, SparkEnded
from lakehouse.jvm import class_archive, compiler, jars, java, launch, log4j_names, spark_internals
from lakehouse.lake import object_store, shared_storage
from lakehouse.observability import log, provenance
from lakehouse.status_line import waiting

STATE_STORES = {
    "memory": "org.apache.spark.sql.execution.streaming.state.HDFSBackedStateStoreProvider",
    "rocksdb": "ventes.RareEvictionStateStoreProvider",
}
"""What ``[STREAMING] state_store`` may say, as Spark's provider of stores; the second is Spark's own but for when it evicts
(``lakehouse/jvm/java_src``)."""
EVICTION_INTERVAL = "spark.sql.streaming.stateStore.ventes.evictionIntervalMs"
"""Milliseconds between two looks through all keys of the store, for those whose time is over."""
_TRIM_MILLISECONDS = 60_000
_FIXED = {
    "spark.sql.session.timeZone": "UTC",
    # the default, INT96, is read as nanoseconds elsewhere, where a time before 1678 becomes one of another century
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}
"""What no one may set otherwise."""
_HIDDEN = "(?i)secret|password|passwd|token|access[.]?key|jaas|url"
_WAIT = "waiting for Spark to start: 5 to 15 s, on a busy machine a minute"
_LOG4J = Path(jars.__file__).with_name("log4j2-spark.properties")


def shared_settings(config: Config, job: str) -> dict[str, str]:
    """Settings of every session, whoever starts the JVM."""
    spark, delta = config.spark, config.delta
    return {
        "spark.app.name": f"{spark.app_name}-{job}",
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        # every commit says where it came from; a batch's own commits say more (delta_io)
        "spark.databricks.delta.commitInfo.userMetadata": provenance.commit_metadata(f"{job} job"),
        # Kafka's login is an option of the source, and the options of a plan are shown
        "spark.redaction.regex": _HIDDEN,
        "spark.sql.redaction.options.regex": _HIDDEN,
        # the files that Spark writes are no more readable to others than ours
        "spark.hadoop.fs.permissions.umask-mode": "027",
        "spark.sql.warehouse.dir": f"{delta.base_path}/spark-warehouse",
        **_FIXED,
        "spark.sql.shuffle.partitions": str(spark.shuffle_partitions),
        "spark.ui.enabled": str(spark.ui).lower(),
        "spark.ui.port": str(spark.ui_port),
        "spark.ui.showConsoleProgress": "false",
        # one task rebuilds a table's state: the default of 50 made a micro-batch of 1 s take 4.5 s on 2 cores
        "spark.databricks.delta.snapshotPartitions": str(delta.snapshot_partitions),
        # an older version of the operations is read however long no commit followed it; which files are kept for that is decided by
        # ``maintenance.version_retention``
        "spark.databricks.delta.vacuum.enforceTimeTravelWithinDeletedFileRetentionDuration": "false",
        "spark.databricks.delta.autoCompact.minNumFiles": str(delta.auto_compact_min_files),
        # a small table's files stand in each version's checksum: without a merge's own 60 among them, the commit that follows
        # it listed them in a job of its own, 1.2 s
        "spark.databricks.delta.allFilesInCrc.thresholdNumFiles": str(
            max(50, min(2 * delta.auto_compact_min_files, 200))
        ),
        # adaptive execution submits every shuffle as a job of its own: a Silver batch took 129 jobs with it, 65 without
        "spark.sql.adaptive.enabled": "false",
        # Silver has some 350 generated classes, Bronze 60: with the default of 100, a pass compiled all of them anew each time.
        # A few more come with each batch, which nobody asks for again.
        "spark.sql.codegen.cache.maxEntries": "1000",
        # what Spark remembers for its web interface, also without one: 1,000 queries with their plans were 60 MB, and of 100, with
        # a number for each metric and task, Silver's were 80 MB after thirteen passes
        "spark.sql.ui.retainedExecutions": "100" if spark.ui else "5",
        # the text of each plan, which is made for that interface alone: a seventeenth of the thread that plans a micro-batch
        "spark.sql.ui.explainMode": "formatted" if spark.ui else "simple",
        "spark.ui.retainedJobs": "200",
        "spark.ui.retainedStages": "200",
        "spark.ui.retainedTasks": "5000",
        # Java gives memory back when it collects all of it, which Spark asks for every 30 minutes by default
        "spark.cleaner.periodicGC.interval": "5min",
        # a batch is cached for a second: what compressing its columns costs is never earned back
        "spark.sql.inMemoryColumnarStorage.compressed": "false",
        "spark.sql.maxConcurrentOutputFileWriters": str(config.performance.open_writers),
        # a bad message may be as large as the topic allows: bound what is sent to a Python worker at once
        "spark.sql.execution.arrow.maxBytesPerBatch": "16m",
        "spark.sql.streaming.stopTimeout": "60s",
        "spark.sql.streaming.stateStore.providerClass": STATE_STORES[config.streaming.state_store],
        # a watermark of minutes need not be looked after twice a second: at 1,000 sales/s the look is a third of a batch
        EVICTION_INTERVAL: "60000",
        # each batch saves what changed, not the whole of it
        "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "true",
        # a lone micro-batch would be followed by an empty one that only evicts state: the next one does that too
        "spark.sql.streaming.noDataMicroBatches.enabled": "false",
        **object_store.spark_settings(config),
    }


def own_settings(config: Config) -> dict[str, str]:
    """Settings for plain ``python`` only; under spark-submit its options (master, JARs, memory) win."""
    spark = config.spark
    settings = {
        "spark.master": spark.master,
        "spark.driver.memory": spark.driver_memory,
        # a small heap that gives memory back (decision 0026): two Spark drivers and a broker share one laptop. Loading Spark's
        # classes is no reason to collect it.
        "spark.driver.extraJavaOptions": (
            f"-Dlog4j2.configurationFile={_LOG4J.as_uri()} "
            f"-XX:+UseSerialGC -Xms256m -XX:MinHeapFreeRatio=20 -XX:MaxHeapFreeRatio=40 "
            f"-XX:-ShrinkHeapInSteps -XX:MetaspaceSize=256m {spark.java_options}"
        ).strip(),
    }
    if launch.is_local(spark.master):
        # nothing of a local run listens beyond this machine, nor minds when its network changes
        settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    if launch.is_local(spark.master) and config.development.jars == "lock":
        # Java's own chmod and readlink; elsewhere the class may come too late for the first file
        settings |= {
            "spark.hadoop.fs.file.impl": "ventes.LocalFiles",
            "spark.hadoop.fs.AbstractFileSystem.file.impl": "ventes.LocalFilesContext",
            # a log of thousands of versions, listed several times a batch (decision 0028)
            "spark.delta.logStore.file.impl": "ventes.LocalLogStore",
        }
    return settings


def jar_files(config: Config) -> list[Path]:
    """Every JAR that a job needs on top of Spark's own, fetched or made when it is missing."""
    always = [*jars.resolve(config, "spark"), compiler.jar(config, compiler.CORE)]
    if not object_store.is_s3(config):
        return always
    return [*always, *jars.resolve(config, "s3"), compiler.jar(config, compiler.LOG_STORE)]


def jar_settings(config: Config) -> dict[str, str]:
    """The pinned JARs: sent to the executors of a cluster; on the class path of a local driver, where nothing has to
    be copied and Java's class archive holds."""
    files = [str(path) for path in jar_files(config)]
    if not launch.is_local(config.spark.master):
        return {"spark.jars": ",".join(files)}
    return {
        "spark.driver.extraClassPath": os.pathsep.join(files),
        # added by Spark to extraJavaOptions, of which a user may have own ones
        "spark.driver.defaultJavaOptions": class_archive.options(config),
    }


def extra_settings(config: Config) -> dict[str, str]:
    """``[SPARK] conf``, which wins over all of ours. Raises ``ConfigError`` for what has to be as it is."""
    lines = filter(None, map(str.strip, config.spark.conf.splitlines()))
    found = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
    for key, needed in _FIXED.items():
        if found.get(key, needed) != needed:
            raise ConfigError(
                f"[SPARK] conf: {key} = {found[key]} is not accepted: times would be stored or read as others. Expected {needed} "
                f"(the default)."
            )
    return found


def check_log_store(settings: Mapping[str, str], config: Config) -> None:
    """Raises ``ConfigError`` for a log store on S3 with which two writers can be told the same version."""
    names = ("spark.delta.logStore.s3a.impl", "spark.delta.logStore.class")
    chosen = next((settings[name] for name in names if name in settings), None)
    if object_store.is_s3(config) and chosen not in (object_store.LOG_STORE, object_store.DYNAMO_LOG_STORE):
        raise ConfigError(
            f"[SPARK] conf: the log store {chosen} is not accepted for {config.delta.base_path}: two writers could lose a "
            f"commit. Expected {object_store.LOG_STORE} (the default) or {object_store.DYNAMO_LOG_STORE}."
        )


def log_file(config: Config, name: str) -> Path:
    """Where Spark's own lines of the process ``name`` go."""
    return log.folder(config) / f"spark-{name}.log"


@contextmanager
def _stderr_into(file: Path) -> Iterator[None]:
    """A child that starts within it keeps writing there: what Java itself says (its warning of an incubator module) is
    none of the terminal's business. Raises ``SetupError`` with its last lines when Java ends at once."""
    sys.stderr.flush()
    terminal, sink = os.dup(2), os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    os.dup2(sink, 2)
    os.close(sink)
    try:
        yield
    except PySparkRuntimeError as error:
        last = "\n".join(file.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
        raise SetupError(f"Spark did not start: {error}. Java's last lines ({file}):\n{last}") from error
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)


def _check_zone(session: SparkSession, config: Config) -> None:
    """Raises ``ConfigError`` for a business zone that this Java does not know: its list may be older than Python's."""
    zone = config.analytics.timezone.key
    if not spark_internals.jvm(session).java.time.ZoneId.getAvailableZoneIds().contains(zone):
        raise ConfigError(
            f"[ANALYTICS] timezone = {zone!r} is not accepted: this Java does not know the zone. Set another name of it, or "
            f"install a newer Java."
        )


def build(config: Config, job: str, *, name: str | None = None) -> SparkSession:
    """Start Spark for ``job``, in the process that is known as ``name`` (the job's). Raises ``SetupError`` when there is no Java or a JAR is missing."""
    settings = shared_settings(config, job)
    terminal: AbstractContextManager[None] = nullcontext()
    if not launch.under_submit():
        os.environ.update(java.environment(config) | object_store.java_environment(config))
        file = log_file(config, name or job)
        file.parent.mkdir(parents=True, exist_ok=True)
        # read by log4j2-spark.properties
        os.environ["LAKEHOUSE_SPARK_LOG"] = str(file)
        os.environ["LAKEHOUSE_SPARK_LOG_PATTERN"] = log4j_names.pattern(file)
        terminal = _stderr_into(file.with_name(f"{file.stem}-console.log"))
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        settings |= own_settings(config)
        if config.development.jars == "lock":
            settings |= jar_settings(config)
    settings |= extra_settings(config)
    check_log_store(settings, config)
    builder = SparkSession.builder
    for key, value in settings.items():
        builder = builder.config(key, value)
    with terminal:
        session = builder.getOrCreate()
    if config.spark.log_level != "WARN" or launch.under_submit():  # our log4j2 file begins with WARN
        session.sparkContext.setLogLevel(config.spark.log_level)
    # What a batch raises is reported by the job itself; a stop at a batch boundary is such an exception too.
    logging.getLogger("py4j").setLevel(logging.CRITICAL)
    try:
        compiler.ensure(session, config)
        _check_zone(session, config)
        shared_storage.check_folder(session, config.delta.base_path)
        if not launch.under_submit():
            compiler.new(session, "NativeMemory").trimEvery(_TRIM_MILLISECONDS)
    except BaseException:
        session.stop()
        raise
    return session


def _answers(session: SparkSession) -> bool:
    """Whether the JVM of ``session`` is still there."""
    try:
        spark_internals.jvm(session).java.lang.System.nanoTime()
    except (Py4JError, OSError, AssertionError):
        return False
    return True


@contextmanager
def _announced(config: Config) -> Iterator[None]:
    """Say on stderr that Spark is waited for. ``build`` points the process's stderr elsewhere meanwhile. No line among JSON's."""
    if config.monitoring.log_format == "json":
        yield
        return
    with os.fdopen(os.dup(2), "w", encoding="utf-8") as terminal, waiting(_WAIT, stream=terminal):
        yield


@contextmanager
def opened(config: Config, job: str, *, name: str | None = None) -> Iterator[SparkSession]:
    """The session of ``build``, stopped at the block's end. Raises ``SparkEnded`` in place of whatever a JVM that died in
    the block's middle made of the call that was waiting for it."""
    with _announced(config):
        session = build(config, job, name=name)
    try:
        yield session
    except Exception as error:
        if _answers(session):
            raise
        file = log_file(config, name or job)
        raise SparkEnded(
            f"Spark's Java process has ended: it was killed, or memory was short. Its last lines: {file} and "
            f"{file.stem}-console.log beside it. Nothing is lost: start the job again, and raise [SPARK] driver_memory when "
            f"they say OutOfMemoryError."
        ) from error
    finally:
        if _answers(session):
            session.stop()
