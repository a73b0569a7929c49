"""The command line of query_utils.py as programs use it: answers, formats, exit codes, sentences. No terminal here."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from lakehouse.config.fields import FilePath
from lakehouse.config.settings import Config, Delta
from lakehouse.contract import tables
from lakehouse.dashboard import request
from lakehouse.errors import ConfigError, TableMissing
from lakehouse.explorer import command, prompts
from lakehouse.explorer.answers import Answers
from lakehouse.explorer.arguments import parse_identity, parse_time
from lakehouse.explorer.queries import model, registry
from lakehouse.explorer.queries.model import Filters
from lakehouse.lake.reader import Lake, SnapshotGone
from tests.support import lakes

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, base: str) -> Run:
    """``run("top-clients", base=…)`` → exit code, stdout, stderr."""

    def call(*argv: str, base: str = base, **env: str) -> tuple[int, str, str]:
        monkeypatch.setenv("VENTES_DELTA__BASE_PATH", base)
        for name, value in env.items():
            monkeypatch.setenv(f"VENTES_{name}", value)
        code = command.main(argv)
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def own(tmp_path: Path, base: str) -> str:
    """A copy that a test may change."""
    shutil.copytree(base, tmp_path / "own")
    return str(tmp_path / "own")


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_one_question_with_filters(run: Run) -> None:
    code, out, _ = run("top-clients", "--limit", "3", "--pays", "France", "--du", "2026-11-01", "--au", "2026-11-22")
    assert code == 0
    assert out.startswith("Top clients (from 2026-11-01, to 2026-11-22, pays France)\n")
    assert "3 rows · read: ventes_stream version 1 (" in out


@pytest.mark.parametrize(
    "entry", [e for e in registry.ENTRIES if e.kind not in ("sql", "travel")], ids=lambda e: e.name
)
def test_every_question_has_a_name(run: Run, entry: model.Entry) -> None:
    client = ("--client", "2") if "client" in entry.filters else ()
    code, out, err = run(entry.name, "--limit", "3", *client)
    if entry.name.replace("-", "_") in lakes.ABSENT:
        assert (code, out) == (1, "")
        return
    assert (code, err, "read: " in out) == (0, "", entry.kind != "glossary")


@pytest.mark.parametrize("name", ["top-clients", "row-counts", "history", "latest-rejects"])
@pytest.mark.parametrize("kind", ["csv", "json"])
def test_the_other_formats_say_on_stderr_what_was_read(run: Run, name: str, kind: str) -> None:
    code, out, err = run(name, "--format", kind, "--limit", "3")
    assert (code, "read: " in out, "read: " in err) == (0, False, True)


def test_a_table_may_be_asked_by_its_own_name(run: Run) -> None:
    assert len(rows(run("ventes_par_pays", "--format", "csv")[1])) == 4


def test_limit_zero_is_all_and_none_is_the_setting(run: Run) -> None:
    assert len(rows(run("latest-sales", "--limit", "0", "--format", "csv")[1])) == 400
    assert len(rows(run("latest-sales", "--format", "csv")[1])) == 10
    assert len(rows(run("latest-sales", "--format", "csv", ANALYTICS__DERNIERES_VENTES="7")[1])) == 7
    assert len(rows(run("top-clients", "--format", "csv", ANALYTICS__TOP_CLIENTS="4")[1])) == 4


def test_the_daily_report(run: Run) -> None:
    code, out, err = run("--batch", ANALYTICS__TOP_CLIENTS="2")
    assert (code, err) == (0, "")
    titles = [line for line in out.splitlines() if re.fullmatch(r"[A-Z][a-z0-9 ]+", line)]
    assert titles == [
        "Row counts", "Totals", "Top 2 clients", "Revenue by country", "Revenue by segment", "Loyalty",
        "Rejects by reason", "Last 10 sales",
    ]  # fmt: skip
    assert out.splitlines()[-1].startswith("read: ventes_stream version 1 (")


def test_the_daily_report_in_json_equals_python(run: Run) -> None:
    code, out, _ = run("--batch", "--format", "json")
    report = json.loads(out)
    assert code == 0
    [totals] = report["sections"]["totals"]["rows"]
    sales = lakes.sales()
    assert totals["total_transactions"] == len(sales)
    assert Decimal(totals["revenue_total"]) == sum(row["montant"] for row in sales)
    assert sum(Decimal(row["revenue_total"]) for row in report["sections"]["revenue-by-country"]["rows"]) == Decimal(
        totals["revenue_total"]
    )
    assert report["sources"]["ventes_stream"]["version"] == 1
    assert set(report["sources"]) == {spec.name for spec in tables.PUBLIC} - lakes.ABSENT


def test_a_report_without_silver_says_what_to_run_and_is_no_success(run: Run, own: str) -> None:
    shutil.rmtree(Path(own, "silver"))
    code, out, err = run("--batch", base=own)
    assert (code, err) == (1, "")
    assert out.count("Type: python streaming_silver.py") == 4
    assert "Last 10 sales" in out


def test_no_lake_and_no_table_are_one_sentence(run: Run, own: str, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    for argv in (
        ("--batch",),
        ("row-counts",),
        ("top-clients",),
        ("history",),
        ("--sql", "SELECT * FROM ventes_stream"),
    ):
        assert run(*argv, base=nowhere) == (
            1,
            "",
            f"query_utils.py: There is no lake at {nowhere} yet. Type: make run\n",
        )
    shutil.rmtree(Path(own, "bronze", "ventes_stream"))
    assert run("totals", base=own) == (
        1, "", f"query_utils.py: Table ventes_stream does not exist yet at {own}/bronze/ventes_stream. "
        "Type: python spark_streaming_delta.py --once\n",
    )  # fmt: skip


def test_time_travel_by_version(run: Run) -> None:
    first = lakes.sales()[:200]
    [row] = rows(run("totals", "--version", "0", "--format", "csv")[1])
    assert Decimal(row["revenue_total"]) == sum(sale["montant"] for sale in first)
    [row] = rows(run("totals", "--version", "ventes_stream=0", "--format", "csv")[1])
    assert row["total_transactions"] == "200"
    code, out, _ = run("--batch", "--version", "ventes_stream=0")
    assert (code, "ventes_stream version 0" in out) == (0, True)
    assert rows(run("--sql", "SELECT COUNT(*) AS n FROM ventes_stream", "--version", "0", "--format", "csv")[1]) == [
        {"n": "200"}
    ]


def test_time_travel_by_time_goes_by_the_commits_own_times(run: Run, own: str) -> None:
    """The moment between two commits shows the first, whatever times the files of a copied or restored log have."""
    commits = Lake(own).history("ventes_stream").column("date_commit")
    between = commits[1] + (commits[0] - commits[1]) / 2
    for stamp in (0, 4_000_000_000):
        for path in Path(own, "bronze/ventes_stream/_delta_log").glob("*.json"):
            os.utime(path, (stamp, stamp))
        for moment, count in ((between, "200"), (commits[0], "400"), (datetime(2999, 1, 1, tzinfo=UTC), "400")):
            out = run("totals", "--at", moment.isoformat(), "--format", "csv", base=own)[1]
            assert rows(out)[0]["total_transactions"] == count
    code, _, err = run("totals", "--at", "2020-01-01", base=own)
    assert code == 1
    assert "ventes_stream did not exist at 2020-01-01 00:00:00 UTC: its first version that can be read is 0" in err


def test_a_table_that_did_not_exist_at_that_time_is_missing_and_no_more(run: Run, own: str) -> None:
    """Silver came after Bronze: at that time the counts and the report go on without it."""
    lake = Lake(own)
    [bronze] = lake.history("ventes_stream", limit=1).column("date_commit")
    at = bronze.isoformat()
    assert all(lake.history(spec.name).column("date_commit")[-1] > bronze for spec in tables.SILVER)
    code, out, _ = run("row-counts", "--at", at, "--format", "csv", base=own)
    assert code == 0
    counts = {row["table"]: row["lignes"] for row in rows(out)}
    assert (counts["ventes_stream"], counts["ventes_par_pays"]) == ("400", "")
    code, out, _ = run("--batch", "--at", at, base=own)
    assert (code, "ventes_par_pays did not exist at" in out, "Last 10 sales" in out) == (1, True, True)
    assert run("row-counts", "--at", "2020-01-01", base=own)[0] == 1


def test_a_log_that_no_longer_reaches_back_is_a_sentence(run: Run, own: str) -> None:
    DeltaTable(f"{own}/bronze/ventes_stream").create_checkpoint()
    Path(own, "bronze/ventes_stream/_delta_log/00000000000000000000.json").unlink()
    code, _, err = run("totals", "--at", "2020-01-01", base=own)
    assert (code, "ventes_stream can no longer be read as it was at 2020-01-01" in err) == (1, True)


def test_a_version_that_the_question_does_not_read_is_refused(run: Run) -> None:
    for argv in (("totals",), ("--sql", "SELECT COUNT(*) FROM ventes_stream")):
        code, out, err = run(*argv, "--version", "ventes_par_pays=0")
        assert (code, out) == (2, "")
        assert "--version ventes_par_pays=0 has no effect: this question reads ventes_stream." in err
    assert run("history", "--version", "0")[0] == 2
    assert run("history", "--at", "2036-01-01")[0] == 2


def test_unknown_versions_are_sentences(run: Run) -> None:
    code, _, err = run("totals", "--version", "99")
    assert (code, err) == (
        1, "query_utils.py: Version 99 of ventes_stream does not exist: the newest is 1. Type: query_utils.py history ventes_stream\n",
    )  # fmt: skip
    assert run("row-counts", "--version", "1")[0] == 2
    assert run("totals", "--version", "-1")[0] == 2
    assert run("totals", "--version", "x=1")[0] == 2
    assert run("totals", "--version", "1", "--at", "2026-11-01")[0] == 2
    assert run("totals", "--at", "yesterday")[0] == 2


def test_a_version_whose_files_were_vacuumed_is_a_sentence(run: Run, own: str) -> None:
    lakes.write(own, "ventes_par_pays", [], mode="overwrite")
    DeltaTable(f"{own}/silver/ventes_par_pays").vacuum(0, dry_run=False, enforce_retention_duration=False)
    code, _, err = run("ventes-par-pays", "--version", "0", base=own)
    assert code == 1
    assert err.startswith("query_utils.py: Cannot read ventes_par_pays version 0: its files were removed")
    assert run("ventes-par-pays", base=own)[0] == 0


def test_a_version_whose_log_was_cleaned_up_is_a_sentence(run: Run, own: str) -> None:
    table = DeltaTable(f"{own}/bronze/ventes_stream")
    table.create_checkpoint()
    Path(own, "bronze/ventes_stream/_delta_log/00000000000000000000.json").unlink()
    code, _, err = run("totals", "--version", "0", base=own)
    assert code == 1
    assert err.startswith("query_utils.py: The version 0 of ventes_stream can no longer be read: its log entries were")
    assert run("totals", base=own)[0] == 0


def test_a_lake_keeps_its_snapshot_while_the_jobs_write(own: str) -> None:
    lake = Lake(own)
    question = registry.entry("totals").query(Filters())
    before = lake.read(question)
    lakes.write(own, "ventes_stream", lakes.sales(10, seed=99))
    assert lake.read(question) == before
    assert lake.newest().read(question).rows[0][0] == before.rows[0][0] + 10


def test_vacuum_under_a_reader_is_read_again_at_the_newest_version(own: str) -> None:
    config = dataclasses.replace(Config(), delta=Delta(base_path=FilePath(own)))
    answers = Answers(config)
    answers.lake.snapshot("ventes_par_pays")
    lakes.write(own, "ventes_par_pays", [], mode="overwrite")
    DeltaTable(f"{own}/silver/ventes_par_pays").vacuum(0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(SnapshotGone, match="a file was removed while it was read"):
        answers.lake.read(registry.entry("ventes-par-pays").query(Filters()))
    assert answers.ask(registry.entry("ventes-par-pays"), Filters()).sources[0].version == 3  # vacuum commits twice


def test_history_numbers_follow_the_log(own: str, run: Run) -> None:
    lakes.write(own, "ventes_stream", lakes.sales(5, seed=1))
    found = rows(run("history", "ventes_stream", "--format", "csv", base=own)[1])
    assert [row["version"] for row in found] == ["2", "1", "0"]
    assert [row["date_commit"] for row in found] == sorted((row["date_commit"] for row in found), reverse=True)
    assert run("history", "nope")[0] == 2


def test_a_commit_that_lands_while_history_is_read_shifts_no_number(own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """deltalake numbers down from its handle's version: the fault is made to happen once, and must be seen through."""
    real = DeltaTable.history
    struck: list[int] = []

    def history(self: DeltaTable, limit: int | None = None) -> list[dict[str, object]]:
        if not struck:
            struck.append(1)
            lakes.write(own, "ventes_stream", lakes.sales(3, seed=2))
        return real(self, limit)

    monkeypatch.setattr(DeltaTable, "history", history)
    answer = Lake(own).history("ventes_stream")
    assert struck == [1]
    assert answer.column("version") == [2, 1, 0]


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_every_row_of_a_table_is_written_as_it_is_read(
    run: Run, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--limit 0`` of a large table: nothing holds all rows, and the file is that of an answer held as a whole."""
    monkeypatch.setattr("lakehouse.explorer.formats.export.CHUNK", 150)
    whole, flowing = tmp_path / "whole", tmp_path / "flowing"
    assert run("ventes-stream", "--limit", "400", "--format", kind, "--output", str(whole))[0] == 0
    monkeypatch.setattr(Lake, "read", None)
    code, _, err = run("ventes-stream", "--limit", "0", "--format", kind, "--output", str(flowing))
    assert (code, err.startswith("400 rows · read: ventes_stream version 1")) == (0, True)
    if kind == "parquet":
        assert pq.read_table(flowing).equals(pq.read_table(whole))
        assert pq.ParquetFile(flowing).num_row_groups == 3
        assert pq.read_schema(flowing).metadata == pq.read_schema(whole).metadata
    else:
        assert flowing.read_bytes() == whole.read_bytes()


def test_a_flow_that_fails_leaves_the_file_that_was_there(run: Run, own: str, tmp_path: Path) -> None:
    target = tmp_path / "sales.csv"
    target.write_text("before")
    for path in Path(own, "bronze/ventes_stream").glob("jour=*/*.parquet"):
        path.unlink()
    code, _, err = run("ventes-stream", "--limit", "0", "--format", "csv", "--output", str(target), base=own)
    assert (code, "Cannot read ventes_stream version 1" in err, target.read_text()) == (1, True, "before")


def test_output_files(run: Run, tmp_path: Path) -> None:
    for kind in ("table", "csv", "json", "parquet"):
        target = tmp_path / f"out.{kind}"
        code, out, _ = run("revenue-by-country", "--format", kind, "--output", str(target))
        assert (code, out, target.stat().st_size > 0) == (0, "", True)
    assert rows((tmp_path / "out.csv").read_text())[0]["pays"] == "France"
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 4
    assert "\x1b" not in (tmp_path / "out.table").read_text()
    assert run("totals", "--output", str(tmp_path / "no" / "x"))[0] == 2


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("top-client",), "Did you mean top-clients?"),
        (("loyalty", "--pays", "France"), "loyalty takes no --pays: it takes --du/--au."),
        (("totals", "--du", "2026-11-02", "--au", "2026-11-01"), "--du 2026-11-02 lies after --au 2026-11-01"),
        (("totals", "--du", "01/11/2026"), "expected a day such as 2026-11-01"),
        (("totals", "--du", "2026-11-31"), "expected a day such as 2026-11-01"),
        (("totals", "--limit", "-1"), "--limit"),
        (("totals", "--batch"), "a question and --batch exclude each other"),
        (("totals", "ventes_stream"), "only history takes a table"),
        (("totals", "--format", "parquet"), "--format parquet needs --output FILE"),
        (("--batch", "--format", "csv"), "use table or json"),
        (("--batch", "--pays", "France"), "--batch takes no filters"),
        (("--format", "csv"), "need a question"),
        ((), "The menu needs a terminal"),
        (("sql",), "The menu needs a terminal"),
        (("totals", "--watch", "0"), "a number of seconds above 0"),
    ],
)
def test_wrong_arguments_are_sentences(run: Run, argv: tuple[str, ...], sentence: str) -> None:
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert sentence in err


def test_no_rows_is_an_answer_that_says_where_to_look(run: Run) -> None:
    code, out, _ = run("latest-sales", "--du", "2020-01-01", "--au", "2020-01-02", "--pays", "Japon")
    assert (code, "no rows" in out) == (0, True)
    assert "Nothing matches: from 2020-01-01, to 2020-01-02, pays Japon. What there is: query_utils.py by-day" in out
    assert (
        "Nothing matches: from 2020-01-01, to 2020-01-02"
        in run("totals", "--du", "2020-01-01", "--au", "2020-01-02")[1]
    )
    _, out, err = run("latest-sales", "--du", "2020-01-01", "--au", "2020-01-02", "--format", "json")
    assert (out, "Nothing matches" in err) == ("[]\n", True)
    assert "Nothing matches" not in run("latest-sales", "--pays", "Japon")[1]


def test_an_empty_table_says_what_to_run(run: Run, own: str) -> None:
    for spec in (*tables.SILVER, tables.VENTES, tables.REJETS):
        lakes.write_spec(own, spec, [], mode="overwrite")
    for name, sentence in (
        ("latest-sales", "ventes_stream has no row yet. Start all: make run."), ("totals", "ventes_stream has no row yet."),
        ("statistics", "ventes_stream has no row yet."), ("rejects-by-reason", "No message was rejected so far."),
        ("by-day", "tendances_horaires has no row yet. Type: python streaming_silver.py"), ("--batch", "Start all: make run."),
    ):  # fmt: skip
        code, out, _ = run(name, base=own)
        assert (code, sentence in out) == (0, True), out
    out = run("ventes-par-pays", "--version", "1", base=own)[1]
    assert "ventes_par_pays had no row then. Type: query_utils.py history ventes_par_pays" in out
    assert "had no row" not in run("ventes-par-pays", "--version", "0", base=own)[1]


def test_a_filter_value_is_only_ever_a_value(run: Run) -> None:
    text = "x' OR '1'='1"
    code, out, err = run("totals", "--pays", text, "--format", "csv")
    assert (code, out, f"There is no country {text!r}" in err) == (2, "", True)


def test_a_nasty_name_is_shown_and_does_nothing(run: Run) -> None:
    code, out, _ = run("top-clients", "--limit", "0")
    assert code == 0
    assert "[red]Zoé[/red]\\x1b[31m\\x07\\u202e; DROP" in out
    assert "\x1b" not in out


def test_times_are_shown_in_the_business_zone_and_written_in_utc(run: Run) -> None:
    utc = rows(run("latest-sales", "--limit", "1", "--format", "csv")[1])[0]["timestamp"]
    moment = datetime.fromisoformat(utc)
    assert moment.utcoffset() == timedelta(0)
    text = run("latest-sales", "--limit", "1", ANALYTICS__TIMEZONE="Asia/Tokyo")[1]
    assert f"{moment.astimezone(UTC) + timedelta(hours=9):%Y-%m-%d %H:%M:%S}" in text
    assert "times: Asia/Tokyo" in text


def test_watch_asks_again_until_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    asked: list[int] = []
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    assert command.watch(lambda: asked.append(1) or 0, 5.0, clear=True, wait=wait) == 0
    assert (len(asked), waits) == (3, [5.0] * 3)
    assert capsys.readouterr().out.count("\x1b[2J") == 3


def test_watch_waits_for_a_table_and_ends_at_a_wrong_argument(capsys: pytest.CaptureFixture[str]) -> None:
    errors = iter([TableMissing("Table x does not exist yet."), ConfigError("wrong")])

    def ask() -> int:
        raise next(errors)

    with pytest.raises(ConfigError, match="wrong"):
        command.watch(ask, 5.0, clear=False, wait=lambda _: None)
    assert capsys.readouterr().err == "Table x does not exist yet.\n"


def test_a_log_that_cannot_be_read_is_a_sentence(run: Run, own: str) -> None:
    Path(own, "bronze/ventes_stream/_delta_log/00000000000000000000.json").write_text("{broken")
    code, _, err = run("totals", base=own)
    assert code == 1
    assert err.startswith(f"query_utils.py: Table ventes_stream at {own}/bronze/ventes_stream cannot be opened: ")
    assert err.endswith("Type: python ops_utils.py backup list\n")
    Path(own, "silver/ventes_par_pays/_delta_log/00000000000000000000.json").write_text("{broken")
    err = run("ventes-par-pays", base=own)[2]
    assert err.endswith("Move that folder away, then type: python streaming_silver.py --full\n")


def test_a_log_entry_that_was_cut_off_is_no_commit_of_nothing(run: Run, own: str) -> None:
    """The engine would count half of the sales, and say so of version 1."""
    Path(own, "bronze/ventes_stream/_delta_log/00000000000000000001.json").write_text("")
    code, out, err = run("totals", base=own)
    assert (code, out) == (1, "")
    assert (
        "ventes_stream cannot be opened: the log entry of version 1 is empty. Type: python ops_utils.py backup list"
        in err.replace(f" at {own}/bronze/ventes_stream", "")
    )
    assert run("totals", "--version", "0", base=own)[0] == 0


def test_help_lists_every_question(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for entry in registry.ENTRIES:
        assert f"  {entry.name} " in out
        assert f"{entry.title}: {entry.help}" in out


@pytest.mark.parametrize("identity", [1, 9_999_999_999, 2**53 + 1, 2**63 - 1])
def test_every_client_of_the_contract_can_be_asked_for(run: Run, own: str, identity: int) -> None:
    """More digits than a float or a count has: the explorer, the menu and the page read them all, and JSON keeps them."""
    lakes.write(own, "ventes_stream", [{**lakes.sales(1)[0], "vente_id": "big", "client_id": identity}])
    code, out, _ = run("client-sales", "--client", str(identity), "--format", "json", base=own)
    found = [row for row in json.loads(out) if row["vente_id"] == "big"]
    kept = (
        identity if identity < 2**53 else str(identity)
    )  # as a number, a reader of JSON would take it for another one
    assert code == 0 and [row["client_id"] for row in found] == [kept]
    assert prompts.client(None, lambda _: [], lambda _: str(identity), print) == identity
    assert request.read("clients", {"client": str(identity)}, today=date(2026, 11, 22)).client == identity


@pytest.mark.parametrize("text", ["0", "-1", "9223372036854775808", "٣", "1" * 5_000, "1.0", ""])
def test_what_is_no_identity_is_refused_with_its_range(text: str) -> None:
    with pytest.raises(ValueError, match=f"^a whole number of 1 to {2**63 - 1}$"):
        parse_identity(text)


def test_a_time_without_offset_is_in_the_business_zone() -> None:
    assert parse_time("2026-11-22T08:00", ZoneInfo("Asia/Tokyo")) == datetime(2026, 11, 21, 23, 0, tzinfo=UTC)
    assert parse_time("2026-11-22T08:00Z", ZoneInfo("Asia/Tokyo")) == datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
    with pytest.raises(ConfigError, match="--at 'soon' is not accepted"):
        parse_time("soon", UTC)


def test_the_report_obeys_its_settings(run: Run) -> None:
    code, out, _ = run("--batch", ANALYTICS__TOP_CLIENTS="3", ANALYTICS__DERNIERES_VENTES="4")
    assert code == 0
    assert "Top 3 clients" in out and "Last 4 sales" in out
