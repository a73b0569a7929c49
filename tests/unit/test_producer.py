"""The producer: options, pacing, the tracker through real kafka-python futures, the truth file, faults."""

from __future__ import annotations

import base64
import dataclasses
import itertools
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError
from kafka.producer.future import FutureProduceResult, FutureRecordMetadata
from kafka.producer.sender import Sender
from kafka.producer.transaction_manager import ProducerIdAndEpoch, TransactionManager, TransactionState
from kafka.structs import TopicPartition

import producer_ventes
from lakehouse import config as settings
from lakehouse.config import Config, Rate, Secret
from lakehouse.errors import BrokerUnavailable, ConfigError, LakehouseError, UndeliveredMessages
from lakehouse.kafka import clients
from lakehouse.kafka import options as kafka_options
from lakehouse.producer import delivery_tracker, producer
from lakehouse.producer.delivery_tracker import RECORD_OVERHEAD, DeliveryTracker, TruthFile
from lakehouse.producer.generator import Message, Mix, messages
from lakehouse.producer.pacing import SendSchedule, Stop, event_clock
from lakehouse.producer.producer import RunOptions


def load(**given: str) -> Config:
    """Settings with overrides such as ``KAFKA__TOPIC="x"``."""
    return settings.load(env={f"VENTES_{name}": text for name, text in given.items()})


PLAIN = Mix()


def sales(n: int, mix: Mix = PLAIN) -> list[Message]:
    ticks = itertools.count(1_700_000_000_000_000, 1_000_000)
    return list(itertools.islice(messages(seed=1, clients=2, clock=lambda: next(ticks), mix=mix), n))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Kafka:
    """A ``KafkaProducer`` that makes kafka-python's own futures and meets the faults it is told."""

    def __init__(self, *, answers: bool = True, errors: list[Exception] | None = None) -> None:
        self.answers = answers
        self.errors = errors or []
        self.results: list[FutureProduceResult] = []
        self.values: list[bytes] = []
        self.closed = False
        self.forced = False
        self._sender = self

    def send(self, topic: str, value: bytes, key: bytes) -> FutureRecordMetadata:
        if self.errors:
            raise self.errors.pop(0)
        result = FutureProduceResult(TopicPartition(topic, 0))
        future = FutureRecordMetadata(result, 0, 0, None, len(key), len(value), -1)
        self.results.append(result)
        self.values.append(value)
        if self.answers:
            result.success((len(self.values) - 1, 1234, None))
        return future

    def flush(self, timeout: float) -> None:
        if not all(result.is_done for result in self.results):
            raise KafkaTimeoutError(f"{timeout} s")

    def force_close(self) -> None:
        self.forced = True

    def join(self, timeout: float) -> None:
        assert timeout > 0

    def close(self, timeout: float) -> None:
        assert timeout > 0
        self.closed = True


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    fake = Kafka()
    monkeypatch.setattr(clients, "ensure_topic", lambda _config: False)
    monkeypatch.setattr(clients, "connect_producer", lambda _config: fake)
    monkeypatch.setattr(producer, "_TICK", 0.001)
    return fake


FAST = {"PRODUCER__RATE": "max", "PRODUCER__CLIENTS": "2", "KAFKA__REQUEST_TIMEOUT": "1 s"}


# --- the tracker, through kafka-python's own futures ---


def sent(tracker: DeliveryTracker, message: Message, n: int = 0) -> FutureProduceResult:
    tracker.intended(n, message)
    result = FutureProduceResult(TopicPartition("ventes_stream", 3))
    future = FutureRecordMetadata(result, 2, 0, None, 1, 1, -1)
    future.add_callback(tracker.acknowledged, n)
    future.add_errback(tracker.failed, n)
    return result


def test_an_acknowledgement_reaches_the_account_and_the_truth_file(tmp_path: Path) -> None:
    truth = TruthFile(tmp_path / "truth", "run-1")
    tracker = DeliveryTracker(10**6, truth)
    (message,) = sales(1)
    result = sent(tracker, message, 7)
    assert (tracker.sent, tracker.in_flight) == (1, 1)
    result.success((40, 1_700_000_000_123, None))
    assert (tracker.acked, tracker.lost, tracker.in_flight) == (1, 0, 0)
    assert lines(truth.path) == [
        {"run": "run-1", "etat": "prevu", "n": 7, "kind": "vente", "motif": None, **message.champs()},
        {
            "run": "run-1",
            "etat": "acquitte",
            "n": 7,
            "partition": 3,
            "offset": 42,
            "kafka_timestamp": 1_700_000_000_123,
        },
    ]


