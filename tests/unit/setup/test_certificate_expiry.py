"""The end of certificates: ``setup_utils.py check``, the metric, and what is read of a file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lakehouse.config import Config
from lakehouse.kafka.broker import certificates
from lakehouse.observability import certificate_expiry, metrics
from lakehouse.observability.health import Monitor
from lakehouse.setup import checks
from tests.support.harness import config_of


def made(tmp_path: Path, days: float, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A locked-down pipeline whose certificates, but not their authority, live for so many days."""
    monkeypatch.setattr(certificates, "LEAF_DAYS", days)
    place = tmp_path / "tls"
    texts = {
        "KAFKA__TLS_DIR": str(place), "KAFKA__SECURITY_PROTOCOL": "SASL_SSL", "MONITORING__WEB_PASSWORD": "x",
        "MONITORING__WEB_CERTIFICATE": str(place / "web.pem"),
    }  # fmt: skip
    config = config_of(tmp_path, "localhost:1", "t", **texts)
    certificates.make(config)
    return config


def found(config: Config) -> dict[str, checks.CheckResult]:
    return {one.name.removeprefix("Certificate: "): one for one in checks.certificates(config)}


@pytest.mark.parametrize(
    ("days", "status", "detail"),
    [(397, "ok", "is valid for 396 more days, until "), (31, "info", "is valid for 30 more days"), (-0.02, "missing", "expired on ")],
)  # fmt: skip
def test_the_check_says_how_long_each_certificate_is_valid(
    tmp_path: Path, days: float, status: str, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = made(tmp_path, days, monkeypatch)
    results = found(config)
    assert {name: one.status for name, one in results.items()} == {"web": status, "authority": "ok", "broker": status}
    web = results["web"]
    assert detail in web.detail and str(tmp_path / "tls" / "web.pem") in web.detail
    if status != "ok":
        assert (
            web.fix == f"rm {tmp_path}/tls/web.pem; python setup_utils.py tls; then restart the processes that use it"
        )
    assert {one.name for one in checks.run(config)} >= {
        "Certificate: web",
        "Certificate: authority",
        "Certificate: broker",
    }


def test_renewing_as_the_check_says_makes_it_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = made(tmp_path, -0.02, monkeypatch)
    monkeypatch.setattr(certificates, "LEAF_DAYS", 397)
    for name in ("web", "broker"):
        (tmp_path / "tls" / f"{name}.pem").unlink()
    certificates.make(config)
    assert {one.status for one in found(config).values()} == {"ok"}


def test_a_file_that_holds_no_certificate_and_one_that_is_gone_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = made(tmp_path, 397, monkeypatch)
    (tmp_path / "tls" / "web.pem").unlink()
    (tmp_path / "tls" / "broker.pem").write_text("nothing")
    results = found(config)
    assert (results["web"].status, results["broker"].status) == ("missing", "missing")
    assert "cannot be read" in results["web"].detail and "cannot be read" in results["broker"].detail
    assert set(certificate_expiry.ends(config)) == {"authority"}


def test_without_tls_there_is_nothing_to_say(tmp_path: Path) -> None:
    config = config_of(tmp_path, "localhost:1", "t")
    assert checks.certificates(config) == [] and certificate_expiry.ends(config) == {}


def test_every_process_shows_when_its_certificates_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = made(tmp_path, 100, monkeypatch)
    now = datetime.now(UTC).timestamp()
    for process in metrics.PROCESSES:
        watched = Monitor(config, process)
        watched.meter.refresh()
        ends = {labels[0]: value for labels, value in watched.meter.values(metrics.CERTIFICATE_END).items()}
        assert ends["web"] == ends["broker"] == pytest.approx(now + 100 * 86400, abs=3600)
        assert ends["authority"] == pytest.approx(now + 3650 * 86400, abs=3600)
        (tmp_path / "tls" / "web.pem").rename(tmp_path / "away")
        watched.meter.refresh()
        assert ("web",) not in watched.meter.values(metrics.CERTIFICATE_END), "a file that is gone has no end"
        (tmp_path / "away").rename(tmp_path / "tls" / "web.pem")


def test_days_are_whole_and_below_0_once_it_has_expired() -> None:
    end = datetime(2027, 1, 31, 12, tzinfo=UTC)
    for before, days in (
        (timedelta(days=2), 2),
        (timedelta(hours=47), 1),
        (timedelta(0), 0),
        (timedelta(seconds=-1), -1),
    ):
        assert certificate_expiry.days_left(end, end - before) == days
