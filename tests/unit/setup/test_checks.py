"""Each check, ok and missing, with the fix it names."""

from __future__ import annotations

import importlib.metadata
import socket
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from lakehouse import config as settings
from lakehouse.config import Config
from lakehouse.errors import BrokerUnavailable, LakehouseError, SetupError
from lakehouse.jvm import jars
from lakehouse.jvm.jars import Jar
from lakehouse.kafka.broker.properties import free_port
from lakehouse.observability import run_files
from lakehouse.observability.run_files import RunFile
from lakehouse.setup import checks
from lakehouse.setup.checks import CheckResult

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configured(tmp_path)


def configured(tmp_path: Path, **env: str) -> Config:
    folders = {
        "VENTES_DELTA__BASE_PATH": str(tmp_path / "data"),
        "VENTES_DEVELOPMENT__CACHE_DIR": str(tmp_path / "cache"),
    }
    return settings.load(env={**folders, **env})


def test_python() -> None:
    assert checks.python((3, 11, 0)).status == "ok"
    assert checks.python((3, 14, 1)).status == "ok"
    old = checks.python((3, 10, 13))
    assert (old.status, old.detail) == ("missing", "3.10.13 is older than 3.11")


def test_packages_are_held_against_the_pins(tmp_path: Path) -> None:
    pins = tmp_path / "requirements.txt"
    pins.write_text("# a comment\nright==1.0\nother==2.0\nabsent==3.0\n-r more.txt\n", encoding="utf-8")

    def version_of(name: str) -> str:
        if name == "absent":
            raise importlib.metadata.PackageNotFoundError(name)
        return {"right": "1.0", "other": "1.9"}[name]

    found = checks.packages(pins, version_of)
    assert (found.status, found.detail) == ("missing", "other is 1.9, not 2.0; absent 3.0 is not installed")
    assert found.fix == "make -B setup", "a .venv that uv made has no pip"


def test_the_installed_packages_are_as_pinned() -> None:
    assert checks.packages(checks.REQUIREMENTS).status == "ok"


def test_no_java(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_config: Config) -> None:
        raise SetupError("No Java.\nTried: much")

    monkeypatch.setattr(checks.java, "find", none)
    assert checks.java_runtime(config) == CheckResult("Java", "missing", "No Java.", "python setup_utils.py java")


def test_jars_absent_damaged_and_right(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = [Jar("org.example", name, "1.0", EMPTY) for name in ("one", "two")]
    monkeypatch.setattr(jars, "read_lock", lambda: {"spark": locked, "kafka": []})
    place = jars.folder(config, "spark")
    assert checks.jar_set(config, "spark").detail == f"2 of 2 are not in {place}"
    place.mkdir(parents=True)
    (place / locked[0].filename).touch()
    (place / locked[1].filename).write_text("damaged", encoding="utf-8")
    found = checks.jar_set(config, "spark")
    assert found == CheckResult(
        "JARs: spark", "missing", "wrong SHA-256: org.example:two:1.0", "python setup_utils.py jars"
    )
    (place / locked[1].filename).write_bytes(b"")
    assert checks.jar_set(config, "spark").status == "ok"


def test_provided_jars_are_not_asked_for(tmp_path: Path) -> None:
    config = configured(tmp_path, VENTES_DEVELOPMENT__JARS="provided")
    assert checks.jar_set(config, "spark").status == "info"
    assert checks.jar_set(config, "kafka").status == "missing"


def test_folders_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    config = configured(tmp_path, VENTES_DELTA__BASE_PATH=str(tmp_path / "file" / "data"))
    data, cache = checks.folders(config)
    assert (data.status, data.detail) == ("missing", f"{tmp_path / 'file'} is not a folder")
    assert "[DELTA] base_path" in data.fix
    assert cache.status == "ok"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"], "nothing is left behind"


def test_a_uri_is_not_checked(tmp_path: Path) -> None:
    config = configured(tmp_path, VENTES_DELTA__BASE_PATH="s3a://lake", VENTES_S3__REGION="us-east-1")
    data, state, _cache = checks.folders(config)
    assert (data.status, state.name, state.status, checks.disk(config).status) == ("info", "State folder", "ok", "ok")


def test_disk(tmp_path: Path) -> None:
    assert checks.disk(configured(tmp_path, VENTES_MONITORING__MIN_FREE_DISK="0")).status == "ok"
    full = checks.disk(configured(tmp_path, VENTES_MONITORING__MIN_FREE_DISK="1000000"))
    assert full.status == "missing" and "1000000 GiB wanted" in full.detail


@pytest.mark.parametrize("free", [True, False])
def test_a_broker_that_does_not_run_is_nothing_missing_but_a_taken_port_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: bool
) -> None:
    monkeypatch.setattr(checks, "answers", lambda _config: False)
    with socket.create_server(("127.0.0.1", port := free_port())) as server:
        config = configured(tmp_path, VENTES_KAFKA__BOOTSTRAP_SERVERS=f"127.0.0.1:{port}")
        if free:
            server.close()
        ports, broker = checks.broker(config)
    assert (broker.status, broker.detail) == ("info", "not running")
    assert "make run" in broker.fix
    assert ports.status == ("ok" if free else "missing")
    if not free:
        assert str(port) in ports.detail and "VENTES_KAFKA__BOOTSTRAP_SERVERS" in ports.fix


@pytest.mark.parametrize(
    ("error", "status"),
    [(BrokerUnavailable("Kafka does not answer"), "missing"), (LakehouseError("The topic does not exist"), "info")],
)
def test_a_remote_broker_is_asked_for_the_topic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, status: str
) -> None:
    def describe(_config: Config) -> None:
        raise error

    monkeypatch.setattr("lakehouse.kafka.clients.describe_topic", describe)
    config = configured(tmp_path, VENTES_KAFKA__BOOTSTRAP_SERVERS="kafka.example:9092")
    (found,) = checks.broker(config)
    assert found.status == status and str(error) in found.detail


def test_a_wrong_java_home_is_a_warning(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/no/such/java")
    (found,) = checks.java_home(config)
    assert (found.status, found.fix) == ("info", "unset JAVA_HOME")
    assert "/no/such/java is not used: no such file" in found.detail


def test_a_pipeline_that_runs_is_said_with_its_data_folder_and_its_dashboard(config: Config) -> None:
    own = psutil.Process()
    with socket.create_server(("127.0.0.1", 0)) as pages:
        port = pages.getsockname()[1]
        assert [one.name for one in checks.pipeline(config)] == ["Dashboard"], "nothing runs"
        run_files.folder(config).mkdir(parents=True)
        for name, process_id in (("bronze", own.pid), ("dashboard", own.pid), ("silver", 2**22 + 1)):
            run_files.write(config, run_of(name, process_id, own.create_time()))
        runs, dashboard = checks.pipeline(config)
    assert runs == CheckResult(checks.PIPELINE, "ok", f"runs: bronze, dashboard; data in {config.delta.base_path}"), (
        "a killed process does not run"
    )
    assert dashboard == CheckResult("Dashboard", "ok", f"runs: http://127.0.0.1:{port}/")


def run_of(name: str, process_id: int, started: float) -> RunFile:
    now = datetime.now(UTC)
    return RunFile(name, name, process_id, started, socket.gethostname(), "127.0.0.1", None, "1", "0", "", now)
