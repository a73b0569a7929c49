"""The whole pipeline as processes, watched from outside: metrics that add up, health that is true, logs that are silent."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lakehouse.config import Config
from lakehouse.contract.sale import JSON_INVALIDE
from lakehouse.contract.tables import REJETS
from lakehouse.kafka.broker.node import running_pid
from lakehouse.kafka.broker.properties import free_port
from lakehouse.observability import run_files
from lakehouse.operations import status
from lakehouse.operations.status import ProcessState
from tests.support.children import eventually
from tests.support.harness import Lake
from tests.support.messages import sale

pytestmark = pytest.mark.timeout(900)

CANARY = "Canari-Zoé"
SECRET = "s3cret-canary"


def get(config: Config, name: str, path: str) -> tuple[int, bytes]:
    """One GET of a process's port, which its run file names."""
    run = run_files.read(config)[name]
    assert run.port
    link = http.client.HTTPConnection(run.address, run.port, timeout=10)
    try:
        link.request("GET", path)
        answer = link.getresponse()
        return answer.status, answer.read()
    finally:
        link.close()


def health(config: Config, name: str, question: str) -> tuple[int, dict[str, Any]]:
    code, body = get(config, name, f"/{question}")
    return code, json.loads(body)


def samples(config: Config, name: str) -> dict[tuple[str, ...], float]:
    """(sample's name, its label values …) → value."""
    text = get(config, name, "/metrics")[1].decode()
    return {
        (one.name, *one.labels.values()): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


def total(found: dict[tuple[str, ...], float], name: str) -> float:
    return sum(value for key, value in found.items() if key[0] == name)


def states(config: Config) -> dict[str, ProcessState]:
    return {one.name: one for one in status.processes(config)}


def test_a_pipeline_is_seen_as_it_is_until_it_is_killed(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake(
        f"localhost:{free_port()}",
        KAFKA__SASL_PASSWORD=SECRET,
        KAFKA__REQUEST_TIMEOUT="3 seconds",
        STREAMING__MAX_RESTARTS="1000",
    )
    config = lake.config
    assert {one.state for one in status.processes(config)} == {"stopped"}

    broker = lake.start("setup_utils.py kafka")
    eventually(lambda: states(config)["kafka"].state == "running" or not broker.alive, what="the broker's health")
    assert broker.alive, broker.said()
    ratios = [f"--{kind}-ratio=0.1" for kind in ("duplicate", "late", "malformed")]
    producer = lake.start("producer_ventes.py", "--rate=100", "--seed=3", *ratios, f"--truth={lake.truth_file}")
    bronze = lake.start("spark_streaming_delta.py")
    eventually(lambda: "bronze" in run_files.read(config) or not bronze.alive, what="Bronze's run file")
    code, body = health(config, "bronze", "startupz")
    assert (code, body["status"]) == (503, "starting") and body["reasons"], "it cannot have started so soon"
    assert health(config, "bronze", "livez")[0] == 200
    eventually(lambda: health(config, "bronze", "readyz")[0] == 200 or not bronze.alive, what="Bronze is ready")
    assert {one: state.state for one, state in states(config).items()} == {
        "kafka": "running", "producer": "running", "bronze": "running", "silver": "stopped", "dashboard": "stopped",
    }  # fmt: skip
    assert states(config)["bronze"].pid == bronze.process.pid

    lake.sales(sale(client_nom=CANARY))
    lake.broken((f'{{"client_nom": "{CANARY}"'.encode(), JSON_INVALIDE))
    again = lake.start("spark_streaming_delta.py")  # refused by the lock: it takes nothing of the first one's
    assert again.wait() == 4
    assert states(config)["bronze"].pid == bronze.process.pid and "bronze-2" not in run_files.read(config)
    eventually(lambda: states(config)["producer"].figures.get("sent", 0) > 1000, what="some messages")
    figures = samples(config, "producer")
    assert total(figures, "ventes_producer_messages_sent_total") == pytest.approx(
        figures[("ventes_producer_messages_acknowledged_total",)]
        + figures[("ventes_producer_in_flight_messages",)]
        + figures[("ventes_producer_messages_failed_total",)],
        abs=20,  # it goes on sending while it is asked
    )
    os.kill(producer.process.pid, signal.SIGTERM)
    assert producer.wait() == 0, producer.said()
    assert states(config)["producer"].state == "stopped"

    eventually(lambda: not lake.differences(), what="all in Bronze")
    the_metrics_add_up(lake)
    the_exposition_is_sound(config)

    keeper = running_pid(config)
    assert keeper is not None
    psutil.Process(keeper).kill()
    assert broker.wait() == 1
    found = states(config)
    assert found["kafka"].state == "dead" and "The broker ended by itself" in str(found["kafka"].last_error)
    code, body = health(config, "bronze", "readyz")
    assert code == 503 and any("Kafka does not answer at" in reason for reason in body["reasons"]), body
    assert health(config, "bronze", "livez")[0] == 200
    assert found["bronze"].state == "failing" and found["bronze"].reasons

    bronze.kill()
    found = states(config)
    assert (found["bronze"].state, found["bronze"].pid) == ("dead", None)
    assert "is gone and did not say why" in found["bronze"].reasons[0]
    no_name_and_no_secret_is_written(lake)


def the_metrics_add_up(lake: Lake) -> None:
    """Kafka's messages = sales + rejects + copies, as counted while they ran; and each as the tables have them."""
    config, rejects = lake.config, lake.rows(REJETS)

    def settled() -> dict[tuple[str, ...], float] | None:
        found = samples(config, "bronze")
        done = found[("ventes_stream_input_rows_total",)] == len(lake.sent())
        return found if done and total(found, "ventes_kafka_lag_records") == 0 else None

    found = eventually(settled, what="the last batch's report")
    sales, copies = found[("ventes_bronze_sales_total",)], total(found, "ventes_bronze_duplicate_rows_total")
    assert sales == len(lake.rows())
    by_reason = Counter(row["motif"].split(":")[0] for row in rejects)
    assert {key[1]: n for key, n in found.items() if key[0] == "ventes_bronze_rejected_rows_total"} == by_reason
    assert sales + len(rejects) + copies == len(lake.sent()) and copies > 0
    assert found[("ventes_stream_watermark_dropped_rows_total",)] == 0
    assert (
        found[("ventes_end_to_end_seconds_count",)]
        == len(lake.sent()) - len(rejects) - found[("ventes_bronze_duplicate_rows_total", "memory")]
    )
    assert found[("ventes_end_to_end_seconds_bucket", "3600.0")] == found[("ventes_end_to_end_seconds_count",)]
    assert 0 < found[("ventes_end_to_end_seconds_sum",)] / found[("ventes_end_to_end_seconds_count",)] < 300
    assert 0 < found[("ventes_freshness_seconds",)] < 600
    week = 7 * 86_400
    assert {value for key, value in found.items() if key[0] == "ventes_kafka_headroom_seconds"} == {week}
    eventually(
        lambda: samples(config, "bronze")[("ventes_delta_table_version", "ventes_stream")] == lake.bronze_versions()[0],
        what="the table's version",
    )
    kafka = samples(config, "kafka")
    assert total(kafka, "ventes_kafka_latest_offset") >= len(lake.sent()) and kafka[("ventes_kafka_broker_up",)] == 1


def the_exposition_is_sound(config: Config) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is missing: apt-get install -y prometheus")
    for name in ("kafka", "bronze"):
        done = subprocess.run(
            [promtool, "check", "metrics"], input=get(config, name, "/metrics")[1], capture_output=True, check=False
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def no_name_and_no_secret_is_written(lake: Lake) -> None:
    """In every log, run file and terminal of the run: no client of any sale, no bad message's text, no secret."""
    names = {row["client_nom"] for row in lake.rows()}
    assert CANARY in names and len(names) > 50
    written = [
        path for path in lake.base.rglob("*")
        if path.is_file() and (path.parent.name in ("logs", "run") or (path.parent == lake.base and path.suffix == ".log"))
    ]  # fmt: skip
    held = {path.name for path in written}
    assert {
        "producer.jsonl",
        "bronze.jsonl",
        "kafka.jsonl",
        "bronze-2.jsonl",
        "spark-bronze.log",
        "kafka.log",
        "spark-bronze-console.log",
    } <= held
    for path in written:
        text = path.read_text(encoding="utf-8", errors="replace")
        assert SECRET not in text, path
        assert not [name for name in names if name in text], path
    lines = [json.loads(line) for line in (lake.base / "logs" / "bronze.jsonl").read_text("utf-8").splitlines()]
    assert all({"time", "level", "event", "job", "run_id"} <= set(line) for line in lines)
    topic = lake.config.kafka.topic
    rejected = [line for line in lines if line["event"] == "messages rejected"]
    assert rejected and all(line["first"].startswith(f"{topic}[") and "]@" in line["first"] for line in rejected)
    assert all(isinstance(line["batch_id"], int) for line in rejected)
    terminal = next(child for child in lake._children if "reading" in child.said()).said()
    assert "WARN" not in terminal and "ERROR" not in terminal, terminal[-2000:]
    said = [line for line in terminal.splitlines() if not line.startswith("waiting for Spark to start")]
    assert all(re.match(r"\d\d:\d\d:\d\d \[", line) for line in said), terminal[-2000:]
