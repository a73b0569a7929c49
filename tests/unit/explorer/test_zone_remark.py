"""The explorer says below an answer with days when these are of several time zones."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse import config
from lakehouse.contract.table_properties import ZONES
from lakehouse.contract.tables import VENTES
from lakehouse.explorer.answers import Answers
from lakehouse.lake import delta_tables
from lakehouse.lake.result import Column, Result

TWO = "UTC 2026-11-27T09:00:00Z,Europe/Paris 2026-12-01T09:00:00Z"


@pytest.mark.parametrize(
    ("noted", "column", "said"),
    [(TWO, "jour", True), (TWO, "heure", True), (TWO, "pays", False), ("UTC 2026-11-27T09:00:00Z", "jour", False), (None, "jour", False)],
)  # fmt: skip
def test_days_of_two_zones_are_explained(tmp_path: Path, noted: str | None, column: str, said: bool) -> None:
    chosen = config.load(env={"VENTES_DELTA__BASE_PATH": str(tmp_path)})
    delta_tables.create(VENTES, chosen, {ZONES: noted} if noted else {}, what="test")
    remarks = Answers(chosen).remarks(Result((Column(column, "date"),), [(1,)]))
    assert any("of several time zones: UTC, Europe/Paris" in text for text in remarks) == said


def test_a_lake_without_bronze_has_nothing_to_explain(tmp_path: Path) -> None:
    chosen = config.load(env={"VENTES_DELTA__BASE_PATH": str(tmp_path)})
    assert Answers(chosen).remarks(Result((Column("jour", "date"),), [(1,)])) == []
