"""The producer: options, pacing, the tracker through real kafka-python futures, the truth file, faults."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError
from kafka.producer.future import FutureRecordMetadata

import producer_ventes
from lakehouse.config import Config, Rate
from lakehouse.errors import BrokerUnavailable, UndeliveredMessages
from lakehouse.kafka import clients
from lakehouse.kafka import options as kafka_options
from lakehouse.producer import producer
from lakehouse.producer.pacing import SendSchedule, Stop, event_clock
from lakehouse.producer.producer import RunOptions
from tests.support.fake_producer import FAST, Kafka, lines, load

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
    stop, before = Stop(), signal.getsignal(signal.SIGTERM)
    with stop.on_signals():
        threading.Timer(0.01, os.kill, [os.getpid(), signal.SIGTERM]).start()
        assert stop.wait(10)
    assert stop.times == 1
    assert signal.getsignal(signal.SIGTERM) is before


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
    assert (said.out + said.err).count("Kafka does not answer at localhost:9092; retrying until it does") == 1


def test_a_broker_that_stays_away_is_named_once_and_then_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop, now = Stop(), {"s": 0.0}

    def wait(seconds: float) -> bool:
        now["s"] += seconds
        if now["s"] > 65:
            stop.set()
        return bool(stop.times)

    def ensure(_config: Config) -> bool:
        raise BrokerUnavailable("no")

    monkeypatch.setattr(clients, "ensure_topic", ensure)
    monkeypatch.setattr(stop, "wait", wait)
    monkeypatch.setattr(producer.time, "monotonic", lambda: now["s"])
    assert producer.connect(load(), stop, give_up_after=None) is None
    said = capsys.readouterr()
    assert (said.out + said.err).count("python setup_utils.py kafka") == 1, "what to type is said once"
    assert (said.out + said.err).count("Kafka still does not answer") == 2, "each half minute"


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
            "--duplicate-ratio + --late-ratio + --malformed-ratio + --return-ratio + --cancel-ratio + --correction-ratio = 1.2 "
            "is not accepted: expected at most 1.",
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
    config = load(PRODUCER__RATE="7", PRODUCER__LATE_RATIO="0.25", PRODUCER__CANCEL_RATIO="0.5")
    made = producer.with_options(config, rate=None, clients=None, late_ratio=None).producer
    assert made == config.producer
    assert (made.rate, made.late_ratio) == (Rate(7), 0.25)
    found = Counter(message.kind for message in itertools.islice(producer.stream(config, RunOptions(), 3), 400))
    assert found["annulation"] > 100 and found["tardive"] > 50 and not found["retour"]


def test_the_delay_of_late_sales_follows_the_watermark(kafka: Kafka) -> None:
    config = load(**FAST, STREAMING__WATERMARK_DELAY="5 hours", PRODUCER__LATE_RATIO="1")
    producer.produce(config, RunOptions(count=20, seed=1))
    newest = max(json.loads(value)["timestamp"] for value in kafka.values)
    assert datetime.fromisoformat(newest) < datetime.now(UTC) - timedelta(hours=5)


def test_options_module_is_what_clients_use() -> None:
    assert clients.client_options is kafka_options.client_options
