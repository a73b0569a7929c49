"""What a pass of the local engine costs, in counts that no load changes: commits, files read, files and rows written."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from lakehouse import config
from lakehouse.config import Config
from lakehouse.contract.tables import MEMBRES, SILVER, VENTES
from lakehouse.lake import delta_tables
from lakehouse.silver.job import SilverJob
from tests.support import job_lake, lakes

FIGURES = ("num_target_files_scanned", "num_target_files_added", "num_target_files_removed")


def pass_over_one_day(base: Path, days: int) -> tuple[dict[str, int], dict[str, dict[str, Any]]]:
    """The commits that a pass over 30 sales of the last day makes on a lake of so many days, and their figures, by table."""
    settings: Config = config.load(env={"VENTES_DELTA__BASE_PATH": str(base), "VENTES_ANALYTICS__ENGINE": "local"})
    one_day = lakes.sales(60, days=1)
    for number in range(days):
        earlier = timedelta(days=days - 1 - number)
        moved = [
            {
                **row,
                "vente_id": f"{number}-{row['vente_id']}",
                "timestamp": row["timestamp"] - earlier,
                "jour": row["jour"] - earlier,
            }
            for row in one_day
        ]
        job_lake.append(str(base), VENTES, moved, job_lake.CLOCK + timedelta(minutes=number), number)
    SilverJob(settings).run()
    specs = (*SILVER, MEMBRES)
    before = {spec.name: delta_tables.opened(spec, settings).version() for spec in specs}
    new = [{**row, "vente_id": f"new-{row['vente_id']}"} for row in one_day[:30]]
    job_lake.append(str(base), VENTES, new, job_lake.CLOCK + timedelta(minutes=days), days)
    SilverJob(settings).run()
    commits, figures = {}, {}
    for spec in specs:
        table = delta_tables.opened(spec, settings)
        commits[spec.name] = table.version() - before[spec.name]
        if commits[spec.name]:
            metrics = table.history(1)[0]["operationMetrics"]
            figures[spec.name] = {name: metrics[name] for name in FIGURES if name in metrics}
    return commits, figures


def test_a_pass_reads_and_writes_the_files_of_its_day_alone(tmp_path: Path) -> None:
    """One file of each table, and one commit each, over any history; no commit for members that are all known."""
    found = [pass_over_one_day(tmp_path / str(days), days) for days in (2, 20)]
    assert found[0] == found[1]
    commits, figures = found[0]
    assert commits == {**{spec.name: 1 for spec in SILVER}, MEMBRES.name: 0}
    assert figures == {
        spec.name: {"num_target_files_scanned": 1, "num_target_files_added": 1, "num_target_files_removed": 1}
        for spec in SILVER
    }
