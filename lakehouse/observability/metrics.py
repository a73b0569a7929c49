"""Every metric of the project, declared once; docs/METRICS.md, the exposition and the tests follow from here.

Prometheus's rules: base units (seconds, bytes), counters end in ``_total``, few labels. A label never carries what a
message says: reasons are the contract's closed list, tables are those of ``tables``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lakehouse.contract import tables

Kind = Literal["counter", "gauge", "histogram"]

SMALL_FILE_BYTES = 16 * 1024 * 1024
"""A data file below this counts as small."""


@dataclass(frozen=True)
class Metric:
    """One metric family. ``group`` names the process that serves it, or ``every``; ``bounds`` are a histogram's."""

    group: str
    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


ALL: list[Metric] = []


def _declare(
    kind: Kind, group: str, name: str, help: str, labels: tuple[str, ...] = (), bounds: tuple[float, ...] = ()
) -> Metric:
    made = Metric(group, f"ventes_{name}", kind, help, labels, bounds)
    ALL.append(made)
    return made


def _counter(group: str, name: str, help: str, *labels: str) -> Metric:
    return _declare("counter", group, f"{name}_total", help, labels)


def _gauge(group: str, name: str, help: str, *labels: str) -> Metric:
    return _declare("gauge", group, name, help, labels)


def _histogram(group: str, name: str, help: str, bounds: tuple[float, ...], *labels: str) -> Metric:
    return _declare("histogram", group, name, help, labels, bounds)


# --- every process ---------------------------------------------------------------------------------------------------

BUILD = _gauge("every", "build_info", "1; the labels say which code runs.", "version", "code", "python")
STARTED = _gauge("every", "process_started_timestamp_seconds", "When this process started.")
READY = _gauge("every", "ready", "1 when /readyz says 200, else 0.")
DISK_FREE = _gauge("every", "disk_free_bytes", "Free space on the disk of base_path, or of state_path.")
DISK_SIZE = _gauge("every", "disk_size_bytes", "Size of the disk of base_path, or of state_path.")
CERTIFICATE_END = _gauge(
    "every",
    "certificate_expiry_timestamp_seconds",
    "When the certificate ends: web, authority or broker.",
    "certificate",
)
ERRORS = _counter("every", "errors", "Lines of level error or above in this process's log.")
SAMPLE_FAILURES = _counter(
    "every", "sample_failures", "Looks at Kafka or at a table's log that failed; the figures are then older.", "what"
)

# --- producer --------------------------------------------------------------------------------------------------------

ACK_BOUNDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0)
SENT = _counter("producer", "producer_messages_sent", "Messages handed to the Kafka client, by kind.", "kind")
ACKNOWLEDGED = _counter("producer", "producer_messages_acknowledged", "Messages that Kafka has acknowledged.")
FAILED = _counter("producer", "producer_messages_failed", "Messages that were given up without an acknowledgement.")
IN_FLIGHT = _gauge("producer", "producer_in_flight_messages", "Messages that wait for their acknowledgement.")
BUFFERED = _gauge("producer", "producer_buffer_bytes", "Memory that the waiting messages take.")
BUFFER_LIMIT = _gauge("producer", "producer_buffer_limit_bytes", "What they may take: [PRODUCER] buffer_memory.")
ACK_SECONDS = _histogram(
    "producer", "producer_ack_seconds", "From the hand-over of a message to its acknowledgement.", ACK_BOUNDS
)
LAST_ACK = _gauge("producer", "producer_last_ack_timestamp_seconds", "When the last acknowledgement came.")

# --- Kafka, as the embedded broker's keeper sees it ------------------------------------------------------------------

BROKER_UP = _gauge("kafka", "kafka_broker_up", "1 when the embedded broker answers its clients.")
BROKER_MEMORY = _gauge("kafka", "kafka_broker_resident_bytes", "Resident memory of the embedded broker.")
BROKER_DISK = _gauge("kafka", "kafka_log_bytes", "Size of the embedded broker's log folder.")
EARLIEST = _gauge("kafka", "kafka_earliest_offset", "First offset that Kafka still holds.", "partition")
LATEST = _gauge("kafka", "kafka_latest_offset", "Offset of the next message to come.", "partition")

# --- Kafka, as the Bronze job reads it -------------------------------------------------------------------------------

