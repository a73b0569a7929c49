"""Which engine a Silver job uses: the setting, the lake's place, how the process was started, the size of the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse import config
from lakehouse.config import Config
from lakehouse.errors import ConfigError
from lakehouse.silver import engine_choice


def settings(tmp_path: Path, **texts: str) -> Config:
    given = {"DELTA__BASE_PATH": str(tmp_path), **texts}
    return config.load(env={f"VENTES_{name}": text for name, text in given.items()})


def test_the_default_is_spark(tmp_path: Path) -> None:
    assert engine_choice.chosen(settings(tmp_path)).engine == "spark"


@pytest.mark.parametrize("asked", ["auto", "local"])
def test_a_local_lake_needs_no_spark(tmp_path: Path, asked: str) -> None:
    choice = engine_choice.chosen(settings(tmp_path, ANALYTICS__ENGINE=asked))
    assert choice.engine == "local" and asked in choice.reason


@pytest.mark.parametrize(
    ("texts", "submitted", "reason"),
    [
        (
            {"DELTA__BASE_PATH": "s3a://lac/data", "S3__REGION": "us-east-1"},
            False,
            "log store guards the commits",
        ),
        ({"SPARK__MASTER": "spark://host:7077"}, False, "is a cluster"),
        ({}, True, "started by spark-submit"),
    ],
)
def test_where_only_spark_may_write_auto_takes_it_and_local_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, texts: dict[str, str], submitted: bool, reason: str
) -> None:
    if submitted:
        monkeypatch.setenv("PYSPARK_GATEWAY_PORT", "1")
    choice = engine_choice.chosen(settings(tmp_path, ANALYTICS__ENGINE="auto", **texts))
    assert choice.engine == "spark" and reason in choice.reason
    with pytest.raises(ConfigError, match=rf"engine = local is not accepted: .*{reason}.* Expected spark or auto"):
        engine_choice.chosen(settings(tmp_path, ANALYTICS__ENGINE="local", **texts))


def test_work_beyond_the_memory_is_sparks(tmp_path: Path) -> None:
    small = settings(tmp_path, ANALYTICS__ENGINE_MEMORY="100")
    assert engine_choice.too_large(small, [1_000_000, 1_000_000]) is None
    assert "engine_memory is 100" in (engine_choice.too_large(small, [1_000_000] * 20) or "")


def test_a_build_needs_memory_for_some_days_at_a_time_and_for_what_it_writes(tmp_path: Path) -> None:
    small = settings(tmp_path, ANALYTICS__ENGINE_MEMORY="100")
    days = [500_000] * 300  # 6 GB at once
    assert engine_choice.too_large_to_build(small, days, 0) is None
    assert engine_choice.too_large_to_build(small, days, 100_000) is None
    assert "engine_memory is 100" in (engine_choice.too_large_to_build(small, days, 300_000) or "")
    assert engine_choice.too_large_to_build(small, [*days, 5_000_000], 0)  # one day is not divided
    assert engine_choice.too_large_to_build(small, [], 0) is None
