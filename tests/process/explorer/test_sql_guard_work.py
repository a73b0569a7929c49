"""The guard's work is bounded by a statement's length, whatever is nested in it: it runs outside the capped process."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable

import pytest
from sqlglot.parsers.postgres import PostgresParser

from lakehouse.errors import QueryRefused
from lakehouse.explorer import sql_guard
from lakehouse.lake.reader import SPECS

STATEMENTS = 10_000


class Gone(Exception):
    """So much work that a person would wait."""


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """The parser's steps for one statement; an answer of the guard other than a refusal or a statement is an error."""
    taken, step = [0], PostgresParser._advance

    def counted(parser: PostgresParser, times: int = 1) -> None:
        taken[0] += 1
        if taken[0] > 1_000_000:
            raise Gone
        step(parser, times)

    monkeypatch.setattr(PostgresParser, "_advance", counted)

    def of(sql: str) -> int:
        taken[0] = 0
        with contextlib.suppress(QueryRefused):
            sql_guard.check(sql, SPECS)
        return taken[0]

    return of


def allowed(sql: str) -> int:
    return 2_000 + 20 * len(sql) + 1


NESTS = [
    ("[", "]"), ("ARRAY[", "]"), ("STRUCT(", ")"), ("DECIMAL(", ")"), ("ROW(", ")"), ("(", ")"), ("f(", ")"), ("(SELECT ", ")"),
    ("CASE WHEN ", " = 1 THEN 1 ELSE 2 END"), ("NOT ", ""), ("- ", ""), ("CAST(", " AS INT)"), ("1 IN (", ")"), ("x[", "]"),
    ("EXISTS (SELECT ", ")"), ("COALESCE(1, ", ")"), ("INTERVAL ", ""), ("", "::INT"), ("", "::DECIMAL(1)"), ("", "::INT[]"),
    ("1 BETWEEN 1 AND ", ""), ("SUM(", ") OVER (ORDER BY 1)"), ("EXTRACT(DAY FROM ", ")"), ("TRIM(BOTH 'x' FROM ", ")"),
    ("SUBSTRING(", " FROM 1)"), ("COUNT(", ") FILTER (WHERE TRUE)"), ("POSITION(1 IN ", ")"), ("1 = ANY(", ")"), ("MAP {1: ", "}"),
    ("f(x -> ", ")"), ("TRY_CAST(", " AS INT)"), ("COUNT(DISTINCT ", ")"), ("", " AT TIME ZONE 'UTC'"), ("'a' LIKE ", ""),
    ("", " IS NULL"), ("1 + ", ""), ("LIST(", ")"), ("OBJECT(", ")"), ("NULLABLE(", ")"), ("ENUM(", ")"), ("VARCHAR(", ")"),
    ("TIMESTAMP(", ")"), ("DATE ", ""), ("JSON(", ")"), ("MAP(", ")"), ("ARRAY(", ")"), ("TUPLE(", ")"), ("VALUES (", ")"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), NESTS, ids=[f"{a}x{b}" for a, b in NESTS])
def test_nesting_costs_no_more_than_the_length(work: Callable[[str], int], before: str, after: str) -> None:
    for depth in (1, 5, 20, 40, 59, 200):
        sql = f"SELECT {before * depth}1{after * depth} FROM ventes_par_pays"
        assert work(sql) <= allowed(sql), f"{depth} times"


def test_what_a_person_nests_still_passes() -> None:
    for sql in ("SELECT ARRAY[ARRAY[ARRAY[1]]]", "SELECT [[[[1]]]]", f"SELECT {'(' * 30}1{')' * 30}"):
        assert sql_guard.check(sql, SPECS).sql
    with pytest.raises(QueryRefused, match="nest less"):
        sql_guard.check(f"SELECT {'ARRAY[' * 30}1{']' * 30}", SPECS)
    with pytest.raises(QueryRefused, match="nested deeper than 60"):
        sql_guard.check(f"SELECT {'[' * 61}1{']' * 61}", SPECS)


def made(rng: random.Random, depth: int) -> str:
    """An expression by a grammar that knows more than the guard lets through."""
    if depth <= 0 or rng.random() < 0.15:
        return rng.choice(
            ["1", "2.5", "'a'", "pays", "v.pays", "NULL", "*", '"pays"', "DATE '2026-01-01'", "x", "1e3", "TRUE"]
        )
    before, after = rng.choice(NESTS)
    inner = made(rng, depth - 1)
    kind = rng.random()
    if kind < 0.6:
        return f"{before}{inner}{after}"
    if kind < 0.8:
        return f"{inner} {rng.choice(['+', '||', 'AND', '=', '<', ',', '::', 'OR', '[', '->', '.'])} {made(rng, depth - 2)}"
    return before * rng.randint(1, 12) + inner + after * rng.randint(1, 12)


def statement(rng: random.Random) -> str:
    depth = rng.choice([1, 2, 3, 5, 8, 13])
    table = rng.choice(
        ["ventes_par_pays", "ventes_stream v", f"(SELECT {made(rng, depth // 2)}) x", "a JOIN b ON 1 = 1"]
    )
    sql = f"SELECT {made(rng, depth)} FROM {table}"
    if rng.random() < 0.3:
        sql += f" WHERE {made(rng, depth // 2)}"
    if rng.random() < 0.2:
        sql = f"WITH a AS ({sql}) SELECT {made(rng, 2)} FROM a"
    if rng.random() < 0.2:
        sql += f" UNION ALL SELECT {made(rng, 2)}"
    if rng.random() < 0.3:  # cut, doubled or out of order
        words = sql.split(" ")
        place = rng.randrange(len(words))
        words[place : place + 2] = rng.choice([[], words[place : place + 2] * 3, words[place : place + 2][::-1]])
        sql = " ".join(words)
    return sql


def test_ten_thousand_statements_of_a_grammar_cost_no_more_than_their_length(work: Callable[[str], int]) -> None:
    rng = random.Random(31)
    for number in range(STATEMENTS):
        sql = statement(rng)
        assert work(sql) <= allowed(sql), f"statement {number}: {sql}"
