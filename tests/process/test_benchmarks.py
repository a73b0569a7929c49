"""The benchmarks' pure parts, and the account of a command whose child outlives it."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console
from rich.table import Table

from benchmarks import latency, preload, report
from benchmarks.drain import DrainRun, Held, processing
from benchmarks.kafka_tools import Consumed, parse
from benchmarks.latency import LatencyRun
from benchmarks.measured import Measured
from lakehouse.config import PROJECT
from lakehouse.errors import LakehouseError

HELD = Held(1000, 1000, 5)
OURS = DrainRun("ours", 1, 1000, 10.0, 4.0, 2, 3.0, 512.0, HELD, True)
TEXTBOOK = DrainRun("textbook", 1, 1000, 20.0, 5.0, 1, None, None, dataclasses.replace(HELD, rows=999), False)
CONSUMED = Consumed(1000, 400.0, 800.0)
LATENCIES = [
    LatencyRun("ours", 100, 10, 0.9, 2.0, 2.5, 10.0),
    LatencyRun("textbook", 100, 3, 2.0, 4.0, 4.5, 20.0),
]


def shown(table: Table) -> str:
    console = Console(width=200, file=io.StringIO())
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]


def started(script: str, log: Path) -> Measured:
    return Measured([sys.executable, "-c", script], env=os.environ, folder=log.parent, log=log, inherits=False)


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


def test_ratios_take_the_median_turn_and_stand_beside_the_goals() -> None:
    slow = dataclasses.replace(OURS, turn=2, seconds=40.0)
    middle = dataclasses.replace(OURS, turn=3, seconds=25.0)
    found = report.ratios([OURS, TEXTBOOK, slow, middle], CONSUMED, LATENCIES)
    assert [(round(ratio.value, 3), ratio.goal_text, ratio.verdict) for ratio in found] == [
        (0.8, "≥ 1.00 ×", "missed"),
        (1.25, "–", "–"),
        (0.1, "–", "–"),
        (0.45, "≤ 0.40 ×", "missed"),
        (0.5, "–", "–"),
        (0.5, "–", "–"),
    ]
    assert report.ratios([OURS, TEXTBOOK], None, [])[0].verdict == "reached"
    assert [report.Ratio("r", 0.4, 0.4, at_least).verdict for at_least in (True, False)] == ["reached", "reached"]


def test_tables_show_both_rates_and_a_table_that_differs() -> None:
    drain = shown(report.drain_table([OURS, TEXTBOOK], CONSUMED, 1000, {"ours": "exact", "textbook": "not"}))
    ours, textbook, ceiling = (
        [cell.strip() for cell in line.split("│")[1:-1]] for line in drain.splitlines() if line.startswith("│")
    )
    assert ours == ["ours", "1", "10.0", "100", "4.0", "250", "2", "3,000", "512", "equal"]
    assert textbook == ["textbook", "1", "20.0", "50", "5.0", "200", "1", "–", "–", "DIFFER"]
    assert ceiling[:4] == ["ConsumerPerformance", "–", "2.5", "400"]
    assert "0.90 │  2.00 │    2.50 │   100" in shown(report.latency_table(LATENCIES, 100, 60))
    assert "0.45 × │ ≤ 0.40 × │  missed" in shown(report.ratio_table(report.ratios([], None, LATENCIES)))


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


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are inherited on Linux only")
def test_an_orphan_is_in_the_account(tmp_path: Path) -> None:
    """As Spark's JVM: it outlives its parent, which never waits for it. In a process of its own: pytest inherits none."""
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {burn!r}])"
    measure = (
        "import os, sys\nfrom pathlib import Path\nfrom benchmarks.measured import Measured, inherit_orphans\n"
        f"command, folder = [sys.executable, '-c', {parent!r}], Path({str(tmp_path)!r})\n"
        "with Measured(command, env=os.environ, folder=folder, log=folder / 'log', inherits=inherit_orphans()) as child:\n"
        "    usage = child.wait(60)\n"
        "print(usage.cpu_seconds, usage.peak_mb)"
    )
    done = subprocess.run([sys.executable, "-c", measure], cwd=PROJECT, capture_output=True, text=True, check=True)
    cpu_seconds, peak_mb = map(float, done.stdout.split())
    assert cpu_seconds >= 0.5
    assert peak_mb > 1


def test_nothing_is_left_of_a_command_that_is_given_up(tmp_path: Path) -> None:
    sleep = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    script = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {sleep!r}]); {sleep}"
    log = tmp_path / "stubborn.log"
    with started(script, log) as child:
        while log.read_text().count("up") < 2:
            time.sleep(0.02)
        session = child._process.pid
        with pytest.raises(LakehouseError, match=r"stubborn was stopped after 0 s. Its last lines:\n  up\n  up"):
            child.wait(0)
    left = [process for process in psutil.process_iter() if _session(process.pid) == session]
    assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []


def test_a_command_that_fails_shows_its_last_lines(tmp_path: Path) -> None:
    with (
        started("import sys; print('the reason'); sys.exit(3)", tmp_path / "ours.log") as child,
        pytest.raises(LakehouseError, match=r"ours ended with exit code 3. Its last lines:\n  the reason"),
    ):
        child.wait(60)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


# --- what needs no JVM runs, with small numbers -----------------------------------------------------------------------


def _ran(module: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *words], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_reconciliation_of_a_made_lake_finds_everything() -> None:
    said = _ran("reconcile", "2_000")
    assert said.count("Everything that was consumed is accounted for, and Silver equals Bronze.") == 2
    assert "first run: 2,000 sales" in said and "after a signed record: 2,000 sales" in said


@pytest.mark.skipif(shutil.which("cc") is None, reason="cc is missing: the simulated clock is compiled")
def test_the_simulated_day_of_batches_has_a_round_in_it() -> None:
    (line, _) = _ran("upkeep", "--hours", "0.05").splitlines()
    version, live = (int(found) for found in re.findall(r"(?:version|live files) +(\d+)", line))
    assert version >= 180 and live <= 60, line
