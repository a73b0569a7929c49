"""The benchmarks' pure parts, and the account of a command whose child outlives it."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console
from rich.table import Table

from benchmarks import (
    big_lake,
    contenders,
    cpu_shares,
    first_hour,
    goals,
    latency,
    memory,
    page,
    preload,
    publish,
    report,
    sections,
    sending,
    silver,
    soak,
    venvs,
)
from benchmarks import run as bench
from benchmarks.drain import DrainRun, Held, processing, said
from benchmarks.kafka_tools import Consumed, Produced, parse, parse_produced
from benchmarks.latency import LatencyRun
from lakehouse.config import PROJECT, Config
from lakehouse.errors import ConfigError, LakehouseError
from lakehouse.setup.procfile import read_procfile

Row = dict[str, Any]

HELD = Held(1000, 1000, 5)


def run_of(contender: str, seconds: float, turn: int = 1, **changed: Any) -> Row:
    """A row of the drain's figures, as ``benchmarks.sections`` makes them."""
    run = DrainRun(contender, turn, 1000, seconds, seconds / 2, 2, 3.0, 512.0, HELD, True)
    derived = {name: getattr(run, name) for name in ("rate", "processing_rate", "cpu_per_million")}
    return {**dataclasses.asdict(run), **derived, **changed}


TOOL = run_of("ConsumerPerformance", 2.5, held=None, peak_mb=None)
DRAIN = {
    "sales": 1000, "value_bytes": 300_000, "packages": ["quixstreams==3.28.1"], "does": {"ours": "exact", "textbook": "not exact"},
    "runs": [
        run_of("ours", 10.0), run_of("ours", 40.0, 2), run_of("ours", 25.0, 3), run_of("textbook", 20.0, correct=False),
        run_of("bare loop", 25.0), TOOL,
    ],
    "failures": [{"contender": "Quix Streams", "turn": 1, "why": "no registry\nand more"}],
}  # fmt: skip
LATENCY: Row = {"rate": 1000, "seconds": 60, "failures": [], "runs": [
    dataclasses.asdict(LatencyRun("ours", 100, 10, 0.9, 2.0, 2.5, 10.0)),
    dataclasses.asdict(LatencyRun("textbook", 100, 3, 4.5, 8.0, 9.0, 20.0)),
]}  # fmt: skip
SOAK = {
    "rate": 1000, "seconds": 1800, "window_seconds": 300, "sales": 1_800_000, "versions": 1700, "p50": 0.8, "p99": 1.6,
    "worst": 3.0, "first_p50": 0.8, "last_p50": 0.88, "points": [[0, 0.8, 1.0], [10, 0.9, 1.2]],
}  # fmt: skip
PASSES = {("small", "today"): 2.0, ("large", "today"): 2.2, ("small", "spread"): 3.0, ("large", "spread"): 3.75}
SILVER = {
    "days": 365, "clients": 20_000, "new": 50_000, "spread_days": 60,
    "lakes": {
        "small": {"sales": 500_000, "full_seconds": 9.0, "differing_cells": 0},
        "large": {"sales": 49_999_890, "full_seconds": 375.0, "differing_cells": 0},
    },
    "runs": [
        {"history": history, "kind": kind, "turn": 1, "seconds": seconds, "process_seconds": 4.0, "jobs": 50, "files": 9, "rows": 70}
        for (history, kind), seconds in PASSES.items()
    ],
}  # fmt: skip
MEMORY = {
    "minutes": 60, "warm_up_minutes": 15, "pss_mb": 2400.0, "rss_mb": 2700.0, "peak_pss_mb": 2500.0,
    "slope_mb_per_hour": -12.0, "by_process": {"kafka: Java": 400.0}, "samples": [[10, 2000, 2100], [20, 2400, 2700]],
}  # fmt: skip
SENDING = {"count": 1000, "bytes": 300, "failures": [], "runs": [
    {"contender": "ours", "turn": 1, "rate": 9000.0, "process_seconds": 2.0, "cpu_per_million": 90.0},
    {"contender": "constant", "turn": 1, "rate": 10_000.0, "process_seconds": 1.9, "cpu_per_million": None},
]}  # fmt: skip
LOW_RATE = {"warm_up_minutes": 10, "minutes": 5, "runs": [
    {"contender": "ours", "share": 0.18, "shares": {"kafka: Java": 0.1, "dashboard": 0.08}, "commits_per_second": 0.2, "pss_mb": 900.0},
    {"contender": "textbook pair", "share": 0.4, "shares": {"kafka: Java": 0.4}, "commits_per_second": 0.5, "pss_mb": 1000.0},
]}  # fmt: skip
FIRST_HOUR = {
    "tool": "uv", "archive": 61.0, "warm": {"start": 4.0, "first sale": 25.0, "first Silver figure": 40.0},
    "cold": {"packages": 50.0, "Java": 2.0, "JARs": 30.0, "set-up": 70.0, "start": 8.0, "first sale": 40.0, "first Silver figure": 60.0},
}  # fmt: skip
FIGURES = {
    "drain": DRAIN, "latency": LATENCY, "soak": SOAK, "silver": SILVER, "memory": MEMORY, "low-rate": LOW_RATE, "producer": SENDING,
    "explorer": {
        "sales": 5_000_000, "cold on a small lake: a named question": 0.2, "cold on a small lake: --sql": 0.4,
        "cold on a small lake: --batch": 0.61, "cold: explorer": 0.4, "cold: PySpark": 9.0, "cold: PySpark / explorer": 22.5,
    },
    "start": {"seconds": {"ours": [6.0, 5.0, 7.0], "textbook": [13.0, 12.0, 11.0]}},
    "first-hour": FIRST_HOUR,
}  # fmt: skip
ABOUT = {
    "date": "2026-01-02T03:04:05+00:00", "commit": "abc1234", "versions": {"Python": "3.11"}, "settings_changed": {},
    "machine": {"processor": "a processor", "cores": 2, "memory_gb": 8.0, "system": "Linux", "load": 0.1},
}  # fmt: skip


