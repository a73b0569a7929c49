"""The checkpoint that the local engine advances: Spark's format, each batch planned once and ended once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lakehouse import config
from lakehouse.errors import CheckpointInvalid
from lakehouse.lake import checkpoint_validation, local_checkpoint
from lakehouse.lake.local_checkpoint import Batch, LocalCheckpoint
from lakehouse.lake.table_changes import Position

FIRST = Position(4)
SPARKS = (
    'v1\n{"batchWatermarkMs":0,"batchTimestampMs":1795758825516,"conf":{"spark.sql.shuffle.partitions":"2"}}\n'
    '{"sourceVersion":1,"reservoirId":"t","reservoirVersion":8,"index":%s,"isStartingVersion":false}'
)


def opened(folder: Path) -> LocalCheckpoint:
    return LocalCheckpoint(config.load(env={}), str(folder), FIRST)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "silver-abc"


def source(folder: Path, batch: int) -> dict[str, object]:
    found: dict[str, object] = json.loads((folder / "offsets" / str(batch)).read_text().split("\n")[2])
    return found


def test_batches_follow_each_other_and_one_that_did_not_end_is_repeated_as_it_was_planned(folder: Path) -> None:
    assert opened(folder).consumed() == FIRST and opened(folder).unfinished() is None
    first = opened(folder).plan(Position(6, 2), table_id="t")
    assert first == Batch(0, FIRST, Position(6, 2)) == opened(folder).unfinished()
    assert opened(folder).consumed() == FIRST
    opened(folder).finish(first)
    assert opened(folder).unfinished() is None and opened(folder).consumed() == Position(6, 2)
    second = opened(folder).plan(Position(8), table_id="t")
    assert second == Batch(1, Position(6, 2), Position(8))
    assert checkpoint_validation.fault(opened(folder), "silver", table_id="t") is None
    assert "over another table" in (checkpoint_validation.fault(opened(folder), "silver", table_id="u") or "")
    assert source(folder, 1) == {
        "sourceVersion": 1, "reservoirId": "t", "reservoirVersion": 8, "index": -1, "isStartingVersion": False,
    }  # fmt: skip
    identity = (folder / "metadata").read_text()
    assert json.loads(identity)["id"]
    opened(folder).finish(second)
    opened(folder).plan(Position(9), table_id="t")
    assert (folder / "metadata").read_text() == identity


@pytest.mark.parametrize(
    ("index", "end"), [(-1, Position(8)), (-100, Position(8)), (0, Position(8, 0)), (3, Position(8, 3))]
)
def test_it_goes_on_from_what_spark_wrote_with_its_settings(folder: Path, index: int, end: Position) -> None:
    (folder / "offsets").mkdir(parents=True)
    (folder / "commits").mkdir()
    (folder / "metadata").write_text('{"id":"q"}')
    (folder / "offsets" / "7").write_text(SPARKS % index)
    (folder / "commits" / "6").write_text('v1\n{"nextBatchWatermarkMs":0}')
    (folder / "offsets" / "6").write_text(SPARKS.replace(":8", ":5") % -1)
    (folder / "commits" / ".7.crc").write_bytes(b"of a file that is gone")
    unfinished = opened(folder).unfinished()
    assert unfinished == Batch(7, Position(5), end)
    opened(folder).finish(unfinished)
    assert not (folder / "commits" / ".7.crc").exists()
    opened(folder).plan(Position(12), table_id="t")
    head = json.loads((folder / "offsets" / "8").read_text().split("\n")[1])
    assert head["conf"] == {"spark.sql.shuffle.partitions": "2"} and head["batchTimestampMs"] > 1795758825516


def test_a_batch_is_planned_and_ended_once(folder: Path) -> None:
    batch = opened(folder).plan(Position(6), table_id="t")
    opened(folder).finish(batch)
    with pytest.raises(FileExistsError):
        opened(folder).finish(batch)


def test_old_batches_are_forgotten_and_those_that_spark_needs_stay(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_checkpoint, "_KEPT", 3)
    for version in range(5, 15):
        opened(folder).finish(opened(folder).plan(Position(version), table_id="t"))
    assert opened(folder).planned_ids() == opened(folder).committed_ids() == [7, 8, 9]
    assert not [path.name for path in folder.rglob("*.part")]


def test_a_damaged_plan_is_refused(folder: Path) -> None:
    opened(folder).finish(opened(folder).plan(Position(6), table_id="t"))
    (folder / "offsets" / "0").write_text("v1\n{")
    with pytest.raises(CheckpointInvalid, match="rebuild silver"):
        opened(folder).consumed()
