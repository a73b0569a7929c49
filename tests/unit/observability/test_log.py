"""Logs: JSON lines in a file of each process, readable ones on the terminal, and nothing in either that must not be."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse import config as settings
from lakehouse.config import PROJECT, Config
from lakehouse.observability import log, provenance


def config_of(base: Path, **overrides: str) -> Config:
    texts = {"DELTA__BASE_PATH": str(base), **overrides}
    loaded = settings.load(env={f"VENTES_{name}": text for name, text in texts.items()})
    log.configure(loaded.monitoring)
    return loaded


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line_is_json_in_the_file_and_readable_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[tuple[str, str]] = []
    with log.to_file(config_of(tmp_path), "bronze", lambda *line: heard.append(line)) as path:
        log.get("bronze").warning("messages rejected", batch_id=3, first=log.place("ventes_stream", 2, 1041))
        log.get("bronze").debug("unseen")
        log.get("bronze").file_only("error", "ended: é", batch_id=4)
    log.get("bronze").info("the file is closed")

    first, last = lines(path)
    assert path == tmp_path / "logs" / "bronze.jsonl"
    stamp = str(first.pop("time"))
    assert stamp.endswith("Z") and stamp[10] == "T"
    assert list(first.items()) == [
        ("level", "warning"), ("event", "messages rejected"), ("job", "bronze"), ("run_id", provenance.RUN_ID),
        ("batch_id", 3), ("first", "ventes_stream[2]@1041"),
    ]  # fmt: skip
    assert (last["level"], last["event"], last["batch_id"]) == ("error", "ended: é", 4)
    assert heard == [("warning", "messages rejected"), ("error", "ended: é")]
    shown = capsys.readouterr().err
    assert (
        "[warning  ] messages rejected" in shown and "ventes_stream[2]@1041" in shown and "the file is closed" in shown
    )
    assert provenance.RUN_ID not in shown and "ended: é" not in shown and stamp not in shown


def test_a_traceback_is_one_line_of_the_file(tmp_path: Path) -> None:
    with log.to_file(config_of(tmp_path), "bronze") as path:
        try:
            raise OSError("full")
        except OSError:
            log.get("bronze").error("the batch failed", exc_info=True)
    (line,) = lines(path)
    assert "Traceback" in str(line["exception"]) and "OSError: full" in str(line["exception"])


def test_a_traceback_quotes_no_message_of_kafka(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quoted = "the value 'Wilhelmine' cannot be cast"
    with log.to_file(config_of(tmp_path), "bronze") as path:
        try:
            try:
                raise ValueError(quoted)
            except ValueError as error:
                raise RuntimeError(f"[CAST_INVALID_INPUT] {quoted}") from error
        except RuntimeError:
            log.get("bronze").error("the batch failed", exc_info=True)
    (line,) = lines(path)
    assert "Wilhelmine" not in str(line) + capsys.readouterr().err
    assert "raise ValueError(quoted)\nValueError\n" in str(line["exception"]), "where it was raised, and what"
    assert str(line["exception"]).endswith("\nRuntimeError: [CAST_INVALID_INPUT]")


def test_a_log_file_is_rotated_at_its_size_and_a_few_are_kept(tmp_path: Path) -> None:
    small = config_of(tmp_path, MONITORING__LOG_FILE_BYTES="1000", MONITORING__LOG_FILE_COUNT="2")
    with log.to_file(small, "bronze") as path:
        for number in range(100):
            log.get("bronze").file_only("info", "a line", batch_id=number)
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["bronze.jsonl", "bronze.jsonl.1", "bronze.jsonl.2"]
    assert all(file.stat().st_size <= 1000 for file in files)
    assert lines(path)[-1]["batch_id"] == 99


def test_a_secret_is_struck_out_wherever_it_stands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with log.to_file(config_of(tmp_path, KAFKA__SASL_PASSWORD="hunter2canary"), "bronze") as path:
        log.get("bronze").error("refused: hunter2canary", cause=ValueError("bad hunter2canary"), list=["hunter2canary"])
        log.get("bronze").file_only("error", "ended: hunter2canary")
    written = path.read_text(encoding="utf-8") + capsys.readouterr().err
    assert "hunter2" not in written and written.count("***") == 7


def test_a_full_disk_loses_lines_and_not_the_job(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "bronze.jsonl").symlink_to("/dev/full")
    with log.to_file(config_of(tmp_path), "bronze"):
        log.get("bronze").info("nowhere to go")


def test_a_tool_without_a_word_to_say_does_not_load_structlog() -> None:
    code = (
        "import sys; from lakehouse import cli, config; from lakehouse.observability import log; log.configure(config.Monitoring()); log.get('x'); "
        "print([name for name in ('structlog', 'prometheus_client', 'psutil', 'pyspark') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_supervised_process_leaves_time_job_and_routine_lines_to_its_supervisor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings.load(env={"VENTES_DELTA__BASE_PATH": str(tmp_path)})
    monkeypatch.setenv(log.SUPERVISED, "1")
    log.configure(config.monitoring)
    with log.to_file(config, "bronze") as path:
        log.get("bronze").info("progress", batch=1)
        log.get("bronze").warning("Kafka is slow", seconds=3)
    monkeypatch.delenv(log.SUPERVISED)
    log.configure(config.monitoring)
    shown = capsys.readouterr().err
    assert "progress" not in shown and "bronze" not in shown
    assert re.fullmatch(r"\[warning *\] Kafka is slow +seconds=3\n", shown)
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["progress", "Kafka is slow"]