def section(figures: Row, **changed: Any) -> Row:
    return {"about": {**ABOUT, **changed}, "command": "python -m benchmarks.run", "figures": figures}


SECTIONS = {name: section(figures) for name, figures in FIGURES.items()}
Verdicts = dict[int, tuple[str, str]]


def verdicts(**changed: Row) -> Verdicts:
    """Of every goal, with some sections' figures replaced."""
    found = {**SECTIONS, **{name: section({**FIGURES[name], **figures}) for name, figures in changed.items()}}
    return {goal.number: goals.verdict(goal, found) for goal in goals.GOALS}


def shown(table: Table) -> str:
    console = Console(width=200, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([7.0], 0.5, 7.0),
        ([1, 2, 3, 4], 0.5, 2),
        ([1, 2, 3], 0.5, 2),
        (range(1, 101), 0.99, 99),
        (range(1, 11), 0.99, 10),
    ],
)
def test_percentile_is_the_nearest_rank(values: list[float], share: float, expected: float) -> None:
    assert report.percentile(values, share) == expected


def test_every_goal_is_judged_by_the_median_turns() -> None:
    assert verdicts() == {
        1: ("18% of a core", "reached"),
        2: ("0.45 ×", "reached"),
        3: ("no figure", "open"),
        4: ("2.20 s", "missed"),
        5: ("3.75 s", "reached"),
        6: ("1.10 × (one day), 1.25 × (60 days)", "reached"),
        7: ("375 s, 100 ×, cell-equal", "missed"),
        8: ("2.40 GB, -12 MB an hour", "missed"),
        9: ("25.0 s, 40.0 s", "missed"),
        10: ("6.0 s, 0.50 ×", "reached"),
        11: ("p50 0.90 s, p99 2.00 s, 0.20 ×", "missed"),
        12: ("0.80 ×, a table DIFFERS", "missed"),
        13: ("0.90 ×", "reached"),
        14: ("0.20 s · 0.40 s · 0.61 s", "missed"),
        15: ("110 s, 25 s, Silver 20 s later", "reached"),
        16: ("p99/p50 2.00, last/first 1.10", "reached"),
        17: ("1.00 ×", "reached"),
        18: ("0.10 ×", "missed"),
        19: ("0.40 s", "reached"),
    }


