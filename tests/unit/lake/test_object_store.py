"""A lake on a real S3 server, without a JVM: the same URI read by all, one writing process, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse import config as settings
from lakehouse.config import Config, paths
from lakehouse.contract.tables import REJOUES
from lakehouse.errors import ConfigError, LakehouseError, SetupError, TableLocked
from lakehouse.jvm import jars
from lakehouse.lake import delta_tables, object_store, spark_session, writer_lock
from lakehouse.lake.query import Query
from lakehouse.lake.reader import Lake
from tests.support import s3

ROW = {
    "topic": "t", "kafka_partition": 0, "kafka_offset": 1, "kafka_timestamp": datetime.now(UTC), "resultat": "vente",
    "vente_id": "v", "corrige": False, "correction": None, "date_rejeu": datetime.now(UTC), "operateur": "o", "run": "r",
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3.Server]:
    if s3.executable() is None:
        pytest.skip(f"NO S3 SERVER: versitygw is not here, so object stores are NOT TESTED. Type: {s3.GET_IT}")
    with s3.serving(tmp_path_factory.mktemp("s3")) as made:
        yield made


@pytest.fixture
def remote(server: s3.Server, tmp_path: Path, request: pytest.FixtureRequest) -> Config:
    texts = server.settings(request.node.name[:40], tmp_path / "state")
    return settings.load(env={f"VENTES_{name}": text for name, text in texts.items()})


def of(**texts: str) -> Config:
    return settings.load(env={f"VENTES_{name}": text for name, text in texts.items()})


BASE = {"DELTA__BASE_PATH": "s3a://lac/x", "S3__REGION": "eu-west-3"}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"DELTA__BASE_PATH": "s3a://lac/x"}, r"needs \[S3\] region"),
        ({"DELTA__BASE_PATH": "s3://lac/x", "S3__REGION": "x"}, "is not accepted: Spark reads S3 as s3a://lac/x"),
        ({**BASE, "S3__ENDPOINT": "127.0.0.1:9000"}, r"expected http\(s\)://host:port"),
        ({**BASE, "S3__ACCESS_KEY": "cle"}, "access_key and secret_key belong together"),
        ({**BASE, "DELTA__STATE_PATH": "s3a://lac/etat"}, "expected a folder, no URI"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_starts(texts: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        of(**texts)


def test_each_library_is_told_the_same_and_no_secret_goes_into_sparks_settings() -> None:
    config = of(**BASE, S3__ENDPOINT="http://h:1", S3__PATH_STYLE="true", S3__ACCESS_KEY="cle", S3__SECRET_KEY="canari")
    assert object_store.options(config) == {
        "aws_region": "eu-west-3", "aws_virtual_hosted_style_request": "false", "aws_conditional_put": "etag",
        "aws_endpoint_url": "http://h:1", "aws_allow_http": "true", "aws_access_key_id": "cle",
        "aws_secret_access_key": "canari",
    }  # fmt: skip
    assert object_store.java_environment(config) == {"AWS_ACCESS_KEY_ID": "cle", "AWS_SECRET_ACCESS_KEY": "canari"}
    spark = spark_session.shared_settings(config, "bronze")
    assert "canari" not in json.dumps(spark) and "canari" not in repr(config)
    assert spark["spark.hadoop.fs.s3a.endpoint"] == "http://h:1"
    assert spark["spark.hadoop.fs.s3a.connection.ssl.enabled"] == "false"
    assert spark["spark.delta.logStore.s3a.impl"] == object_store.LOG_STORE
    assert (object_store.options(of()), object_store.spark_settings(of()), object_store.java_environment(of())) == (
        None,
        {},
        {},
    )


def test_the_secret_comes_from_a_file_of_mode_0600(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("canari\n", encoding="utf-8")
    file.chmod(0o600)
    texts = {**BASE, "S3__ACCESS_KEY": "cle", "S3__SECRET_KEY_FILE": str(file)}
    assert str(of(**texts).s3.secret_key) == "canari"
    file.chmod(0o644)
    with pytest.raises(ConfigError, match=r"\[S3\] secret_key_file names .*, which others can read"):
        of(**texts)


def test_the_set_of_s3_jars_is_wanted_by_a_lake_on_s3_alone() -> None:
    assert (jars.wanted(of()), jars.wanted(of(**BASE))) == (("spark", "kafka"), ("spark", "kafka", "s3"))
    names = [jar.coordinate for jar in jars.read_lock()["s3"]]
    assert "org.apache.hadoop:hadoop-aws:3.5.0" in names and len(names) == 36


def test_what_no_object_store_can_hold_lies_on_this_machine(tmp_path: Path) -> None:
    assert paths.state(of(DELTA__BASE_PATH="/lac")) == Path("/lac")
    assert paths.state(of(DELTA__BASE_PATH="/lac", DELTA__STATE_PATH=str(tmp_path))) == tmp_path
    assert paths.state(of(**BASE, DELTA__STATE_PATH=str(tmp_path))) == tmp_path
    one, other = (paths.state(of(**{**BASE, "DELTA__BASE_PATH": f"s3a://lac/{name}"})) for name in "ab")
    assert one != other and one.parent == other.parent == Path(of().development.cache_dir) / "state"


@pytest.mark.parametrize("name", ["spark.delta.logStore.s3a.impl", "spark.delta.logStore.class"])
def test_a_log_store_that_loses_commits_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"io.delta.storage.S3SingleDriverLogStore is not accepted for s3a://lac/x"):
        spark_session.check_log_store({name: "io.delta.storage.S3SingleDriverLogStore"}, of(**BASE))
    spark_session.check_log_store({name: object_store.DYNAMO_LOG_STORE}, of(**BASE))
    spark_session.check_log_store({}, of())


# --- with the server -------------------------------------------------------------------------------------------------


def test_operators_write_and_the_explorer_reads_the_same_uri(remote: Config) -> None:
    for offset in (1, 2):
        delta_tables.append([{**ROW, "kafka_offset": offset}], REJOUES, remote, what="test")
    lake = Lake.of(remote)
    assert [
        row[0] for row in lake.read(Query("SELECT kafka_offset FROM rejets_rejoues ORDER BY 1", (REJOUES.name,))).rows
    ] == [1, 2]
    assert (
        lake.snapshot(REJOUES.name).source.version == 1 and lake.advanced().snapshot(REJOUES.name).source.version == 1
    )


def test_a_second_writer_is_refused_and_the_claim_ends_with_its_holder(
    remote: Config, server: s3.Server, tmp_path: Path
) -> None:
    elsewhere = settings.load(
        env={**settings.as_environment(remote), "VENTES_DELTA__STATE_PATH": str(tmp_path / "another machine")}
    )
    refused = pytest.raises(TableLocked, match=rf"process {os.getpid()} on .*, since .* delete s3a://")
    with writer_lock.writer_lock(remote, "bronze"), refused, writer_lock.writer_lock(elsewhere, "bronze"):
        pass
    with writer_lock.writer_lock(elsewhere, "bronze"), writer_lock.writer_lock(elsewhere, "silver"):
        pass
    assert not list(server.folder.rglob("locks/*.json")), "a claim that has ended is deleted"


KILLED = """
import os, signal
from lakehouse import config
from lakehouse.lake import writer_lock as locks
with locks.writer_lock(config.load(), "bronze"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_claim_of_a_killed_process_is_taken_over_here_and_kept_against_another_machine(
    remote: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**os.environ, **settings.as_environment(remote)}
    killed = subprocess.run([sys.executable, "-c", KILLED], env=environment, cwd=settings.PROJECT, check=False)
    assert killed.returncode == -9
    with monkeypatch.context() as other:
        other.setattr(object_store.socket, "gethostname", lambda: "another")
        with pytest.raises(TableLocked, match="if that machine is gone for good"), object_store.claim(remote, "bronze"):
            pass
    with writer_lock.writer_lock(remote, "bronze"):
        pass


def test_a_store_that_overwrites_what_is_there_is_refused(remote: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a store cannot be had here: the second creation is let through by hand."""
    import obstore

    real: Callable[..., Any] = obstore.put
    asked: list[Any] = []

    def put(objects: Any, name: str, content: Any, *, mode: Any) -> Any:
        asked.append(mode)
        return real(objects, name, content, mode="overwrite")

    monkeypatch.setattr(obstore, "put", put)
    with pytest.raises(SetupError, match="it ignores If-None-Match"), object_store.claim(remote, "bronze"):
        pass
    assert asked == ["create", "create"]


def test_a_wrong_secret_is_an_error_of_the_store(remote: Config) -> None:
    wrong = settings.load(env={**settings.as_environment(remote), "VENTES_S3__SECRET_KEY": "faux"})
    with pytest.raises(LakehouseError, match="does not answer as it should"), object_store.claim(wrong, "bronze"):
        pass


def test_deltalake_still_refuses_delta_type_widening(tmp_path: Path) -> None:
    """The reason why a contract's type is not widened in place (docs/ARCHITECTURE.md): the explorer could not read on."""
    import pyarrow as pa
    from deltalake import DeltaTable, QueryBuilder, write_deltalake

    write_deltalake(str(tmp_path), pa.table({"quantite": pa.array([1], pa.int32())}))
    features = ["typeWidening", "appendOnly", "invariants"]
    protocol = {
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": features[:1],
        "writerFeatures": features,
    }
    log = tmp_path / "_delta_log"
    first = [json.loads(line) for line in (log / f"{0:020}.json").read_text(encoding="utf-8").splitlines()]
    wider = json.loads(json.dumps(next(one for one in first if "metaData" in one)).replace("integer", "long"))
    lines = [json.dumps(one) for one in ({"protocol": protocol}, wider)]
    (log / f"{1:020}.json").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(Exception, match="TypeWidening"):  # DataFusion's error is another DeltaError than the public one
        QueryBuilder().register("ventes", DeltaTable(str(tmp_path))).execute("SELECT * FROM ventes").read_all()
