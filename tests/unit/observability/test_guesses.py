"""Who may be answered by metrics and dashboard: host names, the Authorization header, and wrong passwords."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from lakehouse.config import Config
from lakehouse.observability import web_access
from lakehouse.observability.web_access import LONGEST_WAIT, Guesses, host_is_ours
from tests.support.harness import config_of


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_of(
        tmp_path, "localhost:1", "t", MONITORING__WEB_PASSWORD="juste", MONITORING__WEB_CERTIFICATE="unread.pem"
    )


def basic(password: str, user: str = "ventes", scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "Basic  "])
def test_the_schemes_case_is_free(config: Config, scheme: str) -> None:
    assert web_access.allowed(config, basic("juste", scheme=scheme))
    assert not web_access.allowed(config, basic("faux", scheme=scheme))


@pytest.mark.parametrize(
    "header", [None, "", "Basic", "Bearer x", basic("juste", scheme="Digest"), "é" * 9, basic("juste")[6:]]
)
def test_anything_else_is_refused(config: Config, header: str | None) -> None:
    assert not web_access.allowed(config, header)


@pytest.mark.parametrize(
    ("listening", "header", "answered"),
    [
        ("127.0.0.1", "127.0.0.1:8501", True), ("127.0.0.1", "localhost", True), ("127.0.0.1", "LOCALHOST:80", True),
        ("127.0.0.2", "127.0.0.2:9", True), ("::1", "[::1]:8501", True), ("::1", "[::1]", True), ("::1", "localhost:8501", True),
        ("127.0.0.1", "evil.example", False), ("127.0.0.1", "evil.example:8501", False), ("127.0.0.1", "", False),
        ("127.0.0.1", "localhost.evil.example", False), ("127.0.0.1", "127.0.0.1.evil.example:80", False), ("::1", "[::2]:8501", False),
        ("127.0.0.1", "192.0.2.7", False), ("0.0.0.0", "lac.exemple.fr", True),
    ],
)  # fmt: skip
def test_a_server_on_loopback_answers_to_this_machines_names_alone(listening: str, header: str, answered: bool) -> None:
    assert host_is_ours(listening, header) is answered


def test_wrong_passwords_of_one_address_wait_longer_and_longer(config: Config) -> None:
    now = [0.0]
    guesses = Guesses(lambda: now[0])

    def status(password: str, address: str = "192.0.2.7") -> int:
        refusal = guesses.refusal(config, address, basic(password))
        return refusal[0] if refusal else 200

    tried = []
    for n in range(1_000):
        tried.append(status(f"essai {n}"))
        now[0] += 0.1
    looked_at = tried.count(401)
    assert set(tried) == {401, 429} and tried[:3] == [401] * 3
    assert looked_at <= 3 + 100 / LONGEST_WAIT + 4, "of a thousand guesses in 100 seconds"
    assert status("juste") == 429, "nor is the right one looked at, or the wait would tell nothing"
    refusal = guesses.refusal(config, "192.0.2.7", basic("juste"))
    assert refusal is not None and refusal[2][0] == "Retry-After" and 1 <= int(refusal[2][1]) <= LONGEST_WAIT
    assert status("juste", "192.0.2.8") == 200, "another address does not wait"
    now[0] += LONGEST_WAIT
    assert status("juste") == 200
    assert [status("faux 1"), status("juste")] == [401, 200], "the right one ends the row"


def test_an_old_password_that_comes_again_and_again_locks_nobody_out(config: Config) -> None:
    guesses = Guesses(lambda: 0.0)
    for _ in range(50):
        refusal = guesses.refusal(config, "127.0.0.1", basic("ancien"))
        assert refusal is not None and refusal[0] == 401
        assert (refusal := guesses.refusal(config, "127.0.0.1", None)) is not None and refusal[0] == 401
    assert guesses.refusal(config, "127.0.0.1", basic("juste")) is None


def test_a_subscribers_addresses_of_ipv6_are_one(config: Config) -> None:
    guesses = Guesses(lambda: 0.0)
    for n in range(3):
        guesses.refusal(config, f"2001:db8::{n}", basic(f"essai {n}"))
    refusal = guesses.refusal(config, "2001:db8::ffff", basic("essai"))
    assert refusal is not None and refusal[0] == 429
    assert guesses.refusal(config, "2001:db8:0:1::1", basic("juste")) is None


def test_the_addresses_that_are_remembered_are_bounded(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_access, "REMEMBERED", 10)
    guesses = Guesses(lambda: 0.0)
    for n in range(100):
        guesses.refusal(config, f"192.0.2.{n}", basic(f"essai {n}"))
    assert len(guesses._wrong) == 10


def test_without_a_password_everybody_is_answered(tmp_path: Path) -> None:
    assert Guesses().refusal(config_of(tmp_path, "localhost:1", "t"), "127.0.0.1", None) is None