def test_goals_that_are_missed_by_a_little() -> None:
    quick = [{**LATENCY["runs"][0], "p50": 0.7, "p99": 1.2}, LATENCY["runs"][1]]
    assert verdicts(latency={"runs": quick})[11][1] == "reached"
    slow = [{**quick[0], "p99": 1.23}, quick[1]]
    close = [quick[0], {**quick[1], "p50": 2.7}]
    assert verdicts(latency={"runs": slow})[11][1] == verdicts(latency={"runs": close})[11][1] == "missed"
    assert verdicts(soak={"last_p50": 0.9})[16][1] == verdicts(soak={"p99": 2.1})[16][1] == "missed"
    for seconds, verdict in (
        (187.4, "missed"),
        (187.5, "reached"),
        (300.1, "missed"),
    ):  # a pass of 60 days takes 3.75 s
        lakes = {**SILVER["lakes"], "large": {**SILVER["lakes"]["large"], "full_seconds": seconds}}
        assert verdicts(silver={"lakes": lakes})[7][1] == verdict
    wrong = {**SILVER["lakes"], "small": {**SILVER["lakes"]["small"], "differing_cells": 2}}
    assert verdicts(silver={"lakes": wrong})[7] == ("375 s, 100 ×, 2 cells DIFFER", "missed")
    few = [
        {"history": "large", "kind": "few", "turn": 1, "seconds": 0.8, "cpu_seconds": cpu, "sales": 30}
        for cpu in (1.0, 1.0)
    ]
    assert verdicts(silver={"runs": [*SILVER["runs"], *few]})[3] == ("0.80 s, 1.00 CPU s", "reached")
    slower = [{**one, "cpu_seconds": 1.01} for one in few]
    assert verdicts(silver={"runs": [*SILVER["runs"], *slower]})[3][1] == "missed"
    assert verdicts(explorer={"cold: explorer": 0.51})[19][1] == "missed"
    assert verdicts(start={"seconds": {"ours": [6.1], "textbook": [12.0]}})[10][1] == "missed"
    slow_start = {"warm": {**FIRST_HOUR["warm"], "first sale": 30.1}}  # type: ignore[dict-item]
    assert verdicts(**{"first-hour": FIRST_HOUR})[15] == ("110 s, 25 s, Silver 20 s later", "reached")
    assert verdicts(**{"first-hour": slow_start})[15][1] == "missed"
    warm = {"warm": {**FIRST_HOUR["warm"], "first sale": 8.0, "first Silver figure": 12.0}}  # type: ignore[dict-item]
    assert verdicts(**{"first-hour": warm})[9] == ("8.0 s, 12.0 s", "reached")
    small = {"pss_mb": 1500.0}
    assert verdicts(memory=small)[8][1] == "reached"
    assert verdicts(memory={**small, "slope_mb_per_hour": 21.0})[8][1] == "missed"
    assert verdicts(memory={"pss_mb": 1501.0})[8][1] == "missed"


def test_a_goal_is_not_reached_by_a_smaller_run_nor_without_its_contender() -> None:
    assert verdicts(soak={"seconds": 60})[16] == ("p99/p50 2.00, last/first 1.10 (of 1 minutes only)", "open")
    lakes = {**SILVER["lakes"], "large": {**SILVER["lakes"]["large"], "sales": 2_000_000, "full_seconds": 200.0}}
    found = verdicts(silver={"lakes": lakes})
    assert [found[number][1] for number in (5, 6, 7)] == ["open"] * 3 and "2,000,000 rows only" in found[6][0]
    assert verdicts(memory={"minutes": 2, "pss_mb": 1400.0})[8][1] == "open"
    quick = [{**LATENCY["runs"][0], "p50": 0.7, "p99": 1.2}]
    assert verdicts(latency={"runs": quick})[11] == ("p50 0.70 s, p99 1.20 s, no figure", "open")
    without = [run for run in DRAIN["runs"] if run["contender"] != "bare loop"]
    assert verdicts(drain={"runs": without})[17] == ("no figure", "open")
    assert {goals.verdict(goal, {}) for goal in goals.GOALS} == {("–", "not measured")}


