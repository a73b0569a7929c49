"""What --sql lets through and what it refuses, with the reason; and what passes reads nothing else, ever."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.errors import LakehouseError, QueryRefused
from lakehouse.explorer.sql_guard import GROWING, check
from lakehouse.lake.query import Query
from lakehouse.lake.reader import SPECS, Lake
from tests.support import lakes

ALLOWED = (
    ("SELECT * FROM ventes_stream", ("ventes_stream",)),
    ("select pays, sum(montant) from Ventes_Stream group by pays", ("ventes_stream",)),
    ("WITH a AS (SELECT * FROM ventes_par_pays) SELECT * FROM a", ("ventes_par_pays",)),
    (
        "SELECT pays FROM ventes_par_pays UNION ALL SELECT segment FROM ventes_par_segment;",
        ("ventes_par_pays", "ventes_par_segment"),
    ),
    ("(SELECT 1)", ()),
    ("SELECT ';', '--', '/* */', '/etc/passwd', 'it''s' -- the end", ()),
    (
        "SELECT a.pays FROM ventes_stream a JOIN profil_clients p ON a.client_id = p.client_id",
        ("profil_clients", "ventes_stream"),
    ),
    ('SELECT "timestamp", timestamp AS moment FROM ventes_stream ORDER\nBY 1', ("ventes_stream",)),
    (
        "SELECT pays FROM ventes_stream WHERE client_id IN (SELECT client_id FROM profil_clients)",
        ("profil_clients", "ventes_stream"),
    ),
    ("SELECT NTILE(5) OVER (PARTITION BY pays ORDER BY montant) FROM ventes_stream", ("ventes_stream",)),
    ("SELECT COUNT(*) FILTER (WHERE est_tardif) FROM ventes_stream", ("ventes_stream",)),
    (
        "SELECT CASE WHEN montant >= 1e2 THEN .5 ELSE -1 END, jour - INTERVAL '1 day' FROM ventes_stream",
        ("ventes_stream",),
    ),
)

REFUSED = (
    ("", "it is empty"),
    (" ; ;", "it is empty"),
    ("-- nothing", "it is empty"),
    ("COPY ventes_stream TO '/tmp/x.csv'", "starts with 'COPY'"),
    ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "starts with 'CREATE'"),
    ("CREATE TABLE t AS SELECT 1", "starts with 'CREATE'"),
    ("CREATE VIEW t AS SELECT 1", "starts with 'CREATE'"),
    ("DROP TABLE ventes_stream", "starts with 'DROP'"),
    ("DELETE FROM ventes_stream", "starts with 'DELETE'"),
    ("UPDATE ventes_stream SET montant = 0", "starts with 'UPDATE'"),
    ("INSERT INTO ventes_stream SELECT * FROM ventes_stream", "starts with 'INSERT'"),
    ("TRUNCATE ventes_stream", "starts with 'TRUNCATE'"),
    ("SET datafusion.execution.batch_size = 1", "starts with 'SET'"),
    ("SHOW TABLES", "starts with 'SHOW'"),
    ("EXPLAIN SELECT 1", "starts with 'EXPLAIN'"),
    ("EXPLAIN ANALYZE SELECT 1", "starts with 'EXPLAIN'"),
    ("DESCRIBE ventes_stream", "starts with 'DESCRIBE'"),
    ("PREPARE p AS SELECT 1", "starts with 'PREPARE'"),
    ("VALUES (1)", "starts with 'VALUES'"),
    ("TABLE ventes_stream", "starts with 'TABLE'"),
    ("FROM ventes_stream SELECT *", "starts with 'FROM'"),
    ("(COPY ventes_stream TO 'x')", "starts with 'COPY'"),
    ("SELECT 1; DROP TABLE ventes_stream", "more than one statement"),
    ("SELECT 1;;SELECT 2", "more than one statement"),
    ("SELECT 1 /* ; */ ; COPY ventes_stream TO 'x'", "more than one statement"),
    ("/* SELECT */ COPY ventes_stream TO 'x'", "starts with 'COPY'"),
    ("--\nCOPY ventes_stream TO 'x'", "starts with 'COPY'"),
    ("SELECT 1 INTO t", "INTO writes"),
    ("SELECT * FROM ventes_stream FOR UPDATE", "LOCK writes"),
    ("WITH x AS (DELETE FROM ventes_stream RETURNING *) SELECT * FROM x", "DELETE writes"),
    ("WITH x AS (INSERT INTO ventes_stream VALUES (1) RETURNING *) SELECT * FROM x", "INSERT writes"),
    ("WITH x AS (SELECT 1) INSERT INTO ventes_stream SELECT * FROM x", "no single SELECT"),
    ("WITH x AS (SELECT 1) DELETE FROM ventes_stream", "no single SELECT"),
    ("SELECT * FROM '/etc/passwd'", "is a path"),
    ('SELECT * FROM "/etc/passwd"', "is a path"),
    ('SELECT * FROM "s3://bucket/x.parquet"', "is a path"),
    ('SELECT * FROM "x.csv"', "is a path"),
    ("SELECT * FROM read_parquet('/x')", "is a table function"),
    ("SELECT * FROM read_csv('/etc/passwd')", "is a table function"),
    ("SELECT * FROM parquet_metadata('/x')", "is a table function"),
    ("SELECT * FROM generate_series(1, 1000000000000)", "generate_series() makes"),
    ("SELECT * FROM range(1, 1000000000000)", "range() makes"),
    ("SELECT REPEAT('x', 1000000000)", "repeat() makes"),
    ("SELECT \"repeat\"('x', 1000000000)", "repeat() makes"),
    ("SELECT repeat /**/ ('x', 1000000000)", "repeat() makes"),
    ("SELECT lpad('x', 1000000000)", "lpad() makes"),
    ("SELECT * FROM unnest(ARRAY[1, 2])", "unnest() makes"),
    ('SELECT "upper"(pays) FROM ventes_par_pays', "function's name may not be in quotes"),
    ("SELECT * FROM information_schema.tables", "names a schema"),
    ("SELECT * FROM datafusion.public.ventes_stream", "names a schema"),
    ("SELECT * FROM public.ventes_stream", "names a schema"),
    ("SELECT * FROM ventes_stream TABLESAMPLE (10)", "TABLESAMPLE would be ignored"),
    ("SELECT * FROM ventes_stream TABLESAMPLE BERNOULLI (10) REPEATABLE (1)", "TABLESAMPLE would be ignored"),
    ("SELECT * FROM secret", "there is no table 'secret'"),
    ("SELECT * FROM _generations", "there is no table '_generations'"),
    ('SELECT * FROM "VENTES_STREAM"', "there is no table 'VENTES_STREAM'"),
    ("SELECT * FROM ventes_stream, LATERAL (SELECT 1) x", "LATERAL stands for a table"),
    ("WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT * FROM r) SELECT * FROM r", "WITH RECURSIVE can run without end"),
    ("SELECT * FROM (WITH RECURSIVE r AS (SELECT 1) SELECT * FROM r) x", "WITH RECURSIVE can run without end"),
    ("SELECT $$a$$", "is not understood here"),
    ("SELECT $tag$; DROP$tag$", "is not understood here"),
    ("SELECT E'a\\'; DROP TABLE x --'", "is not understood here"),
    ("SELECT N'a'", "is not understood here"),
    ("SELECT X'ff'", "is not understood here"),
    ("SELECT U&'x'", "is not understood here"),
    ("SELECT `pays` FROM ventes_par_pays", "is not understood here"),
    ("SELECT $1", "is not understood here"),
    ("SELECT @x", "is not understood here"),
    ("SELECT ?", "is not understood here"),
    ("SELECT {'a': 1}", "is not understood here"),
    ("SELECT 1 # comment", "is not understood here"),
    ("SELECT 'a\x00b'", "NUL character"),
    ("SELECT 'open", "cannot be read as SQL"),
    ("SELECT FROM WHERE", "cannot be read as SQL"),
    ("SELECT " + "(" * 100 + "1" + ")" * 100, "nested deeper than 60"),
    ("SELECT 1" + " " * 20_000, "20,000 are allowed"),
    ("select\u00a0* from\u2003'/etc/passwd'", ""),
)


@pytest.mark.parametrize(("sql", "named"), ALLOWED, ids=[sql[:40] for sql, _ in ALLOWED])
def test_a_select_passes_with_the_tables_that_it_names(sql: str, named: tuple[str, ...]) -> None:
    assert check(sql, SPECS).tables == named


@pytest.mark.parametrize(("sql", "reason"), REFUSED, ids=[sql[:40] for sql, _ in REFUSED])
def test_all_else_is_refused_with_the_reason(sql: str, reason: str) -> None:
    with pytest.raises(QueryRefused) as refusal:
        check(sql, SPECS)
    assert reason in str(refusal.value)
    assert "query_utils.py --sql" in str(refusal.value)


def test_comments_never_reach_the_engine_and_glue_nothing() -> None:
    assert check("SELECT a/* x */b, 1 -- y\n, 2", SPECS).sql == "select a b, 1 , 2"


def test_a_prefix_never_touches_a_quote() -> None:
    assert check("SELECT date'2026-01-01'", SPECS).sql == "select date '2026-01-01'"
    with pytest.raises(QueryRefused, match="cannot be read as SQL"):
        check("SELECT r'a'", SPECS)


def test_internal_columns_are_named_or_not() -> None:
    assert check("SELECT * FROM ventes_par_segment", SPECS).internal == frozenset()
    for name in ("_pays", "_PAYS", '"_pays"'):
        assert check(f"SELECT {name} FROM ventes_par_segment", SPECS).internal == {"_pays"}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    base = str(tmp_path_factory.mktemp("lake"))
    lakes.build(base, lakes.sales(20))
    return Lake(base)


@pytest.mark.parametrize(("sql", "named"), ALLOWED, ids=[sql[:40] for sql, _ in ALLOWED])
def test_what_passes_also_runs(lake: Lake, sql: str, named: tuple[str, ...]) -> None:
    assert tuple(source.table for source in lake.read(Query(check(sql, SPECS).sql, named)).sources) == named


def test_unquoted_names_have_no_case(lake: Lake) -> None:
    texts = (
        "SELECT PAYS AS Ca, 'Pays' FROM VENTES_PAR_PAYS v WHERE V.Pays <> 'FRANCE' ORDER BY Pays",
        "select pays as ca, 'Pays' from ventes_par_pays v where v.pays <> 'FRANCE' order by pays",
    )
    loud, plain = (lake.read(Query(check(sql, SPECS).sql, ("ventes_par_pays",))) for sql in texts)
    assert loud.rows == plain.rows and loud.names[0] == "ca" and loud.rows[0][1] == "Pays"
    assert lake.read(
        Query(check('SELECT pays AS "Ca" FROM ventes_par_pays', SPECS).sql, ("ventes_par_pays",))
    ).names == ("Ca",)


@pytest.mark.parametrize("text", ["it's", "'''a''b'''", "\\", "a\\'b", "$$", "--", "/*", "é\u202e\x1b", "''"])
def test_both_parsers_read_a_text_alike(lake: Lake, text: str) -> None:
    quoted = "'" + text.replace("'", "''") + "'"
    checked = check(f"SELECT {quoted} AS x", SPECS)
    assert lake.read(Query(checked.sql, checked.tables)).rows == [(text,)]


PIECES = st.sampled_from([
    "SELECT", "*", "FROM", "ventes_par_pays", "WHERE", "1", "=", "'a'", "--", "/*", "*/", ";", "COPY", "TO", "'/tmp/fuzz_out.csv'",
    "DROP", "TABLE", "INSERT", "INTO", "SET", "(", ")", ",", "UNION", "ALL", "WITH", "x", "AS", "E'\\'", "$$", "\"", "'", "\\",
    "CREATE", "EXTERNAL", "STORED", "CSV", "LOCATION", "VALUES", "EXPLAIN", "SHOW", "TABLES", "information_schema.tables", "\n",
    "RECURSIVE", "generate_series(1,9)", "unnest", "[1]", "::text", "||", "`", "#", "\u00a0", "\x00", "/etc/passwd", "LIMIT", "ORDER BY",
    "INTERVAL", "CASE", "END", "EXECUTE", "PREPARE", "DELETE", "UPDATE", "pays", "count(*)", "DESCRIBE", "RESET", "LATERAL", "TRUNCATE",
])  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.lists(PIECES, max_size=14).map(" ".join), st.lists(PIECES, max_size=14).map("".join), st.text(max_size=60)
    )
)
def test_any_text_is_refused_or_is_one_harmless_select(text: str) -> None:
    try:
        checked = check(text, SPECS)
    except QueryRefused:
        return
    _harmless(checked.sql)
    assert set(checked.tables) <= set(SPECS)
    assert check(checked.sql, SPECS).sql == checked.sql  # what passes, passes unchanged


@settings(max_examples=80, deadline=None)
@given(st.lists(PIECES, max_size=8), st.sampled_from([sql for sql, _ in ALLOWED]))
def test_a_good_select_with_anything_mixed_in(lake: Lake, extra: list[str], sql: str) -> None:
    """What still passes is run by the real engine: it answers or fails, and leaves no file behind."""
    words = sql.split(" ")
    for number, piece in enumerate(extra):
        words.insert((number * 7) % (len(words) + 1), piece)
    try:
        checked = check(" ".join(words), SPECS)
    except QueryRefused:
        return
    _harmless(checked.sql)
    before = sorted(Path(lake.base).rglob("*"))
    with contextlib.suppress(LakehouseError):  # the engine may refuse what is no DataFusion SQL
        lake.read(Query(checked.sql, checked.tables), max_rows=5)
    assert sorted(Path(lake.base).rglob("*")) == before
    assert not Path("/tmp/fuzz_out.csv").exists()


def _harmless(sql: str) -> None:
    bare = re.sub(r"""'(?:''|[^'])*'|"(?:""|[^"])*\"""", " ", sql)
    assert re.match(r"[(\s]*(select|with)\b", bare, re.IGNORECASE), sql
    assert not re.search(r"--|/\*|[;`$@#?\\{}\x00]", bare), sql
    for name in GROWING:
        assert not re.search(rf"\b{name}\s*\(", bare, re.IGNORECASE), sql
