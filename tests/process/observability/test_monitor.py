"""What a process shows of itself, from outside: ports, health with reasons, run files, status after every kind of end."""

from __future__ import annotations

import dataclasses
import http.client
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from lakehouse import config as settings
from lakehouse.bronze.health import BronzeHealth
from lakehouse.config import PROJECT, Config
from lakehouse.errors import ConfigError, DataLoss
from lakehouse.kafka.broker import certificates
from lakehouse.kafka.broker.properties import free_port
from lakehouse.observability import log, metrics, process, run_files
from lakehouse.observability.health import Monitor
from lakehouse.observability.registry import Distribution, Meter, exposition
from lakehouse.operations import command, status
from lakehouse.operations.commands import status as commands_status
from lakehouse.producer import producer
from lakehouse.producer.delivery_tracker import DeliveryTracker
from lakehouse.silver.health import SilverHealth
from tests.support.children import eventually


def config_of(base: Path | str, **overrides: str) -> Config:
    texts = {
        "DELTA__BASE_PATH": str(base),
        "KAFKA__BOOTSTRAP_SERVERS": "localhost:1",  # nothing listens there
        **{f"MONITORING__{name.upper()}_METRICS_PORT": "0" for name in metrics.PROCESSES},
        **overrides,
    }
    return settings.load(env={f"VENTES_{name}": text for name, text in texts.items()})


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_of(tmp_path)


def get(config: Config, name: str, path: str) -> tuple[int, str, str]:
    """Status, content type and text."""
    run = run_files.read(config)[name]
    link = http.client.HTTPConnection(run.address, run.port or 0, timeout=10)
    link.request("GET", path)
    answer = link.getresponse()
    found = answer.status, str(answer.getheader("Content-Type")), answer.read().decode()
    link.close()
    return found


def state(config: Config, name: str) -> status.ProcessState:
    return next(one for one in status.processes(config) if one.name == name)


# --- health ----------------------------------------------------------------------------------------------------------


def test_health_answers_three_questions_with_reasons(config: Config) -> None:
    with process.serve(config, "dashboard") as watched:
        watched.phase("it warms up")
        code, kind, text = get(config, "dashboard", "/startupz")
        assert (code, kind) == (503, "application/json; charset=utf-8")
        body = json.loads(text)
        assert (body["status"], body["reasons"], body["process"]) == ("starting", ["it warms up"], "dashboard")
        assert body["pid"] == os.getpid() and body["base_path"] == config.delta.base_path
        assert get(config, "dashboard", "/readyz")[0] == 503 and get(config, "dashboard", "/livez")[0] == 200

        watched.started()
        assert [get(config, "dashboard", path)[0] for path in ("/livez", "/readyz?x=1", "/startupz")] == [200] * 3
        watched.fault("the query failed")
        watched.ready_when(lambda: ["and something else"])
        code, _, text = get(config, "dashboard", "/readyz")
        assert (code, json.loads(text)["reasons"]) == (503, ["the query failed", "and something else"])
        assert get(config, "dashboard", "/livez")[0] == 200, "a fault outside is no reason to start it again"
        assert "ventes_ready 0.0" in get(config, "dashboard", "/metrics")[2]
        watched.fault(None)
        assert json.loads(get(config, "dashboard", "/readyz")[2])["reasons"] == ["and something else"]
        code, _, text = get(config, "dashboard", "/elsewhere")
        assert (code, text) == (404, "/metrics /livez /readyz /startupz\n")


def test_a_dashboard_joins_with_one_line(config: Config) -> None:
    with process.serve(config, "dashboard", ready=lambda: ["no page answers"]) as watched:
        watched.started()
        assert state(config, "dashboard").reasons == ("no page answers",)


def test_livez_fails_when_the_loop_stands_still_and_not_when_it_rests(tmp_path: Path) -> None:
    now = [0.0]
    patient = config_of(tmp_path, MONITORING__STUCK_AFTER="10 seconds")
    watched = Monitor(patient, "bronze", clock=lambda: now[0])
    watched.started()
    now[0] = 1000.0
    assert watched.reasons("livez") == []  # no loop has begun
    watched.beat()
    now[0] += 10
    assert watched.answer("livez")[0] == 200
    now[0] += 1
    assert watched.answer("livez")[1]["reasons"] == [
        "its own loop has stood still for 11 s; [MONITORING] stuck_after is 10 seconds"
    ]
    assert watched.answer("readyz")[0] == 503
    watched.rest()
    assert watched.answer("livez")[0] == 200


