"""The Bronze job's line: what was read, and what became of it, as the tables have it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse.bronze import job
from lakehouse.contract.sale import JSON_INVALIDE
from lakehouse.contract.tables import REJETS
from tests.support.harness import Lake
from tests.support.messages import ago, sale

pytestmark = pytest.mark.timeout(900)

BACKLOG = {"PERFORMANCE__SMALL_BATCH_ROWS": "0", "PERFORMANCE__BROADCAST_ROWS": "0"}


@pytest.mark.parametrize("settings", [{}, BACKLOG], ids=["small batches", "backlogs"])
def test_the_numbers_of_the_line_are_those_of_the_tables(
    settings: dict[str, str],
    make_lake: Callable[..., Lake],
    servers: str,
    spark: SparkSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Copies that the state knows and copies that only the table knows, late ones among both, and bad messages; then a batch
    that is repeated: its rows were counted by the run that wrote them."""
    lake = make_lake(servers, **settings)
    said: list[dict[str, Any]] = []
    info = job._log.info
    monkeypatch.setattr(
        job._log, "info", lambda event, **fields: (event == "stopped" and said.append(fields), info(event, **fields))
    )
    late = [sale(ago(hours=2)) for _ in range(3)]
    on_time = [sale() for _ in range(5)]

    def run() -> dict[str, int]:
        before = lake.rows() if lake.checkpoint().exists() else []
        rejects = lake.rows(REJETS) if before else []
        lake.bronze(spark)
        line, after = said.pop(), lake.rows()
        assert line["read"] == line["new"] + line["duplicates"] + line["rejected"]
        assert line["new"] == len(after) - len(before) and line["rejected"] == len(lake.rows(REJETS)) - len(rejects)
        assert line["late"] == sum(row["est_tardif"] for row in after) - sum(row["est_tardif"] for row in before)
        return line

    lake.sales(*on_time, *on_time[:2], *late, late[0], partition=0)
    lake.broken((b"{", JSON_INVALIDE), (b"no", JSON_INVALIDE), partition=1)
    line = run()
    assert (line["read"], line["duplicates"], line["late"]) == (13, 3, 3)
    more = sale(ago(hours=3))
    lake.sales(*late[:2], more, partition=0)
    line = run()
    assert (line["read"], line["new"], line["duplicates"], line["late"]) == (3, 1, 2, 1)
    lake.forget_commit()
    line = run()
    assert (line["read"], line["new"], line["batches"]) == (0, 0, 1)
    assert lake.differences() == []
