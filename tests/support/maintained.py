"""What the tests of maintenance look at: rows, files, age, and the reconciliation."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lakehouse.contract.tables import VENTES, TableSpec, checkpoint
from tests.support import job_lake, lakes

Run = Callable[..., tuple[int, str]]


def rows(base: str, spec: TableSpec = VENTES) -> list[dict[str, Any]]:
    return sorted(lakes.contents(job_lake.table(base, spec)).to_pylist(), key=repr)


def silver_has_all(base: str) -> None:
    """Silver's checkpoint says that it has merged Bronze as it is now."""
    folder = Path(checkpoint(base, "silver-g1"))
    for name in ("offsets", "commits"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    end = {"reservoirVersion": job_lake.table(base, VENTES).version() + 1}
    (folder / "offsets" / "0").write_text(f'v1\n{{"batchTimestampMs":1}}\n{json.dumps(end)}')
    (folder / "commits" / "0").write_text("v1\n{}")


def by_table(out: str, job: int = 0) -> dict[str, dict[str, Any]]:
    return {one["table"]: one for one in json.loads(out)["jobs"][job]["tables"]}


def on_disk(base: str, spec: TableSpec = VENTES) -> int:
    return len(list(Path(spec.path(base)).rglob("*.parquet"))) - len(
        list(Path(spec.path(base), "_delta_log").glob("*.parquet"))
    )


def age(base: str, spec: TableSpec, hours: float) -> None:
    """Make everything that the table's log says happen ``hours`` earlier: a clock cannot be waited for."""
    shift = int(hours * 3_600_000)
    for file in Path(spec.path(base), "_delta_log").glob("*.json"):
        text = file.read_text(encoding="utf-8")
        file.write_text(
            re.sub(
                r'"(timestamp|deletionTimestamp|modificationTime)":(\d{13})',
                lambda found: f'"{found[1]}":{int(found[2]) - shift}',
                text,
            ),
            encoding="utf-8",
        )
    for file in Path(spec.path(base)).rglob("*.parquet"):
        os.utime(file, (time.time() - hours * 3600,) * 2)


def reconciled(run: Run) -> list[str]:
    code, out = run("reconcile", "--without-kafka", "--json")
    record = json.loads(out)
    assert code == (1 if record["found"] else 0)
    found: list[str] = record["found"]
    return found


def clean_record(run: Run) -> dict[str, Any]:
    code, out = run("reconcile", "--without-kafka", "--json")
    record: dict[str, Any] = json.loads(out)
    assert (code, record["found"]) == (0, [])
    return record
