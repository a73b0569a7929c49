"""Open transactions as the lag's looks at Kafka find them: the last stable offset stays, the log's end does not."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lakehouse.bronze.health import BronzeHealth
from lakehouse.kafka.lag import HANGING_SECONDS, Lag, OpenTransaction
from lakehouse.observability import log, metrics
from lakehouse.observability.health import Monitor
from tests.support.harness import config_of


class Known:
    """Kafka's answers, as the test gives them: partition → bounds, and the age of the message at each last stable offset."""

    def __init__(self, bounds: Mapping[int, tuple[int, int]], ages: Mapping[int, float]) -> None:
        self._bounds, self._ages = bounds, ages

    def bounds(self) -> Mapping[int, tuple[int, int]]:
        return self._bounds

    def time_of(self, partition: int, _offset: int) -> float | None:
        age = self._ages.get(partition)
        return None if age is None else time.time() - age


def looked(lag: Any, stable: Mapping[int, int], ends: Mapping[int, int], ages: Mapping[int, float]) -> None:
    lag._asked_settings = True
    lag._offsets = Known({partition: (0, offset) for partition, offset in stable.items()}, {})
    lag._everything = Known({partition: (0, offset) for partition, offset in ends.items()}, ages)
    lag.look()


def test_a_transaction_is_as_old_as_its_first_message(tmp_path: Path) -> None:
    watched = Monitor(config_of(tmp_path, "localhost:1", "ventes"), "bronze")
    lag = Lag(watched.config, watched.meter)
    looked(lag, {0: 5, 1: 7, 2: 9}, {0: 5, 1: 12, 2: 10}, {0: 9e9, 1: HANGING_SECONDS + 60, 2: 30.0})
    ages = {labels[0]: value for labels, value in watched.meter.values(metrics.OPEN_TRANSACTION).items()}
    assert ages == {"0": 0.0, "1": pytest.approx(HANGING_SECONDS + 60, abs=30), "2": pytest.approx(30, abs=30)}
    ((place, sentence),) = lag.hanging().items()
    assert place == "ventes[1]@7" and "5 messages from ventes[1]@7 on wait for its end" in sentence
    looked(lag, {0: 5, 1: 12, 2: 10}, {0: 5, 1: 12, 2: 10}, {})
    assert lag.hanging() == {} and set(watched.meter.values(metrics.OPEN_TRANSACTION).values()) == {0.0}


def test_bronze_is_not_ready_while_a_transaction_hangs_and_logs_it_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(tmp_path, "localhost:1", "ventes")
    monkeypatch.setattr("lakehouse.kafka.clients.check_reachable", lambda *_: None)
    log.configure(config.monitoring)
    made = BronzeHealth(config, Monitor(config, "bronze"))
    looked(made._lag, {0: 5}, {0: 8}, {0: 2_000.0})
    (reason,) = made._not_ready()
    assert reason.startswith("a transaction has been open for 2000 s: 3 messages from ventes[0]@5 on")
    for _ in range(3):
        made._say_hanging()
    assert capsys.readouterr().err.count("a transaction has been open") == 1
    looked(made._lag, {0: 8}, {0: 8}, {})
    assert list(made._not_ready()) == []
    made._say_hanging()
    looked(made._lag, {0: 8}, {0: 9}, {0: 2_000.0})
    made._say_hanging()
    assert capsys.readouterr().err.count("ventes[0]@8") == 1, "another one is said again"


class Asked(Known):
    """The same, and at which offsets times were asked for."""

    def __init__(self, bounds: Mapping[int, tuple[int, int]], ages: Mapping[int, float]) -> None:
        super().__init__(bounds, ages)
        self.asked: list[tuple[int, int]] = []

    def time_of(self, partition: int, offset: int) -> float | None:
        self.asked.append((partition, offset))
        return super().time_of(partition, offset)


def near(seconds: float) -> Any:
    return pytest.approx(seconds, abs=60)


def test_the_lag_runs_from_what_was_read_and_the_headroom_to_what_kafka_drops_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def topic(_: Any) -> Any:
        asked.append("settings")
        return SimpleNamespace(settings={"retention.ms": "9000000"})

    monkeypatch.setattr("lakehouse.kafka.lag.describe_topic", topic)
    watched = Monitor(config_of(tmp_path, "localhost:1", "ventes"), "bronze")
    lag: Any = Lag(watched.config, watched.meter)

    def values(metric: metrics.Metric) -> dict[str, float]:
        return {labels[0]: value for labels, value in watched.meter.values(metric).items()}

    # behind, at the end, never read, behind what Kafka still holds, ahead of what is stable
    bounds = {12: (0, 0), 0: (2, 10), 1: (3, 12), 2: (4, 9), 3: (5, 8), 4: (0, 6)}
    lag._offsets = Asked(bounds, {0: 3_000, 2: 5_000, 3: -1_000})
    lag._everything = Asked({n: span for n, span in bounds.items() if n != 12}, {})
    lag.read({0: 7, 1: 12})
    lag.read({3: 4, 4: 7})
    for _ in range(2):
        lag.look()
    assert asked == ["settings"]
    assert lag._offsets.asked == 2 * [(0, 7), (2, 4), (3, 5)] and lag._everything.asked == []
    assert values(metrics.LAG_RECORDS) == {"0": 3, "1": 0, "2": 5, "3": 4, "4": 0, "12": 0}
    assert values(metrics.LAG_SECONDS) == {"0": near(3_000), "1": 0, "2": near(5_000), "3": 0, "4": 0, "12": 0}
    assert values(metrics.HEADROOM_RECORDS) == {"0": 5, "1": 9, "2": 0, "3": -1, "4": 7, "12": 0}
    assert values(metrics.HEADROOM_SECONDS) == {
        "0": near(6_000), "1": 9_000, "2": near(4_000), "3": 9_000, "4": 9_000, "12": 9_000,
    }  # fmt: skip
    assert watched.meter.values(metrics.KAFKA_SEEN)


@pytest.mark.parametrize(("said", "seconds"), [("0", {("0",): 0.0}), ("1500", {("0",): 1.5}), ("-1", {}), (None, {})])
def test_a_topic_without_retention_has_no_headroom_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, seconds: dict[Any, float]
) -> None:
    settings = {} if said is None else {"retention.ms": said}
    monkeypatch.setattr("lakehouse.kafka.lag.describe_topic", lambda _: SimpleNamespace(settings=settings))
    watched = Monitor(config_of(tmp_path, "localhost:1", "ventes"), "bronze")
    lag: Any = Lag(watched.config, watched.meter)
    lag._offsets = lag._everything = Known({0: (0, 0)}, {})
    lag.look()
    assert watched.meter.values(metrics.HEADROOM_SECONDS) == seconds


def test_a_transaction_hangs_beyond_fifteen_minutes_and_partitions_are_named_in_order() -> None:
    lag: Any = object.__new__(Lag)
    lag._config = config_of(Path("lake"), "localhost:1", "ventes")
    lag._open = {n: OpenTransaction(n, 1, HANGING_SECONDS + after) for n, after in ((9, 1), (2, 0), (1, 1))}
    assert list(lag.hanging()) == ["ventes[1]@1", "ventes[9]@9"]