def test_bronze_is_not_ready_without_a_broker_or_without_a_trigger(tmp_path: Path) -> None:
    patient = config_of(tmp_path, MONITORING__BRONZE_STALE_AFTER="10 seconds")
    made = BronzeHealth(patient, Monitor(patient, "bronze"))
    (away,) = made._not_ready()
    assert away.startswith("Kafka does not answer at localhost:1 (Connection refused)")
    with socket.create_server(("127.0.0.1", 0)) as broker:
        kafka = dataclasses.replace(patient.kafka, bootstrap_servers=f"localhost:{broker.getsockname()[1]}")
        made = BronzeHealth(dataclasses.replace(patient, kafka=kafka), Monitor(patient, "bronze"))
        assert list(made._not_ready()) == []
        made._last_trigger = time.monotonic() - 11
        (late,) = made._not_ready()
        assert re.fullmatch(r"no trigger has ended for 11 s; \[MONITORING\] bronze_stale_after is 10 seconds", late)


def test_silver_is_not_ready_when_a_pass_is_overdue(tmp_path: Path) -> None:
    patient = config_of(tmp_path, MONITORING__SILVER_STALE_AFTER="10 seconds")
    watched = Monitor(patient, "silver")
    made = SilverHealth(patient, watched)
    made.watch(every=60)
    watched.phase("the first pass has not ended")
    assert watched.reasons("readyz") == ["the first pass has not ended"]
    made.passed(sales=5, seconds=2.0, behind=3)
    assert watched.answer("readyz")[0] == 200
    assert watched.meter.figures() == {"age_seconds": pytest.approx(0, abs=5), "merged": 5, "behind_versions": 3}
    made._last = time.monotonic() - 69
    assert watched.answer("readyz")[0] == 200
    made._last = time.monotonic() - 71
    assert watched.answer("readyz")[1]["reasons"][0].startswith("no pass has ended for 71 s, and one is due every 60 s")


def test_the_producer_is_not_ready_when_messages_wait_too_long(tmp_path: Path) -> None:
    patient = config_of(tmp_path, MONITORING__PRODUCER_STALE_AFTER="10 seconds")
    now, watched = [100.0], Monitor(patient, "producer")
    account = DeliveryTracker(10**6, clock=lambda: now[0], ack_seconds=watched.meter.spread(metrics.ACK_SECONDS))
    producer._show(patient, account, watched)
    watched.started()
    for n, message in enumerate(itertools.islice(producer.stream(patient, producer.RunOptions(), 1), 2)):
        account.intended(n, message)
    now[0] += 10
    account.acknowledged(0, SimpleNamespace(partition=0, offset=5, timestamp=1))
    assert watched.answer("readyz")[0] == 200
    now[0] += 11
    assert watched.answer("readyz")[1]["reasons"] == [
        "no acknowledgement for 11 s while 1 messages wait; [MONITORING] producer_stale_after is 10 seconds"
    ]
    text = exposition(watched.meter)[0].decode()
    for line in (
        'ventes_producer_messages_sent_total{kind="vente"} 2.0',
        "ventes_producer_messages_acknowledged_total 1.0",
        "ventes_producer_in_flight_messages 1.0",
        'ventes_producer_ack_seconds_bucket{le="5.0"} 0.0',
        'ventes_producer_ack_seconds_bucket{le="15.0"} 1.0',
        "ventes_producer_ack_seconds_sum 10.0",
    ):
        assert line in text.splitlines(), line


