"""Silver's job waits for a sale, not for the table that Bronze makes before it has one."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lakehouse import config
from lakehouse.contract.tables import VENTES
from lakehouse.errors import TableMissing
from lakehouse.lake import delta_tables
from lakehouse.silver import wait_for_bronze
from tests.support import lakes


class Stop(threading.Event):
    """Lets a test act between two looks at the table."""

    def __init__(self, *steps: object) -> None:
        super().__init__()
        self.steps = list(steps)

    def wait(self, timeout: float | None = None) -> bool:
        if self.steps:
            self.steps.pop(0)()  # type: ignore[operator]
        return super().wait(min(timeout or 0, 0.01))


def test_an_empty_bronze_is_waited_for_until_it_has_a_sale(tmp_path: Path) -> None:
    settings = config.load(env={"VENTES_DELTA__BASE_PATH": str(tmp_path)})
    seen: list[str] = []

    def make() -> None:
        delta_tables.create(VENTES, settings, {}, what="test")
        seen.append("table")

    def sell() -> None:
        lakes.write(str(tmp_path), VENTES.name, lakes.sales(3))
        seen.append("sale")

    stop = Stop(make, lambda: seen.append("still empty"), sell)
    assert wait_for_bronze.wait_for_bronze(settings, 60, stop)
    assert seen == ["table", "still empty", "sale"]


def test_a_stop_ends_the_wait_and_one_pass_alone_does_not_wait(tmp_path: Path) -> None:
    settings = config.load(env={"VENTES_DELTA__BASE_PATH": str(tmp_path)})
    stop = threading.Event()
    stop.set()
    assert not wait_for_bronze.wait_for_bronze(settings, 60, stop)
    with pytest.raises(TableMissing):
        wait_for_bronze.wait_for_bronze(settings, None, stop)
