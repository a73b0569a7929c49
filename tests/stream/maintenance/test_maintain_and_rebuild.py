"""``maintain`` and ``rebuild`` beside the real jobs: what they merge, remove and rebuild is what the jobs go on from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from lakehouse.contract.tables import GENERATIONS, VENTES
from lakehouse.errors import CheckpointInvalid, LakehouseError
from lakehouse.maintenance import retention
from tests.support.harness import Lake
from tests.support.kills import killed_at
from tests.support.messages import ago, sale

pytestmark = pytest.mark.timeout(900)

Run = Callable[..., tuple[int, dict[str, Any]]]


def cut_state(folder: Path) -> None:
    cut = [file for file in (folder / "state").rglob("*") if file.suffix in (".changelog", ".zip", ".sst")]
    for file in cut:
        file.write_bytes(file.read_bytes()[:5])
    assert cut


def test_a_broken_checkpoint_is_refused_rebuilt_and_lets_nothing_in_twice(
    lake: Lake, run: Run, spark: SparkSession
) -> None:
    lake.produce(100, 1)
    lake.bronze(spark)
    lake.silver(spark)
    rows = len(lake.rows())

    (lake.checkpoint() / "metadata").unlink()
    with pytest.raises(CheckpointInvalid, match=r"no metadata file.*Type: python ops_utils.py rebuild bronze"):
        lake.bronze(spark)
    killed_at(
        str(lake.base),
        "lakehouse.operations.recovery.restore:move_aside",
        ["rebuild", "bronze", "--yes"],
        when="before",
    )
    with pytest.raises(CheckpointInvalid):
        lake.bronze(spark)
    code, found = run("rebuild", "bronze", "--yes")
    assert code == 0 and "no metadata file" in found["fault"]
    assert sum(one["standing"] for one in found["partitions"]) == found["rows"] and not any(
        one["lost"] for one in found["partitions"]
    )
    lake.sales(sale(), sale(ago(days=2)))
    lake.bronze(spark)
    assert lake.differences() == [] and len(lake.rows()) == rows + 2

    cut_state(lake.checkpoint())  # the files alone do not show it: Spark does
    lake.sales(sale())
    with pytest.raises(CheckpointInvalid, match=r"Spark says CANNOT_LOAD_STATE_STORE.*rebuild bronze --anyway$"):
        lake.bronze(spark)
    assert run("rebuild", "bronze", "--yes")[1]["fault"] is None, "it does not see that, and leaves it"
    assert run("rebuild", "bronze", "--yes", "--anyway")[1]["done"]
    lake.bronze(spark)
    assert lake.differences() == [] and len(lake.rows()) == rows + 3

    lake.silver(spark)
    (lake.checkpoint("silver") / "commits" / "0").write_bytes(b"")
    lake.sales(sale())
    lake.bronze(spark)
    with pytest.raises(CheckpointInvalid, match=r"commits/0 is cut off or damaged.*rebuild silver"):
        lake.silver(spark)
    assert run("rebuild", "silver", "--yes")[0] == 0
    lake.silver(spark)
    assert [row["etat"] for row in sorted(lake.rows(GENERATIONS), key=lambda row: row["date_etat"])] == [
        "debut", "fin", "invalide", "debut", "fin",
    ]  # fmt: skip
    assert run("reconcile")[0] == 0


def test_the_jobs_maintain_their_tables_and_silver_keeps_what_retention_takes_out_of_bronze(
    lake: Lake, run: Run, spark: SparkSession
) -> None:
    busy = lake.with_settings(DELTA__MAINTENANCE_INTERVAL="1 ms", DELTA__AUTO_COMPACT="false")
    old = [ago(days=40), ago(days=41), datetime(1500, 1, 1, tzinfo=UTC)]
    for _ in range(3):
        busy.sales(*map(sale, old), sale())
        busy.bronze(spark)  # with a round of maintenance at the end of its batch
    busy.silver(spark)
    table = DeltaTable(VENTES.path(str(lake.base)))
    assert any(one["operation"] == "OPTIMIZE" for one in table.history())
    assert len(table.file_uris()) == 2 + 3 + 3, (
        "one file for each ended day; today's, and those of 1500, are left alone"
    )
    assert lake.differences() == []
    assert run("reconcile")[0] == 0

    # what arrived until now is declared old: a retention counts in days, which cannot be waited for
    today, now = datetime.now(UTC).date(), datetime.now(UTC)
    removal = retention.Removal(VENTES.name, today, now, DeltaTable(VENTES.path(str(lake.base))).version())
    gone = sum(row["jour"] < today for row in lake.rows())
    assert gone == 9
    assert retention.apply(lake.config, retention.Due(VENTES, today, gone, None, None, removal)) == gone
    assert all(row["jour"] == today for row in lake.rows())
    lake.sales(sale(old[0]), sale())
    lake.bronze(spark)
    lake.silver(spark)
    code, record = run("reconcile")
    assert (code, record["found"]) == (0, [])
    assert sum(line["removed"] for line in record["per_partition"]) == gone
    by_country = next(one for one in record["per_table"] if one["table"] == "ventes_par_pays")
    assert by_country["sales_silver"] == 12 + 2
    assert lake.verify(spark) == []

    # a removal that is no operator's command stops Silver before it passes over it
    DeltaTable(VENTES.path(str(lake.base))).delete("jour < '2000-01-01' OR jour > '2000-01-01'")
    with pytest.raises(LakehouseError, match=r"took sales away .DELETE by an unknown writer"):
        lake.silver(spark)
    lake.silver(spark, full=True)
    assert lake.verify(spark) == []