def test_a_failure_reaches_the_account_and_the_truth_file(tmp_path: Path) -> None:
    truth = TruthFile(tmp_path / "truth", "run-1")
    tracker = DeliveryTracker(10**6, truth)
    (message,) = sales(1)
    error = KafkaTimeoutError("Expiring 1 record(s)")
    sent(tracker, message).success((-1, -1, lambda _index: error))
    assert (tracker.acked, tracker.lost, tracker.in_flight) == (0, 1, 0)
    text = "KafkaTimeoutError: Expiring 1 record(s)"
    assert tracker.first_lost == [delivery_tracker.UndeliveredMessage(0, message.vente_id, text)]
    assert lines(truth.path)[1] == {
        "run": "run-1", "etat": "echec", "n": 0, "vente_id": message.vente_id, "erreur": text,
    }  # fmt: skip


def test_a_broken_message_s_bytes_are_in_the_truth_file(tmp_path: Path) -> None:
    truth = TruthFile(tmp_path / "truth", "r")
    (message,) = sales(1, Mix(malformed=1))
    DeliveryTracker(10**6, truth).intended(0, message)
    (line,) = lines(truth.path)
    assert (line["kind"], line["motif"]) == ("malformee", "json_invalide")
    assert base64.b64decode(line["valeur_base64"]) == message.value


def test_a_message_is_settled_once_whatever_comes_later(tmp_path: Path) -> None:
    truth = TruthFile(tmp_path / "truth", "r")
    tracker = DeliveryTracker(10**6, truth)
    result = sent(tracker, sales(1)[0])
    tracker.abandon("no answer")
    result.success((0, 0, None))
    assert (tracker.acked, tracker.lost) == (0, 1)
    assert [line["etat"] for line in lines(truth.path)] == ["prevu", "echec"]


@given(answers=st.lists(st.booleans(), max_size=60))
def test_every_message_is_acknowledged_or_lost(answers: list[bool]) -> None:
    tracker = DeliveryTracker(10**9)
    for n, (message, good) in enumerate(zip(sales(len(answers)), answers, strict=True)):
        sent(tracker, message, n).success((n, 0, None if good else lambda _index: KafkaTimeoutError("late")))
    assert (tracker.sent, tracker.acked, tracker.lost) == (len(answers), sum(answers), len(answers) - sum(answers))
    assert tracker.in_flight == 0
    assert len(tracker.first_lost) == min(tracker.lost, 20)


def test_a_full_buffer_has_no_room_until_an_answer_comes() -> None:
    first, second, _ = sales(3)
    tracker = DeliveryTracker(len(first.key) + len(first.value) + RECORD_OVERHEAD)
    assert tracker.has_room(first, 0)
    result = sent(tracker, first)
    assert not tracker.has_room(second, 0)
    result.success((0, 0, None))
    assert tracker.has_room(second, 0)


def test_a_message_larger_than_the_buffer_goes_alone() -> None:
    assert DeliveryTracker(1).has_room(sales(1)[0], 0)


def test_a_waiting_sender_is_woken_by_the_answer() -> None:
    first, second = sales(2)
    tracker = DeliveryTracker(1)
    result = sent(tracker, first)
    threading.Timer(0.01, result.success, [(0, 0, None)]).start()
    assert tracker.has_room(second, 5)


def test_silence_and_its_end_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    tracker = DeliveryTracker(10**6, clock=lambda: now[0])
    result = sent(tracker, sales(1)[0])
    for now[0] in (104.0, 106.0, 107.0, 120.0):
        tracker.watch()
    result.success((0, 0, None))
    for now[0] in (121.0, 130.0):
        tracker.watch()
    said = capsys.readouterr()
    text = said.out + said.err
    assert text.count("no acknowledgement for 6 s, 1 messages in flight; retrying") == 1
    assert text.count("acknowledgements are back after 20 s") == 1


# --- the truth file ---


def test_runs_are_appended_and_a_torn_line_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "truth"
    path.write_text('{"torn', encoding="utf-8")
    truth = TruthFile(path, "two")
    truth.write("prevu", 0)
    assert path.read_text(encoding="utf-8") == '{"torn\n{"run": "two", "etat": "prevu", "n": 0}\n'


def test_a_truth_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(LakehouseError) as caught:
        TruthFile(tmp_path / "none" / "truth", "r")
    assert str(caught.value) == f"The truth file {tmp_path}/none/truth cannot be opened: No such file or directory."