def test_a_low_rate_is_judged_by_its_share_of_a_core_and_beside_the_pair() -> None:
    ours, pair = LOW_RATE["runs"]
    assert verdicts(**{"low-rate": {"runs": [{**ours, "share": 0.21}, {**pair, "share": 0.9}]}})[1][1] == "missed"
    assert verdicts(**{"low-rate": {"runs": [ours, {**pair, "share": 0.3}]}})[2][1] == "missed"
    (grid,) = page.low_rate(LOW_RATE)
    assert grid.rows[0] == ("kafka: Java", "10.0", "40.0") and grid.rows[1] == ("dashboard", "8.0", "–")
    before = cpu_shares.Account({"a": 1.0, "gone": 5.0}, {("a", "C2"): 0.5}, {}, 3)
    after = cpu_shares.Account({"a": 4.0, "new": 1.0}, {("a", "C2"): 2.5, ("a", "idle"): 0.001}, {"a": 10.0}, 9)
    found = cpu_shares.figures(before, after, 10.0)
    assert found["shares"] == {"a": 0.3, "new": 0.1} and found["share"] == pytest.approx(0.4)
    assert found["threads"] == {"a": {"C2": 0.2}} and found["commits_per_second"] == 0.6


def test_the_textbook_pair_runs_beside_our_broker_and_producer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders.jars, "resolve", lambda *_: [Path("/jars/one.jar"), Path("/jars/two.jar")])
    file = cpu_shares._procfile(contenders.configured(Config(), tmp_path, "sales"), tmp_path / "Procfile")
    commands = read_procfile(file)
    assert list(commands) == ["kafka", "producer", "bronze", "totals"]
    script, *options = commands["totals"][1:]
    assert Path(script).is_file() and f"--bronze={tmp_path}/bronze/ventes_stream" in options
    told = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=True).stdout
    assert all(option.split("=")[0] in told for option in options)


def test_the_drains_table_shows_medians_and_a_table_that_differs() -> None:
    (grid,) = page.drain(DRAIN)
    assert grid.rows[0] == ("ours", "3", "25.0", "40", "25 – 100", "80", "3,000.0", "512", "equal", "1.00 ×")
    assert grid.rows[1][-2:] == ("DIFFER", "0.80 ×")
    assert grid.rows[3][2:4] == ("2.5", "400") and grid.rows[3][7:] == ("–", "–", "0.10 ×")
    assert (
        "- Quix Streams has no figures from turn 1 on: no registry" in grid.notes[0] and "and more" not in grid.notes[0]
    )
    assert "40 │" in shown(report.terminal(grid)).replace("  ", " ")


def test_the_page_names_where_each_figure_comes_from_and_what_was_not_measured() -> None:
    kept = {"sections": {"start": section(FIGURES["start"], settings_changed={"VENTES_SPARK__UI": "true"})}}
    text = page.part("start", kept)
    assert "| ours | 3 | 6.0 | 5.0 – 7.0 | 0.50 × |" in text
    assert "`python -m benchmarks.run`, 2026-01-02 03:04 UTC, commit abc1234: a processor, 2 cores" in text
    assert "settings: VENTES_SPARK__UI=true." in text and "busy" not in text
    busy = section(FIGURES["start"], machine={**ABOUT["machine"], "load": 3.0})
    assert "load 3.0 before the start (**the machine was busy**)" in page.part("start", {"sections": {"start": busy}})
    assert page.part("soak", kept) == (
        "Not measured yet. This measures it and writes it here: `python -m benchmarks.run --only soak --write`."
    )


def test_the_first_hours_shares_come_from_what_set_up_prints() -> None:
    said = (
        "1/4 Python packages: 39 into .venv with uv\n1/4 Python packages, .venv: done in 1 s\n"
        "1/4 Python packages: done in 40 s\n2/4 Java: done in 2 s\n1/4 Python packages: done in 9 s\n"
        "3/4 JARs: done in 20 s\n3/4 JARs, our own Java: done in 3 s\n4/4 Ready: all that a run needs is there\n"
    )
    assert first_hour.shares(said) == {"packages": 50.0, "Java": 2.0, "JARs": 23.0}


