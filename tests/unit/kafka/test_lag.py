"""Open transactions as the lag's looks at Kafka find them: the last stable offset stays, the log's end does not."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lakehouse.bronze.health import BronzeHealth
from lakehouse.kafka.lag import HANGING_SECONDS, Lag
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
