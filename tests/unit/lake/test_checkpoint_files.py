"""The parser of Spark's checkpoint files: what is written is read, and any damage is one clear error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse import config
from lakehouse.errors import CheckpointInvalid
from lakehouse.lake import checkpoint_files as files
from lakehouse.lake.checkpoint_files import DamagedFile, DeltaOffset, Planned
from lakehouse.lake.checkpoint_folder import FileCheckpoint

numbers = st.integers(0, 2**63 - 1)
clocks = st.integers(1, 2**53)
text_lines = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"), max_size=20)
kafka_sources = st.dictionaries(
    st.from_regex(r"[a-z._-]{1,10}", fullmatch=True),
    st.dictionaries(st.integers(0, 9999), numbers, min_size=1, max_size=5),
    min_size=1, max_size=2,
)  # fmt: skip
batch_ids = st.integers(0, 10**9)


def as_json(value: object) -> str:
    """As Spark writes it: no spaces, and characters beyond ASCII as they are."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def kafka_line(source: dict[str, dict[int, int]]) -> str:
    return as_json({topic: {str(p): offset for p, offset in found.items()} for topic, found in source.items()})


def delta_line(offset: DeltaOffset, base: int) -> str:
    return as_json(
        {
            "sourceVersion": 1, "reservoirId": offset.table_id, "reservoirVersion": offset.version,
            "index": base if offset.index is None else offset.index, "isStartingVersion": False,
        }
    )  # fmt: skip


def offsets_text(clock: int, *lines: str, setting: str = "") -> str:
    head = as_json({"batchWatermarkMs": 0, "batchTimestampMs": clock, "conf": {"spark.app.name": setting}})
    return "\n".join(("v1", head, *lines))


@given(batch_ids, clocks, kafka_sources, text_lines)
def test_an_offset_log_entry_of_kafka_is_read_as_written(
    batch: int, clock: int, source: dict[str, dict[int, int]], setting: str
) -> None:
    entry = files.planned(batch, offsets_text(clock, kafka_line(source), setting=setting))
    assert (entry.batch_id, entry.clock_ms, len(entry.ends)) == (batch, clock, 1)
    for topic, found in source.items():
        assert entry.kafka_ends(topic) == found and list(entry.kafka_ends(topic)) == sorted(found)
    assert entry.kafka_ends("ANOTHER") == {}


@given(batch_ids, clocks, numbers, st.none() | numbers, st.sampled_from([-1, -100, -20, -19]))
def test_an_offset_log_entry_of_a_table_is_read_as_written(
    batch: int, clock: int, version: int, index: int | None, base: int
) -> None:
    """Delta notes the start of a version as -1 and, in its third format, as -100; -20 and -19 stand at a change of schema."""
    offset = DeltaOffset("0b915f10", version, index)
    found = files.planned(batch, offsets_text(clock, delta_line(offset, base))).delta_end()
    assert found == offset
    assert found.whole_version == version - 1 and found.is_inside_version == (index is not None)


def test_a_source_that_has_read_nothing_and_an_offset_without_an_index() -> None:
    assert files.planned(0, offsets_text(1, "-")).kafka_ends("t") == {}
    line = '{"reservoirId":null,"reservoirVersion":8}'
    assert files.planned(0, offsets_text(1, line)).delta_end() == DeltaOffset(None, 8)


def test_the_first_file_of_a_version_is_inside_it() -> None:
    line = '{"sourceVersion":1,"reservoirId":"t","reservoirVersion":8,"index":%d,"isStartingVersion":false}'
    before, after = (files.planned(0, offsets_text(1, line % index)).delta_end() for index in (-1, 0))
    assert not before.is_inside_version and after.is_inside_version


@given(clocks, st.lists(kafka_sources.map(kafka_line) | st.just("-"), min_size=1, max_size=3))
def test_each_source_has_its_line(clock: int, lines: list[str]) -> None:
    ends = files.planned(3, offsets_text(clock, *lines)).ends
    assert [end is None for end in ends] == [line == "-" for line in lines]


@given(kafka_sources)
def test_the_first_offsets_are_read_behind_sparks_byte_0(source: dict[str, dict[int, int]]) -> None:
    assert files.first_offsets(f"\0v1\n{kafka_line(source)}") == source


@given(numbers)
def test_commits_query_and_state_are_read_as_written(watermark: int) -> None:
    assert files.next_watermark_ms(4, f'v1\n{{"nextBatchWatermarkMs":{watermark}}}') == watermark
    assert files.query_id('{"id":"f93ffd7d"}') == "f93ffd7d"
    operator = 'v1\n{"operatorInfo":{"operatorId":0,"operatorName":"dedupeWithinWatermark"},"stateStoreInfo":[]}'
    assert files.state_operator(operator) == "dedupeWithinWatermark"


WHOLE: list[tuple[Callable[[str], object], str]] = [
    (lambda text: files.planned(4, text).kafka_ends("t"), offsets_text(5, '{"t":{"0":7,"1":12}}')),
    (lambda text: files.planned(4, text).delta_end(), offsets_text(5, delta_line(DeltaOffset("id", 8), -1))),
    (lambda text: files.next_watermark_ms(4, text), 'v1\n{"nextBatchWatermarkMs":17}'),
    (files.query_id, '{"id":"f93ffd7d"}'),
    (files.first_offsets, '\0v1\n{"t":{"0":0}}'),
    (files.state_operator, 'v1\n{"operatorInfo":{"operatorId":0,"operatorName":"dedupeWithinWatermark"}}'),
]


