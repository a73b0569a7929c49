"""The operators' verbs over the lake of a test with a real broker."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lakehouse import config as settings
from lakehouse.operations import command
from tests.support.harness import Lake


@pytest.fixture
def run(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, dict[str, Any]]]:
    """``run("reconcile")``: the exit code, and what ``--json`` prints."""
    for name, text in settings.as_environment(lake.config).items():
        monkeypatch.setenv(name, text)

    def call(*words: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = command.main([*words, "--json"])
        out = capsys.readouterr().out
        return code, json.loads(out) if out else {}

    return call