def test_a_full_disk_in_the_callback_is_not_swallowed() -> None:
    tracker = DeliveryTracker(10**6, TruthFile(Path("/dev/full"), "r"))
    with pytest.raises(LakehouseError) as caught:
        tracker.intended(0, sales(1)[0])
    assert str(caught.value) == "The truth file /dev/full cannot be written: No space left on device."
    with pytest.raises(LakehouseError):
        tracker.check()


# --- pacing ---


@given(rate=st.floats(0.1, 1000), n=st.integers(0, 10_000))
def test_the_schedule_does_not_drift(rate: float, n: int) -> None:
    schedule = SendSchedule(rate, lambda: 50.0)
    assert schedule.pause(n) == pytest.approx(n / rate)


def test_a_long_pause_is_not_caught_up_a_short_one_is() -> None:
    now = [0.0]
    schedule = SendSchedule(1, lambda: now[0])
    now[0] = 5.0
    assert [schedule.pause(n) for n in (3, 4, 5, 6)] == [0, 0, 0, 1]
    now[0] = 100.0
    assert [schedule.pause(n) for n in (7, 8)] == [0, 1]


def test_at_rate_max_nothing_waits() -> None:
    assert SendSchedule(float("inf")).pause(10**9) == 0


def test_the_event_clock_starts_as_told_and_never_passes_now() -> None:
    tick = event_clock(datetime(1997, 6, 1, tzinfo=UTC), 4)
    assert [tick() - 865_123_200_000_000 for _ in range(3)] == [0, 250_000, 500_000]
    ahead = event_clock(datetime.now(UTC) - timedelta(seconds=1), float("inf"))
    readings = [ahead() for _ in range(5)]
    assert readings[-1] <= datetime.now(UTC).timestamp() * 1e6


def test_a_signal_ends_a_wait() -> None:
    stop = Stop()
    with stop.on_signals():
        threading.Timer(0.01, os.kill, [os.getpid(), signal.SIGTERM]).start()
        assert stop.wait(10)
    assert stop.times == 1
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


# --- a run ---