def test_every_section_has_its_table_and_the_plots_are_sound_xml() -> None:
    assert {goal.section for goal in goals.GOALS} == set(sections.SECTIONS) == set(page.GRIDS)
    for name in page.GRIDS:
        assert "|" in page.part(name, {"sections": SECTIONS})
    drawn = page.plots(SECTIONS)
    assert set(drawn) == {f"bench-{name}.svg" for name in ("drain", "latency", "soak", "silver", "memory")}
    for name, text in drawn.items():
        assert not [one for one in ElementTree.fromstring(text).iter() if "nan" in str(one.attrib)], name
    assert page.plots(SECTIONS) == drawn


def test_the_published_page_holds_the_files_figures_and_nothing_is_measured_that_the_code_does_not_know() -> None:
    kept = publish.kept()
    assert set(kept["sections"]) <= set(sections.SECTIONS)
    text = publish.PAGE.read_text(encoding="utf-8")
    for name, make in publish.parts().items():
        assert f"<!-- generated: {name} -->\n\n{make()}\n\n<!-- end: {name} -->" in text, (
            "type: .venv/bin/python docs/generate.py"
        )
    for path, drawn in publish.images().items():
        assert path.read_text(encoding="utf-8") == drawn
    left = {path.name for path in publish.IMAGES.glob("bench-*.svg")} - {path.name for path in publish.images()}
    assert not left


