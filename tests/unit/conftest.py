"""Unit tests run beside JVMs on two cores: Hypothesis may not judge them by the clock."""

import pytest
from hypothesis import HealthCheck, settings

from lakehouse import metrics

settings.register_profile("ventes", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ventes")


@pytest.fixture(autouse=True)
def _own_place(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script's ``main`` that a test calls writes its run file and its log into a folder of the test's own, and takes
    a free port."""
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", str(tmp_path_factory.mktemp("base")))
    for name in metrics.PROCESSES:
        monkeypatch.setenv(f"VENTES_MONITORING__{name.upper()}_METRICS_PORT", "0")
