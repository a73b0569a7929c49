"""The log of a table that gets few commits: its oldest entries leave it too, though no checkpoint is due by their number."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable

from lakehouse import config
from lakehouse.config import Config
from lakehouse.contract.tables import REJOUES
from lakehouse.lake import delta_tables
from lakehouse.maintenance import compaction

ROW = {
    **dict.fromkeys(REJOUES.names), "topic": "t", "kafka_partition": 0, "resultat": "vente",
    "kafka_timestamp": datetime(2026, 1, 1, tzinfo=UTC),
}  # fmt: skip


@pytest.fixture
def settings(base: str) -> Config:
    """Of a table with five versions of 40 days ago and one of today."""
    made = config.load(env={"VENTES_DELTA__BASE_PATH": base})
    for number in range(4):
        append(made, number)
    delta_tables.delete(REJOUES, made, "kafka_offset = 1", what="test")
    age(log(base), days=40)
    append(made, 9)
    return made


def append(settings: Config, offset: int) -> None:
    delta_tables.append([{**ROW, "kafka_offset": offset}], REJOUES, settings, what="test")
    delta_tables.committed(delta_tables.opened(REJOUES, settings), REJOUES, settings)


def log(base: str) -> Path:
    return Path(REJOUES.path(base), "_delta_log")


def age(folder: Path, *, days: int) -> None:
    """Make all that the log says happen so much earlier."""
    shift = days * 86_400_000
    for file in folder.glob("*.json"):
        times = r'"(timestamp|deletionTimestamp|modificationTime)":(\d{13})'
        text = re.sub(times, lambda found: f'"{found[1]}":{int(found[2]) - shift}', file.read_text())
        file.write_text(text)


def versions(folder: Path, suffix: str) -> list[int]:
    return sorted(int(file.name[:20]) for file in folder.glob(f"*{suffix}"))


def offsets(base: str, version: int) -> list[int]:
    return sorted(DeltaTable(REJOUES.path(base), version=version).to_pyarrow_table()["kafka_offset"].to_pylist())


def test_its_oldest_entries_go_and_every_version_within_reach_is_read_as_before(base: str, settings: Config) -> None:
    found = compaction.survey(settings, REJOUES)
    assert (found.version, found.log_checkpoint, found.log_before) == (5, 4, 4)
    assert found.log_entries == 2 * 4, "commits and checksums"
    done = compaction.maintain(settings, found)
    assert done["log"] == found.log_entries
    assert versions(log(base), ".json")[0] == 4 and versions(log(base), ".crc")[0] == 4
    assert (offsets(base, 4), offsets(base, 5)) == ([0, 2, 3], [0, 2, 3, 9])
    again = compaction.survey(settings, REJOUES)
    assert (again.log_checkpoint, again.log_entries) == (None, 0)


def test_nothing_goes_before_its_time(settings: Config) -> None:
    now = datetime.now(UTC) - timedelta(days=40) + settings.delta.log_retention
    for later, wanted in ((timedelta(hours=23), None), (timedelta(hours=25), 4)):
        assert compaction.survey(settings, REJOUES, now=now + later).log_checkpoint == wanted


def test_a_newer_checkpoint_stays_the_one_that_readers_begin_with(base: str, settings: Config) -> None:
    compaction.checkpoint_log(settings, REJOUES)
    compaction.maintain(settings, compaction.survey(settings, REJOUES))
    assert versions(log(base), ".checkpoint.parquet")[:1] == [4]
    assert json.loads((log(base) / "_last_checkpoint").read_text())["version"] == 5
