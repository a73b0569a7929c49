"""The history of an empty topic: its rhythm, its span, who is told of it, and when there is none."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

import pytest

from lakehouse.config import Config
from lakehouse.errors import BrokerUnavailable
from lakehouse.kafka import clients
from lakehouse.observability import audit_log
from lakehouse.producer import history, producer
from lakehouse.producer.pacing import Stop
from lakehouse.producer.producer import RunOptions
from tests.support.fake_producer import FAST, Kafka, lines, load

PARIS = ZoneInfo("Europe/Paris")
MONDAY = datetime(2026, 3, 23, tzinfo=PARIS)  # the clocks go forward in this week
WEEK = timedelta(days=7)


def times(count: int = 20_000, since: datetime = MONDAY, span: timedelta = WEEK) -> list[datetime]:
    found = history.moments(since.astimezone(UTC), since.astimezone(UTC) + span, count, PARIS, Random(1))
    return [datetime.fromtimestamp(moment / 1e6, PARIS) for moment in found]


def test_the_sales_are_as_many_as_asked_in_order_and_within_the_span() -> None:
    found = times()
    assert len(found) == 20_000 and found == sorted(found)
    assert found[0] >= MONDAY and found[-1] < MONDAY.astimezone(UTC) + WEEK
    assert times() == found, "the same seed gives the same times"


def test_nights_are_quiet_evenings_and_saturdays_are_busy_by_the_business_zones_clocks() -> None:
    found = times()
    hours = Counter(moment.hour for moment in found)
    days = Counter(moment.weekday() for moment in found)
    assert max(hours, key=hours.__getitem__) == 19 and hours[3] * 10 < hours[19]
    assert max(days, key=days.__getitem__) == 5 and days[0] < days[3] < days[5]


def test_a_span_that_is_no_whole_number_of_hours_is_filled_to_its_end() -> None:
    found = times(1000, span=timedelta(minutes=90))
    assert MONDAY + timedelta(minutes=85) < found[-1] < MONDAY + timedelta(minutes=90)


@pytest.mark.parametrize(("rate", "expected"), [(0.5, 21_000), (0.001, 1210), (float("inf"), 21_000)])
def test_a_fortnight_is_small_whatever_the_rate(rate: float, expected: int) -> None:
    assert history.how_many(timedelta(days=14), rate) == expected


# --- a run ---


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load(**{**FAST, "DELTA__BASE_PATH": str(tmp_path / "data"), "PRODUCER__HISTORY": "1 day"})


def holding(monkeypatch: pytest.MonkeyPatch, end: int) -> None:
    monkeypatch.setattr(clients, "earliest_and_latest_offsets", lambda _config, **_how: {0: (end, end), 1: (0, 0)})


def test_an_empty_topic_begins_with_an_announced_history(
    kafka: Kafka, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    holding(monkeypatch, 0)
    truth, began = tmp_path / "truth", datetime.now(UTC)
    assert producer.produce(config, RunOptions(count=3, seed=7, truth=truth, history=True)) == 0
    sales = [json.loads(value) for value in kafka.values]
    assert len(sales) == 1503 and len({sale["vente_id"] for sale in sales}) == 1503
    (one,) = audit_log.backfills(config)
    assert (one.topic, one.messages, one.until - one.since) == ("ventes_stream", 1500, timedelta(days=1))
    assert one.arrived == datetime.fromtimestamp(1.234, UTC), "when the broker received the last of them"
    stamps = [datetime.fromisoformat(sale["timestamp"]) for sale in sales]
    assert all(one.since <= stamp <= one.until for stamp in stamps[:1500]) and one.since < began < one.until
    assert all(stamp >= one.until for stamp in stamps[1500:]), "then the sales of now"
    told = [line for line in lines(truth) if line["etat"] == "prevu"]
    assert [line["kind"] for line in told] == ["historique"] * 1500 + ["vente"] * 3
    assert [line["n"] for line in told] == list(range(1503)), "each message has a number of its own"
    assert "1,503 acknowledged" in (said := capsys.readouterr().out) and "historique 1,500" in said


def test_it_is_announced_before_its_first_message(
    kafka: Kafka, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    holding(monkeypatch, 0)

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no place for the log")

    monkeypatch.setattr(audit_log, "announce_backfill", refuse)
    with pytest.raises(OSError, match="no place"):
        producer.produce(config, RunOptions(count=3, history=True))
    assert kafka.values == []


@pytest.mark.parametrize("why", ["not empty", "emptied by retention", "not asked for", "0 ms"])
def test_there_is_none_for_a_topic_that_has_held_a_message_nor_unasked(
    kafka: Kafka, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    ends = {"not empty": (0, 5), "emptied by retention": (9, 9)}.get(why, (0, 0))
    monkeypatch.setattr(clients, "earliest_and_latest_offsets", lambda _config, **_how: {0: (0, 0), 1: ends})
    if why == "0 ms":
        config = load(**{**FAST, "DELTA__BASE_PATH": str(tmp_path / "data"), "PRODUCER__HISTORY": "0 ms"})
    assert producer.produce(config, RunOptions(count=3, history=why != "not asked for")) == 0
    assert len(kafka.values) == 3 and audit_log.backfills(config) == ()


def test_a_topic_whose_partitions_have_no_leader_yet_is_asked_again(
    kafka: Kafka, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([BrokerUnavailable("no leader yet"), {0: (0, 0)}])

    def ask(_config: Config, **_how: object) -> dict[int, tuple[int, int]]:
        if isinstance(answer := next(answers), BrokerUnavailable):
            raise answer
        return answer

    monkeypatch.setattr(clients, "earliest_and_latest_offsets", ask)
    assert producer.produce(config, RunOptions(count=3, history=True)) == 0
    assert len(kafka.values) == 1503


def test_a_stop_ends_the_history(kafka: Kafka, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    holding(monkeypatch, 0)
    stop = Stop()
    send = kafka.send

    def stopping(topic: str, value: bytes, key: bytes) -> object:
        if len(kafka.values) == 10:
            stop.set()
        return send(topic, value, key)

    monkeypatch.setattr(kafka, "send", stopping)
    assert producer.produce(config, RunOptions(seed=7, history=True), stop) == 0
    assert len(kafka.values) == 11
    (one,) = audit_log.backfills(config)
    assert one.arrived is None, "a stop is not the end of its sales on their way"
    holding(monkeypatch, 11)
    began = datetime.now(UTC)
    assert producer.produce(config, RunOptions(count=1)) == 0
    (one,) = audit_log.backfills(config)
    assert one.arrived is not None and one.arrived >= began, "the next run sends nothing of it"
    assert producer.produce(config, RunOptions(count=1)) == 0
    assert audit_log.backfills(config) == (one,)


def test_the_history_of_a_seed_shares_no_sale_with_its_stream_and_all_of_its_clients(config: Config) -> None:
    order = RunOptions(seed=7)
    _, count, messages = producer.past(config, order, 7, datetime(2026, 1, 2, tzinfo=UTC))
    sold = [next(messages) for _ in range(count)]
    stream = producer.stream(config, order, 7)
    live = [next(stream) for _ in range(count)]
    assert not {one.vente_id for one in sold} & {one.vente_id for one in live}
    known = {one.client.client_id: one.client for one in sold}
    assert all(known.get(one.client.client_id, one.client) == one.client for one in live)
