"""From which day on Silver is compared: the later of what left Bronze and of what left the Silver table itself."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from lakehouse import config
from lakehouse.contract.tables import AGGREGES, PAR_PAYS, TENDANCES
from lakehouse.lake.reader import Lake
from lakehouse.maintenance import retention
from tests.ops.maintenance.test_retention import keep, old, split_day
from tests.support.maintained import Run, clean_record, silver_has_all

__all__ = ["old"]


def since(table: str) -> date:
    settings = config.load()
    return retention.kept(settings, Lake.of(settings)).since[table]


@pytest.mark.parametrize("days", [-2, 2])
def test_the_later_of_both_days_counts(run: Run, old: str, monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    removed = split_day(old)
    keep(monkeypatch, "BRONZE", removed)
    assert run("maintain", "bronze", "--yes")[0] == 0
    silver_has_all(old)
    retention.mark(config.load(), AGGREGES, removed + timedelta(days=days))
    assert since(AGGREGES.name) == removed + timedelta(days=max(days, 0))
    assert since(TENDANCES.name) == since(PAR_PAYS.name) == removed
    if days > 0:
        notes = clean_record(run)["notes"]
        assert f"ventes_aggreges is compared from {removed + timedelta(days=days)} on: retention" in notes