# --- ports -----------------------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_replaced_with_a_warning_and_a_second_process_takes_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        config = config_of(tmp_path, MONITORING__BRONZE_METRICS_PORT=str(taken))
        log.configure(config.monitoring)
        with process.serve(config, "bronze"):
            port = run_files.read(config)["bronze"].port
            assert port != taken and get(config, "bronze", "/livez")[0] == 200
            said = capsys.readouterr().err
            assert (
                f"port {taken} ([MONITORING] bronze_metrics_port) is taken" in said
                and f"on port {port} instead" in said
            )
            with process.serve(config, "bronze") as second:
                assert second.name == "bronze-2" and set(run_files.read(config)) == {"bronze", "bronze-2"}
                assert get(config, "bronze-2", "/livez")[0] == 200
                assert "is taken" not in capsys.readouterr().err
            assert set(run_files.read(config)) == {"bronze"}
    files = {path.name for path in (tmp_path / "logs").iterdir()}
    assert files == {"bronze.jsonl", "bronze-2.jsonl"}


def test_the_setting_decides_the_port_the_host_and_whether_anything_is_served(tmp_path: Path) -> None:
    port = free_port()
    config = config_of(tmp_path, MONITORING__METRICS_HOST="127.0.0.2", MONITORING__SILVER_METRICS_PORT=str(port))
    with process.serve(config, "silver"):
        run = run_files.read(config)["silver"]
        assert (run.address, run.port) == ("127.0.0.2", port)
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), 5)
    silent = config_of(tmp_path, MONITORING__METRICS="false")
    with process.serve(silent, "silver") as watched:
        watched.started()
        assert run_files.read(silent)["silver"].port is None
        assert state(silent, "silver").state == "unknown"
        assert state(silent, "silver").reasons == ("it serves no health: [MONITORING] metrics is false",)
    certificates.make(silent_keys := config_of(tmp_path, KAFKA__TLS_DIR=str(tmp_path / "tls")))
    locked = {
        "WEB_PASSWORD": "x",
        "WEB_CERTIFICATE": f"{silent_keys.kafka.tls_dir}/web.pem",
        "METRICS_HOST": "192.0.2.9",
    }
    foreign = config_of(tmp_path, **{f"MONITORING__{key}": text for key, text in locked.items()})
    expected = r"\[MONITORING\] metrics_host = 192.0.2.9 is not accepted"
    with pytest.raises(ConfigError, match=expected), process.serve(foreign, "silver"):
        pytest.fail("it cannot listen there")


@pytest.mark.parametrize("name", metrics.PROCESSES)
def test_each_process_has_its_own_port(tmp_path: Path, name: str) -> None:
    port = free_port()
    config = config_of(tmp_path, **{f"MONITORING__{name.upper()}_METRICS_PORT": str(port)})
    with process.serve(config, name):
        assert run_files.read(config)[name].port == port
        assert get(config, name, "/livez")[0] == 200


# --- status ----------------------------------------------------------------------------------------------------------

CHILD = """
import sys
from lakehouse import config
from lakehouse.observability import log, process
loaded = config.load(sys.argv[1])
with process.serve(loaded, "silver") as watched:
    watched.started()
    log.get("silver").error("the last words")
    log.get("silver").info("and some more")
    print("up", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def child(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A real process that is watched; it ends well when its input ends."""
    ini = tmp_path / "c.ini"
    ini.write_text(f"[DELTA]\nbase_path = {tmp_path}\n[MONITORING]\nsilver_metrics_port = 0\n")
    clean = {name: text for name, text in os.environ.items() if not name.startswith("VENTES_")}
    made = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(ini)], cwd=PROJECT, env=clean, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert made.stdout is not None and made.stdout.readline() == "up\n"
    yield made
    made.kill()
    made.communicate()


def test_a_process_is_running_then_stopped(config: Config, child: subprocess.Popen[str]) -> None:
    found = state(config, "silver")
    assert (found.state, found.pid, found.reasons) == ("running", child.pid, ())
    child.communicate("\n")
    found = state(config, "silver")
    assert (found.state, found.pid, found.reasons) == ("stopped", None, ())
    run = run_files.read(config)["silver"]
    assert run.exit_code == 0 and run.ended and run.started <= run.ended == found.since


def test_a_killed_process_is_dead_even_before_it_is_buried(config: Config, child: subprocess.Popen[str]) -> None:
    child.kill()
    eventually(lambda: not run_files.read(config)["silver"].alive, what="a zombie is no living process")
    assert child.returncode is None
    found = state(config, "silver")
    assert (found.state, found.pid) == ("dead", None)
    assert found.last_error == "the last words"
    assert found.reasons == (f"process {child.pid} is gone and did not say why: it was killed, or the machine was",)


