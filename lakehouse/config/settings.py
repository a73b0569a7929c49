"""The table of settings: config.ini, the reference tables and the parser are derived from it.

Each section is a frozen dataclass; each field is one setting with its type, default, unit, bounds and help.
"""

from __future__ import annotations

import dataclasses
import functools
import typing
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from lakehouse.config.fields import DEFAULT_FILE, TYPE_NAMES, FilePath, Rate, Secret, SettingRow, format_value, setting


@dataclass(frozen=True)
class Kafka:
    """The brokers, the topic, and the embedded broker."""

    bootstrap_servers: str = setting("localhost:9092", "brokers, host:port, comma-separated")
    topic: str = setting("ventes_stream", "topic that carries the sales")
    create_topic: bool = setting(True, "create the topic when it is missing; without it, a missing topic is an error")
    partitions: int = setting(4, "partitions of a topic that is created here", low=1, high=10_000)
    replication_factor: int = setting(
        0,
        "copies of each partition of a topic that is created here; 0: what the brokers do by themselves (embedded: 1, or 3 with 3 brokers)",
        low=0,
        high=100,
    )
    retention: timedelta = setting(timedelta(days=7), "how long a topic created here keeps messages", low=1)
    max_message_bytes: int = setting(1_048_588, "largest message the topic accepts", unit="bytes", low=1024)
    brokers: int = setting(
        1,
        "embedded brokers that kafka starts; with one server named above, the others take the ports after its own",
        low=1,
        high=9,
    )
    controller_port: int = setting(
        0, "embedded broker: port of its (first) controller; 0 takes the one after the last broker's", high=65535, low=0
    )
    heap: str = setting("512m", "embedded broker: Java heap (-Xmx)")
    progress_group: str = setting(
        "",
        "consumer group that Bronze's committed offsets are mirrored into, for Kafka's own tools; never read back; empty: none",
    )
    request_timeout: timedelta = setting(timedelta(seconds=10), "how long a client waits for a broker's answer", low=1)
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = setting(
        "PLAINTEXT", "how clients talk to the brokers"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = setting(
        "SCRAM-SHA-512", "SASL mechanism, with a SASL security_protocol"
    )
    sasl_username: str = setting(
        "", "SASL user; empty: the script's own (admin, producer, bronze, operator, monitor), its password from tls_dir"
    )
    sasl_password: Secret = setting(Secret(""), "SASL password (secret: environment or sasl_password_file only)")
    sasl_password_file: FilePath = setting(FilePath(""), "file (mode 0600) that holds the SASL password")
    ssl_cafile: FilePath = setting(
        FilePath(""),
        "PEM file of the certificate authority, with SSL or SASL_SSL; empty: tls_dir's, when there is one, or the system's",
    )
    tls_dir: FilePath = setting(
        FilePath("data/tls"), "folder (mode 0700) of the certificates and passwords that setup_utils.py tls makes"
    )


@dataclass(frozen=True)
class Spark:
    """Where Spark runs, its memory and options."""

    master: str = setting(
        "local[*]", "local[*], spark://host:port, k8s://https://host:port or yarn; spark-submit --master wins over it"
    )
    app_name: str = setting("ventes", "prefix of the application names")
    driver_memory: str = setting("1g", "Java heap of the driver (plain python only; spark-submit has --driver-memory)")
    java_options: str = setting("", "more options of the driver's Java (plain python only), such as -Xss4m")
    shuffle_partitions: int = setting(2, "spark.sql.shuffle.partitions; fixed for the life of a checkpoint", low=1)
    ui: bool = setting(False, "serve Spark's web interface")
    ui_port: int = setting(4040, "port of Spark's web interface", low=1, high=65535)
    log_level: Literal["ERROR", "WARN", "INFO", "DEBUG"] = setting("WARN", "level of Spark's own log file")
    conf: str = setting("", "more Spark settings, one key=value a line; they win over the project's")


@dataclass(frozen=True)
class Delta:
    """Where the tables are, their retention and maintenance."""

    base_path: FilePath = setting(
        FilePath("data"), "root of all that a run writes: tables, checkpoints, broker data, logs; a path or a URI"
    )
    state_path: FilePath = setting(
        FilePath(""),
        "folder on this machine for broker data, logs, locks, run files and audit; empty: base_path, for a URI under cache_dir",
    )
    checkpoint_interval: int = setting(50, "commits between two checkpoints of a table's log", low=1)
    log_retention: timedelta = setting(timedelta(days=30), "how long a table's log entries are kept", low=1)
    deleted_file_retention: timedelta = setting(
        timedelta(days=7), "how long files that left a table stay on disk, for time travel", low=1
    )
    max_versions: int = setting(
        20_000, "versions of a table that stay readable at most, however young the others are; 0: no limit", low=0
    )
    maintenance_interval: timedelta = setting(
        timedelta(hours=1), "how often a running job maintains its own tables between two batches; 0 ms: never", low=0
    )
    retention_days_bronze: int = setting(
        0, "days after which sales leave ventes_stream, by event and by arrival; 0: never", unit="days", low=0
    )
    retention_days_rejects: int = setting(
        0, "days after which bad messages leave ventes_rejetees; 0: never", unit="days", low=0
    )
    retention_days_silver: int = setting(
        0, "days after which rows of Silver tables with a jour leave them; 0: never", unit="days", low=0
    )
    auto_compact: bool = setting(True, "merge small files inside the writer after a commit")
    auto_compact_min_files: int = setting(60, "small files in one partition that start a compaction", low=2)
    snapshot_partitions: int = setting(1, "tasks that rebuild a table's state", low=1)
    backup_path: FilePath = setting(
        FilePath("backups"), "where ops_utils.py backup keeps its backups, outside of base_path; a path or a URI"
    )
    lock_timeout: timedelta = setting(timedelta(0), "how long a job waits for another writer's lock", low=0)


@dataclass(frozen=True)
class S3:
    """The S3 server of a lake at ``s3a://``."""

    endpoint: str = setting("", "address of the S3 server, http(s)://host:port; empty: Amazon's for the region")
    region: str = setting("", "its region; must be set when base_path is s3a://")
    path_style: bool = setting(False, "name the bucket in the path, not in the host name: most servers of one's own")
    access_key: str = setting("", "access key; empty: the environment, a profile or the machine's role decide")
    secret_key: Secret = setting(Secret(""), "its secret (secret: environment or secret_key_file only)")
    secret_key_file: FilePath = setting(FilePath(""), "file (mode 0600) that holds the secret")


@dataclass(frozen=True)
class Streaming:
    """The Bronze and Silver jobs."""

    watermark_delay: timedelta = setting(timedelta(minutes=10), "how late a sale may be and still be on time", low=1)
    future_tolerance: timedelta = setting(
        timedelta(minutes=5), "how far a sale may lie after the broker's clock; at most watermark_delay", low=0
    )
    trigger_interval: timedelta = setting(timedelta(seconds=0.5), "between the starts of two micro-batches", low=0)
    max_offsets_per_trigger: int = setting(1_500_000, "messages in one micro-batch, at most", low=1)
    starting_offsets: Literal["earliest", "latest"] = setting("earliest", "where a new checkpoint starts to read")
    state_store: Literal["memory", "rocksdb"] = setting(
        "rocksdb",
        "where the executors keep the identities of recent sales: RocksDB on their disk, or their Java heap; fixed for the "
        "life of a checkpoint",
    )
    max_restarts: int = setting(
        20, "restarts of the query in a row after transient errors, before the job gives up", low=0
    )
    restart_delay: timedelta = setting(
        timedelta(seconds=2), "first pause before such a restart; doubles up to 30 s", low=0
    )
    champs_inconnus: Literal["ignorer", "garder"] = setting(
        "ignorer",
        "fields that the contract does not know: leave out, or keep as JSON in Bronze's column champs_inconnus",
    )


@dataclass(frozen=True)
class Producer:
    """The generated sales and their delivery."""

    rate: Rate = setting(Rate(0.5), "sales a second; max for no pause", low=0)
    clients: int = setting(200, "clients in the pool", low=1, high=1_000_000)
    duplicate_ratio: float = setting(0.0, "share of sales that are sent again", low=0, high=1)
    late_ratio: float = setting(0.0, "share of sales that are late by more than the watermark", low=0, high=1)
    malformed_ratio: float = setting(0.0, "share of messages that break the contract", low=0, high=1)
    return_ratio: float = setting(
        0.0, "share of messages that are returns of a part of a sale, or of all", low=0, high=1
    )
    cancel_ratio: float = setting(0.0, "share of messages that are cancellations of a sale", low=0, high=1)
    correction_ratio: float = setting(0.0, "share of messages that are corrections of a sale", low=0, high=1)
    linger: timedelta = setting(timedelta(milliseconds=5), "how long kafka-python waits to fill a batch", low=0)
    batch_size: int = setting(65_536, "largest batch of messages for one partition", unit="bytes", low=1)
    buffer_memory: int = setting(33_554_432, "messages that wait for the broker, at most", unit="bytes", low=1024)
    compression: Literal["none", "gzip", "lz4"] = setting("lz4", "compression of message batches")
    delivery_timeout: timedelta = setting(
        timedelta(minutes=2), "how long a message is retried before it counts as failed", low=1
    )

    @property
    def ratios(self) -> dict[str, float]:
        """Kind of message → its share, in the order in which the generator draws them; what is left are plain sales."""
        names = ("duplicate", "late", "malformed", "return", "cancel", "correction")
        return {name: getattr(self, f"{name}_ratio") for name in names}


@dataclass(frozen=True)
class Analytics:
    """Business rules: time zone and spending segments."""

    timezone: ZoneInfo = setting(ZoneInfo("UTC"), "business time zone: it decides a sale's jour and heure")
    seuil_premium: Decimal = setting(Decimal("500"), "total_depense from which a client's day is Premium", unit="EUR")
    seuil_standard: Decimal = setting(Decimal("100"), "total_depense from which it is Standard", unit="EUR")
    achats_fidele: int = setting(2, "nb_achats from which a client is loyal (est_client_fidele)", low=1)
    top_clients: int = setting(5, "clients in the report's top list", low=1)
    dernieres_ventes: int = setting(10, "latest sales in the report", low=1)
    silver_every: timedelta = setting(
        timedelta(seconds=60), "time between the starts of two Silver passes, with --every", low=1
    )
    engine: Literal["auto", "spark", "local"] = setting(
        "spark",
        "what merges Silver: Spark; or local, the job's own process without a JVM (local lakes only); auto: local where it can",
    )
    engine_memory: int = setting(
        1024, "engine = auto changes to Spark for a pass, build or comparison that would need more", unit="MiB", low=1
    )


@dataclass(frozen=True)
class Monitoring:
    """Logs, metrics, health and the dashboard."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = setting("INFO", "level of the project's log lines")
    log_format: Literal["text", "json"] = setting("text", "text for people, json for machines")
    progress_interval: timedelta = setting(timedelta(seconds=10), "pause between two progress lines of a job", low=0)
    min_free_disk: int = setting(2, "free disk that check asks for", unit="GiB", low=0)
    metrics: bool = setting(True, "each process serves /metrics, /livez, /readyz and /startupz on its port")
    metrics_host: str = setting("127.0.0.1", "address that they listen on; whoever reaches it can read them")
    producer_metrics_port: int = setting(
        9101, "port of the producer's metrics and health; 0 takes a free one", low=0, high=65535
    )
    bronze_metrics_port: int = setting(9102, "port of the Bronze job's; 0 takes a free one", low=0, high=65535)
    silver_metrics_port: int = setting(9103, "port of the Silver job's; 0 takes a free one", low=0, high=65535)
    kafka_metrics_port: int = setting(
        9104, "port of the embedded broker's keeper; 0 takes a free one", low=0, high=65535
    )
    dashboard_metrics_port: int = setting(
        9105, "port of the dashboard's metrics, not of its pages; 0 takes a free one", low=0, high=65535
    )
    sample_interval: timedelta = setting(
        timedelta(seconds=15), "pause between two looks at Kafka's offsets and the tables' logs", low=0.1
    )
    stuck_after: timedelta = setting(
        timedelta(minutes=2), "/livez fails when a process's own loop has stood still for so long", low=1
    )
    bronze_stale_after: timedelta = setting(
        timedelta(minutes=1), "/readyz of Bronze fails when no trigger has ended for so long", low=1
    )
    silver_stale_after: timedelta = setting(
        timedelta(minutes=5), "/readyz of Silver fails when a pass is overdue by so much", low=1
    )
    producer_stale_after: timedelta = setting(
        timedelta(seconds=15),
        "/readyz of the producer fails when messages wait and none was acknowledged for so long",
        low=1,
    )
    log_file_bytes: int = setting(10_485_760, "size at which a log file is rotated", unit="bytes", low=1000)
    log_file_count: int = setting(5, "rotated log files that are kept for each process", low=1, high=1000)
    dashboard_host: str = setting(
        "127.0.0.1", "address that the dashboard listens on; another one shows the figures to whoever reaches it"
    )
    web_user: str = setting("ventes", "user of the metrics and of the dashboard, with web_password")
    web_password: Secret = setting(
        Secret(""), "their password (secret: environment or web_password_file only); with it, each request needs it"
    )
    web_password_file: FilePath = setting(FilePath(""), "file (mode 0600) that holds web_password")
    web_certificate: FilePath = setting(
        FilePath(""),
        "PEM file (mode 0600) with the key and the certificates under which both are served by TLS, such as data/tls/web.pem",
    )
    dashboard_port: int = setting(8501, "port of the dashboard; 0 takes a free one and says which", low=0, high=65535)


@dataclass(frozen=True)
class Performance:
    """Tuning; the defaults are measured."""

    small_batch_rows: int = setting(50_000, "a batch up to this many rows is written as one file", unit="rows", low=0)
    open_writers: int = setting(32, "date partitions one task writes at once without sorting", low=0)
    max_partition_fetch_bytes: int = setting(8_388_608, "Bronze: fetch size for one partition", unit="bytes", low=1024)
    fetch_max_bytes: int = setting(67_108_864, "Bronze: fetch size for one request", unit="bytes", low=1024)
    fetch_max_wait: timedelta = setting(timedelta(milliseconds=50), "Bronze: longest wait for a fetch to fill", low=0)
    broadcast_rows: int = setting(
        50_000, "stale sales up to which exact deduplication broadcasts them", unit="rows", low=0
    )
    delta_append: Literal["internal", "documented"] = setting(
        "internal",
        "how a batch is appended once: internal, through Delta's own classes; documented, through its options txnAppId and "
        "txnVersion alone, for a Delta version that is not the pinned one; slower",
    )
    max_files_per_trigger: int = setting(1000, "Silver: Bronze files in one micro-batch, at most", unit="files", low=1)


@dataclass(frozen=True)
class Development:
    """Java, JARs and the cache folder."""

    cache_dir: FilePath = setting(FilePath(".cache"), "folder of the JARs, and of a Java that set-up fetched")
    java_home: FilePath = setting(FilePath(""), "Java to use; empty: JAVA_HOME, then PATH, then the usual folders")
    jars: Literal["lock", "provided"] = setting(
        "lock", "lock: the files of jars.lock; provided: the cluster or spark-submit --packages brings them"
    )
    restart_children: bool = setting(True, "make run: start a process again that died from a signal or a fault")


@dataclass(frozen=True)
class Config:
    """All settings, read-only. ``source`` is the ini file that was read, ``role`` the script's user at a locked-down Kafka."""

    kafka: Kafka = Kafka()
    spark: Spark = Spark()
    delta: Delta = Delta()
    s3: S3 = S3()
    streaming: Streaming = Streaming()
    producer: Producer = Producer()
    analytics: Analytics = Analytics()
    monitoring: Monitoring = Monitoring()
    performance: Performance = Performance()
    development: Development = Development()
    source: Path = DEFAULT_FILE
    role: str = "monitor"


@functools.cache
def sections() -> dict[str, type[Any]]:
    """Name of each section → its dataclass."""
    hints = typing.get_type_hints(Config)
    return {f.name.upper(): hints[f.name] for f in dataclasses.fields(Config) if f.name not in ("source", "role")}


@functools.cache
def settings() -> tuple[SettingRow, ...]:
    """Every setting, in the order of the table above. Cached: resolving the annotations takes 10 ms."""
    return tuple(_row(section, hints, item) for section, cls in sections().items()
                 for hints in (typing.get_type_hints(cls),) for item in dataclasses.fields(cls))  # fmt: skip


def _row(section: str, hints: dict[str, Any], item: dataclasses.Field[Any]) -> SettingRow:
    annotation, meta = hints[item.name], item.metadata
    name = TYPE_NAMES.get(annotation) or " | ".join(typing.get_args(annotation))
    return SettingRow(
        section, item.name, name, format_value(item.default), meta["unit"], meta["help"], annotation,
        meta["low"], meta["high"],
    )  # fmt: skip
