"""The clients' options, a broker that is not there, and what kafka-python is patched for."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from kafka import KafkaProducer
from kafka.producer.sender import Sender
from kafka.producer.transaction_manager import ProducerIdAndEpoch, TransactionManager, TransactionState

from lakehouse import config as settings
from lakehouse.config import Secret
from lakehouse.errors import BrokerUnavailable, ConfigError
from lakehouse.kafka import clients
from lakehouse.kafka import options as kafka_options
from tests.support.fake_producer import load

# --- the broker's address and the clients' options ---


@pytest.fixture
def free_port() -> Iterator[int]:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]  # bound, not listening: connections are refused


def test_no_broker_is_one_sentence_with_the_command_to_type(free_port: int) -> None:
    config = load(KAFKA__BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port}")
    sentence = (
        f"Kafka does not answer at 127.0.0.1:{free_port} (Connection refused). "
        "Start a broker with: python setup_utils.py kafka"
    )
    for ask in (
        clients.ensure_topic,
        clients.describe_topic,
        clients.earliest_and_latest_offsets,
        clients.connect_producer,
    ):
        with pytest.raises(BrokerUnavailable) as caught:
            ask(config)
        assert str(caught.value) == sentence


def test_the_producer_is_idempotent_and_obeys_the_settings() -> None:
    options = clients.producer_options(
        load(
            PRODUCER__LINGER="7 ms", PRODUCER__BATCH_SIZE="1234", PRODUCER__COMPRESSION="gzip",
            PRODUCER__DELIVERY_TIMEOUT="33 s", KAFKA__REQUEST_TIMEOUT="9 s", KAFKA__MAX_MESSAGE_BYTES="5000",
        )
    )  # fmt: skip
    wanted = {
        "enable_idempotence": True, "acks": "all", "linger_ms": 7, "batch_size": 1234, "compression_type": "gzip",
        "delivery_timeout_ms": 33_000, "request_timeout_ms": 9_000, "max_request_size": 5000,
        "allow_auto_create_topics": False, "security_protocol": "PLAINTEXT",
    }  # fmt: skip
    assert {name: options[name] for name in wanted} == wanted
    assert set(options) <= set(KafkaProducer.DEFAULT_CONFIG)


def test_timeouts_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        clients.producer_options(load(PRODUCER__DELIVERY_TIMEOUT="5 s"))
    assert str(caught.value) == (
        "[PRODUCER] delivery_timeout = 5 seconds is not accepted: expected at least linger + "
        "[KAFKA] request_timeout = 10005 ms."
    )


def test_security_reaches_kafka_python_and_spark() -> None:
    config = load()
    kafka = dataclasses.replace(
        config.kafka, security_protocol="SASL_SSL", sasl_mechanism="PLAIN", sasl_username="ana",
        sasl_password=Secret('p"w\\'), ssl_cafile=settings.FilePath("/ca.pem"),
    )  # fmt: skip
    config = dataclasses.replace(config, kafka=kafka)
    options = clients.client_options(config)
    assert options["sasl_plain_password"] == 'p"w\\'
    assert (options["sasl_mechanism"], options["sasl_plain_username"]) == ("PLAIN", "ana")
    assert options["ssl_cafile"] == "/ca.pem"
    assert kafka_options.consumer_options(config)["isolation_level"] == "read_committed"
    spark = kafka_options.spark_options(config)
    assert spark["kafka.isolation.level"] == "read_committed"
    assert spark["kafka.sasl.jaas.config"] == (
        'org.apache.kafka.common.security.plain.PlainLoginModule required username="ana" password="p\\"w\\\\";'
    )
    assert spark["kafka.ssl.truststore.location"] == "/ca.pem"
    assert spark["kafka.security.protocol"] == "SASL_SSL"


def test_kafka_python_has_what_we_reach_for_inside_it() -> None:
    assert callable(Sender.force_close) and callable(Sender.join)
    assert callable(TransactionManager.bump_producer_id_and_epoch) and callable(TransactionManager.reset_producer_id)


def ready_manager() -> TransactionManager:
    manager = TransactionManager(api_version=(4, 0))
    manager.init_producer_id()
    manager._pending_requests.clear()
    manager.set_producer_id_and_epoch(ProducerIdAndEpoch(5, 0))
    manager._transition_to(TransactionState.READY)
    return manager


def test_kafka_python_still_needs_mending() -> None:
    """After its own reset a producer without an id asks for none; when this fails, ``_mend`` can go."""
    manager = ready_manager()
    manager.reset_producer_id()
    manager.init_producer_id()
    assert manager._pending_requests == []


def test_a_mended_producer_asks_for_a_new_id_after_a_reset() -> None:
    manager = ready_manager()
    clients._survive_delivery_timeout(SimpleNamespace(_transaction_manager=manager))
    manager.reset_producer_id()
    assert len(manager._pending_requests) == 1