PROGRESS_GROUP_FAILURES = _counter(
    "bronze", "progress_group_failures", "Attempts to tell [KAFKA] progress_group of Bronze's progress that failed."
)
LAG_RECORDS = _gauge("bronze", "kafka_lag_records", "Messages that Kafka holds and Bronze has not read.", "partition")
LAG_SECONDS = _gauge("bronze", "kafka_lag_seconds", "Age of the oldest message that Bronze has not read.", "partition")
HEADROOM_RECORDS = _gauge(
    "bronze", "kafka_headroom_records", "Messages between Kafka's first offset and Bronze's next; below 0: lost.",
    "partition",
)  # fmt: skip
HEADROOM_SECONDS = _gauge(
    "bronze", "kafka_headroom_seconds", "Time until the topic's retention may delete the oldest unread message.",
    "partition",
)  # fmt: skip
OPEN_TRANSACTION = _gauge(
    "bronze", "kafka_open_transaction_seconds",
    "Age of the oldest transaction that is still open: what lies behind its first message waits. 0: none is open.", "partition",
)  # fmt: skip
KAFKA_SEEN = _gauge("bronze", "kafka_seen_timestamp_seconds", "When Kafka's offsets were last asked for and answered.")

# --- Bronze: the stream ----------------------------------------------------------------------------------------------

BATCH_BOUNDS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0)
INPUT_ROWS = _counter("bronze", "stream_input_rows", "Messages that finished batches have read from Kafka.")
INPUT_RATE = _gauge("bronze", "stream_input_rows_per_second", "Messages that arrived a second, before the last batch.")
PROCESSED_RATE = _gauge("bronze", "stream_processed_rows_per_second", "Messages that the last batch did a second.")
BATCHES = _counter("bronze", "stream_batches", "Batches that were committed.")
BATCH_ID = _gauge("bronze", "stream_batch_id", "Number of the last committed batch.")
BATCH_SECONDS = _histogram("bronze", "stream_batch_seconds", "Duration of a batch, all phases.", BATCH_BOUNDS)
LAST_BATCH_SECONDS = _gauge("bronze", "stream_last_batch_seconds", "Duration of the last batch.")
PHASE_SECONDS = _counter("bronze", "stream_phase_seconds", "Time that batches spent, by Spark's phases.", "phase")
LAST_PROGRESS = _gauge("bronze", "stream_last_progress_timestamp_seconds", "When the last batch was committed.")
LAST_TRIGGER = _gauge(
    "bronze", "stream_last_trigger_timestamp_seconds", "When a trigger last ended, with or without new messages."
)
WATERMARK = _gauge("bronze", "stream_watermark_timestamp_seconds", "The query's watermark.")
WATERMARK_LAG = _gauge("bronze", "stream_watermark_lag_seconds", "Batch time minus watermark, in the last batch.")
STATE_ROWS = _gauge("bronze", "stream_state_rows", "Keys that the deduplication remembers.")
STATE_BYTES = _gauge("bronze", "stream_state_bytes", "Memory of that state.")
WATERMARK_DROPPED = _counter(
    "bronze", "stream_watermark_dropped_rows", "Rows that the watermark dropped: sales that are lost. Stays 0."
)
RESTARTS = _counter("bronze", "stream_restarts", "Starts of the query after a transient error.")
REPLAYED = _counter("bronze", "stream_replayed_batches", "Batches that were planned before a start and run again.")

# --- Bronze: the messages --------------------------------------------------------------------------------------------

SALES = _counter("bronze", "bronze_sales", "Sales that were appended to ventes_stream.")
LATE = _counter(
    "bronze", "bronze_late_sales", "Sales read whose sender was late (est_tardif), those of an announced backfill too."
)
DUPLICATES = _counter(
    "bronze", "bronze_duplicate_rows",
    "Copies that were left out: by the stream's deduplication state (memory) or by comparison with Bronze (table).", "found_by",
)  # fmt: skip
OPERATIONS = _counter(
    "bronze", "bronze_operations", "Operations on sales (cancellations, returns, corrections) written."
)
REJECTED = _counter("bronze", "bronze_rejected_rows", "Messages that broke the contract, by reason.", "reason")
ISOLATED = _counter(
    "bronze",
    "bronze_isolated_messages",
    "Messages that a batch failed on, put into the reject table unprocessed. Stays 0.",
)
DRIFTED = _counter("bronze", "bronze_schema_drift_rows", "Sales with fields that the contract does not know.")

# --- truth -----------------------------------------------------------------------------------------------------------

LATENCY_BOUNDS = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
FRESHNESS = _gauge("bronze", "freshness_seconds", "Age of the newest sale in Bronze, by the broker's time.")
LATENCY = _histogram(
    "bronze", "end_to_end_seconds",
    "From the broker's time of a sale to the commit that makes it visible in Bronze.", LATENCY_BOUNDS,
)  # fmt: skip
DIFFERENCES = _gauge("bronze", "reconciliation_differences", "Differences that the last reconciliation found.")
RECONCILED = _gauge("bronze", "reconciliation_timestamp_seconds", "When the last reconciliation ended.")

