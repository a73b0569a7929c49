"""Kafka clients and requests to the broker. No other module creates a client.

Every function that talks to Kafka raises ``BrokerUnavailable`` when it does not answer within ``request_timeout`` or cannot
answer yet, and ``LakehouseError`` when it answers with a refusal.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import IsolationLevel, KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetSpec, TopicPartition
from kafka import errors as kafka_errors
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, NoError
from kafka.net.compat import KafkaNetClient
from kafka.structs import OffsetAndMetadata

from lakehouse.config import Config
from lakehouse.errors import LakehouseError
from lakehouse.kafka import bounded_records
from lakehouse.kafka import connection as kafka_connection
from lakehouse.kafka.broker import security
from lakehouse.kafka.connection import check_reachable as check_reachable
from lakehouse.kafka.connection import keep_final_responses, may_not, refused, speaks_tls, translated
from lakehouse.kafka.connection import unavailable as unavailable
from lakehouse.kafka.options import client_options, consumer_options, milliseconds, producer_options, servers

TOPIC_COMMAND = "python setup_utils.py topic"
_INFLATION = 16
_LOOKED_AT = 1024
"""Bytes of a record that one who only looks at its time keeps."""


def readable_bytes(config: Config) -> int:
    """The most that a record may have uncompressed to be read: the broker limits what is compressed alone."""
    return _INFLATION * config.kafka.max_message_bytes


@dataclass(frozen=True)
class Topic:
    """A topic as the broker holds it. ``settings`` are those in force, wherever they were set; ``in_sync`` is the number of
    copies of the partition that has the fewest in step with its leader."""

    name: str
    partitions: int
    replication_factor: int
    in_sync: int
    settings: dict[str, str]


def _connect(make: Callable[..., Any], config: Config, options: dict[str, Any]) -> Any:
    """Make a client, or leave nothing behind: a client that fails to start keeps its thread and six open files."""
    if config.monitoring.log_level != "DEBUG":
        # One line for each try to reconnect says no more than our own; a failing callback is a defect and stays loud.
        logging.getLogger("kafka").setLevel(logging.CRITICAL)
        logging.getLogger("kafka.future").setLevel(logging.ERROR)
    keep_final_responses()
    check_reachable(config)
    networks: list[KafkaNetClient] = []
    causes: list[Exception] = []

    def network(**given: Any) -> KafkaNetClient:
        made = KafkaNetClient(**given)
        networks.append(made)
        if not kafka_connection.is_patched():
            return made
        connection = made._manager.get_connection

        def noted(*args: Any, **named: Any) -> Any:
            # kafka-python tries a refused password again until its time is up, and then says nothing but that
            if len(refusals := kafka_connection.password_refusals(causes)) >= kafka_connection.REFUSALS:
                raise refusals[-1]
            found = connection(*args, **named)
            found.init_future.add_errback(causes.append)
            return found

        made._manager.get_connection = noted
        return made

    try:
        return make(**options, kafka_client=network)
    except (KafkaError, OSError) as error:
        for made in networks:
            made.close()
        for cause in kafka_connection.password_refusals(causes):
            raise translated(config, cause) from None
        first, wait = servers(config)[0], config.kafka.request_timeout.total_seconds()
        if not config.kafka.security_protocol.endswith("SSL") and speaks_tls(first, wait):
            raise refused(config, first, "it speaks TLS. Set SASL_SSL, or SSL") from None
        raise translated(config, error) from None


@contextmanager
def _admin(config: Config) -> Iterator[Any]:
    admin = _connect(KafkaAdminClient, config, client_options(config))
    try:
        yield admin
    except (KafkaError, OSError) as error:
        raise translated(config, error) from None
    finally:
        admin.close()


def connect_producer(config: Config) -> Any:
    """A ``KafkaProducer`` that knows the topic's partitions, idempotent, ``acks=all``."""
    producer = _connect(KafkaProducer, config, producer_options(config))
    try:
        producer.partitions_for(config.kafka.topic)
    except KafkaError as error:
        producer.close()
        raise translated(config, error) from None
    _survive_delivery_timeout(producer)
    return producer


