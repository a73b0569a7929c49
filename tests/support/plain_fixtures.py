"""Fixtures of the folders without a JVM (``unit``, ``ops``, ``process``): a place of its own for each test.

These tests run beside JVMs on two cores: Hypothesis may not judge them by the clock.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lakehouse.observability import metrics
from lakehouse.operations import command

settings.register_profile("ventes", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ventes")


@pytest.fixture(autouse=True)
def _own_place(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script's ``main`` that a test calls writes its run file and its log into a folder of the test's own, and takes
    a free port."""
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", str(tmp_path_factory.mktemp("base")))
    for name in metrics.PROCESSES:
        monkeypatch.setenv(f"VENTES_MONITORING__{name.upper()}_METRICS_PORT", "0")


@pytest.fixture
def base(tmp_path: Path) -> str:
    """Where the test's lake will lie. A file with a lake of its own has its own fixture of this name."""
    return str(tmp_path / "lake")


@pytest.fixture
def operate(
    base: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """``ops_utils.py`` in this process, over ``base``: its exit code, and all that it printed."""
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", base)

    def call(*words: str) -> tuple[int, str]:
        code = command.main(list(words))
        said = capsys.readouterr()
        return code, said.out + said.err

    return call