# --- Delta tables, each served by the job that writes it -------------------------------------------------------------

COMMIT_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
TABLE_VERSION = _gauge("tables", "delta_table_version", "Newest version of the table.", "table")
TABLE_FILES = _gauge("tables", "delta_table_files", "Data files of that version.", "table")
TABLE_SMALL_FILES = _gauge("tables", "delta_table_small_files", "Of these, files below 16 MiB.", "table")
TABLE_BYTES = _gauge("tables", "delta_table_bytes", "Size of these files.", "table")
TABLE_COMMITTED = _gauge("tables", "delta_last_commit_timestamp_seconds", "When that version was committed.", "table")
COMMIT_SECONDS = _histogram(
    "tables", "delta_commit_seconds", "Duration of a write with its commit.", COMMIT_BOUNDS, "table"
)

# --- Silver ----------------------------------------------------------------------------------------------------------

REFRESH_BOUNDS = (1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 1200.0)
MERGED = _counter("silver", "silver_merged_rows", "Sales that were merged into the Silver tables.")
PASSES = _counter("silver", "silver_passes", "Passes that ended well, those with nothing to do among them.")
REFRESH_SECONDS = _histogram("silver", "silver_refresh_seconds", "Duration of a pass that had sales.", REFRESH_BOUNDS)
LAST_PASS_SECONDS = _gauge("silver", "silver_last_pass_seconds", "Duration of the last pass that had sales.")
LAST_PASS = _gauge("silver", "silver_last_pass_timestamp_seconds", "When the last pass ended well.")
SILVER_AGE = _gauge("silver", "silver_age_seconds", "Time since a pass last ended well.")
BEHIND = _gauge("silver", "silver_behind_versions", "Versions of ventes_stream that Silver had not merged, at a pass.")
PASS_TABLES = _gauge("silver", "silver_pass_tables", "Tables that the pass in hand has merged; 0 between two passes.")
BUILDS = _counter("silver", "silver_full_builds", "Full builds of all tables that ended.")
ENGINE_USES = _counter(
    "silver", "silver_engine_uses", "Passes with sales and full builds that ended, by engine.", "engine"
)


GROUPS = {
    "every": "Every process",
    "producer": "The producer",
    "kafka": "The embedded broker's process",
    "bronze": "The Bronze job",
    "tables": "Delta tables, each served by the job that writes it",
    "silver": "The Silver job",
}
PROCESSES = ("kafka", "producer", "bronze", "silver", "dashboard")
TABLES = {"bronze": tables.BRONZE, "silver": tables.SILVER}
"""The tables that a process writes, and whose metrics it serves."""


def of(process: str) -> list[Metric]:
    """The metrics that a process serves."""
    groups = {"every", process} | ({"tables"} if process in TABLES else set())
    return [metric for metric in ALL if metric.group in groups]


FIGURES: dict[str, dict[str, tuple[Metric, Literal["sum", "max"]]]] = {
    "producer": {
        "sent": (SENT, "sum"),
        "acknowledged": (ACKNOWLEDGED, "sum"),
        "failed": (FAILED, "sum"),
        "in_flight": (IN_FLIGHT, "sum"),
    },
    "kafka": {"log_bytes": (BROKER_DISK, "sum")},
    "bronze": {
        "lag_records": (LAG_RECORDS, "sum"),
        "lag_seconds": (LAG_SECONDS, "max"),
        "freshness_seconds": (FRESHNESS, "max"),
        "rows_per_second": (PROCESSED_RATE, "max"),
        "batch_seconds": (LAST_BATCH_SECONDS, "max"),
        "batch_id": (BATCH_ID, "max"),
        "sales": (SALES, "sum"),
        "operations": (OPERATIONS, "sum"),
        "rejected": (REJECTED, "sum"),
        "duplicates": (DUPLICATES, "sum"),
        "drifted": (DRIFTED, "sum"),
    },
    "silver": {
        "age_seconds": (SILVER_AGE, "max"),
        "pass_seconds": (LAST_PASS_SECONDS, "max"),
        "merged": (MERGED, "sum"),
        "behind_versions": (BEHIND, "max"),
        "pass_tables": (PASS_TABLES, "max"),
    },
}
"""What ``status`` shows of a process: a name, the metric, and how its label values become one figure."""
