"""``rebuild`` over a lake without a JVM. Kafka is a stand-in that has already forgotten its first messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lakehouse import config
from lakehouse.contract.tables import PERTES, checkpoint
from lakehouse.kafka import clients
from lakehouse.lake import job_progress, writer_lock
from tests.support import job_lake, lakes
from tests.support.kills import killed_at

Run = Callable[..., tuple[int, str]]
HELD = {0: (0, 120), 1: (0, 120), 2: (0, 120), 3: (100, 120)}
"""Partition 3 has lost what nobody had read."""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", str(tmp_path / "lake"))
    monkeypatch.setattr(clients, "topic_id", lambda _config: "topic-1")
    monkeypatch.setattr(clients, "earliest_and_latest_offsets", lambda _config: HELD)
    job_lake.build(str(tmp_path / "lake"))
    return str(tmp_path / "lake")


@pytest.fixture
def run(operate: Run) -> Run:
    return operate


def whole(base: str) -> Path:
    """Make the checkpoint of ``job_lake`` one that the job would go on from."""
    folder = Path(checkpoint(base, "bronze"))
    (folder / "metadata").write_text('{"id":"q"}')
    (folder / "state" / "0" / "0").mkdir(parents=True)
    for name in ("offsets", "commits"):
        (folder / name / "0").write_text((folder / name / "1").read_text())
    return folder


def folders(base: str) -> list[str]:
    return sorted(path.name for path in (Path(base) / "checkpoints").iterdir())


def declared(base: str) -> list[tuple[int, int, int]]:
    if not Path(PERTES.path(base)).exists():
        return []
    rows = lakes.contents(job_lake.table(base, PERTES)).to_pylist()
    return sorted((row["kafka_partition"], row["premier_offset"], row["dernier_offset"]) for row in rows)


def test_a_sound_checkpoint_is_left_alone(run: Run, base: str) -> None:
    whole(base)
    code, out = run("rebuild", "bronze")
    assert code == 0 and "Nothing is wrong with the checkpoint" in out and "Nothing was changed." in out
    assert folders(base) == ["bronze"]


def test_a_broken_one_is_moved_aside_and_what_nobody_can_read_is_recorded(run: Run, base: str) -> None:
    folder = whole(base)
    read_to = json.loads((folder / "offsets" / "1").read_text().splitlines()[2])[job_lake.TOPIC]["3"]
    (folder / "metadata").unlink()
    code, out = run("rebuild", "bronze", "--dry-run", "--json")
    found = json.loads(out)
    assert code == 0 and "no metadata file" in found["fault"]
    assert [(one["partition"], one["lost"]) for one in found["partitions"]] == [
        (0, 0),
        (1, 0),
        (2, 0),
        (3, 100 - read_to),
    ]
    assert (
        sum(one["standing"] for one in found["partitions"]) + found["rows_kafka_no_longer_holds"]
        == 304
        == found["rows"]
    )
    assert (folders(base), declared(base)) == (["bronze"], [])
    code, out = run("rebuild", "bronze")
    assert code == 2 and "add --yes" in out and folders(base) == ["bronze"]

    code, out = run("rebuild", "bronze", "--yes")
    assert code == 0, out
    assert f"Kafka cannot give back partition 3 offsets {read_to} to 99: they were not read" in out
    assert "Next: python spark_streaming_delta.py" in out
    assert folders(base)[0].startswith("bronze.broken-") and declared(base) == [(3, read_to, 99)]
    code, out = run("rebuild", "bronze", "--yes")
    assert code == 0 and "There is no checkpoint" in out and declared(base) == [(3, read_to, 99)]


def test_without_offsets_the_tables_tell_how_far_was_read(run: Run, base: str) -> None:
    folder = whole(base)
    (folder / "offsets" / "1").write_text("")
    code, out = run("rebuild", "bronze", "--dry-run")
    assert code == 0 and "offsets/1 is cut off" in out and "are in no table (copies among them cannot be told)" in out


def test_a_topic_created_anew_is_a_reason_and_its_offsets_are_not_compared(
    run: Run, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole(base)
    monkeypatch.setattr(clients, "topic_id", lambda _config: "topic-2")
    code, out = run("rebuild", "bronze", "--yes")
    assert code == 0 and "the topic was created anew since it was read" in out and declared(base) == []


def test_a_topic_that_ends_before_what_was_read_is_a_reason(
    run: Run, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole(base)
    monkeypatch.setattr(clients, "earliest_and_latest_offsets", lambda _config: {**HELD, 1: (0, 3)})
    code, out = run("rebuild", "bronze", "--yes")
    assert code == 0 and "the topic ends before what was read of it" in out
    assert folders(base)[0].startswith("bronze.broken-")


@pytest.mark.parametrize("job", ["bronze", "silver"])
def test_a_running_job_is_not_disturbed(run: Run, base: str, job: str) -> None:
    with writer_lock.writer_lock(config.load(), job):
        code, out = run("rebuild", job, "--yes")
    assert code == 4 and f"writes the {job} tables" in out
    assert folders(base) == ["bronze"]


def silver_checkpoint(base: str) -> Path:
    folder = Path(checkpoint(base, "silver-g1"))
    (folder / "offsets").mkdir(parents=True)
    (folder / "offsets" / "0").write_text('v1\n{"batchTimestampMs":1}\n{"reservoirVersion":2}')
    return folder


def test_silvers_generation_ends_and_its_checkpoint_is_moved(run: Run, base: str) -> None:
    silver_checkpoint(base)
    code, out = run("rebuild", "silver", "--yes")
    assert code == 0 and "no metadata file" in out and "from 300 sales of Bronze" in out
    assert job_progress.generation(config.load()) is None
    assert folders(base)[-1].startswith("silver-g1.broken-")
    assert "due to be built anew" in run("rebuild", "silver", "--yes")[1]


@pytest.mark.parametrize(
    "function",
    ["lakehouse.operations.recovery.restore:_invalidate_silver", "lakehouse.operations.recovery.restore:move_aside"],
)
def test_a_rebuild_that_is_killed_can_be_repeated(run: Run, base: str, function: str) -> None:
    silver_checkpoint(base)
    killed_at(base, function, ["rebuild", "silver", "--yes"])
    assert job_progress.generation(config.load()) is None, "Silver would go on from what is half taken away"
    assert run("rebuild", "silver", "--yes")[0] == 0
    assert job_progress.generation(config.load()) is None
