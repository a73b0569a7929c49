"""Executors are asked whether they see the driver's data folder."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse.errors import SetupError
from lakehouse.jvm import launch
from lakehouse.lake import shared_storage


def test_executors_say_whether_they_see_a_path(spark: SparkSession, tmp_path: Path) -> None:
    assert shared_storage.unseeing(spark, str(tmp_path)) == []
    assert shared_storage.unseeing(spark, str(tmp_path / "elsewhere")) == [socket.gethostname()]


def test_a_data_folder_that_executors_do_not_see_is_refused(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = str(tmp_path / "lake")
    shared_storage.check_folder(spark, base)  # one process: nothing to ask, nothing is made
    assert not Path(base).exists()

    monkeypatch.setattr(launch, "is_local", lambda _: False)
    shared_storage.check_folder(spark, base)
    assert list(Path(base).iterdir()) == []
    shared_storage.check_folder(spark, "s3a://bucket/lake")

    # One machine has one disk: an executor that sees another one has to be made up.
    real = shared_storage.unseeing
    monkeypatch.setattr(shared_storage, "unseeing", lambda session, path: real(session, f"{path}-on-another-disk"))
    expected = f"The data folder {base} is not shared: the executors on {socket.gethostname()} do not see"
    with pytest.raises(SetupError, match=re.escape(expected)):
        shared_storage.check_folder(spark, base)
    assert list(Path(base).iterdir()) == []
