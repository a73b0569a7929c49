"""Which checkpoints a job goes on from, and which it refuses, from the files alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest

from lakehouse.lake import checkpoint_validation

META = json.dumps({"id": "q"})
TOPIC = "ventes"


def offsets(clock: int = 1_700_000_000_000, source: str = json.dumps({TOPIC: {"0": 5}})) -> str:
    return f"v1\n{json.dumps({'batchTimestampMs': clock})}\n{source}"


COMMIT = 'v1\n{"nextBatchWatermarkMs":0}'
STATE = 'v1\n{"operatorInfo":{"operatorId":0,"operatorName":"dedupeWithinWatermark"}}'


def files() -> dict[str, str]:
    return {
        "metadata": META, "offsets/3": offsets(), "offsets/4": offsets(), "commits/3": COMMIT, "commits/4": COMMIT,
        "state/0/0/1.delta": "", "state/0/_metadata/metadata": STATE,
    }  # fmt: skip


class Folder:
    """A checkpoint in memory."""

    def __init__(self, found: Mapping[str, str]) -> None:
        self._found = found

    def ids(self, name: str) -> list[int]:
        inside = {path[len(name) + 1 :].split("/")[0] for path in self._found if path.startswith(f"{name}/")}
        return sorted(int(one) for one in inside if one.isdigit())

    def text(self, name: str) -> str | None:
        return self._found.get(name)


def fault(found: Mapping[str, str], job: str = "bronze") -> str | None:
    return checkpoint_validation.fault(Folder(found), job, topic=TOPIC if job == "bronze" else None, table_id="t")


def without(*names: str) -> dict[str, str]:
    return {name: text for name, text in files().items() if name not in names}


def test_a_new_one_a_whole_one_and_one_that_crashed_before_its_commit_are_sound() -> None:
    assert fault({}) is None and fault({"metadata": META}) is None
    assert fault(files()) is None
    assert fault(without("commits/4")) is None
    assert fault({"metadata": META, "offsets/0": offsets()}) is None


Change = Callable[[], Mapping[str, str]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda: without("metadata"), "no metadata file"),
        (lambda: {**files(), "metadata": ""}, "its metadata file is damaged"),
        (lambda: without("offsets/4"), "its offset log ends before batch 4, which was committed"),
        (lambda: without("offsets/3", "offsets/4"), "its offset log ends before batch 4"),
        (lambda: without("offsets/3", "commits/4"), "its offset log has no batch 3, which was committed"),
        (lambda: {**files(), "offsets/6": offsets()}, "its commit log ends at batch 4, and batch 6 was planned after it"),
        (lambda: {**without("commits/4"), "offsets/3": "v1"}, "its file offsets/3 is cut off or damaged"),
        (lambda: {**files(), "rows_dropped": "12 rows\n"}, "its watermark dropped sales, which are missing from Bronze (12 rows)"),
        (lambda: {**files(), "offsets/4": offsets(source='{"ventes":[1]}')}, "its file offsets/4 is cut off or damaged"),
        (lambda: without("commits/3", "commits/4"), "its commit log ends at batch -1, and batch 4 was planned after it"),
        (lambda: {**files(), "offsets/4": offsets()[:30]}, "its file offsets/4 is cut off or damaged"),
        (lambda: {**files(), "offsets/4": offsets()[:-4]}, "its file offsets/4 is cut off or damaged"),
        (lambda: {**files(), "offsets/4": ""}, "its file offsets/4 is cut off or damaged"),
        (lambda: {**files(), "commits/4": ""}, "its file commits/4 is cut off or damaged"),
        (lambda: {**files(), "commits/4": COMMIT[:-3]}, "its file commits/4 is cut off or damaged"),
        (lambda: {**files(), "offsets/4": offsets(source='{"other":{"0":1}}')}, "read the topic other and not ventes"),
        (lambda: {**files(), "offsets/4": offsets(source='{"x":{"0":1},"a":{"0":1}}')}, "read the topic a, x and not ventes"),
        (lambda: {**files(), "offsets/4": offsets() + "\n{}"}, "made by another query, which read 2 sources"),
        (lambda: without("state/0/0/1.delta"), "its state is missing"),
        (lambda: {**files(), "state/0/_metadata/metadata": STATE.replace("dedupeWithin", "sessionWindow")}, "another query, whose state"),
        (lambda: {**files(), "state/0/_metadata/metadata": "v1"}, "state/0/_metadata/metadata is cut off or damaged"),
    ],
)  # fmt: skip
def test_what_is_missing_cut_off_or_of_another_query_is_said(change: Change, said: str) -> None:
    assert said in (fault(change()) or "")


def test_silver_reads_one_table_and_keeps_no_state() -> None:
    def made(table: str) -> dict[str, str]:
        return {
            "metadata": META,
            "offsets/0": offsets(source=json.dumps({"reservoirId": table, "reservoirVersion": 2})),
            "commits/0": COMMIT,
        }

    assert fault(made("t"), "silver") is None
    assert "over another table" in (fault(made("u"), "silver") or "")


def test_the_refusal_names_the_command() -> None:
    error = checkpoint_validation.refusal("data/checkpoints/bronze", "bronze", "its state is missing")
    assert error.exit_code == 3
    assert str(error) == (
        "The checkpoint data/checkpoints/bronze cannot be used: its state is missing. Nothing was written. "
        "Type: python ops_utils.py rebuild bronze"
    )


def test_what_spark_does_not_read_when_it_starts_may_be_damaged() -> None:
    older = {**files(), "offsets/2": "", "commits/2": "", "commits/3": "", "offsets/3": ""}
    assert fault(older) is None


def test_a_file_that_went_after_it_was_listed_counts_as_damaged() -> None:
    class Going(Folder):
        def text(self, name: str) -> str | None:
            return None if name == gone else super().text(name)

    for gone in ("offsets/4", "commits/4"):
        said = checkpoint_validation.fault(Going(files()), "bronze", topic=TOPIC)
        assert said == f"its file {gone} is cut off or damaged"


def test_a_table_that_is_not_asked_for_is_not_compared() -> None:
    made = {"metadata": META, "offsets/0": offsets(source='{"reservoirId":"u","reservoirVersion":2}')}
    assert checkpoint_validation.fault(Folder(made), "silver") is None
    unread = {**made, "offsets/0": offsets(source="-")}
    assert checkpoint_validation.fault(Folder(unread), "silver", table_id="t") is None


def test_of_a_fault_that_rebuild_does_not_see_the_command_says_anyway() -> None:
    error = checkpoint_validation.refusal("c", "silver", "Spark says STATE_STORE_X", hidden=True)
    assert str(error).endswith("Type: python ops_utils.py rebuild silver --anyway")
