"""Which checksum files are written, and from which: never from one that says less, or more, than is carried on here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lakehouse.lake import version_checksum
from tests.unit.lake.test_delta_checksum import FIRST, add

BACK = 10


def commit(log: Path, version: int, actions: Sequence[Mapping[str, Any]]) -> None:
    log.mkdir(exist_ok=True)
    (log / f"{version:020}.json").write_text("\n".join(map(json.dumps, actions)))


def checksum(log: Path, version: int) -> Path:
    return log / f"{version:020}.crc"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A table with one file, whose first version has its checksum."""
    folder = tmp_path / "_delta_log"
    commit(folder, 0, [*FIRST, add("a", 3)])
    assert version_checksum.write(str(tmp_path), 0) == 1
    return folder


def grown(log: Path, upto: int) -> None:
    for version in range(1, upto + 1):
        commit(log, version, [add(f"f{version}", version)])


@pytest.mark.parametrize(("upto", "written"), [(1, 1), (BACK, BACK), (BACK + 1, 0)])
def test_as_many_as_ten_commits_are_made_up_for(log: Path, upto: int, written: int) -> None:
    grown(log, upto)
    assert version_checksum.write(str(log.parent), upto) == written
    assert len(list(log.glob("*.crc"))) == 1 + written
    if written:
        last = json.loads(checksum(log, upto).read_text())
        assert (last["numFiles"], last["tableSizeBytes"]) == (1 + upto, 3 + upto * (upto + 1) // 2)
        assert version_checksum.write(str(log.parent), upto) == 0, "they are there"


def test_none_is_written_behind_a_commit_that_does_not_tell_its_own(log: Path) -> None:
    grown(log, 4)
    commit(log, 3, [{"domainMetadata": {"domain": "x"}}])
    assert version_checksum.write(str(log.parent), 4) == 2
    assert [path.name for path in sorted(log.glob("*.crc"))] == [f"{version:020}.crc" for version in range(3)]


@pytest.mark.parametrize(
    "change",
    [
        {"inCommitTimestampOpt": 1_700_000_000_000},
        {"numDeletionVectorsOpt": 1},
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 4}},
        *({name: ...} for name in ("numFiles", "tableSizeBytes", "metadata", "protocol")),
        None,
    ],
    ids=str,
)
def test_none_is_derived_from_one_that_is_not_understood(log: Path, change: dict[str, Any] | None) -> None:
    """Not even when the next commit names a schema and a protocol of its own: its table has files of before."""
    first = {**json.loads(checksum(log, 0).read_text()), **(change or {})}
    text = json.dumps({name: value for name, value in first.items() if value is not ...}) if change else "{"
    checksum(log, 0).write_text(text)
    commit(log, 1, [*FIRST, add("b", 4)])
    assert version_checksum.write(str(log.parent), 1) == 0 and not checksum(log, 1).exists()


def test_a_commit_that_does_not_add_up_has_none() -> None:
    schema, protocol = FIRST[1], FIRST[0]
    assert version_checksum.after(None, [protocol, add("a", 3)]) is None, "no schema"
    assert version_checksum.after(None, [schema, add("a", 3)]) is None, "no protocol"
    assert version_checksum.after(None, [*FIRST, {"remove": {"path": "a", "size": 3}}]) is None, "fewer than no files"
