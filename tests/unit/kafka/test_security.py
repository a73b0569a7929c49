"""Certificates, users and refusals as far as they need no broker: TLS for real, against a server of this process."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import errors as kafka_errors
from kafka.errors import KafkaConnectionError, KafkaError
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

from lakehouse import cli
from lakehouse.config import Config, Secret
from lakehouse.errors import AccessRefused, BrokerUnavailable, ConfigError, SetupError
from lakehouse.kafka import connection, options, users
from lakehouse.kafka.broker import certificates, properties, security
from lakehouse.lake import spark_session
from lakehouse.observability import log
from tests.support.harness import config_of


@pytest.fixture
def made(tmp_path: Path) -> Config:
    config = config_of(
        tmp_path / "base", "localhost:1", "t", KAFKA__SECURITY_PROTOCOL="SASL_SSL", KAFKA__TLS_DIR=str(tmp_path / "tls")
    )
    certificates.make(config, ["lac.exemple.fr"])
    return replace(config, role="bronze")


def at(config: Config, port: int, host: str = "localhost", **kafka: object) -> Config:
    return replace(config, kafka=replace(config.kafka, bootstrap_servers=f"{host}:{port}", **kafka))


@pytest.fixture
def tls_port(made: Config) -> Iterator[int]:
    """A port on every address of the loopback net that greets by TLS with the broker's certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(Path(made.kafka.tls_dir) / "broker.pem")
    with socket.create_server(("0.0.0.0", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    link, _ = server.accept()
                    with link, context.wrap_socket(link, server_side=True) as secure:
                        secure.recv(1)
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


# --- certificates ----------------------------------------------------------------------------------------------------


def test_all_but_the_authority_is_for_its_owner_alone_and_stays_as_it_is(made: Config) -> None:
    place = Path(made.kafka.tls_dir)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()}
    secret = {"ca.key", "broker.pem", "web.pem", *(f"{user}.password" for user in users.USERS)}
    assert set(modes) == {"ca.pem", *secret} and stat.S_IMODE(place.stat().st_mode) == 0o700
    assert {modes[name] for name in secret} == {0o600}
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    assert len({before[f"{user}.password"] for user in users.USERS}) == len(users.USERS)
    assert certificates.make(made) == []
    (place / "web.pem").unlink()
    assert [path.name for path in certificates.make(made)] == ["web.pem"]
    assert {name: (place / name).read_bytes() for name in before if name != "web.pem"} == {
        name: text for name, text in before.items() if name != "web.pem"
    }


def test_a_certificate_cannot_be_made_without_the_authoritys_key(made: Config) -> None:
    for name in ("ca.key", "broker.pem"):
        (Path(made.kafka.tls_dir) / name).unlink()
    with pytest.raises(SetupError, match="is not: it can sign no certificate"):
        certificates.make(made)


# --- getting in ------------------------------------------------------------------------------------------------------


def test_the_right_authority_and_name_come_in(made: Config, tls_port: int) -> None:
    connection.check_reachable(at(made, tls_port))
    connection.check_reachable(at(made, tls_port, "127.0.0.1"))


def test_an_authority_that_did_not_sign_is_named(made: Config, tls_port: int, tmp_path: Path) -> None:
    other = replace(made, kafka=replace(made.kafka, tls_dir=str(tmp_path / "other")))
    certificates.make(other)
    with pytest.raises(
        AccessRefused, match=r"not signed by an authority that is believed .*other/ca.pem\. Set ssl_cafile"
    ):
        connection.check_reachable(at(other, tls_port))


def test_a_name_that_the_certificate_is_not_for_is_named(made: Config, tls_port: int) -> None:
    with pytest.raises(
        AccessRefused, match=r"not for the name 127\.0\.0\.2\. .*setup_utils\.py tls --host 127\.0\.0\.2"
    ):
        connection.check_reachable(at(made, tls_port, "127.0.0.2"))


def test_a_server_that_speaks_plain_text_is_told(made: Config) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            link, _ = server.accept()
            with link:
                link.recv(100)
                link.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(AccessRefused, match=r"it does not speak TLS .*Is it PLAINTEXT\?"):
            connection.check_reachable(at(made, server.getsockname()[1], "127.0.0.1"))


def test_whether_a_silent_port_speaks_tls_is_found_out(tls_port: int) -> None:
    assert connection.speaks_tls(f"localhost:{tls_port}", 5)
    assert not connection.speaks_tls(f"localhost:{properties.free_port()}", 5)


def test_nobody_there_is_still_nobody_there(made: Config) -> None:
    with pytest.raises(BrokerUnavailable):
        connection.check_reachable(at(made, properties.free_port()))


# --- users -----------------------------------------------------------------------------------------------------------


def test_each_script_is_its_own_user_and_has_one_right_on_the_messages() -> None:
    assert [cli.role_of(script) for script in ("producer_ventes.py", "spark_streaming_delta.py", "dashboard.py")] == [
        "producer", "bronze", "monitor",
    ]  # fmt: skip
    messages = {
        (one.user, one.operation)
        for one in users.grants("t")
        if one.kind == "TOPIC" and one.operation in ("READ", "WRITE")
    }
    assert messages == {("producer", "WRITE"), ("bronze", "READ"), ("operator", "READ")}
    assert {one.name for one in users.grants("t") if one.kind == "TOPIC"} == {"t"}
    assert not [one for one in users.grants("t") if one.operation in ("ALL", "ALTER", "CREATE", "DELETE")]


def test_a_user_that_is_named_wins_over_the_scripts_own(made: Config) -> None:
    assert users.user_and_password(made)[0] == "bronze"
    named = at(made, 1, sasl_username="moi", sasl_password=Secret("x"))
    assert users.user_and_password(named) == ("moi", "x")
    users.password_file(made, "bronze").unlink()
    with pytest.raises(ConfigError, match=r"needs a password for bronze, and there is no .*bronze\.password"):
        users.user_and_password(made)


def test_a_password_that_others_can_read_is_refused(made: Config) -> None:
    users.password_file(made, "bronze").chmod(0o644)
    with pytest.raises(ConfigError, match=r"bronze\.password, which others can read \(mode 0644\)"):
        options.client_options(made)


def test_spark_and_kafka_python_are_told_the_same(made: Config) -> None:
    user, password = users.user_and_password(made)
    python, spark = options.client_options(made), options.spark_options(made)
    assert (python["sasl_plain_username"], python["sasl_plain_password"]) == (user, password)
    assert f'username="{user}" password="{password}"' in spark["kafka.sasl.jaas.config"]
    assert python["ssl_cafile"] == spark["kafka.ssl.truststore.location"] == f"{made.kafka.tls_dir}/ca.pem"
    assert spark["groupIdPrefix"] == users.GROUP_PREFIX
    hidden = spark_session.shared_settings(made, "bronze")["spark.redaction.regex"]
    assert "jaas" in hidden and "password" in hidden


def test_no_users_password_is_ever_written_into_a_log(made: Config) -> None:
    words = [users.password_of(made, user) for user in users.USERS]
    with log.to_file(made, "essai") as path:
        log.get("essai").error(f"a fault with {words[0]} and {words[-1]}", cause=words[1])
    said = path.read_text(encoding="utf-8")
    assert "a fault with *** and ***" in said and not [word for word in words if word in said]


# --- the broker ------------------------------------------------------------------------------------------------------


def test_a_locked_down_broker_has_no_open_door(made: Config) -> None:
    (node,) = properties.nodes(made)
    held = dict(line.split("=", 1) for line in properties.server_properties(made, node).splitlines())
    assert held["listeners"].startswith("SASL_SSL://") and "PLAINTEXT" not in "".join(held.values())
    assert held["listener.name.controller.ssl.client.auth"] == "required"
    assert (
        held["authorizer.class.name"].endswith("StandardAuthorizer") and held["super.users"] == "User:admin;User:broker"
    )
    assert held["allow.everyone.if.no.acl.found"] == "false"


def test_the_formatter_is_given_every_user(made: Config) -> None:
    lines = security.format_arguments(made).splitlines()
    assert lines[::2] == ["--add-scram"] * len(users.USERS)
    assert [line.split(",")[0] for line in lines[1::2]] == [f"SCRAM-SHA-512=[name={user}" for user in users.USERS]


def test_the_embedded_broker_is_ours_to_start_only_with_certificates_of_ours(made: Config, tmp_path: Path) -> None:
    assert properties.embeddable(made)
    assert not properties.embeddable(at(made, 1, tls_dir=str(tmp_path / "none")))
    with pytest.raises(SetupError, match=r"broker\.pem is missing\. Type: python setup_utils\.py tls"):
        security.check(at(made, 1, tls_dir=str(tmp_path / "none")))
    with pytest.raises(SetupError, match="knows its users by SCRAM-SHA-512 only"):
        security.check(at(made, 1, sasl_mechanism="PLAIN"))


def test_a_locked_down_broker_answers_a_stranger_with_its_versions_only(made: Config, tls_port: int) -> None:
    assert not properties.answers(at(made, tls_port)), "TLS alone is no broker"


@pytest.mark.parametrize("kind", [KafkaTCPTransport, KafkaSSLTransport])
def test_what_a_broker_says_before_it_closes_is_heard(kind: type[KafkaTCPTransport]) -> None:
    """Both come in one reading when this process was not scheduled in between, which a busy machine does."""
    connection.keep_final_responses()
    connection.keep_final_responses()
    ours, brokers = socket.socketpair()
    with ours, brokers:
        ours.setblocking(False)
        transport = kind.__new__(kind)
        KafkaTCPTransport.__init__(transport, None, ours)
        brokers.sendall(b"refused: who are you?")
        brokers.close()
        assert transport._sock_recv() == (b"refused: who are you?", None)
        data, end = transport._sock_recv()
        assert (data, type(end)) == (b"", KafkaConnectionError)


@pytest.mark.parametrize("error", [kafka_errors.OffsetNotAvailableError, kafka_errors.LeaderNotAvailableError])
def test_what_kafka_calls_passing_is_waited_for(made: Config, error: type[KafkaError]) -> None:
    """Seen on three brokers of which two came back: the jobs start their queries again, instead of giving up."""
    told = connection.translated(made, error("ListOffsetsRequest failed"))
    assert isinstance(told, BrokerUnavailable)
    assert "cannot answer yet" in str(told) and error.__name__ in str(told)


def test_what_kafka_refuses_for_good_is_not_waited_for(made: Config) -> None:
    told = connection.translated(made, kafka_errors.InvalidTopicError("a b"))
    assert not isinstance(told, BrokerUnavailable) and "refuses: [Error 17] InvalidTopicError" in str(told)
