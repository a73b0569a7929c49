"""Every value of a CSV file comes back as it was, by Python's reader and by Arrow's; no text runs in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from deltalake import QueryBuilder
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakehouse.dashboard import download
from lakehouse.explorer.formats import export
from lakehouse.lake.result import Column, Result

SPICES = "\r\n\t\"',;=+-@ \u00a0\ufeff\u200b\u2028\u0085\x00\x1b\\|＝－a"
TEXTS = st.text(st.sampled_from(SPICES), max_size=8) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ROWS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5)


def explorers(rows: Sequence[tuple[str, ...]]) -> str:
    stream = io.StringIO(newline="")
    export.to_csv(Result((Column("a", "text"), Column("b", "text")), list(rows), ()), stream)
    return stream.getvalue()


def pages(rows: Sequence[tuple[str, ...]]) -> str:
    return "".join(download._lines([("a", "b"), *rows]))


def by_python(text: str) -> list[tuple[str, ...]]:
    return [tuple(row) for row in csv.reader(io.StringIO(text, newline=""))][1:]


def by_arrow(text: str) -> list[tuple[str, ...]]:
    read = pa_csv.read_csv(
        io.BytesIO(text.encode()),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pa_csv.ConvertOptions(
            column_types={"a": pa.string(), "b": pa.string()}, strings_can_be_null=False
        ),
    )
    return [tuple(row.values()) for row in read.to_pylist()]


@settings(max_examples=300, deadline=None)
@example([("x\r=1+1", "y")])
@example([("\r", "\n"), ("\r\n", "")])
@example([("\ufeff", " ")])
@given(ROWS)
def test_a_text_comes_back_as_it_was(rows: list[tuple[str, ...]]) -> None:
    text = explorers(rows)
    assert by_python(text) == rows
    assert by_arrow(text) == rows


def unguarded(text: str) -> str:
    return text[1:] if text.startswith("'") and download.runs(text.lstrip("'")) else text


@settings(max_examples=300, deadline=None)
@example([("=1", "'=1"), ("''=1", "'")])
@example([(" =1", "\u00a0=1"), ("\ufeff=1", "\u200b-1"), ("x\r=1", "\r=1")])
@given(ROWS)
def test_a_downloaded_text_is_the_same_behind_its_apostrophe(rows: list[tuple[str, ...]]) -> None:
    text = pages(rows)
    for read in (by_python, by_arrow):
        found = read(text)
        assert [tuple(map(unguarded, row)) for row in found] == rows
        assert not any(would_run(value) for row in found for value in row)


def would_run(text: str) -> bool:
    """By another way than the code's: what is left of the text without all that a program may pass over."""
    left = "".join(char for char in text if char.isprintable() and not char.isspace())
    return left[:1] in ("=", "+", "-", "@", "＝", "＋", "－", "＠") and left[:1] != "" and text[:1] != "'"


@pytest.mark.parametrize(
    "before",
    ["", " ", "   ", "\u00a0", "\ufeff", "\u200b", "\t", "\r", "\n", "\x00", "\u3000", "\u2028", "\u202e", "\x85"],
    ids=ascii,
)
@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "＝", "＋", "－", "＠", "﹦", "﹢", "⁺"], ids=ascii)
def test_a_formula_is_seen_behind_what_cannot_be_seen(before: str, sign: str) -> None:
    assert download.harmless(f"{before}{sign}cmd()") == f"'{before}{sign}cmd()"
    assert download.harmless(f"{before}{sign}cmd()".encode()) == f"'{before}{sign}cmd()"


@pytest.mark.parametrize(
    "text", ["", " ", "a=1", "1-1", " a", "'", "'a", "é", "\u00a0", "x\r=1", "(=1)", "#=1", "−1"], ids=ascii
)
def test_other_texts_are_left_alone(text: str) -> None:
    assert download.harmless(text) == text


def test_lines_end_as_they_did_and_a_lone_carriage_return_is_quoted() -> None:
    assert explorers([("a\rb", "c"), ("d", "e")]) == 'a,b\n"a\rb",c\nd,e\n'
    assert pages([("a\rb", "c")]) == 'a,b\n"a\rb",c\n'


def rows_of(result: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pa.table(result.read_all()).to_pylist()
    return rows


def test_datafusion_reads_the_same(tmp_path: Any) -> None:
    rows = [(f"{x}{y}", f"a{x}") for x in SPICES for y in SPICES if "\x00" not in x + y]
    file = tmp_path / "out.csv"
    with export.replacing(str(file)) as stream:
        stream.write(explorers(rows))
    builder = QueryBuilder()
    builder.execute(
        f"CREATE EXTERNAL TABLE t (a TEXT, b TEXT) STORED AS CSV LOCATION '{file}' "
        "OPTIONS ('format.has_header' 'true', 'format.newlines_in_values' 'true')"
    ).read_all()
    assert [(row["a"], row["b"]) for row in rows_of(builder.execute("SELECT * FROM t"))] == rows
