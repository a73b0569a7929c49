"""Metrics and dashboard beyond loopback: refused without a password and TLS; with them, served to those who know it."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.config import Config, Secret
from lakehouse.dashboard.server import Dashboard, server
from lakehouse.errors import ConfigError
from lakehouse.kafka.broker import certificates
from lakehouse.observability import process, run_files, web_access
from lakehouse.operations import status
from tests.support.harness import config_of

PASSWORD = "canari-du-tableau"


@pytest.fixture
def locked(tmp_path: Path) -> Config:
    place = tmp_path / "tls"
    certificates.make(config_of(tmp_path, "localhost:1", "t", KAFKA__TLS_DIR=str(place)))
    given = {"WEB_PASSWORD": PASSWORD, "WEB_CERTIFICATE": str(place / "web.pem"), "DASHBOARD_PORT": "0"}
    texts = {f"MONITORING__{key}": text for key, text in given.items()}
    return config_of(tmp_path, "localhost:1", "t", KAFKA__TLS_DIR=str(place), **texts)


def ask(config: Config, port: int, path: str, *, header: str | None, authority: str | None = None) -> int:
    believed = authority or f"{config.kafka.tls_dir}/ca.pem"
    link = http.client.HTTPSConnection(
        "localhost", port, timeout=10, context=ssl.create_default_context(cafile=believed)
    )
    try:
        link.request("GET", path, headers={"Authorization": header} if header else {})
        return link.getresponse().status
    finally:
        link.close()


@pytest.fixture
def dashboard(locked: Config) -> Iterator[int]:
    """The port of a dashboard that is served as ``server.serve`` does it."""
    made = server(locked, Dashboard(locked)).start()
    yield made.port
    made.stop()


@pytest.mark.parametrize("key", ["metrics_host", "dashboard_host"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "lac.exemple.fr"])
def test_an_address_beyond_this_machine_needs_a_password_and_tls(tmp_path: Path, key: str, host: str) -> None:
    with pytest.raises(ConfigError, match=rf"{key} = {host} is not accepted without a password and TLS"):
        config_of(tmp_path, "localhost:1", "t", **{f"MONITORING__{key.upper()}": host})


def test_a_password_never_travels_in_the_clear(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="web_password without web_certificate is not accepted"):
        config_of(tmp_path, "localhost:1", "t", MONITORING__WEB_PASSWORD="x")


def test_the_key_may_not_be_readable_to_others(locked: Config) -> None:
    Path(locked.monitoring.web_certificate).chmod(0o644)
    with pytest.raises(ConfigError, match=r"web_certificate names .*web.pem, which others can read \(mode 0644\)"):
        web_access.server_context(locked)


def test_a_certificate_that_is_none_is_refused(locked: Config) -> None:
    certificates.write_private(Path(locked.monitoring.web_certificate), b"nothing")
    with pytest.raises(ConfigError, match=r"web_certificate = .* is not accepted"):
        web_access.server_context(locked)


def test_metrics_are_for_those_who_know_the_password(locked: Config) -> None:
    right = web_access.authorization(locked)
    with process.serve(locked, "silver") as watched:
        watched.started()
        port = run_files.read(locked)["silver"].port
        assert port is not None
        for path in ("/metrics", "/readyz", "/nowhere"):
            assert ask(locked, port, path, header=None) == 401
            assert ask(locked, port, path, header=f"{right}x") == 401
        assert ask(locked, port, "/metrics", header=right) == 200
        with pytest.raises(http.client.BadStatusLine), _plain(port) as link:
            link.request("GET", "/metrics")
            link.getresponse()
        assert {one.name: one.state for one in status.processes(locked)}["silver"] == "running"


def _plain(port: int) -> http.client.HTTPConnection:
    import contextlib

    return contextlib.closing(http.client.HTTPConnection("localhost", port, timeout=10))  # type: ignore[return-value]


def test_the_dashboard_is_for_those_who_know_the_password(locked: Config, dashboard: int, tmp_path: Path) -> None:
    right = web_access.authorization(locked)
    for path in ("/", "/static/style.css", "/csv/x.csv"):
        assert ask(locked, dashboard, path, header=None) == 401
    assert ask(locked, dashboard, "/static/style.css", header=right) == 200
    other = config_of(tmp_path / "other", "localhost:1", "t", KAFKA__TLS_DIR=str(tmp_path / "other"))
    certificates.make(other)
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(locked, dashboard, "/", header=right, authority=f"{other.kafka.tls_dir}/ca.pem")


def test_the_password_comes_from_a_private_file(locked: Config, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    certificates.write_private(file, b"autre\n")
    web = {"WEB_PASSWORD_FILE": str(file), "WEB_CERTIFICATE": locked.monitoring.web_certificate}
    texts = {f"MONITORING__{key}": text for key, text in web.items()}
    assert str(config_of(tmp_path, "localhost:1", "t", **texts).monitoring.web_password) == "autre"
    file.chmod(0o640)
    with pytest.raises(ConfigError, match=r"web_password_file names .*, which others can read \(mode 0640\)"):
        config_of(tmp_path, "localhost:1", "t", **texts)


def test_the_password_shows_itself_nowhere(locked: Config) -> None:
    assert isinstance(locked.monitoring.web_password, Secret)
    assert PASSWORD not in repr(locked)
