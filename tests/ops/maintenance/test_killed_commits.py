"""SIGKILL within a commit of a merge or a clean-up, in ``deltalake``'s own code: before a version is there, and just after."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.contract.tables import REJETS, VENTES
from tests.support import job_lake
from tests.support.kills import killed_at_commit
from tests.support.maintained import Run, age, on_disk, reconciled, rows, silver_has_all


def versions(base: str) -> list[int]:
    return sorted(int(path.stem) for path in Path(VENTES.path(base), "_delta_log").glob("*.json"))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_merge_killed_in_its_commit_changes_no_row_and_is_repeated(
    run: Run, base: str, number: int, when: str
) -> None:
    for each in range(3):  # two days that have ended, with small files each
        held = rows(base)
        twice = [next(row for row in held if row["jour"] == day) for day in {row["jour"] for row in held}]
        job_lake.append(
            base, VENTES, [{**row, "vente_id": f"{row['jour']}-{each}"} for row in twice], job_lake.CLOCK, 10 + each
        )
    before, rejects, last = rows(base), rows(base, REJETS), versions(base)[-1]
    days = len({row["jour"] for row in before})
    assert days >= 2, "a commit for each day"
    said = reconciled(run)
    killed_at_commit(base, ["maintain", "bronze"], '"operation":"OPTIMIZE"', number, when)
    table = job_lake.table(base, VENTES)
    assert (rows(base), rows(base, REJETS)) == (before, rejects)
    assert versions(base) == list(range(last + number + (when == "after")))
    assert table.history(1)[0]["operation"] == ("OPTIMIZE" if (number, when) != (1, "before") else "WRITE")
    unnamed = on_disk(base) - len({one for version in versions(base) for one in _files(base, version)})
    assert unnamed == (when == "before"), "the kill met a merge whose file was written"

    assert run("maintain", "bronze")[0] == 0
    assert (rows(base), rows(base, REJETS)) == (before, rejects) and reconciled(run) == said
    assert len(job_lake.table(base, VENTES).file_uris()) == days
    silver_has_all(base)
    age(base, VENTES, 8 * 24)
    assert run("maintain", "bronze")[0] == 0
    assert on_disk(base) == days, "what no version names went with the dead files"
    assert rows(base) == before


def _files(base: str, version: int) -> list[str]:
    table = job_lake.table(base, VENTES)
    table.load_as_version(version)
    return table.file_uris()