@pytest.mark.parametrize(("parse", "text"), WHOLE)
def test_a_file_that_is_cut_off_anywhere_is_damaged(parse: Callable[[str], object], text: str) -> None:
    parse(text)
    parse(text + "\n")
    for end in range(len(text)):
        with pytest.raises(DamagedFile, match=r"is cut off or damaged|metadata file is damaged"):
            parse(text[:end])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["t", "0", "x", "id", "index", "reservoirId", "reservoirVersion", "batchTimestampMs", "operatorInfo"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(
    st.lists(json_values.map(as_json) | st.text(max_size=9), max_size=4), st.sampled_from(["v1", "v2", "v", "", "1"])
)
def test_any_other_text_is_one_error_and_no_other(lines: list[str], version: str) -> None:
    for text in ("\n".join((version, *lines)), "\n".join(lines)):
        for parse, _ in WHOLE:
            try:
                parse(text)
            except DamagedFile as fault:
                assert str(fault).startswith("its ")


def test_a_text_nested_too_deep_is_damaged() -> None:
    with pytest.raises(DamagedFile, match="its file commits/4 is cut off"):
        files.next_watermark_ms(4, "v1\n" + "[" * 100_000)


@pytest.mark.parametrize(
    "source",
    [
        '{"t":[1]}', '{"t":{"zero":1}}', '{"t":{"0x":1}}', '{"t":{"00000000000":1}}', '{"t":{"0":"1"}}', '{"t":{"0":1.5}}', '{"t":{"0":null}}',
    ],
)  # fmt: skip
def test_offsets_of_another_shape_are_damaged(source: str) -> None:
    entry = files.planned(4, offsets_text(5, source))
    with pytest.raises(DamagedFile, match="its file offsets/4 is cut off or damaged"):
        entry.kafka_ends("t")


@pytest.mark.parametrize("clock", ["0", "-1", "1.0", "true", '"5"', "null"])
def test_a_batch_whose_clock_is_no_time_is_damaged(clock: str) -> None:
    assert files.planned(4, 'v1\n{"batchTimestampMs":1}\n-') == Planned(4, 1, (None,))
    with pytest.raises(DamagedFile, match="its file offsets/4 is cut off or damaged"):
        files.planned(4, f'v1\n{{"batchTimestampMs":{clock}}}\n-')


@pytest.mark.parametrize("text", ["{}", '{"id":""}', '{"id":7}', '{"id":null}', '{"id":["a"]}'])
def test_a_query_has_an_id_that_is_a_text(text: str) -> None:
    with pytest.raises(DamagedFile, match="its metadata file is damaged"):
        files.query_id(text)


@pytest.mark.parametrize("line", [
    "-", "{}", '{"reservoirId":"t","reservoirVersion":"8"}', '{"reservoirId":"t","reservoirVersion":8.0,"index":-1}',
    '{"reservoirId":"t","reservoirVersion":8,"index":"0"}', '{"reservoirId":"t","reservoirVersion":8,"index":null}',
    '{"reservoirId":7,"reservoirVersion":8,"index":0}',
])  # fmt: skip
def test_a_tables_offset_of_another_shape_is_damaged(line: str) -> None:
    entry = files.planned(4, offsets_text(5, line))
    with pytest.raises(DamagedFile, match="its file offsets/4 is cut off or damaged"):
        entry.delta_end()


@pytest.mark.parametrize("version", ["", "1", "v", "version1", "v1.0", "V1", "v1 ", " v1"])
def test_a_file_of_no_version_is_damaged(version: str) -> None:
    assert files.next_watermark_ms(4, "v12\r\n{}\n") == 0, "no watermark yet"
    with pytest.raises(DamagedFile):
        files.next_watermark_ms(4, "v1\n{}\0")
    with pytest.raises(DamagedFile, match="its file commits/4 is cut off or damaged"):
        files.next_watermark_ms(4, f"{version}\n{{}}")


def test_a_folder_names_the_damaged_file_and_the_next_command(tmp_path: Path) -> None:
    place = tmp_path / "checkpoints" / "silver-g1"
    (place / "offsets").mkdir(parents=True)
    (place / "offsets" / "0").write_bytes(b"v1\n\xff")
    folder = FileCheckpoint(config.load(env={}), str(place))
    assert (folder.job, folder.planned_ids(), folder.committed_ids(), folder.planned(1)) == ("silver", [0], [], None)
    for ask in (lambda: folder.planned(0), lambda: folder.existing(1)):
        with pytest.raises(CheckpointInvalid, match=rf"{place}/offsets/[01] is missing or damaged.*rebuild silver"):
            ask()
    with pytest.raises(CheckpointInvalid, match=r"has batches but no metadata file.*rebuild silver"):
        folder.query_id()
    (place / "offsets" / "0").write_text(offsets_text(5, '{"t":{"0":9}}'))
    assert folder.planned(0) == Planned(0, 5, ({"t": {"0": 9}},))
