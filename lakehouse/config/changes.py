"""What a change of each setting does to a lake that is there already: the one table, which the documents show.

Every setting has an entry here or a place in ``FREE``; a new one has to be thought about first
(``tests/unit/config/test_changes.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Effect = Literal["free", "noted", "kept", "rebuilds", "refused"]

EFFECTS: Mapping[Effect, str] = {
    "free": "holds from the next start on; no guarantee depends on it",
    "noted": "holds from the next batch on; from when is on record, and what came before is treated as it was",
    "kept": "what is there goes on with the value that it was made with; the new one is for what is made anew",
    "rebuilds": "the job stops with exit code 3 and the command that builds the tables anew",
    "refused": "the job stops and writes nothing: over this lake the setting cannot change",
}


@dataclass(frozen=True)
class Change:
    """``depends``: what rests on the setting. ``what``: what a change does, in a sentence."""

    effect: Effect
    depends: str
    what: str


CHANGES: Mapping[str, Change] = {
    "KAFKA.bootstrap_servers": Change(
        "refused", "offsets",
        "Another address of the same cluster is free. A topic of another cluster has another id: the job stops with exit code 3.",
    ),
    "KAFKA.topic": Change(
        "refused", "offsets", "The checkpoint is of the other topic: the job stops with exit code 3."
    ),
    "KAFKA.partitions": Change(
        "kept", "the topic", "For a topic that is created. More for one that is there: `setup_utils.py topic --partitions 8`."
    ),
    "KAFKA.replication_factor": Change("kept", "the topic", "For a topic that is created."),
    "KAFKA.retention": Change(
        "kept", "the topic",
        "For a topic that is created. `[DELTA] retention_days_bronze` and `retention_days_rejects` may not be shorter.",
    ),
    "KAFKA.max_message_bytes": Change("kept", "the topic", "For a topic that is created."),
    "SPARK.shuffle_partitions": Change(
        "kept", "deduplication state", "A checkpoint keeps the number that it began with; Silver takes the new one."
    ),
    "SPARK.conf": Change(
        "free", "all of Spark",
        "The session's time zone and the type of times in files are refused; what Spark keeps with a checkpoint stays as it was.",
    ),
    "DELTA.base_path": Change("free", "everything", "Another place is another lake; nothing is carried over."),
    "DELTA.state_path": Change(
        "free", "locks, audit log", "Nothing is carried over: move the folder with all processes stopped."
    ),
    "DELTA.log_retention": Change("free", "time travel", "A longer one brings nothing back."),
    "DELTA.deleted_file_retention": Change("free", "time travel, erasure", "A longer one brings nothing back."),
    "DELTA.max_versions": Change("free", "time travel", "A larger one brings nothing back."),
    "DELTA.retention_days_bronze": Change(
        "noted", "the balance of Bronze and Silver", "What was removed stays so, and is on record in `retraits`."
    ),
    "DELTA.retention_days_rejects": Change(
        "noted", "the balance of the rejects", "What was removed stays so, and is on record in `retraits`."
    ),
    "DELTA.retention_days_silver": Change(
        "noted", "comparisons of Silver", "What was removed stays so; each table says from which day on it is whole."
    ),
    "S3.endpoint": Change("free", "everything", "Another server holds another lake; nothing is carried over."),
    "STREAMING.watermark_delay": Change(
        "noted", "lemmas 1 and 2",
        "Longer or shorter: what was stale stays stale, and no sale is lost or doubled. `est_tardif` of earlier sales stays.",
    ),
    "STREAMING.future_tolerance": Change(
        "noted", "lemma 2, what is a sale",
        "A repeated batch keeps its own. Rejects stay until they are replayed. A checkpoint that is rebuilt validates the topic by "
        "the new one.",
    ),
    "STREAMING.starting_offsets": Change("kept", "offsets", "For a new checkpoint."),
    "STREAMING.max_offsets_per_trigger": Change("free", "size of a batch", "A batch that is planned keeps its offsets."),
    "STREAMING.state_store": Change(
        "kept", "deduplication state", "A checkpoint keeps the store that it began with."
    ),
    "STREAMING.champs_inconnus": Change(
        "free", "columns of Bronze", "Sales that are in Bronze keep what they have; the column stays when it was there once."
    ),
    "ANALYTICS.timezone": Change(
        "noted", "`jour`, `heure`, partitions, keys of Silver",
        "Sales that are in Bronze keep their `jour`; exact deduplication allows for both. Silver stops with exit code 3 "
        "until it is built anew, and its days around the change are of two zones.",
    ),
    "ANALYTICS.seuil_premium": Change("rebuilds", "Silver", "`streaming_silver.py --full`"),
    "ANALYTICS.seuil_standard": Change("rebuilds", "Silver", "`streaming_silver.py --full`"),
    "ANALYTICS.achats_fidele": Change("rebuilds", "Silver", "`streaming_silver.py --full`"),
    "PERFORMANCE.small_batch_rows": Change(
        "free", "how a batch is compared and written", "A repeated batch may take another way to the same rows."
    ),
    "PERFORMANCE.delta_append": Change(
        "free", "that a batch is written once", "Both ways ask the table for the same application and number."
    ),
    "PERFORMANCE.broadcast_rows": Change(
        "free", "how stale sales are compared", "A repeated batch may take another way to the same rows."
    ),
}  # fmt: skip

FREE: Mapping[str, str] = {
    "KAFKA": (
        "create_topic brokers controller_port heap progress_group request_timeout security_protocol sasl_mechanism sasl_username sasl_password "
        "sasl_password_file ssl_cafile tls_dir"
    ),
    "SPARK": "master app_name driver_memory java_options ui ui_port log_level",
    "DELTA": (
        "checkpoint_interval maintenance_interval auto_compact auto_compact_min_files snapshot_partitions backup_path lock_timeout"
    ),
    "S3": "region path_style access_key secret_key secret_key_file",
    "STREAMING": "trigger_interval max_restarts restart_delay",
    "PRODUCER": (
        "rate clients duplicate_ratio late_ratio malformed_ratio return_ratio cancel_ratio correction_ratio linger batch_size "
        "buffer_memory compression delivery_timeout"
    ),
    "ANALYTICS": "top_clients dernieres_ventes silver_every engine engine_memory",
    "MONITORING": (
        "log_level log_format progress_interval min_free_disk metrics metrics_host producer_metrics_port bronze_metrics_port "
        "silver_metrics_port kafka_metrics_port dashboard_metrics_port sample_interval stuck_after bronze_stale_after "
        "silver_stale_after producer_stale_after log_file_bytes log_file_count dashboard_host web_user web_password "
        "web_password_file web_certificate dashboard_port"
    ),
    "PERFORMANCE": "open_writers max_partition_fetch_bytes fetch_max_bytes fetch_max_wait max_files_per_trigger",
    "DEVELOPMENT": "cache_dir java_home jars restart_children",
}
"""Section → the names of its settings on which nothing that is stored depends."""