def test_a_process_that_hangs_is_not_green(
    config: Config, child: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "TIMEOUT", 0.3)
    child.send_signal(signal.SIGSTOP)
    found = state(config, "silver")
    child.send_signal(signal.SIGCONT)
    assert (found.state, found.pid) == ("failing", child.pid) and "does not answer at" in found.reasons[0]


def test_a_stranger_with_an_old_process_id_is_not_taken_for_ours(config: Config) -> None:
    with process.serve(config, "bronze"):
        run = run_files.read(config)["bronze"]
        assert run.alive
        run_files.write(config, dataclasses.replace(run, process_started=run.process_started - 100))
        assert state(config, "bronze").state == "dead"
        run_files.write(config, dataclasses.replace(run, run_id="of another run"))  # its port, taken over
        assert state(config, "bronze").state == "failing"
        elsewhere = dataclasses.replace(run, host="elsewhere", run_id="other")
        run_files.write(config, elsewhere)
        found = state(config, "bronze")
        assert found.state == "unknown" and "it was started on elsewhere" in found.reasons[0]


def test_an_end_with_an_error_is_dead_and_says_it(config: Config) -> None:
    with pytest.raises(DataLoss), process.serve(config, "bronze"):
        raise DataLoss("Kafka no longer holds them.")
    found = state(config, "bronze")
    assert (found.state, found.reasons) == ("dead", ("it ended with exit code 3",))
    assert found.last_error == "Kafka no longer holds them."
    (line,) = (Path(config.delta.base_path) / "logs" / "bronze.jsonl").read_text().splitlines()
    assert json.loads(line)["event"] == "ended: Kafka no longer holds them."


def test_nothing_started_and_a_damaged_run_file_are_no_error(config: Config, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "bronze.json").write_text("{")
    (tmp_path / "run" / "silver.json").write_text("[1]")
    found = status.processes(config)
    assert [one.name for one in found] == ["kafka", "producer", "bronze", "silver", "dashboard"]
    assert {one.state for one in found} == {"stopped"}


def test_a_lake_on_a_uri_is_seen_through_the_run_folder_and_else_through_the_ports(tmp_path: Path) -> None:
    far = config_of("s3a://seau/lac", S3__REGION="us-east-1", DEVELOPMENT__CACHE_DIR=str(tmp_path))
    with process.serve(far, "silver") as watched:
        watched.started()
        run = run_files.read(far)["silver"]
        assert state(far, "silver").state == "running"
        run_files.remove(far, "silver")
        seen = config_of(
            "s3a://seau/lac",
            S3__REGION="us-east-1",
            DEVELOPMENT__CACHE_DIR=str(tmp_path),
            MONITORING__SILVER_METRICS_PORT=str(run.port),
        )
        assert state(seen, "silver").state == "running"
        other = config_of(
            "s3a://seau/autre",
            S3__REGION="us-east-1",
            DEVELOPMENT__CACHE_DIR=str(tmp_path),
            MONITORING__SILVER_METRICS_PORT=str(run.port),
        )
        assert state(other, "silver").state == "stopped"  # another pipeline's port


