"""The status line's figures."""

from __future__ import annotations

from typing import Any

from lakehouse import config as settings
from lakehouse.config import Config
from lakehouse.operations.status import ProcessState
from lakehouse.setup.pipeline_status import PipelineStatus, describe


def state(name: str, state: Any = "running", **figures: float) -> ProcessState:
    return ProcessState(name, state, 1, figures=figures)


def test_all_that_is_known_in_one_line() -> None:
    states = {
        "producer": state("producer", sent=10),
        "bronze": state("bronze", lag_records=1234, batch_seconds=0.42, rejected=3),
        "silver": state("silver", age_seconds=12.4),
    }
    assert describe(states, 0.5) == "0.5 sales/s · lag 1,234 · last batch 0.4 s · last Silver pass 12 s ago · 3 rejects"


def test_who_does_not_run_yet_is_named_and_what_is_not_known_is_left_out() -> None:
    states = {
        "bronze": state("bronze", "starting"),
        "silver": state("silver", "starting"),
        "kafka": state("kafka", "dead"),
    }
    assert describe(states, None) == "starting: bronze, silver · dead: kafka"


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    looks = iter(((0.0, 0.0), (2.0, 1000.0), (40.0, 1000.0), (60.0, 1010.0)))
    seen = {"now": 0.0}

    def look(_config: Config) -> list[ProcessState]:
        seen["now"], sent = next(looks)
        return [state("producer", sent=sent)]

    status = PipelineStatus(settings.load(env={}), look, lambda: seen["now"])
    assert status.text() == ""
    for _ in range(4):
        status.refresh()
    assert status.text() == "0.5 sales/s", "the burst is over"


def test_a_stop_says_how_far_silvers_pass_is() -> None:
    status = PipelineStatus(settings.load(env={}), lambda _config: [state("silver", pass_tables=3)])
    assert status.stopping("silver") == "" and not status.silver_has_passed
    status.refresh()
    assert status.stopping("silver") == "3 of 6 tables" and status.silver_has_passed
    assert status.stopping("bronze") == ""