@contextmanager
def consumer(config: Config, **options: Any) -> Iterator[Any]:
    """A ``KafkaConsumer`` for reading given offsets again; ``options`` of kafka-python go before our own. Of a record of more
    than ``readable_bytes`` it has the first ones, as ``CutBytes``."""
    given = {"auto_offset_reset": "none", "check_crcs": True, **options}
    made = _connect(KafkaConsumer, config, consumer_options(config) | given)
    _bound(made, readable_bytes(config))
    try:
        yield made
    except (KafkaError, OSError) as error:
        raise translated(config, error) from None
    finally:
        made.close()


def watching_consumer(config: Config, *, log_end: bool = False) -> Any:
    """A ``KafkaConsumer`` for monitoring: small fetches. ``log_end``: of what is not committed as well."""
    made = _connect(
        KafkaConsumer,
        config,
        consumer_options(config)
        | {
            "auto_offset_reset": "earliest",
            "max_partition_fetch_bytes": 16_384,
            "fetch_max_wait_ms": 200,
            "allow_auto_create_topics": False,
            "metrics_enabled": False,
        }
        | ({"isolation_level": "read_uncommitted"} if log_end else {}),
    )
    _bound(made, _LOOKED_AT)
    return made


def _bound(consumer: Any, keep: int) -> None:
    """kafka-python inflates a whole batch: one of 400 KB, and the process has no memory left."""
    if kafka_connection.is_patched():
        bounded_records.bound(consumer, keep)


def _survive_delivery_timeout(producer: Any) -> None:
    """Let a producer live on after a message has outlived ``delivery_timeout``.

    kafka-python 3.0.12 then drops its producer id and never asks for another, since ``init_producer_id`` does nothing
    in the state READY: no message is sent, expired or failed any more (seen with a broker that was away for longer than
    ``delivery_timeout``). Its other way out, a new epoch (KIP-360, brokers from 2.5 on), does ask.
    """
    if not kafka_connection.is_patched():
        return
    manager = producer._transaction_manager
    manager.reset_producer_id = manager.bump_producer_id_and_epoch


def _described(admin: Any, name: str) -> dict[str, Any] | None:
    (found,) = admin.describe_topics([name])
    if found["error_code"] == kafka_errors.UnknownTopicOrPartitionError.errno:
        return None
    if found["error_code"]:
        raise kafka_errors.for_code(found["error_code"])(name)
    return dict(found)


def _existing(admin: Any, config: Config) -> dict[str, Any]:
    """Raises ``LakehouseError`` for a topic that does not exist. Of several brokers, each may be asked, and learns of a new one
    with a delay: a missing topic is asked for again, 2 s long."""
    name, until = config.kafka.topic, time.monotonic() + 2
    while (found := _described(admin, name)) is None:
        if time.monotonic() > until:
            where = ", ".join(servers(config))
            raise LakehouseError(f"The topic {name} does not exist at {where}. Create it with: {TOPIC_COMMAND}")
        time.sleep(0.1)
    return found


def topic_settings(config: Config) -> dict[str, Any]:
    """What a topic that is created here gets."""
    kafka = config.kafka
    return {
        "num_partitions": kafka.partitions,
        "replication_factor": kafka.replication_factor or -1,  # Kafka's word for: as the brokers are set
        "configs": {
            "retention.ms": str(milliseconds(kafka.retention)),
            "max.message.bytes": str(kafka.max_message_bytes),
            "message.timestamp.type": "LogAppendTime",
        },
    }


def ensure_topic(config: Config) -> bool:
    """True when the topic was created now, False when it was there; never changes one that exists.

    Without ``create_topic`` a missing topic raises ``LakehouseError``. The broker's clock stamps the messages
    (LogAppendTime): lateness is measured by it.
    """
    kafka = config.kafka
    with _admin(config) as admin:
        if _described(admin, kafka.topic):
            return False
        if not kafka.create_topic:
            raise LakehouseError(
                f"The topic {kafka.topic} does not exist at {', '.join(servers(config))}, and [KAFKA] create_topic is "
                f"false. Create it, or set create_topic = true."
            )
        try:
            admin.create_topics({kafka.topic: topic_settings(config)})
            created = True
        except kafka_errors.TopicAlreadyExistsError:  # another job of the pipeline was quicker
            created = False
        except kafka_errors.InvalidReplicationFactorError:
            raise LakehouseError(
                f"[KAFKA] replication_factor = {kafka.replication_factor} is not accepted by Kafka at "
                f"{', '.join(servers(config))}: it has fewer brokers. Set it to their number or less."
            ) from None
        admin.wait_for_topics([kafka.topic], timeout_ms=milliseconds(kafka.request_timeout))
        return created