def test_the_verb_prints_a_table_or_json_and_its_exit_code_says_whether_all_is_well(
    config: Config, child: subprocess.Popen[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in settings.as_environment(config).items():
        monkeypatch.setenv(name, text)
    assert command.main(["status"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*metrics.PROCESSES, "running", "stopped", str(child.pid)))
    child.kill()
    child.wait()
    assert command.main(["status", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    (silver,) = [one for one in found["processes"] if one["name"] == "silver"]
    assert silver["state"] == "dead" and silver["since"] and silver["last_error"] == "the last words"
    assert "is gone and did not say why" in silver["reasons"][0]
    assert command.main(["status", "--watch", "0"]) == 2


def test_for_cron_only_what_is_wrong_is_said_and_nothing_while_all_is_well(
    config: Config, child: subprocess.Popen[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in settings.as_environment(config).items():
        monkeypatch.setenv(name, text)
    assert command.main(["status", "--exit-code"]) == 0
    assert command.main(["status", "--exit-code", "--json"]) == 0
    assert capsys.readouterr() == ("", "")
    child.kill()
    child.wait()
    assert command.main(["status", "--exit-code"]) == 1
    shown = capsys.readouterr().out
    assert "silver: last error: the last words" in shown and "dashboard" not in shown
    assert command.main(["status", "--exit-code", "--json"]) == 1
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["processes"]] == ["silver"]
    assert command.main(["status", "--exit-code", "--watch"]) == 2


def test_watch_looks_again_until_interrupted(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    commands_status.watch(lambda: status.processes(config), 2.0, json_lines=True, wait=wait)
    assert waits == [2.0, 2.0, 2.0]
    assert len([json.loads(line) for line in capsys.readouterr().out.splitlines()]) == 3
    waits.clear()
    commands_status.watch(lambda: status.processes(config), 1.0, wait=wait)
    assert capsys.readouterr().out.count("never") >= 3


def test_what_a_process_says_is_shown_as_text_not_as_markup() -> None:
    console = Console(width=200, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    one = status.ProcessState("bronze", "failing", 7, None, ("[red]topic[2][/]",), "boom", {"lag_records": 1234.0})
    console.print(commands_status.table([one]))
    assert "1,234" in console.export_text(clear=False)
    for line in commands_status.errors([one]):
        console.print(line)
    shown = console.export_text()
    assert "[red]topic[2][/]" in shown and "bronze: last error: boom" in shown


def test_a_long_error_stands_whole_below_the_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    long = f"{'why ' * 60}\x1b[31mat last"
    commands_status.show(
        [status.ProcessState("bronze", "failing", 7, last_error=long), status.ProcessState("kafka", "running")]
    )
    head, _, below = capsys.readouterr().out.rpartition("kafka")
    assert "why" not in head and f"bronze: last error: {'why ' * 60}\\x1b[31mat last\n" in below


def test_times_are_written_in_one_way() -> None:
    assert [commands_status.duration(s) for s in (2.44, 600, 7200, 432_000)] == ["2.4 s", "10 min", "2.0 h", "5.0 days"]


# --- samples and the meter -------------------------------------------------------------------------------------------


def test_samples_are_taken_at_the_interval_once_started_and_a_failing_one_is_counted(tmp_path: Path) -> None:
    config = config_of(tmp_path, MONITORING__SAMPLE_INTERVAL="100 ms")
    seen: list[int] = []

    def fail() -> None:
        raise OSError("away")

    with process.serve(config, "bronze") as watched:
        watched.sample("kafka", fail)
        watched.sample("tables", lambda: seen.append(1))
        watched.started()
        eventually(lambda: len(seen) >= 3, what="three looks")
        assert (watched.meter.value(metrics.SAMPLE_FAILURES, "kafka") or 0) >= 2
    still = config_of(tmp_path, MONITORING__SAMPLE_INTERVAL="1 day")
    seen.clear()
    with process.serve(still, "bronze") as watched:
        watched.sample("tables", lambda: seen.append(1))
        watched.started()
        eventually(lambda: seen, what="the first look")
    assert len(seen) == 1


def test_a_distribution_counts_each_value_in_its_bucket() -> None:
    made = Distribution((1.0, 2.0))
    for value, count in ((0.5, 1), (1.0, 2), (1.5, 3), (9.0, 4)):
        made.add(value, count)
    assert made.cumulated() == [("1.0", 3.0), ("2.0", 6.0), ("+Inf", 10.0)]
    assert made.sum == 0.5 + 2.0 + 4.5 + 36.0


def test_a_meter_takes_its_own_metrics_only() -> None:
    made = Meter("silver")
    with pytest.raises(KeyError, match="ventes_bronze_sales_total is not a metric of silver"):
        made.add(metrics.SALES)
    with pytest.raises(ValueError, match="takes the labels"):
        made.set(metrics.TABLE_VERSION, 3)
    made.set(metrics.SILVER_AGE, float("nan"))
    assert made.value(metrics.SILVER_AGE) is None
