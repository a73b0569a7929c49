"""Spark's start is a wait that is said, where people read and although the process's stderr goes elsewhere meanwhile."""

from __future__ import annotations

import functools
import os
import threading
from pathlib import Path

import pytest

from lakehouse import config as settings
from lakehouse import status_line
from lakehouse.lake import spark_session


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_wait_for_spark_is_said_on_the_stderr_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], log_format: str
) -> None:
    said = threading.Event()

    class Line(status_line.StatusLine):
        def show(self, text: str) -> None:
            super().show(text)
            said.set()

    monkeypatch.setattr(status_line, "StatusLine", Line)
    monkeypatch.setattr(spark_session, "waiting", functools.partial(status_line.waiting, first=0.0))
    config = settings.load(env={"VENTES_MONITORING__LOG_FORMAT": log_format})
    with spark_session._announced(config), spark_session._stderr_into(tmp_path / "console.log"):
        assert log_format == "json" or said.wait(60)
        os.write(2, b"Java's words\n")
    shown = capfd.readouterr().err
    assert shown.startswith("waiting for Spark to start: ") == (log_format == "text")
    assert "Java's words" not in shown
