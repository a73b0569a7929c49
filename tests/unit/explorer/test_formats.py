"""What reaches the eye and the file: exact figures, nothing cut, nothing obeyed."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lakehouse.errors import ConfigError
from lakehouse.explorer.formats import export, terminal
from lakehouse.explorer.formats.text_table import fitted
from lakehouse.explorer.formats.values import shown, visible
from lakehouse.explorer.queries import registry
from lakehouse.explorer.queries.model import Chart, Filters
from lakehouse.lake.reader import Lake
from lakehouse.lake.result import Column, Result, Source
from tests.support import lakes

PARIS = ZoneInfo("Europe/Paris")
READ = (Source("ventes_par_pays", 3, datetime(2026, 11, 22, 20, 0, tzinfo=UTC)),)
RESULT = Result(
    (
        Column("client_id", "integer"), Column("client_nom", "text"), Column("nb_achats", "integer"),
        Column("total_depense", "decimal"), Column("est_tardif", "boolean"), Column("jour", "date"),
        Column("timestamp", "timestamp"), Column("valeur", "binary"),
    ),
    [
        (12345, "[red]Zoé[/red]\x1b[31m", 1234567, Decimal("1234567.50"), True, date(2026, 11, 1),
         datetime(2026, 11, 1, 23, 30, 1, 5, tzinfo=UTC), b"\xff{"),
        (2, None, 0, None, False, None, None, None),
    ],
    READ,
)  # fmt: skip


def printed(result: Result = RESULT, *, width: int = 200, chart: Chart | None = None, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace")
    out = Console(file=stream, width=width, markup=False, highlight=False, emoji=False)
    terminal.show(out, result, zone=PARIS, wanted=chart)
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_a_table_is_aligned_grouped_and_in_the_business_zone() -> None:
    lines = [line.rstrip() for line in printed().splitlines()]
    assert lines[2:4] == [
        "    12345  [red]Zoé[/red]\\x1b[31m  1,234,567   1,234,567.50  yes         2026-11-01  2026-11-02 00:30:01  \\xff{",
        "        2  null                            0           null  no          null        null                 null",
    ]
    assert lines[-1] == "2 rows · read: ventes_par_pays version 3 (2026-11-22 21:00:00) · times: Europe/Paris"


def test_a_narrow_terminal_gets_blocks_and_every_digit() -> None:
    text = printed(width=40)
    assert "total_depense  1,234,567.50\n" in text
    assert max(map(len, text.splitlines()[:-2])) <= 40


@pytest.mark.parametrize("width", [20, 40, 80, 100, 120, 160])
def test_no_width_cuts_an_amount(width: int) -> None:
    assert "1,234,567.50" in printed(width=width)


def test_a_narrow_terminal_leaves_out_what_is_less_wanted_and_says_so() -> None:
    raw = io.StringIO()
    out = Console(file=raw, width=80, markup=False, highlight=False, emoji=False)
    less = ("valeur", "timestamp", "est_tardif")
    terminal.show(out, RESULT, zone=PARIS, less=less)
    text = " ".join(raw.getvalue().split())
    assert re.search(r"12345 .*1,234,567 +1,234,567\.50 +yes +2026-11-01", text), "one line a row"
    assert "left out, too narrow: timestamp, valeur (a wider terminal or --format csv has all)" in text
    assert "left out" not in printed()
    assert fitted(RESULT, zone=PARIS, width=20, less=less) is RESULT, "blocks show all"
    one = Result(RESULT.columns, RESULT.rows[:1])
    assert fitted(one, zone=PARIS, width=80, less=less) is one


def test_no_question_may_leave_out_an_amount(tmp_path: Path) -> None:
    lakes.build(str(tmp_path))
    for entry in (entry for entry in registry.ENTRIES if entry.less):
        kinds = {
            column.name: column.kind for column in Lake(str(tmp_path)).read(entry.query(Filters(limit=1), ())).columns
        }
        assert {kinds[name] for name in entry.less} <= {"text", "integer", "boolean", "date", "timestamp"}


def test_an_ascii_terminal_gets_ascii_lines() -> None:
    text = printed(chart=Chart("bars", "client_nom", "nb_achats"), encoding="ascii")
    assert text.isascii()
    assert "│" not in text


def test_no_rows_is_said() -> None:
    assert printed(Result(RESULT.columns, [], READ)).startswith("no rows\n0 rows")


def test_a_cut_answer_says_so() -> None:
    assert "first 2 rows only" in printed(Result(RESULT.columns, RESULT.rows, READ, cut=True))


PAYS = Result(
    (Column("pays", "text"), Column("revenue_total", "decimal")),
    [("France", Decimal("400.00")), ("Japon", Decimal("100.00")), ("Chine", Decimal("0.01"))],
)


def test_bars() -> None:
    lines = terminal.chart(PAYS, Chart("bars", "pays", "revenue_total"), zone=PARIS, width=30)
    assert lines == [
        "France ████████████████ 400.00",
        "Japon  ████             100.00",
        "Chine  ▏                  0.01",
    ]
    plain = terminal.chart(PAYS, Chart("bars", "pays", "revenue_total"), zone=PARIS, width=30, unicode=False)
    assert plain[1] == "Japon  ####             100.00"


def test_bars_need_room_and_something_to_compare() -> None:
    bars = Chart("bars", "pays", "revenue_total")
    assert terminal.chart(PAYS, bars, zone=PARIS, width=15) == []
    assert terminal.chart(Result(PAYS.columns, PAYS.rows[:1]), bars, zone=PARIS, width=80) == []
    assert (
        terminal.chart(
            Result(PAYS.columns, [("a", Decimal(0)), ("b", None), ("c", Decimal(0))]), bars, zone=PARIS, width=80
        )
        == []
    )


def test_a_spark_line_runs_from_old_to_new() -> None:
    days = Result(
        (Column("jour", "date"), Column("revenue_total", "decimal")),
        [(date(2026, 11, day), Decimal(amount)) for day, amount in ((3, "30.00"), (2, "10.00"), (1, "80.00"))],
    )
    assert terminal.chart(days, Chart("spark", "jour", "revenue_total"), zone=PARIS, width=80) == [
        "2026-11-01 █▁▃ 2026-11-03",
        "revenue_total: least 10.00 (2026-11-02), most 80.00 (2026-11-01)",
    ]


@given(st.text())
def test_visible_text_cannot_move_the_cursor_and_keeps_what_is_printable(text: str) -> None:
    safe = visible(text)
    assert "\x1b" not in safe
    assert all(char.isprintable() or char in "\u00a0\u3000" or char.isspace() for char in safe)
    assert "\n" not in safe
    if text.isprintable():
        assert safe == text


def test_visible_escapes() -> None:
    assert visible("a\x1b[31m\u202eb\x07\x9b\u2028") == "a\\x1b[31m\\u202eb\\x07\\x9b\\u2028"


def test_identifiers_have_no_thousands_separator() -> None:
    names = ("client_id", "version", "heure", "kafka_offset", "nb_achats")
    assert [shown(12345, Column(name, "integer"), UTC) for name in names] == ["12345"] * 4 + ["12,345"]


def test_csv_is_exact() -> None:
    stream = io.StringIO()
    export.to_csv(RESULT, stream)
    rows = list(csv.reader(io.StringIO(stream.getvalue())))
    assert rows[1] == [
        "12345", "[red]Zoé[/red]\x1b[31m", "1234567", "1234567.50", "true", "2026-11-01",
        "2026-11-01T23:30:01.000005Z", "\\xff{",
    ]  # fmt: skip
    assert rows[2] == ["2", "", "0", "", "false", "", "", ""]


def test_csv_on_a_terminal_is_harmless() -> None:
    stream = io.StringIO()
    export.to_csv(RESULT, stream, harmless=True)
    assert "\x1b" not in stream.getvalue()


def test_json_keeps_decimals_as_digits_and_escapes_what_could_bite() -> None:
    stream = io.StringIO()
    export.to_json(RESULT, stream)
    assert "\x1b" not in stream.getvalue()
    first, second = json.loads(stream.getvalue())
    assert first["total_depense"] == "1234567.50"
    assert first["client_nom"] == RESULT.rows[0][1]
    assert first["timestamp"] == "2026-11-01T23:30:01.000005Z"
    assert second["total_depense"] is None
    assert second["est_tardif"] is False


@given(st.text())
def test_json_text_is_the_same_text(text: str) -> None:
    assert json.loads(export.dumps(text)) == text


def test_an_empty_answer_is_an_empty_array() -> None:
    stream = io.StringIO()
    export.to_json(Result(RESULT.columns, []), stream)
    assert json.loads(stream.getvalue()) == []


def test_parquet_keeps_types_and_says_what_was_read(tmp_path: Path) -> None:
    target = tmp_path / "a.parquet"
    export.to_parquet(RESULT, str(target))
    table = pq.read_table(target)
    assert str(table.schema.field("total_depense").type) == "decimal128(38, 2)"
    assert [tuple(row.values()) for row in table.to_pylist()] == RESULT.rows
    sources = json.loads(table.schema.metadata[b"lakehouse.sources"])
    assert sources == {"ventes_par_pays": {"version": 3, "committed": "2026-11-22T20:00:00Z"}}


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("before")
    with pytest.raises(RuntimeError), export.replacing(str(target)) as stream:
        stream.write("half")
        raise RuntimeError
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    target = str(tmp_path / "no" / "out.csv")
    with (
        pytest.raises(ConfigError, match=r"--output .*out\.csv cannot be written: No such file or directory"),
        export.replacing(target),
    ):
        pass


def test_an_identifier_is_never_folded_and_leaves_before_it_would_be() -> None:
    sale = "f7c1e2d3-9c1d-4e7a-8b0f-1234567890ab"
    columns = (Column("client_nom", "text"), Column("vente_id", "text"), Column("montant", "decimal"))
    result = Result(columns, [("Zoé", sale, Decimal("1.50")), ("Ada", sale, Decimal("2.50"))])
    assert printed(result, width=60).count(sale) == 2
    raw = io.BytesIO()
    out = Console(file=io.TextIOWrapper(raw, encoding="utf-8", write_through=True), width=40, markup=False)
    terminal.show(out, result, zone=PARIS, less=("vente_id",))
    text = raw.getvalue().decode()
    assert "left out, too narrow: vente_id" in text and sale[:10] not in text
    assert [line.split() for line in text.splitlines()[2:4]] == [["Zoé", "1.50"], ["Ada", "2.50"]], "one line a sale"