def check_right(config: Config, operation: str) -> None:
    """Raise ``AccessRefused`` when this user may not ``operation`` (READ, WRITE) on the topic: before anything starts,
    instead of message by message."""
    if not config.kafka.security_protocol.startswith("SASL"):
        return
    with _admin(config) as admin:
        found = _described(admin, config.kafka.topic) or {}
    if operation not in found.get("authorized_operations", (operation,)):
        raise may_not(config, operation.lower())


def await_brokers(config: Config, count: int, patience: float = 60.0) -> None:
    """Wait until the cluster has so many brokers. Raises ``BrokerUnavailable``."""
    deadline = time.monotonic() + patience
    while True:
        with _admin(config) as admin:
            seen = sum(not one.get("is_fenced") for one in admin.describe_cluster()["brokers"])
        if seen >= count:
            return
        if time.monotonic() > deadline:
            raise unavailable(config, f"{seen} of {count} brokers have joined")
        time.sleep(0.2)


def grant_rights(config: Config) -> None:
    """Let each user do what it has to, and nothing else; for a super user. Raises ``AccessRefused``."""
    with _admin(config) as admin:
        security.grant(admin, config.kafka.topic)


def add_partitions(config: Config, total: int) -> bool:
    """Bring the topic to ``total`` partitions; False when it has them. Kafka takes none away: fewer are refused.

    Jobs that run go on with them: the producer and Bronze see a new partition within a minute, and Bronze reads it from
    its first message. The messages of a client may lie in two partitions from then on.
    """
    name = config.kafka.topic
    with _admin(config) as admin:
        found = _existing(admin, config)
        held = len(found["partitions"])
        if total < held:
            raise LakehouseError(
                f"--partitions {total} is not accepted: {name} has {held} partitions, and Kafka takes none away. Expected "
                f"{held} or more."
            )
        if total == held:
            return False
        admin.create_partitions({name: total})
        return True


def describe_topic(config: Config) -> Topic:
    """The topic as it is. Raises ``LakehouseError`` when it does not exist."""
    name = config.kafka.topic
    with _admin(config) as admin:
        found = _existing(admin, config)
        answer = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)], config_filter="all")
    held = {key: str(row["value"]) for key, row in answer["topic"][name].items()}
    partitions = found["partitions"]
    in_sync = min(len(row["isr_nodes"]) for row in partitions)
    return Topic(name, len(partitions), len(partitions[0]["replica_nodes"]), in_sync, held)


def commit_offsets(config: Config, group: str, ends: Mapping[int, int]) -> None:
    """Make partition → next offset the committed offsets of a consumer group without members. Raises ``LakehouseError``."""
    places = {
        TopicPartition(config.kafka.topic, number): OffsetAndMetadata(end, "", -1) for number, end in ends.items()
    }
    with _admin(config) as admin:
        answers = admin.alter_group_offsets(group, places)
    if refused := [f"{place.partition}: {error.__name__}" for place, error in answers.items() if error is not NoError]:
        raise LakehouseError(
            f"Kafka does not take offsets of the group {group} (partition {', '.join(refused)}). A group with members commits its "
            f"own: name one that nobody uses in [KAFKA] progress_group."
        )


def topic_id(config: Config) -> str:
    """Kafka's own id of the topic: another one once it was deleted and created anew. Raises ``LakehouseError`` when the
    topic does not exist."""
    with _admin(config) as admin:
        return str(_existing(admin, config)["topic_id"])


def earliest_and_latest_offsets(config: Config, *, log_end: bool = False) -> dict[int, tuple[int, int]]:
    """Partition → (first offset that Kafka still holds, the last stable offset, before which all can be read).

    The last stable offset is that of the next message to come, or of the first message of a transaction that is still open.
    ``log_end``: that of the next message to come, whatever is open.

    Raises ``LakehouseError`` when the topic does not exist.
    """
    name = config.kafka.topic
    with _admin(config) as admin:
        found = _existing(admin, config)
        places = [TopicPartition(name, row["partition_index"]) for row in found["partitions"]]
        begins = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.EARLIEST))
        level = IsolationLevel.READ_UNCOMMITTED if log_end else IsolationLevel.READ_COMMITTED
        ends = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST), isolation_level=level)
    return {place.partition: (begins[place].offset, ends[place].offset) for place in sorted(places)}
