"""The class archive: named after what it was made from, used when it is there, never in the way."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from lakehouse import config as settings
from lakehouse.config import Config
from lakehouse.errors import SetupError
from lakehouse.jvm import class_archive, java, recorded_hash
from lakehouse.jvm.java import Java
from lakehouse.lake import spark_session
from lakehouse.setup import class_archive_training


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Settings with a cache folder of their own, one JAR and a Java that is nothing but a folder."""
    home = tmp_path / "jdk"
    home.mkdir()
    (home / "release").write_text('JAVA_VERSION="17.0.15"', encoding="utf-8")
    jar = tmp_path / "one.jar"
    jar.write_bytes(b"one")
    monkeypatch.setattr(java, "find", lambda _config: Java(home, 17))
    own = tmp_path / "own.jar"
    own.write_bytes(b"own")
    monkeypatch.setattr(class_archive.jars, "resolve", lambda _config, _which: [jar])
    monkeypatch.setattr(class_archive.compiler, "jar", lambda _config, _classes: own)
    return settings.load(env={"VENTES_DEVELOPMENT__CACHE_DIR": str(tmp_path / "cache")})


def made(tmp_path: Path, archive: Path) -> None:
    (tmp_path / "made").write_bytes(b"classes")
    recorded_hash.keep(tmp_path / "made", archive)


def test_without_an_archive_there_is_no_option_and_with_one_java_is_told_its_name(
    config: Config, tmp_path: Path
) -> None:
    archive = class_archive.path(config)
    assert class_archive.options(config) == ""
    archive.parent.mkdir(parents=True)
    made(tmp_path, archive)
    assert class_archive.options(config).split()[:2] == [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto"]
    assert spark_session.jar_settings(config)["spark.driver.defaultJavaOptions"] == class_archive.options(config)


def test_the_broker_has_one_of_its_own(config: Config, tmp_path: Path) -> None:
    spark, broker = class_archive.paths(config)
    class_path = class_archive.jars.resolve(config, "kafka")
    assert spark != broker and class_archive.broker_options(config, class_path) == []
    for archive in (spark, broker):
        assert not class_archive.are_made(class_archive.paths(config))
        archive.parent.mkdir(parents=True, exist_ok=True)
        made(tmp_path, archive)
    assert class_archive.are_made(class_archive.paths(config))
    assert class_archive.broker_options(config, class_path)[0] == f"-XX:SharedArchiveFile={broker}"


def test_another_jar_or_java_asks_for_another_archive(config: Config, tmp_path: Path) -> None:
    first = class_archive.path(config)
    assert class_archive.path(config) == first
    os.utime(tmp_path / "one.jar", ns=(1, 1))
    second = class_archive.path(config)
    (tmp_path / "jdk" / "release").write_text('JAVA_VERSION="21.0.1"', encoding="utf-8")
    assert len({first, second, class_archive.path(config)}) == 3


def test_a_cluster_gets_the_jars_themselves(config: Config, tmp_path: Path) -> None:
    cluster = dataclasses.replace(config, spark=dataclasses.replace(config.spark, master="spark://host:7077"))
    assert spark_session.jar_settings(cluster) == {"spark.jars": f"{tmp_path / 'one.jar'},{tmp_path / 'own.jar'}"}


@pytest.mark.usefixtures("config")
def test_a_training_run_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The Java of this test is none, so that the run must fail: an error with its last lines, and an empty folder."""
    monkeypatch.setenv("VENTES_DEVELOPMENT__JAVA_HOME", str(tmp_path / "jdk"))
    broken = settings.load(env={**os.environ, "VENTES_DEVELOPMENT__CACHE_DIR": str(tmp_path / "cache")})
    with pytest.raises(SetupError, match="class archive was not made"):
        class_archive_training.make(broken)
    assert [path.name for path in (tmp_path / "cache" / "classes").iterdir()] == ["spark.lock"]
