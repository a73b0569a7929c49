"""The projection's arithmetic, and what of a measurement goes into the documents."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks import projection, scaling, scaling_file, state_job
from benchmarks.projection import Input
from lakehouse.config import Config
from lakehouse.errors import LakehouseError

ROUND = {
    "sales_per_core": 1000, "silver_sales_per_core": 500, "message_bytes": 100, "bronze_bytes": 10, "state_bytes": 50,
    "headroom": 2, "executor_cores": 4, "driver_cores": 8, "broker_cores": 4, "broker_mb": 1, "copies": 3,
    "retention_days": 7, "watermark_seconds": 600, "batch_seconds": 10, "late_share": 0.01, "file_mb": 864,
    "bronze_months": 12, "core_price": 0.1, "disk_price": 0.5, "object_price": 0.05,
}  # fmt: skip
GIVEN = {name: Input(value, "", "", "assumed") for name, value in ROUND.items()}


def test_each_figure_of_a_step_is_its_formula() -> None:
    step = projection.project(10_000, GIVEN)
    assert (step.partitions, step.executors, step.silver_cores, step.brokers) == (20, 5, 40, 6)
    assert step.kafka_gb == pytest.approx(10_000 * 100 * 3 * 7 * 86_400 / 1e9) == pytest.approx(1814.4)
    assert (step.state_ids, step.state_gb) == (12_000_000, pytest.approx(0.6))
    assert (step.bronze_gb_day, step.files_day, step.compacted_day) == (8.64, 172_800, 10)
    assert step.exact_dedup_sales == 1000
    cores = 5 * 4 + 40 + 6 * 4 + 8
    assert step.cost == pytest.approx(cores * 730 * 0.1 + 1814.4 * 0.5 + 8.64 * 30 * 12 * 0.05)


def test_a_small_rate_keeps_three_brokers_and_four_partitions() -> None:
    step = projection.project(1, GIVEN)
    assert (step.partitions, step.executors, step.brokers) == (4, 1, 3)


def test_every_input_of_the_documents_is_used_by_the_projection() -> None:
    found = json.loads(scaling.FILE.read_text(encoding="utf-8"))["inputs"]
    assert set(found) == set(ROUND)
    given = projection.inputs(found)
    for name, one in given.items():
        changed = {**given, name: Input(one.value * 7, one.unit, one.means, one.origin)}
        steps = [[projection.project(rate, which) for rate in projection.RATES] for which in (given, changed)]
        assert steps[0] != steps[1], name
    assert all(one.means and one.origin for one in given.values())


DRAIN = {"partitions": 4, "Kafka bytes per sale": 210.4, "Bronze bytes per sale": 61.23, "CPU s per million": 50.0}
STATE = {"store": "memory", "outcome": "fits", "state bytes per identity": 345.67}
TO_DATE = {"date": "2026-11-24T10:00:00+00:00"}


def machine(load: float) -> dict[str, Any]:
    return {**TO_DATE, "commit": "abc", "machine": {"processor": "P", "cores": 2, "memory_gb": 8.0, "load": load}}


def test_measured_figures_replace_the_inputs_that_follow_from_them() -> None:
    kept: dict[str, Any] = {"measured": {"Silver": [{"about": {}, "row": {"step": "old", "sales": 1, "CPU s per million": 1.0}}]}, "inputs": {
        name: {"value": 1, "unit": "u", "means": "m", "origin": "assumed"} for name in ROUND
    }}  # fmt: skip
    made = kept
    for title, row in (
        ("The deduplication state", STATE),
        ("The deduplication state", {**STATE, "store": "rocksdb", "state bytes per identity": 9.0}),
        ("Partitions of the topic", DRAIN),
        ("Partitions of the topic", {**DRAIN, "partitions": 1, "CPU s per million": 99.0}),
    ):
        made = scaling_file.merged(made, TO_DATE, title, row)
    values = {name: one["value"] for name, one in made["inputs"].items() if one["origin"] != "assumed"}
    assert values == {"message_bytes": 210, "bronze_bytes": 61.2, "sales_per_core": 20_000, "state_bytes": 346}
    assert made["inputs"]["state_bytes"]["origin"] == "measured, `make scaling`, 2026-11-24"
    assert list(made["measured"]) == ["Partitions of the topic", "The deduplication state", "Silver"]
    assert kept["inputs"]["state_bytes"]["origin"] == "assumed" and list(kept["measured"]) == ["Silver"]


def test_silvers_rate_leaves_out_what_the_start_of_a_pass_costs() -> None:
    rows = [
        {"step": "first build", "sales": 1_000_000, "CPU s per million": 110.0},
        {"step": "one new day", "sales": 1_000, "CPU s per million": 10_100.0},
    ]
    assert scaling_file.silver_rate(rows) == {"silver_sales_per_core": pytest.approx(999_000 / 99.9)}
    assert scaling_file.silver_rate(rows[1:]) == {}
    kept: dict[str, Any] = {"measured": {}, "inputs": {"silver_sales_per_core": {"value": 1, "origin": "assumed"}}}
    for row in rows:
        kept = scaling_file.merged(kept, TO_DATE, "Silver", row)
    assert kept["inputs"]["silver_sales_per_core"]["value"] == 10_000


def test_a_row_replaces_that_of_its_own_case_and_no_other() -> None:
    kept: dict[str, Any] = {"measured": {}, "inputs": {"state_bytes": {"value": 1, "origin": "assumed"}}}
    for store, size, day in (("memory", 10.0, 1), ("rocksdb", 20.0, 1), ("memory", 30.0, 2)):
        row = {**STATE, "store": store, "state bytes per identity": size}
        kept = scaling_file.merged(kept, {"date": f"2026-11-0{day}"}, "The deduplication state", row)
    found = kept["measured"]["The deduplication state"]
    assert [(one["row"]["store"], one["row"]["state bytes per identity"], one["about"]["date"]) for one in found] == [
        ("memory", 30.0, "2026-11-02"), ("rocksdb", 20.0, "2026-11-01")
    ]  # fmt: skip
    assert kept["inputs"]["state_bytes"]["value"] == 30


def test_tables_are_markdown_and_say_what_was_not_measured() -> None:
    assert "make scaling" in projection.measured_tables({"measured": {}})
    build = {"about": machine(0.1), "row": {"step": "build", "sales": 3650000, "s": 12.345}}
    shown = projection.measured_tables({"measured": {"Silver": [build]}})
    assert "| build | 3,650,000 | 12.3 |" in shown and "2 cores, 8 GB, load 0.1" in shown
    late = {"about": machine(3.2), "row": {"step": "late", "more": None}}
    shown = projection.measured_tables({"measured": {"Silver": [build, late]}})
    assert "| step | sales | s | more |" in shown and "| late | – | – | – |" in shown
    assert "build: 2026-11-24" in shown and "late: 2026-11-24, commit abc: P, 2 cores, 8 GB, load 3.2" in shown


def test_the_projection_has_a_column_a_rate() -> None:
    lines = projection.projection_table(GIVEN).splitlines()
    assert lines[0] == "| at | 10,000 sales/s | 100,000 sales/s | 1,000,000 sales/s | formula |"
    assert "| brokers | 6 | 60 | 600 |" in lines[5]


@pytest.mark.parametrize(
    ("value", "expected"), [(0, "0"), (12345, "12,300"), (4.5, "4.5"), (0.0234, "0.0234"), (100, "100"), (86.4, "86.4")]
)
def test_three_digits_count(value: float, expected: str) -> None:
    assert projection._short(value) == expected


def test_a_busy_machine_writes_nothing_into_the_documents(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (3.2, 1.0, 1.0))
    before = scaling.FILE.read_bytes()
    assert scaling.main(["silver", "--write"]) == 1
    assert "The load of this machine is 3.2" in capsys.readouterr().err
    assert scaling.FILE.read_bytes() == before


def test_a_busy_machine_may_be_measured_when_the_user_says_so_and_each_row_is_kept_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def silver(*_: object) -> Iterator[dict[str, Any]]:
        yield {"step": "one new day", "sales": 10, "CPU s per million": 40.0}
        raise LakehouseError("the second step fails")

    file = tmp_path / "scaling.json"
    file.write_text(scaling.FILE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", str(tmp_path))
    monkeypatch.setattr(scaling, "FILE", file)
    monkeypatch.setattr(scaling, "Broker", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(scaling, "interrupt_on_signals", lambda: None)
    monkeypatch.setattr(scaling.about, "collect", lambda _: machine(3.2))
    monkeypatch.setitem(scaling.MEASURES, "silver", silver)
    monkeypatch.setattr(os, "getloadavg", lambda: (3.2, 1.0, 1.0))
    assert scaling.main(["silver", "--write", "--busy-ok"]) == 1
    found = json.loads(file.read_text(encoding="utf-8"))
    rows = {one["row"]["step"]: one for one in found["measured"]["Silver"]}
    assert rows["one new day"]["row"]["CPU s per million"] == 40.0
    assert rows["one new day"]["about"]["machine"]["load"] == 3.2


def test_the_state_settles_where_it_should() -> None:
    assert state_job.delay(10_000_000, 500_000) == timedelta(minutes=10) == Config().streaming.watermark_delay