def test_sections_are_merged_and_the_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (
        ("FILE", json.dumps({"sections": {"soak": SECTIONS["soak"]}})),
        ("PAGE", publish.PAGE.read_text("utf-8")),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        monkeypatch.setattr(publish, name, tmp_path / name)
    monkeypatch.setattr(publish, "IMAGES", tmp_path)
    publish.merge({"drain": SECTIONS["drain"]})
    assert list(publish.kept()["sections"]) == ["drain", "soak"]
    text = (tmp_path / "PAGE").read_text(encoding="utf-8")
    assert "0.80 ×, a table DIFFERS" in text and "images/bench-soak.svg" in text
    assert (tmp_path / "bench-drain.svg").exists()
    publish.merge({})
    assert (tmp_path / "PAGE").read_text(encoding="utf-8") == text


def test_each_contender_says_what_it_does_not_do() -> None:
    assert [one.name for one in contenders.DRAINERS] == ["ours", "textbook", "bare loop", "Quix Streams"]
    for one in contenders.DRAINERS[1:]:
        assert "does not deduplicate" in one.does and "quarantine" in one.does and "exactly once" in one.does


@pytest.mark.parametrize("name", venvs.NAMES)
def test_an_environments_lock_holds_its_pins_and_the_projects_own_writers(name: str) -> None:
    lock = venvs.lock_of(name).read_text(encoding="utf-8")
    pinned = venvs.pins(name)
    assert len(pinned) == 3 and all(f"{one} \\\n    --hash=sha256:" in lock for one in pinned)
    own = (PROJECT / "requirements.txt").read_text(encoding="utf-8")
    assert all(one in own for one in pinned if one.startswith(("deltalake", "pyarrow")))


def test_sizes_that_were_not_given_are_filled_in() -> None:
    def parsed(*words: str) -> Any:
        return bench.completed(bench.parser().parse_args(words))

    full, quick = parsed(), parsed("--quick", "--sales", "9")
    assert (full.sales, full.repeat, full.only) == (5_000_000, 3, list(sections.SHORT))
    assert (quick.sales, quick.repeat, quick.count) == (9, 1, 50_000)
    assert parsed("--long").only == list(sections.LONG)
    assert parsed("--only", "silver", "drain").only == ["drain", "silver"]
    assert bench.command_of("soak", full) == "python -m benchmarks.run --only soak --rate 1000 --soak-minutes 30"
    assert bench.command_of("soak", parsed("--soak-held", "7")).endswith("--soak-minutes 30 --soak-held 7")
    for words in (("--quick", "--write"), ("--soak-held", "7", "--write"), ("--only", "drain", "--long")):
        with pytest.raises(ConfigError):
            parsed(*words)
    assert all(bench.command_of(name, full) for name in sections.SECTIONS)


def test_what_is_wrong_is_told_and_a_failed_section_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sections.wrong("drain", DRAIN) == [
        "Quix Streams: no registry", f"textbook, turn 1: the table holds {dataclasses.asdict(HELD)}",
    ]  # fmt: skip
    assert sections.wrong("silver", SILVER) == sections.wrong("latency", LATENCY) == []

    def fails(*_: object) -> Row:
        raise LakehouseError("no broker")

    heard: list[str] = []
    monkeypatch.setitem(sections.SECTIONS, "soak", dataclasses.replace(sections.SECTIONS["soak"], measure=fails))
    assert sections.measured("soak", Config(), tmp_path, argparse.Namespace(), heard.append) is None
    assert heard == ["  soak gave no figures: no broker"]


def test_a_contender_that_fails_has_no_further_turn_and_the_others_go_on() -> None:
    asked: list[tuple[str, int]] = []

    def work(name: str, turn: int) -> Row:
        asked.append((name, turn))
        if (name, turn) == ("b", 2):
            raise OSError("no registry")
        return {"contender": name, "rate": 1.0, "cpu_per_million": None}

    heard: list[str] = []
    turns = {name: (lambda turn, name=name: work(name, turn)) for name in "abc"}  # type: ignore[misc]
    runs, failures = sections.taken(turns, 3, heard.append)
    assert asked == [(name, turn) for turn in (1, 2, 3) for name in "abc" if (name, turn) != ("b", 3)]
    assert [run["contender"] for run in runs] == [*"abcacac"]
    assert failures == [{"contender": "b", "turn": 2, "why": "no registry"}]
    assert heard[0] == "  a: rate 1.0" and heard[4] == "  b: no figures: no registry"


def test_a_soak_compares_its_first_and_last_sixth() -> None:
    sales = [(second // 3, float(second), 1.0 if second < 50 else 2.0 if second < 59 else 9.0) for second in range(60)]
    found = soak.figures(sales, 60, 1)
    assert (found["first_p50"], found["last_p50"], found["window_seconds"]) == (1.0, 2.0, 10.0)
    assert (found["p50"], found["p99"], found["worst"], found["versions"]) == (1.0, 9.0, 9.0, 20)
    assert found["points"][0] == [0.0, 1.0, 1.0] and found["points"][-1] == [50.0, 2.0, 9.0]
    with pytest.raises(LakehouseError, match="no sale in its first"):
        soak.figures(sales[30:], 60, 1)


def test_the_slope_of_memory_is_that_of_the_line_after_the_warm_up() -> None:
    assert report.slope([(0, 5.0), (10, 25.0), (20, 45.0)]) == pytest.approx(2.0)
    assert report.slope([(0, 5.0)]) == 0.0
    samples = [[0.0, 100.0, 110.0], [900.0, 500.0, 510.0], [1800.0, 501.0, 511.0], [3600.0, 503.0, 513.0]]
    found = memory.figures(samples, {"kafka": 3.0}, 60)
    assert found["slope_mb_per_hour"] == pytest.approx(4.0)
    assert (found["pss_mb"], found["rss_mb"], found["peak_pss_mb"]) == (503.0, 513.0, 503.0)


def test_the_senders_accounts_are_read() -> None:
    said = "12:00 INFO x\n1,000 messages sent in 0.5 s (2000.0/s): 1,000 acknowledged, 0 never acknowledged; vente 1,000; seed 7\n"
    assert sending.ours(said) == (1000, 0.5)
    with pytest.raises(LakehouseError, match="without losses"):
        sending.ours(said.replace(" 0 never", " 3 never").replace("1,000 ack", "997 ack"))
    assert sending.constant('noise\n{"sent": 7, "seconds": 0.25}\n') == (7, 0.25)
    line = "1000 records sent, 183000.5 records/sec (52.10 MB/sec), 12.30 ms avg latency, 90.00 ms max latency"
    assert parse_produced(["500 records sent, 9.0 records/sec", line, ""]) == Produced(1000, 183000.5)
    with pytest.raises(LakehouseError, match="printed no figures"):
        parse_produced(["usage"])


def test_the_account_of_a_contender_without_a_checkpoint(tmp_path: Path) -> None:
    log = tmp_path / "bare.log"
    log.write_text('a warning\n{"batches": 3, "seconds": 1.5}\n', encoding="utf-8")
    assert said(log) == (1.5, 3)
    log.write_text("Traceback\n", encoding="utf-8")
    with pytest.raises(LakehouseError, match="does not end with a line of figures"):
        said(log)


def test_new_sales_over_days_have_ids_and_days_of_their_own() -> None:
    last = date(2026, 1, 31)
    new = big_lake.one_day(90, last, seed=12)
    made = silver.over(new, 30, last, 9_000)
    assert len(made) == 90 and len(set(made["vente_id"].to_pylist())) == 90
    assert set(made["jour"].to_pylist()) == {last - timedelta(days=back) for back in range(30)}
    assert all(
        moment.date() == jour
        for moment, jour in zip(made["timestamp"].to_pylist(), made["jour"].to_pylist(), strict=True)
    )
    assert sum(made["montant"].to_pylist()) == sum(new["montant"].to_pylist())
    assert list(silver.turns(1)) == [(kind, turn) for turn in (0, 0, 1) for kind in ("few", "today", "spread")]


def test_consumer_performance_is_read_by_its_header() -> None:
    header = "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms, "
    figures = "2025-11-22 21:22:10:000, 2025-11-22 21:22:12:000, 5.8, 2.9, 20000, 10000.0, 500, 1500, 3.9, 13333.3"
    lines = ["a warning", header + "fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec", figures]
    assert parse(lines) == Consumed(20000, 10000.0, 13333.3)
    with pytest.raises(LakehouseError, match="printed no figures"):
        parse(["start.time"])


def test_preloaded_sales_are_distinct_and_span_six_hours() -> None:
    now = 1_763_800_000.0
    made = list(preload.sales(1000, now))
    assert len({message.vente_id for message in made}) == 1000
    times = [message.timestamp for message in made]
    assert times == sorted(times)
    assert (times[0], times[-1]) == ("2025-11-22T02:26:40.000000Z", "2025-11-22T08:26:18.400000Z")
    assert all(b"\t" not in message.value and b"\n" not in message.value for message in made)


def test_a_version_that_only_rewrites_files_adds_no_sale(tmp_path: Path) -> None:
    entry = tmp_path / "_delta_log" / "00000000000000000007.json"
    entry.parent.mkdir()
    stats = json.dumps({"numRecords": 3})
    lines = [
        {"commitInfo": {}},
        {"add": {"path": "jour=2025-11-22/a%20b.parquet", "dataChange": True, "stats": stats}},
        {"add": {"path": "c.parquet", "dataChange": False, "stats": stats}},
        {"remove": {"path": "d.parquet", "dataChange": False}},
    ]
    entry.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    assert latency.added(entry) == [(tmp_path / "jour=2025-11-22" / "a b.parquet", 3)]


def test_latency_figures() -> None:
    inside = [(4, 0.3), (4, 0.1), (5, 0.2)]
    assert latency.summary("ours", inside, 9.0) == LatencyRun("ours", 3, 2, 0.2, 0.3, 0.3, 9.0)
    with pytest.raises(LakehouseError, match="no sale fell into the window"):
        latency.summary("ours", [], 9.0)


def test_processing_time_runs_from_the_first_batch_to_the_last_commit(tmp_path: Path) -> None:
    for name in ("offsets", "commits"):
        (tmp_path / name).mkdir()
    (tmp_path / "offsets" / "0").write_text('v1\n{"batchTimestampMs":1000500}\n{"t":{"0":1}}')
    for batch, moment in (("0", 1010.0), ("9", 1020.0), ("10", 1030.0), ("11.tmp", 1040.0)):
        (tmp_path / "commits" / batch).write_text("v1\n{}")
        os.utime(tmp_path / "commits" / batch, (moment, moment))
    assert processing(tmp_path) == (29.5, 3)


# --- what needs no JVM runs, with small numbers -----------------------------------------------------------------------
