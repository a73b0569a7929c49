"""A locked-down broker for real: who comes in, who does not and why, and where no password may ever stand."""

from __future__ import annotations

import dataclasses
import os
import stat
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from kafka import KafkaProducer
from kafka.errors import TopicAuthorizationFailedError

from lakehouse import config as settings
from lakehouse.config import Config
from lakehouse.errors import AccessRefused, LakehouseError, SetupError
from lakehouse.kafka import clients, connection, users
from lakehouse.kafka.broker import certificates
from lakehouse.kafka.broker.cluster import Brokers
from lakehouse.kafka.broker.properties import free_port
from lakehouse.kafka.options import producer_options
from lakehouse.kafka.users import USERS
from tests.support.children import eventually
from tests.support.harness import SHORT_LIVED, Lake, config_of

CANARY = "canari-7c1f"


def locked_down(place: Path, servers: str, base: Path, **more: str) -> Config:
    return config_of(
        base, servers, "ventes_stream", KAFKA__SECURITY_PROTOCOL="SASL_SSL", KAFKA__TLS_DIR=str(place),
        KAFKA__HEAP="256m", KAFKA__REQUEST_TIMEOUT="5 seconds", **more,
    )  # fmt: skip


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    """The settings of a locked-down broker with its topic and rights; every password begins with the canary."""
    base, before = tmp_path_factory.mktemp("locked"), os.umask(0o027)  # as every script sets it
    config = locked_down(base / "tls", f"localhost:{free_port()}", base)
    (base / "tls").mkdir()
    for user in USERS:
        certificates.write_private(users.password_file(config, user), f"{CANARY}-{user}".encode())
    certificates.make(config)
    commands: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JDK_JAVA_OPTIONS", SHORT_LIVED)
        seen = _watch_commands(patch, commands)
        with Brokers(config):
            assert any("StorageTool" in command for command in seen), "the formatter was looked at"
            assert not [command for command in seen if CANARY in command]
            assert clients.ensure_topic(as_user(config, "admin"))
            clients.grant_rights(as_user(config, "admin"))
            yield config
    os.umask(before)


def _watch_commands(patch: pytest.MonkeyPatch, seen: list[str]) -> list[str]:
    """The command lines of the formatter and of the broker, as every user of the machine could read them."""
    from lakehouse.kafka.broker import node

    real = node.subprocess.run, node.subprocess.Popen

    def note(maker: Callable[..., object]) -> Callable[..., object]:
        def made(command: list[str], **options: object) -> object:
            seen.append(" ".join(map(str, command)))
            return maker(command, **options)

        return made

    patch.setattr(node.subprocess, "run", note(real[0]))
    return seen


def as_user(config: Config, user: str, **kafka: object) -> Config:
    return dataclasses.replace(config, role=user, kafka=dataclasses.replace(config.kafka, **kafka))


def offsets(config: Config) -> int:
    return sum(latest for _, latest in clients.earliest_and_latest_offsets(config).values())


# --- who does not come in --------------------------------------------------------------------------------------------


def test_a_wrong_password_is_refused(locked: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []
    refusals = connection.password_refusals

    def counted(causes: list[Exception]) -> list[Exception]:
        tries.append(len(refusals(causes)))
        return refusals(causes)

    monkeypatch.setattr(connection, "password_refusals", counted)
    # time for some tries, on a busy machine too
    wrong = as_user(
        locked, "", sasl_username="bronze", sasl_password=settings.Secret("faux"), request_timeout=timedelta(seconds=60)
    )
    with pytest.raises(AccessRefused, match="does not know the user bronze with this password") as refusal:
        clients.describe_topic(wrong)
    assert "faux" not in str(refusal.value)
    assert max(tries) == connection.REFUSALS, "it was tried for as long as there was time"


def test_an_authority_that_did_not_sign_is_refused(locked: Config, tmp_path: Path) -> None:
    other = as_user(locked, "bronze", tls_dir=str(tmp_path / "other"))
    certificates.make(other)
    stranger = as_user(locked, "bronze", ssl_cafile=f"{other.kafka.tls_dir}/ca.pem")
    with pytest.raises(AccessRefused, match="not signed by an authority that is believed"):
        clients.describe_topic(stranger)


def test_another_host_name_is_refused(locked: Config) -> None:
    elsewhere = locked.kafka.bootstrap_servers.replace("localhost", "127.1")  # the same address, by another name
    with pytest.raises(AccessRefused, match=r"its certificate is not for the name 127\.1"):
        clients.describe_topic(as_user(locked, "bronze", bootstrap_servers=elsewhere))


def test_plain_text_is_refused(locked: Config) -> None:
    with pytest.raises(AccessRefused, match=r"it speaks TLS\. Set SASL_SSL, or SSL"):
        clients.describe_topic(as_user(locked, "bronze", security_protocol="PLAINTEXT"))


def test_tls_without_a_password_is_refused(locked: Config) -> None:
    with pytest.raises(LakehouseError):
        clients.describe_topic(as_user(locked, "bronze", security_protocol="SSL"))


# --- who comes in, and may not ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "may"), [("producer", "WRITE"), ("bronze", "READ"), ("operator", "READ"), ("monitor", "")]
)
def test_each_user_may_do_what_it_has_to_and_nothing_else(locked: Config, user: str, may: str) -> None:
    mine = as_user(locked, user)
    assert offsets(mine) >= 0, "everybody sees the offsets"
    for right in ("READ", "WRITE"):
        if right == may:
            clients.check_right(mine, right)
        else:
            with pytest.raises(AccessRefused, match=f"does not let {user} do this"):
                clients.check_right(mine, right)
    with pytest.raises(AccessRefused, match=f"does not let {user} do this"):
        clients.ensure_topic(as_user(locked, user, topic="autre"))
    with pytest.raises(AccessRefused, match=f"does not let {user} do this"):
        clients.add_partitions(mine, 9)
    with pytest.raises(LakehouseError):
        clients.grant_rights(mine)


