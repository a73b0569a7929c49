"""``--output``: what is replaced by a file, and what is written into."""

from __future__ import annotations

import io
import json
import os
import stat
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lakehouse.errors import ConfigError
from lakehouse.explorer.formats import export
from lakehouse.lake.result import Column, Result

RESULT = Result((Column("pays", "text"), Column("ca", "decimal")), [("France", Decimal("1.50")), (None, None)], ())
CSV = b"pays,ca\nFrance,1.50\n,\n"


def write(kind: str, target: Path) -> None:
    if kind == "parquet":
        export.to_parquet(RESULT, str(target))
    else:
        with export.replacing(str(target)) as stream:
            export.to_csv(RESULT, stream)


def check(kind: str, data: bytes) -> None:
    if kind == "parquet":
        assert pq.read_table(io.BytesIO(data)).to_pylist() == [
            dict(zip(RESULT.names, row, strict=True)) for row in RESULT.rows
        ]
    else:
        assert data == CSV


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_link_keeps_its_target_which_has_the_answer(tmp_path: Path, kind: str) -> None:
    (tmp_path / "far").mkdir()
    link = tmp_path / "link"
    link.symlink_to("far/real")
    write(kind, link)
    assert link.is_symlink()
    check(kind, (tmp_path / "far" / "real").read_bytes())


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_fifo_passes_the_answer_on(tmp_path: Path, kind: str) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write(kind, fifo)
        assert stat.S_ISFIFO(fifo.stat().st_mode)
        check(kind, os.read(reader, 65536))
    finally:
        os.close(reader)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_full_device_is_one_sentence_and_stays_a_device(tmp_path: Path, kind: str) -> None:
    link = tmp_path / "full"  # a link, so that a fault of ours does not cost the machine its device
    link.symlink_to("/dev/full")
    with pytest.raises(ConfigError, match=r"--output .*full cannot be written: No space left on device\."):
        write(kind, link)
    assert link.is_symlink() and stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_the_null_device_takes_everything(tmp_path: Path) -> None:
    link = tmp_path / "null"
    link.symlink_to("/dev/null")
    for kind in ("csv", "parquet"):
        write(kind, link)
        assert link.is_symlink() and stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_json_holds_nothing_that_a_reader_would_round_or_refuse() -> None:
    beyond = 2**53 + 1
    columns = (Column("client_id", "integer"), Column("x", "float"), Column("nested", "other"))
    rows = [
        (2**53 - 1, 1.5, {"a": [beyond, float("nan")]}),
        (beyond, float("inf"), None),
        (-beyond, float("-inf"), True),
    ]
    text = export.text_of(Result(columns, rows, ()), "json")

    def refuse(word: str) -> None:
        raise AssertionError(word)

    assert json.loads(text, parse_constant=refuse) == [
        {"client_id": 2**53 - 1, "x": 1.5, "nested": {"a": [str(beyond), None]}},
        {"client_id": str(beyond), "x": None, "nested": None},
        {"client_id": str(-beyond), "x": None, "nested": True},
    ]
