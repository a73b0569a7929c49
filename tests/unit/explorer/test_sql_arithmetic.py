"""Integers of ``--sql`` never wrap around: the right number, or one sentence; all else is as the engine has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from deltalake import QueryBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.errors import LakehouseError, QueryRefused
from lakehouse.explorer import sql_sandbox
from lakehouse.explorer.sql_arithmetic import checked
from lakehouse.explorer.sql_guard import check, pieces
from lakehouse.lake.query import Query
from lakehouse.lake.reader import SPECS, Lake
from tests.support import lakes
from tests.unit.explorer.test_sql_guard import ALLOWED

TOP = 2**63 - 1
V = "FROM (VALUES (9223372036854775807, 1), (1, 2)) v(big, small)"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    base = str(tmp_path_factory.mktemp("lake"))
    lakes.build(base, lakes.sales(20))
    return Lake(base)


def asked(lake: Lake, sql: str) -> list[tuple[Any, ...]]:
    found = check(sql, SPECS)
    return sql_sandbox._read(lake, found.sql, found.pieces, found.tables, None).rows


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT CAST(9223372036854775807 AS BIGINT) + 1", "SELECT 9223372036854775807 + 1", "SELECT 1 + 9223372036854775807",
        "SELECT -9223372036854775807 - 2", "SELECT 3037000500 * 3037000500", "SELECT (9223372036854775807 + 1) - 1",
        "SELECT '9223372036854775807'::bigint + 1", f"SELECT SUM(big) {V}", f"SELECT SUM(big) AS x {V} GROUP BY small > 0",
        f"SELECT SUM(big) OVER () {V}", f"SELECT SUM(big) FILTER (WHERE small > 0) {V}", f"SELECT SUM(DISTINCT big) {V}",
        f"SELECT big + small {V}", f"SELECT small FROM (SELECT big + small AS small {V}) x", f"SELECT 1.5 + small, big * 2 {V}",
        f"SELECT small {V} ORDER BY big + small", f"SELECT MAX(big + small) {V}",
        f"WITH s AS (SELECT SUM(big) AS t {V}) SELECT t FROM s", f"SELECT CASE WHEN small = 1 THEN big * 2 ELSE 0 END {V}",
        f"SELECT big + small, 1.5 + small {V} GROUP BY big + small, 1.5 + small", f"SELECT [big + small] {V}",
        "SELECT 2 * (SELECT SUM(client_id) + 9223372036854775000 FROM ventes_stream)",
        "SELECT SUM(client_id * 0 + 9000000000000000000) FROM ventes_stream",
    ],
)  # fmt: skip
def test_an_overflow_is_one_sentence(lake: Lake, sql: str) -> None:
    with pytest.raises(LakehouseError, match=r"does not fit into BIGINT.*CAST\(… AS DECIMAL\(38,0\)\)"):
        asked(lake, sql)


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT 9223372036854775806 + 1", [(TOP,)]), ("SELECT -9223372036854775807 - 1", [(-TOP - 1,)]),
        ("SELECT 1 + 2 * 3 - 4 % 3, 7 / 2, (1 + 2) / 2, - 3 + 2, -(3 * 2)", [(6, 3, 1, -1, -6)]),
        ("SELECT 2147483647::int + 1::int", [(2147483648,)]), ("SELECT 1.5 + 2, 2 * 2", [(3.5, 4)]),
        (f"SELECT SUM(small), SUM(small) + 1, SUM(small * 1.5) {V}", [(3, 4, 4.5)]),
        (f"SELECT small + 1 AS y, COUNT(*) {V} GROUP BY small + 1 ORDER BY small + 1 DESC LIMIT 1", [(3, 1)]),
        (f"SELECT ROW_NUMBER() OVER (ORDER BY small) - 5 {V}", [(-4,), (-3,)]),
        (f"SELECT CAST(big AS DECIMAL(38,0)) + 1 AS x {V} ORDER BY 1 DESC LIMIT 1", [(TOP + 1,)]),
        (f"SELECT CAST(big AS DOUBLE) + 1 AS x {V} ORDER BY 1 DESC LIMIT 1", [(float(2**63),)]),
        ("SELECT COUNT(*) * 2 FROM ventes_stream", [(40,)]), ("SELECT NULL + 1", [(None,)]),
        (f"SELECT small {V} WHERE big + small > 0 ORDER BY small", [(1,), (2,)]), ("SELECT .5 + 1, 1e1*2, 3*4-2", [(1.5, 20.0, 10)]),
    ],
)  # fmt: skip
def test_what_fits_is_exact(lake: Lake, sql: str, rows: list[tuple[Any, ...]]) -> None:
    assert asked(lake, sql) == rows


OTHERS = (
    "SELECT DATE '2026-01-01' + INTERVAL '1 day', INTERVAL '1' day + DATE '2026-01-01' AS y",
    "SELECT TIMESTAMP '2026-01-02' - TIMESTAMP '2026-01-01' AS a, DATE '2026-01-02' - DATE '2026-01-01' AS b",
    "SELECT pays, SUM(montant), SUM(montant) / COUNT(*), AVG(montant * quantite) FROM ventes_stream GROUP BY pays ORDER BY pays",
    "SELECT SUM(quantite), SUM(quantite * 2) AS d, COUNT(*) + 1 FROM ventes_stream",
    "SELECT a.pays, b.pays FROM ventes_par_pays a JOIN ventes_par_pays b ON a.pays = b.pays WHERE 1 + 1 = 2 ORDER BY 1",
    "SELECT * FROM ventes_par_pays WHERE 1 + 1 = 2 ORDER BY pays", "SELECT v.* FROM ventes_par_pays v WHERE 2 * 1 = 2 ORDER BY pays",
    "SELECT EXTRACT(day FROM DATE '2026-01-05') + 1 AS x, ROUND(5 / 2 + 1.5, 1), ABS(-5) * 2, 'a' || (1 + 2)",
    "SELECT [1, 2][1 + 1], ARRAY[1 + 1], SUBSTR('abc', 1 + 1, 2 - 1)", "SELECT COUNT(*) FROM ventes_stream WHERE quantite BETWEEN 1 + 0 AND 2 * 3",
    "SELECT jour + INTERVAL '1 day' AS d, SUM(quantite) FROM ventes_stream GROUP BY jour + INTERVAL '1 day' ORDER BY 1",
    "SELECT pays FROM ventes_stream UNION SELECT pays FROM ventes_par_pays WHERE 1 + 1 = 2 ORDER BY 1",
)  # fmt: skip


@pytest.mark.parametrize("sql", [*OTHERS, *(sql for sql, _ in ALLOWED)])
def test_names_kinds_and_rows_are_those_of_the_engine(lake: Lake, sql: str) -> None:
    found = check(sql, SPECS)
    plain = lake.read(Query(found.sql, found.tables))
    safe = sql_sandbox._read(lake, found.sql, found.pieces, found.tables, None)
    assert safe.columns == plain.columns
    assert sorted(map(repr, safe.rows)) == sorted(map(repr, plain.rows))


def test_where_the_order_of_operators_is_not_plain_it_is_asked_for(lake: Lake) -> None:
    assert asked(lake, "SELECT 1 << 2 + 1, 5 & 3 + 1, 3 - 4 % 3 * 2 - 1") == [(8, 4, 0)]
    with pytest.raises(QueryRefused, match=r"put parentheses around \+ - \* /"):  # an engine that groups otherwise
        checked("select 1 + 2 @ 3", pieces("select 1 + 2 @ 3"), lambda text: text)
    with pytest.raises(QueryRefused, match="more than 200 operations"):
        asked(lake, f"SELECT 1{' + 1' * 201}")


def test_a_statement_without_arithmetic_is_not_touched_nor_planned_twice() -> None:
    def never(text: str) -> object:
        raise AssertionError(text)

    for sql in (
        "select * from t",
        "select count(*) , t.* from t",
        "select - 1",
        "select a / b , a % b from t where x = '1 + 1'",
    ):
        assert checked(sql, pieces(sql), never) == sql


@dataclass(frozen=True)
class Sum:
    """An expression, its value without limits, and whether each of its steps fits."""

    sql: str
    value: int
    fits: bool


def leaf(value: int) -> Sum:
    return Sum(f"CAST({value} AS BIGINT)" if value % 3 == 0 else f"({value})", value, True)


NUMBERS = st.integers(-TOP, TOP) | st.sampled_from(
    [0, 1, -1, 2, TOP, -TOP, TOP - 1, 2**31, 2**32, 3037000499, 3037000500]
)
SIGNS = {"+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b}


def joined(left: Sum, sign: str, right: Sum) -> Sum:
    value = SIGNS[sign](left.value, right.value)
    return Sum(f"({left.sql} {sign} {right.sql})", value, left.fits and right.fits and -TOP - 1 <= value <= TOP)


SUMS = st.recursive(
    NUMBERS.map(leaf), lambda inner: st.builds(joined, inner, st.sampled_from(sorted(SIGNS)), inner), max_leaves=6
)


def in_engine(sql: str) -> pa.Table:
    return pa.table(QueryBuilder().execute(sql).read_all())


def plan(sql: str) -> object | None:
    try:
        return in_engine(f"EXPLAIN {sql}")["plan"].to_pylist()
    except Exception:  # noqa: BLE001  # deltalake raises bare ones
        return None


@settings(max_examples=150, deadline=None)
@given(SUMS)
def test_a_number_is_right_or_refused(wanted: Sum) -> None:
    text = f"SELECT {wanted.sql} AS n"
    sql = checked(text, pieces(text), plan)
    try:
        found = in_engine(sql)["n"].to_pylist()
    except Exception as error:  # noqa: BLE001
        assert "is out of range Int64" in str(error)
        assert not wanted.fits
    else:
        assert found == [wanted.value]
