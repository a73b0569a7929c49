"""The checksum beside a version: what the version before and the commit between say of it. What Spark makes of it:
``tests/stream/maintenance/test_small_files.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.lake import version_checksum

FIRST = [
    {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
    {"metaData": {"id": "t", "name": None, "schemaString": "{}"}},
    {"commitInfo": {"operation": "CREATE TABLE"}},
]


def add(path: str, size: int, **more: Any) -> dict[str, Any]:
    return {"add": {"path": path, "size": size, "dataChange": True, **more}}


def test_the_first_commit_of_a_table_tells_all_of_it() -> None:
    made = version_checksum.after(None, [*FIRST, add("a", 3), {"txn": {"appId": "x", "version": 7}}])
    assert made == {
        "numFiles": 1, "tableSizeBytes": 3, "numMetadata": 1, "numProtocol": 1, "domainMetadata": [],
        "setTransactions": [{"appId": "x", "version": 7}], "metadata": {"id": "t", "schemaString": "{}"},
        "protocol": {"minReaderVersion": 1, "minWriterVersion": 2},
        "allFiles": [{"path": "a", "size": 3, "dataChange": False}],
    }  # fmt: skip


def test_a_commit_adds_removes_and_takes_the_place_of_what_it_names() -> None:
    first = version_checksum.after(None, [*FIRST, add("a", 3), add("b", 4), {"txn": {"appId": "x", "version": 7}}])
    assert first is not None
    second = version_checksum.after(
        first,
        [
            {"remove": {"path": "a", "size": 3}},
            add("c", 10),
            {"txn": {"appId": "x", "version": 8}},
            {"txn": {"appId": "y", "version": 1}},
            {"metaData": {"id": "t", "schemaString": "{}", "configuration": {"k": "v"}}},
        ],
    )
    assert second is not None
    assert (second["numFiles"], second["tableSizeBytes"]) == (2, 14)
    assert [each["path"] for each in second["allFiles"]] == ["b", "c"]
    assert [(each["appId"], each["version"]) for each in second["setTransactions"]] == [("x", 8), ("y", 1)]
    assert second["metadata"]["configuration"] == {"k": "v"} and second["protocol"] == first["protocol"]
    assert (first["numFiles"], len(first["allFiles"])) == (2, 2), "the version before was changed"


@pytest.mark.parametrize("field", ["setTransactions", "allFiles", "domainMetadata"])
@pytest.mark.parametrize("null", [False, True])
def test_what_the_version_before_leaves_out_stays_unknown(field: str, null: bool) -> None:
    first = version_checksum.after(None, [*FIRST, add("a", 3), {"txn": {"appId": "x", "version": 7}}])
    assert first is not None and field in first
    unknown = {name: value for name, value in first.items() if name != field} | ({field: None} if null else {})
    second = version_checksum.after(unknown, [add("c", 10), {"txn": {"appId": "y", "version": 1}}])
    assert second is not None and set(second) == set(first) - {field}, "unknown was made empty"
    third = version_checksum.after(second, [add("d", 1), {"txn": {"appId": "y", "version": 2}}])
    assert third is not None and field not in third and third["numFiles"] == 3


@pytest.mark.parametrize(
    "protocol",
    [
        {"minReaderVersion": 1, "minWriterVersion": 4},
        {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"], "writerFeatures": []},
        {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["inCommitTimestamp"]},
        {"minReaderVersion": 1, "minWriterVersion": 2, "writerFeatures": ["something"]},
    ],
)
def test_nothing_is_made_for_another_protocol(protocol: dict[str, Any], tmp_path: Path) -> None:
    first = version_checksum.after(None, [*FIRST, add("a", 3)])
    assert first is not None
    assert version_checksum.after(first, [{"protocol": protocol}]) is None, "of a commit"
    assert version_checksum.after({**first, "protocol": protocol}, [add("b", 1)]) is None, "of the version before"
    assert version_checksum.after({**first, "protocol": protocol}, [FIRST[0]]) is None, "of a version left behind"

    assert table(tmp_path, 2).version() == 1
    assert version_checksum.write(str(tmp_path), 0) == 1
    other = {**told(tmp_path, 0), "protocol": protocol}
    (tmp_path / "_delta_log" / f"{0:020}.crc").write_text(json.dumps(other))
    assert version_checksum.write(str(tmp_path), 1) == 0
    assert not (tmp_path / "_delta_log" / f"{1:020}.crc").exists()


@pytest.mark.parametrize(
    "action",
    [
        add("d", 1, deletionVector={"storageType": "u"}),
        {"remove": {"path": "a"}},  # of unknown size
        {"domainMetadata": {"domain": "d"}},
        {"cdc": {"path": "c", "size": 1}},
    ],
)
def test_what_cannot_be_told_is_not_told(action: dict[str, Any]) -> None:
    assert version_checksum.after(version_checksum.after(None, [*FIRST, add("a", 3)]), [action]) is None
    assert version_checksum.after(None, [add("a", 3)]) is None, "nothing says what table that is"


def table(folder: Path, commits: int) -> DeltaTable:
    for number in range(commits):
        write_deltalake(str(folder), pa.table({"n": [number]}), mode="append")
    return DeltaTable(str(folder))


def told(folder: Path, version: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "_delta_log" / f"{version:020}.crc").read_text())
    return found


def test_the_few_versions_without_one_are_made_up_for(tmp_path: Path) -> None:
    made = table(tmp_path, 3)
    assert version_checksum.write(str(tmp_path), made.version()) == 3
    assert [told(tmp_path, version)["numFiles"] for version in range(3)] == [1, 2, 3]
    assert version_checksum.write(str(tmp_path), made.version()) == 0, "they are there"
    made.optimize.compact()
    made.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)  # commits of its own
    assert version_checksum.write(str(tmp_path), made.version()) == made.version() - 2
    assert told(tmp_path, made.version())["numFiles"] == 1
    assert not list((tmp_path / "_delta_log").glob(".*.crc.*")), "a scratch file is left"


def test_nothing_is_made_after_too_many_or_beside_a_damaged_one(tmp_path: Path) -> None:
    made = table(tmp_path, 15)
    assert version_checksum.write(str(tmp_path), made.version()) == 0
    assert version_checksum.write(str(tmp_path), 1) == 2
    (tmp_path / "_delta_log" / f"{1:020}.crc").write_text("{")
    assert version_checksum.write(str(tmp_path), 2) == 0
    counted = {**told(tmp_path, 0), "numDeletionVectorsOpt": 1}
    (tmp_path / "_delta_log" / f"{1:020}.crc").write_text(json.dumps(counted))
    assert version_checksum.write(str(tmp_path), 2) == 0
