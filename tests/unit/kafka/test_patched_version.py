"""kafka-python's private methods are patched in the pinned version, and left alone in any other."""

from __future__ import annotations

from types import SimpleNamespace

import kafka
import pytest

from lakehouse.config import PROJECT
from lakehouse.kafka import clients, connection


def test_the_installed_version_is_compared_in_one_place() -> None:
    found = [
        path.name
        for path in (PROJECT / "lakehouse").rglob("*.py")
        if "kafka.__version__" in path.read_text(encoding="utf-8")
    ]
    assert found == ["connection.py"]


@pytest.mark.parametrize(("version", "patched"), [(connection.PATCHED_VERSION, True), ("3.0.13", False)])
def test_a_producer_gets_its_way_out_in_the_pinned_version_only(
    monkeypatch: pytest.MonkeyPatch, version: str, patched: bool
) -> None:
    monkeypatch.setattr(kafka, "__version__", version)
    manager = SimpleNamespace(reset_producer_id="its own", bump_producer_id_and_epoch="a new epoch")
    clients._survive_delivery_timeout(SimpleNamespace(_transaction_manager=manager))
    assert manager.reset_producer_id == ("a new epoch" if patched else "its own")
    assert connection.is_patched() == patched
