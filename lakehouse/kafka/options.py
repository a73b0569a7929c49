"""The settings as options of Kafka clients: kafka-python's and those of Spark's Kafka source."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from lakehouse.config import Config, format_duration
from lakehouse.config.paths import ca_file
from lakehouse.errors import ConfigError
from lakehouse.kafka.users import GROUP_PREFIX, user_and_password

# Without a bound kafka-python waits up to 30 s before it tries a broker again that has long returned.
_RECONNECT_MAX_MS = 1000
# Partitions that were added are seen after this: kafka-python's own 5 minutes are long for one who waits.
_METADATA_MAX_AGE_MS = 60_000
# How long one try of send() blocks for the topic's metadata before the producer looks up and tries again.
_MAX_BLOCK_MS = 1000
READ_COMMITTED = "read_committed"
"""What every reader reads: no message of a transaction that was aborted, and none of one that is still open."""
_SPARK_LOGIN = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}


def milliseconds(value: timedelta) -> int:
    """The unit of Kafka's own settings."""
    return round(value.total_seconds() * 1000)


LOCAL = ("localhost", "127.0.0.1", "::1")


def host_and_port(server: str) -> tuple[str, int]:
    """``[::1]:9092`` → (``::1``, 9092)."""
    host, _, port = server.rpartition(":")
    return host.strip("[]"), int(port)


def servers(config: Config) -> list[str]:
    """The bootstrap servers, each ``host:port``. One local server and several ``brokers``: the ports after it as well,
    so that a client finds its way in whichever of them is away."""
    named = [server.strip() for server in config.kafka.bootstrap_servers.split(",")]
    host, port = host_and_port(named[0])
    if len(named) == 1 and host in LOCAL:
        shown = named[0].rpartition(":")[0]
        return [f"{shown}:{port + number}" for number in range(config.kafka.brokers)]
    return named


def client_options(config: Config) -> dict[str, Any]:
    """kafka-python's options that every client shares: servers, security, timeouts."""
    kafka = config.kafka
    options: dict[str, Any] = {
        "bootstrap_servers": servers(config),
        "request_timeout_ms": milliseconds(kafka.request_timeout),
        "bootstrap_timeout_ms": milliseconds(kafka.request_timeout),
        "reconnect_backoff_max_ms": _RECONNECT_MAX_MS,
        "metadata_max_age_ms": _METADATA_MAX_AGE_MS,
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.startswith("SASL"):
        user, password = user_and_password(config)
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": user,
            "sasl_plain_password": password,
        }
    if kafka.security_protocol.endswith("SSL") and (authority := ca_file(config)):
        options["ssl_cafile"] = str(authority)
    return options


def consumer_options(config: Config) -> dict[str, Any]:
    """Options of a consumer that belongs to no group, commits nothing and reads what is committed: its ends of partitions
    are the last stable offsets."""
    return client_options(config) | {
        "group_id": None,
        "enable_auto_commit": False,
        "isolation_level": READ_COMMITTED,
    }


def producer_options(config: Config) -> dict[str, Any]:
    """Options of the idempotent producer. Raises ``ConfigError`` when the timeouts contradict each other.

    ``buffer_memory`` is not among them: kafka-python 3 has no such limit, ``producer.delivery_tracker`` keeps it.
    """
    producer, kafka = config.producer, config.kafka
    if producer.delivery_timeout < producer.linger + kafka.request_timeout:
        raise ConfigError(
            f"[PRODUCER] delivery_timeout = {format_duration(producer.delivery_timeout)} is not accepted: expected at "
            f"least linger + [KAFKA] request_timeout = {format_duration(producer.linger + kafka.request_timeout)}."
        )
    return client_options(config) | {
        "enable_idempotence": True,
        "acks": "all",
        "linger_ms": milliseconds(producer.linger),
        "batch_size": producer.batch_size,
        "compression_type": None if producer.compression == "none" else producer.compression,
        "delivery_timeout_ms": milliseconds(producer.delivery_timeout),
        "max_request_size": kafka.max_message_bytes,
        "max_block_ms": _MAX_BLOCK_MS,
        # a client that asks for a missing topic would else create it: one partition, the sender's clock
        "allow_auto_create_topics": False,
        "metrics_enabled": False,
    }


def jaas(mechanism: str, user: str, password: str) -> str:
    """A login as Java's Kafka clients and brokers take it."""
    user, password = (text.replace("\\", "\\\\").replace('"', '\\"') for text in (user, password))
    return f'{_SPARK_LOGIN[mechanism]} required username="{user}" password="{password}";'


def spark_options(config: Config) -> dict[str, str]:
    """Options of Spark's Kafka source: servers and security. They hold the password: never log them."""
    kafka = config.kafka
    options = {
        "kafka.bootstrap.servers": ",".join(servers(config)),
        "kafka.isolation.level": READ_COMMITTED,
        "kafka.security.protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.startswith("SASL"):
        options["kafka.sasl.mechanism"] = kafka.sasl_mechanism
        options["kafka.sasl.jaas.config"] = jaas(kafka.sasl_mechanism, *user_and_password(config))
        options["groupIdPrefix"] = GROUP_PREFIX
    if kafka.security_protocol.endswith("SSL") and (authority := ca_file(config)):
        options |= {"kafka.ssl.truststore.type": "PEM", "kafka.ssl.truststore.location": str(authority)}
    return options