def test_the_broker_itself_refuses_a_reader_that_writes(locked: Config) -> None:
    before = offsets(as_user(locked, "monitor"))
    client = KafkaProducer(**producer_options(as_user(locked, "bronze")) | {"enable_idempotence": False})
    try:
        with pytest.raises(TopicAuthorizationFailedError):
            client.send("ventes_stream", b"{}").get(20)
    finally:
        client.close(timeout=5)
    assert offsets(as_user(locked, "monitor")) == before


def test_a_folder_that_was_made_without_users_is_not_taken(tmp_path: Path, locked: Config) -> None:
    config = locked_down(Path(locked.kafka.tls_dir), f"localhost:{free_port()}", tmp_path)
    log = tmp_path / "kafka" / "log"
    log.mkdir(parents=True)
    (log / "meta.properties").touch()
    with pytest.raises(SetupError, match="was made without users, for PLAINTEXT"):
        Brokers(config).start()


# --- end to end ------------------------------------------------------------------------------------------------------


def holding(folder: Path) -> set[str]:
    """Files that hold the canary, but for the passwords' own."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".password" and CANARY.encode() in path.read_bytes()
    }


def command_of(pid: int) -> str:
    """Empty when it has ended meanwhile, as helpers of a start do."""
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.NoSuchProcess:  # also a zombie: nobody can read its command line any more
        return ""


def test_the_scripts_run_as_their_users_and_no_password_stands_anywhere(locked: Config) -> None:
    """Producer and Bronze as the command line starts them, with Spark's UI and event log switched on."""
    base = Path(locked.delta.base_path)
    (base / "events").mkdir()
    ui = free_port()
    conf = f"spark.eventLog.enabled=true\nspark.eventLog.dir={(base / 'events').as_uri()}"
    spark = dataclasses.replace(locked.spark, ui=True, ui_port=ui, conf=conf, log_level="INFO")
    lake = Lake(dataclasses.replace(locked, spark=spark))
    try:
        producer = lake.start(
            "producer_ventes.py", "--count", "40", "--seed", "3", "--rate", "max", "--truth", str(lake.truth_file)
        )
        assert producer.wait() == 0, producer.said()
        bronze = lake.start("spark_streaming_delta.py")
        eventually(lambda: not bronze.alive or len(lake.rows()) == len(lake.sent()), what="Bronze holds the sales")
        assert bronze.alive, bronze.said()
        tree = [
            bronze.process.pid,
            *(child.pid for child in psutil.Process(bronze.process.pid).children(recursive=True)),
        ]
        commands = [command_of(pid) for pid in tree]
        assert any("SparkSubmit" in command for command in commands) and CANARY not in "".join(commands)
        pages = [urllib.request.urlopen(f"http://localhost:{ui}{path}", timeout=30).read().decode() for path in PAGES]
        assert "Spark Properties" in pages[0] and CANARY not in "".join(pages)
        bronze.process.terminate()
        assert bronze.wait() == 0, bronze.said()
        assert lake.differences() == []
        wrong = lake.with_settings(KAFKA__SASL_USERNAME="monitor", KAFKA__SASL_PASSWORD=f"{CANARY}-monitor")
        refused = wrong.start("producer_ventes.py", "--count", "1")
        assert refused.wait() == 2 and "does not let monitor do this (write" in refused.said()
    finally:
        lake.end()
    events = [path.read_text(errors="replace") for path in (base / "events").rglob("*") if path.is_file()]
    assert "kafka.sasl.jaas.config" in "".join(events) or events, "the event log was written"
    assert holding(base) == {"kafka/server.properties"}
    assert stat.S_IMODE((base / "kafka/server.properties").stat().st_mode) == 0o600
    open_to_others = {
        str(path)
        for name in ("bronze", "checkpoints", "kafka", "logs", "run", "tls")
        for path in (base / name).rglob("*")
        if path.stat().st_mode & 0o007 and path.name != "ca.pem"
    }
    assert open_to_others == set()
    assert stat.S_IMODE((base / "tls").stat().st_mode) == 0o700


PAGES = ("/environment/", "/SQL/", "/jobs/", "/StreamingQuery/", "/api/v1/applications")
