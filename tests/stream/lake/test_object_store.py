"""Bronze, Silver, explorer and reconciliation over one lake on a real S3 server; a log that two writers cannot tear."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import py4j.protocol
import pyspark
import pytest
from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway

from lakehouse import config as settings
from lakehouse.config import Config, paths
from lakehouse.contract.tables import PAR_PAYS, REJETS, VENTES
from lakehouse.jvm import java
from lakehouse.lake import object_store, spark_session
from lakehouse.lake.query import Query
from lakehouse.lake.reader import Lake as Explorer
from lakehouse.operations import command
from lakehouse.operations.reconcile import sent_vs_stored
from tests.support import s3
from tests.support.children import Child
from tests.support.harness import Lake, config_of
from tests.support.messages import sale

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        s3.executable() is None, reason=f"NO S3 SERVER: object stores are NOT TESTED. Type: {s3.GET_IT}"
    ),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[s3.Server]:
    with s3.serving(tmp_path / "s3") as made:
        yield made


def test_a_lake_on_s3_from_kafka_to_the_explorer(
    servers: str, server: s3.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = Lake(config_of(tmp_path / "here", servers, f"s3-{uuid.uuid4().hex[:6]}"))  # sends, and knows what was sent
    remote = config_of(tmp_path, servers, here.config.kafka.topic, **server.settings("entrepot", tmp_path / "state"))
    here.produce(60, 1)
    here.sales(sale(pays="Japon"))

    jobs = Child(remote, tmp_path / "output.log", "-m tests.support.both_jobs")
    try:
        assert jobs.process.wait(300) == 0, jobs.said()
    finally:
        jobs.end()

    def rows(table: str) -> list[dict[str, Any]]:
        found = Explorer.of(remote).read(Query(f"SELECT * FROM {table}", (table,)))
        return [dict(zip(found.names, row, strict=True)) for row in found.rows]

    delay, zone = remote.streaming.watermark_delay, remote.analytics.timezone
    held = (rows(VENTES.name), rows(REJETS.name))
    assert sent_vs_stored.compare(here.sent(), *held, lost=[], watermark_delay=delay, timezone=zone) == []
    assert len(held[0]) > 40 and len(held[1]) > 2
    assert sent_vs_stored.compare_countries(sent_vs_stored.by_country(here.sent()), rows(PAR_PAYS.name)) == []

    for name, text in settings.as_environment(remote).items():
        monkeypatch.setenv(name, text)
    assert command.main(["reconcile"]) == 0, capsys.readouterr()
    assert command.main(["restore-table", "ventes_par_pays", "--version", "99", "--yes"]) == 1
    assert (server.folder / "entrepot" / "checkpoints" / "bronze" / "commits" / "0").is_file()
    assert not (tmp_path / "s3a:").exists() and (paths.state(remote) / "audit" / "log.jsonl").is_file()
    for file in [*tmp_path.rglob("*.log"), *tmp_path.rglob("*.json*")]:
        assert "canari" not in file.read_text(encoding="utf-8", errors="replace"), file


class Writer:
    """A Java of its own with Delta's log store, as a second machine has it."""

    def __init__(self, config: Config, kind: str) -> None:
        own = Path(pyspark.__file__).parent / "jars"
        os.environ.update(object_store.java_environment(config))
        port = launch_gateway(
            classpath=os.pathsep.join(map(str, [*own.glob("*.jar"), *spark_session.jar_files(config)])),
            java_path=str(java.find(config).executable),
            jarpath=str(next(own.glob("py4j-*.jar"))),
            die_on_exit=True,
        )
        self.gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port, auto_convert=True))
        self._jvm: Any = self.gateway.jvm
        self._hadoop = self._jvm.org.apache.hadoop.conf.Configuration()
        for key, value in object_store.spark_settings(config).items():
            self._hadoop.set(key.removeprefix("spark.hadoop."), value)
        self._store = getattr(self._jvm, kind)(self._hadoop)

    def commit(self, path: str, text: str) -> bool:
        """False when the version was another writer's already."""
        lines = self._jvm.java.util.ArrayList()
        lines.append(text)
        place = self._jvm.org.apache.hadoop.fs.Path(path)
        try:
            self._store.write(place, lines.iterator(), False, self._hadoop)
        except Exception as error:
            if "FileAlreadyExistsException" not in str(error):
                raise
            return False
        return True


def test_of_two_java_processes_that_commit_the_same_version_exactly_one_is_told_so(
    server: s3.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a SparkSession of another test has put its own in this place, which asks Spark's Java about errors of these
    monkeypatch.setattr("py4j.java_gateway.get_return_value", py4j.protocol.get_return_value)
    remote = config_of(tmp_path, "localhost:1", "unused", **server.settings("course", tmp_path / "state"))
    writers = [Writer(remote, object_store.LOG_STORE) for _ in range(2)]
    won: dict[int, list[int]] = {version: [] for version in range(25)}
    together = threading.Barrier(2)

    def race(number: int) -> None:
        for version, winners in won.items():
            together.wait(60)
            path = f"{remote.delta.base_path}/t/_delta_log/{version:020}.json"
            if writers[number].commit(path, f'{{"writer": {number}}}'):
                winners.append(number)

    threads = [threading.Thread(target=race, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert all(len(winners) == 1 for winners in won.values()), won
        for version, (winner,) in won.items():
            text = (server.folder / "course" / "t" / "_delta_log" / f"{version:020}.json").read_text(encoding="utf-8")
            assert text == f'{{"writer": {winner}}}\n'
        repeated = f"{remote.delta.base_path}/t/_delta_log/{0:020}.json"
        assert writers[won[0][0]].commit(repeated, f'{{"writer": {won[0][0]}}}'), (
            "an answer that was lost: it is its own"
        )
    finally:
        for writer in writers:
            writer.gateway.shutdown()
