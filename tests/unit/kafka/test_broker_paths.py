"""Folders of any name in the files that the broker reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse import config
from lakehouse.errors import SetupError
from lakehouse.jvm import log4j_names
from lakehouse.kafka.broker import properties
from lakehouse.kafka.broker.node import Broker


def as_java_reads(text: str) -> dict[str, str]:
    """By the rules of ``java.util.Properties.load``, from bytes in Latin-1."""
    found = {}
    for line in text.encode("ascii").decode("latin-1").split("\n"):
        if not line.strip() or line.lstrip()[0] in "#!":
            continue
        key, _, value = line.partition("=")
        value = value.lstrip(" \t\f")
        units = re.sub(
            r"\\(u[0-9a-fA-F]{4}|.)",
            lambda escape: chr(int(escape[1][1:], 16)) if len(escape[1]) == 5 else escape[1],
            value,
        )
        found[key.strip()] = units.encode("utf-16-be", "surrogatepass").decode("utf-16-be")
    return found


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_value_is_read_as_it_was_written(value: str) -> None:
    assert as_java_reads(f"key={properties.escaped(value)}\n") == {"key": value}


@pytest.mark.parametrize(
    "name", ["é", "sp ace", "#x", "a\\b", "😀", "it's", "x=y:z", "100%", "a${sys:user.home}b", "%d"], ids=ascii
)
def test_the_broker_is_told_its_own_folder(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", "s3a://bucket/lake")
    monkeypatch.setenv("VENTES_S3__REGION", "eu-west-3")
    monkeypatch.setenv("VENTES_DELTA__STATE_PATH", str(tmp_path / name))
    own = config.load()
    (node,) = properties.nodes(own)
    assert node.home.is_relative_to(tmp_path / name)
    assert as_java_reads(properties.server_properties(own, node))["log.dirs"] == str(node.home / "log")
    file = tmp_path / name / "kafka.log"
    log4j = as_java_reads(properties.log4j_properties(file))
    assert log4j["appender.file.fileName"] == log4j_names.plain(str(file))
    assert log4j["appender.file.filePattern"] == f"{log4j_names.plain(log4j_names.pattern(file))}.%i"


def test_a_folder_that_kafka_would_take_for_two_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", str(tmp_path / "a,b"))
    with pytest.raises(SetupError, match=r"a,b.*Kafka takes a comma .*state_path"):
        Broker(config.load())._write_settings()