def test_a_run_sends_count_messages_and_prints_its_account(
    kafka: Kafka, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "truth"
    assert producer.produce(load(**FAST), RunOptions(count=25, seed=4, truth=path)) == 0
    assert len(kafka.values) == 25
    assert kafka.closed and not kafka.forced
    out = capsys.readouterr().out.splitlines()[-1]
    assert out.startswith("25 messages sent in ")
    assert out.endswith("25 acknowledged, 0 never acknowledged; vente 25, doublon 0, tardive 0, malformee 0; seed 4")
    assert [line["etat"] for line in lines(path)] == ["prevu", "acquitte"] * 25


def test_the_same_seed_and_start_time_send_the_same_bytes(kafka: Kafka) -> None:
    config = load(**FAST, PRODUCER__DUPLICATE_RATIO="0.2", PRODUCER__LATE_RATIO="0.2", PRODUCER__MALFORMED_RATIO="0.2")
    order = RunOptions(count=60, seed=4, start=datetime(1997, 6, 1, tzinfo=UTC))
    producer.produce(config, order)
    producer.produce(config, order)
    assert kafka.values[:60] == kafka.values[60:]


def test_runs_without_a_seed_send_other_sales_of_the_same_clients(kafka: Kafka) -> None:
    for _ in range(2):
        producer.produce(load(**FAST), RunOptions(count=30))
    found = [json.loads(value) for value in kafka.values]
    assert len({sale["vente_id"] for sale in found}) == 60
    assert len({(sale["client_id"], sale["client_nom"]) for sale in found}) == 2


def test_messages_never_acknowledged_are_counted_listed_and_fail_the_run(
    kafka: Kafka, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka.answers = False
    stop = Stop()
    monkeypatch.setattr(kafka, "flush", lambda timeout: (stop.set(), stop.set(), Kafka.flush(kafka, timeout)))
    path = tmp_path / "truth"
    with pytest.raises(UndeliveredMessages) as caught:
        producer.produce(load(**FAST), RunOptions(count=23, seed=4, truth=path), stop)
    assert str(caught.value) == (
        "23 of 23 messages were never acknowledged; Kafka may hold each once, or not at all. "
        f"All are in {path} (etat echec). See whether Kafka answers: python setup_utils.py check"
    )
    assert kafka.forced and kafka.closed
    said = capsys.readouterr()
    assert (said.out + said.err).count("vente_id=") == 20
    assert sum(line["etat"] == "echec" for line in lines(path)) == 23


def test_a_stop_ends_an_endless_run_with_all_acknowledged(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = Stop()
    send = kafka.send

    def send_and_stop(*args: Any) -> FutureRecordMetadata:
        if len(kafka.values) == 4:
            stop.set()
        return send(*args)

    monkeypatch.setattr(kafka, "send", send_and_stop)
    assert producer.produce(load(**FAST), RunOptions(), stop) == 0
    assert len(kafka.values) == 5


def test_unknown_metadata_is_tried_again_a_refusal_is_not(kafka: Kafka) -> None:
    kafka.errors = [KafkaTimeoutError("no metadata"), KafkaTimeoutError("no metadata")]
    assert producer.produce(load(**FAST), RunOptions(count=3, seed=1)) == 0
    kafka.errors = [MessageSizeTooLargeError("too large")]
    with pytest.raises(UndeliveredMessages, match=r"^1 of 3 messages were never acknowledged; .* listed above\."):
        producer.produce(load(**FAST), RunOptions(count=3, seed=1))


def test_a_broker_that_is_not_there_is_tried_again_and_named(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tries = iter([True, True, False])
    waits: list[float] = []

    def ensure(config: Config) -> bool:
        if next(tries):
            raise clients.unavailable(config, "Connection refused")
        return False

    monkeypatch.setattr(clients, "ensure_topic", ensure)
    stop = Stop()
    monkeypatch.setattr(stop, "wait", lambda seconds: bool(waits.append(seconds)))
    assert producer.connect(load(), stop, give_up_after=None) is kafka
    assert waits == [0.5, 1.0]
    said = capsys.readouterr()
    assert "Kafka does not answer at localhost:9092; retrying in 0.5 s" in said.out + said.err


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


# --- the command line ---


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--rate", "0"], "argument --rate: '0' is not accepted: expected a number above 0, or max"),
        (["--count", "0"], "argument --count: '0' is not accepted: expected a whole number of 1 or more"),
        (["--seed", "x"], "argument --seed: 'x' is not accepted: expected a whole number"),
        (["--clients", "0"], "argument --clients: '0' is not accepted: expected a whole number from 1 to 1000000"),
        (["--late-ratio", "1.5"], "argument --late-ratio: '1.5' is not accepted: expected a number from 0 to 1"),
        (["--late-ratio", "nan"], "argument --late-ratio: 'nan' is not accepted: expected a finite number"),
        (
            ["--start-time", "1997-06-01T08:00:00"],
            "argument --start-time: '1997-06-01T08:00:00' is not accepted: expected a time with an offset, "
            "from 1900-01-01 to now, such as 1997-06-01T08:00:00Z",
        ),
        (
            ["--duplicate-ratio", "0.6", "--late-ratio", "0.6"],
            "--duplicate-ratio + --late-ratio + --malformed-ratio = 1.2 is not accepted: expected at most 1.",
        ),
    ],
)
def test_a_wrong_option_is_one_sentence_and_exit_code_2(
    kafka: Kafka, capsys: pytest.CaptureFixture[str], argv: list[str], sentence: str
) -> None:
    assert producer_ventes.main(argv) == 2
    assert sentence in capsys.readouterr().err
    assert kafka.values == []


def test_options_win_over_the_settings(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENTES_PRODUCER__RATE", "0.001")
    monkeypatch.setenv("VENTES_PRODUCER__CLIENTS", "500")
    assert producer_ventes.main(["--rate", "max", "--clients", "1", "--count", "9", "--seed", "3"]) == 0
    assert {json.loads(value)["client_id"] for value in kafka.values} == {1}


def test_settings_hold_where_no_option_is_given() -> None:
    config = load(PRODUCER__RATE="7", PRODUCER__LATE_RATIO="0.25")
    made = producer.with_options(config, rate=None, clients=None, late_ratio=None).producer
    assert made == config.producer
    assert (made.rate, made.late_ratio) == (Rate(7), 0.25)


def test_the_delay_of_late_sales_follows_the_watermark(kafka: Kafka) -> None:
    config = load(**FAST, STREAMING__WATERMARK_DELAY="5 hours", PRODUCER__LATE_RATIO="1")
    producer.produce(config, RunOptions(count=20, seed=1))
    newest = max(json.loads(value)["timestamp"] for value in kafka.values)
    assert datetime.fromisoformat(newest) < datetime.now(UTC) - timedelta(hours=5)


def test_options_module_is_what_clients_use() -> None:
    assert clients.client_options is kafka_options.client_options
