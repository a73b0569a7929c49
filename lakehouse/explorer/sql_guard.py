"""What a person may type after ``--sql``: one read-only SELECT over the lake's own tables.

DataFusion, which runs it, can also write files (COPY … TO), create and drop tables and change settings. Two parsers
that read one text differently are the way around such a guard, so the text that runs is not the text that was typed:
it is put together again from sqlglot's tokens, without comments, and with only such tokens as both read alike.
The caps on rows, time and memory (``sql_sandbox``) are for what a SELECT may still do. The guard itself runs outside of them:
its work is bounded by the number of tokens.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import SqlglotError
from sqlglot.parsers.postgres import PostgresParser
from sqlglot.tokenizer_core import Token, TokenType

from lakehouse.errors import QueryRefused
from lakehouse.explorer.sql_arithmetic import Piece

MAX_LENGTH = 20_000
MAX_DEPTH = 60
STEPS, STEPS_PER_TOKEN = 2_000, 20
"""How often sqlglot's parser may move in a statement. It takes one or two steps for a token; where it tries several readings
(``ARRAY[``, ``STRUCT(``, a type's name) it reads what is nested twice at each level, and 40 levels would take for ever."""
EXAMPLE = 'Type for example: query_utils.py --sql "SELECT pays, revenue_total FROM ventes_par_pays"'
WORD = re.compile(r"[^\W\d]\w*( +[^\W\d]\w*)*")
NUMBER = re.compile(r"\d+(\.\d*)?([eE][+-]?\d+)?")
CAPITALS = re.compile("[A-Z]+")
OPERATOR = re.compile(r"[-()\[\],.*/%+<>=!|&^~]+|::")
# Functions whose result is as large as one asks for, and those that stand for a table.
GROWING = frozenset({
    "array_repeat", "array_resize", "generate_series", "list_repeat", "list_resize", "lpad", "make_array_repeat", "range",
    "repeat", "rpad", "space", "unnest",
})  # fmt: skip
WRITING = (
    exp.DML, exp.DDL, exp.Command, exp.Into, exp.Lock, exp.Drop, exp.Alter, exp.Set, exp.Copy, exp.Use, exp.Pragma,
    exp.Describe, exp.Show, exp.Transaction, exp.Commit, exp.Rollback, exp.Kill, exp.Analyze,
)  # fmt: skip


@dataclass(frozen=True)
class Checked:
    """A statement that may run: its text, the pieces of it, the lake's tables in it, and the internal columns that it names
    itself."""

    sql: str
    pieces: tuple[Piece, ...]
    tables: tuple[str, ...]
    internal: frozenset[str] = frozenset()


def check(text: str, tables: Collection[str]) -> Checked:
    """The statement as it will run; raises ``QueryRefused`` with the reason."""
    if len(text) > MAX_LENGTH:
        raise _refused(f"it has {len(text):,} characters, and {MAX_LENGTH:,} are allowed")
    tokens = _tokens(text)
    sql = _rebuild(tokens)
    try:
        tree, pieces = _parse(sql)
        names = tuple(sorted(set(_tables(tree, tables))))
    except RecursionError:
        raise _refused("it is nested too deeply") from None
    internal = frozenset(_piece(token).strip('"') for token in tokens if token.text.startswith("_"))
    return Checked(sql, pieces, names, internal)


def _refused(reason: str) -> QueryRefused:
    return QueryRefused(f"This statement is not run: {reason}. One read-only SELECT is allowed. {EXAMPLE}")


def _tokens(text: str) -> list[Token]:
    try:
        tokens = list(Postgres().tokenize(text))
    except SqlglotError as error:
        raise _refused(f"it cannot be read as SQL ({_first_line(error)})") from None
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        raise _refused("it is empty")
    if any(token.token_type is TokenType.SEMICOLON for token in tokens):
        raise _refused("it has more than one statement")
    start = next((t for t in tokens if t.token_type is not TokenType.L_PAREN), tokens[0])
    if start.token_type not in (TokenType.SELECT, TokenType.WITH):
        raise _refused(
            f"it starts with {start.text.upper()[:40]!r}, and only SELECT reads (WITH … SELECT and UNION included)"
        )
    return tokens


def _rebuild(tokens: list[Token]) -> str:
    """The statement from its tokens: what stood together stays together, all else has one space between."""
    parts: list[str] = []
    depth = 0
    for index, token in enumerate(tokens):
        piece = _piece(token)
        depth += (piece in ("(", "[")) - (piece in (")", "]"))
        if depth > MAX_DEPTH:
            raise _refused(f"its parentheses are nested deeper than {MAX_DEPTH}")
        if piece == "(" and index and _is_name(tokens[index - 1]):
            _check_call(tokens[index - 1])
        glued = index and tokens[index - 1].end + 1 == token.start
        # A space before every quote: no prefix (E'', R'', X'') can ever form.
        parts.append(piece if glued and piece[0] not in "'\"" else f" {piece}")
    return "".join(parts).strip()


def _is_name(token: Token) -> bool:
    return token.token_type is TokenType.IDENTIFIER or WORD.fullmatch(token.text) is not None


def _check_call(token: Token) -> None:
    name = token.text.lower()
    if name in GROWING:
        raise _refused(f"{name}() makes rows or texts of any size, or stands for a table")
    if token.token_type is TokenType.IDENTIFIER:
        raise _refused(f"a function's name may not be in quotes: {name}()")


def _piece(token: Token) -> str:
    text = token.text
    if "\x00" in text:
        raise _refused("it contains a NUL character")
    if token.token_type is TokenType.STRING:
        return "'" + text.replace("'", "''") + "'"
    if token.token_type is TokenType.IDENTIFIER:
        return '"' + text.replace('"', '""') + '"'
    if not token.token_type.name.endswith("STRING"):  # dollar quotes, E'', N'', X'': each parser has its own idea
        text = " ".join(text.split())  # ORDER and BY may stand on two lines
        if any(form.fullmatch(text) for form in (WORD, NUMBER, OPERATOR)):
            # In lower case as SQL has unquoted names; deltalake's DataFusion leaves them as typed and finds none (1.6.6).
            return CAPITALS.sub(lambda found: found[0].lower(), text)
    raise _refused(f"{text[:20]!r} is not understood here: use plain 'texts', numbers, names and operators")


class _Parser(PostgresParser):
    """sqlglot's, which gives up where it would try more readings than a statement of that length needs."""

    def __init__(self, dialect: Postgres, steps: int) -> None:
        super().__init__(dialect=dialect)
        self._left = steps

    def _advance(self, times: int = 1) -> None:  # forwards, and back to try another reading
        self._left -= 1
        if self._left < 0:
            raise _refused("it has more than one reading at too many places, as in ARRAY[ARRAY[…]]: nest less")
        super()._advance(times)


def pieces(sql: str) -> tuple[Piece, ...]:
    """The tokens of a text, as ``sql_arithmetic`` takes them."""
    return tuple(map(_as_piece, Postgres().tokenize(sql)))


def _as_piece(token: Token) -> Piece:
    return Piece(token.start, token.end, token.token_type is TokenType.STRING)


def _parse(sql: str) -> tuple[exp.Query, tuple[Piece, ...]]:
    dialect = Postgres()
    try:
        tokens = dialect.tokenize(sql)
        found = _Parser(dialect, STEPS + STEPS_PER_TOKEN * len(tokens)).parse(tokens, sql)
    except SqlglotError as error:
        raise _refused(f"it cannot be read as SQL ({_first_line(error)})") from None
    tree = found[0] if len(found) == 1 else None
    if not isinstance(tree, exp.Query) or isinstance(tree, exp.Table):
        raise _refused("it is no single SELECT")
    return tree, tuple(map(_as_piece, tokens))


def _tables(tree: exp.Query, known: Collection[str]) -> Iterator[str]:
    """The lake's tables in the statement, after every node was looked at."""
    defined = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    for node in tree.walk():
        if isinstance(node, WRITING):
            raise _refused(f"{type(node).__name__.upper()} writes, locks or changes settings")
        if isinstance(node, exp.TableSample):
            raise _refused("TABLESAMPLE would be ignored, and every row read")
        if isinstance(node, exp.With) and node.args.get("recursive"):
            raise _refused("WITH RECURSIVE can run without end")
        if isinstance(node, exp.UDTF) and not isinstance(node, exp.Values):
            raise _refused(f"{type(node).__name__.upper()} stands for a table")
        if isinstance(node, exp.Table):
            name = _table_name(node)
            if name in known:
                yield name
            elif name.lower() not in defined:
                raise _refused(f"there is no table {name!r}; tables: {', '.join(known)}")


def _table_name(node: exp.Table) -> str:
    """The name as DataFusion sees it: lower case unless quoted."""
    if not isinstance(node.this, exp.Identifier):
        raise _refused(f"{node.this.sql()[:40]!r} is a table function")
    if node.args.get("db") or node.args.get("catalog"):
        raise _refused(f"{node.sql()[:60]!r} names a schema, and the tables have none")
    name = str(node.this.this)
    if re.search(r"[/\\.:]", name):
        raise _refused(f"{name[:60]!r} is a path, and only the lake's own tables are read")
    return name if node.this.args.get("quoted") else name.lower()


def _first_line(error: Exception) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return text.splitlines()[0].strip().rstrip(".")[:120] if text else type(error).__name__
