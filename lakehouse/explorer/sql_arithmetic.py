"""Integer arithmetic of a statement that fails where it would wrap around. DataFusion (55) has no setting for that: in it
``9223372036854775807 + 1`` is a negative number, and so is a sum of such.

``+``, ``-``, ``*`` and ``SUM`` of integers are worked out in DECIMAL(38,0), which holds each such result, and cast back to
BIGINT, which fails outside of it. Which of them have integers is for the engine to say: ``to_hex`` takes nothing else, so a
statement with it around an operand is planned or not. So is whether the operators were grouped as the engine does: the plan
with every group in parentheses is the plan without.

The statement comes with its tokens: the process that runs it then starts without sqlglot, which takes as long to load as all else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lakehouse.errors import QueryRefused

MAX_OPERATIONS = 200
"""Each may cost a plan."""
WIDE, NARROW = "decimal(38,0)", "bigint"
RESERVED = frozenset(
    [
        "select",
        "distinct",
        "all",
        "from",
        "where",
        "group",
        "having",
        "order",
        "limit",
        "offset",
        "union",
        "intersect",
        "except",
        "with",
        "recursive",
        "as",
        "on",
        "using",
        "join",
        "inner",
        "left",
        "right",
        "full",
        "outer",
        "cross",
        "natural",
        "semi",
        "anti",
        "and",
        "or",
        "not",
        "is",
        "in",
        "like",
        "ilike",
        "between",
        "when",
        "then",
        "else",
        "end",
        "asc",
        "desc",
        "nulls",
        "first",
        "last",
        "partition",
        "rows",
        "range",
        "groups",
        "preceding",
        "following",
        "unbounded",
        "escape",
        "similar",
        "qualify",
        "window",
        "values",
        "by",
    ]
)
"""Words that are no operand, so that the next one begins after them."""
UNITS = frozenset(["year", "month", "week", "day", "hour", "minute", "second", "millisecond", "microsecond"])

Plan = Callable[[str], object | None]
"""The engine's plan of a statement, to be compared; None when it does not plan it."""


class Piece(NamedTuple):
    """A token of the statement: its first and last character, and whether it is a text in quotes."""

    start: int
    end: int
    is_text: bool


@dataclass(frozen=True)
class _Binary:
    number: int
    sign: str
    left: _Node
    right: _Node


@dataclass(frozen=True)
class _Sum:
    number: int
    head: str
    argument: _Node
    rest: tuple[_Node, ...]


_Node = str | _Binary | _Sum | tuple["_Node", ...]


def checked(sql: str, pieces: Sequence[Piece], plan: Plan) -> str:
    """The statement, which has these pieces, with arithmetic that does not wrap around; itself when there is none, or when the engine refuses it
    anyway. Raises ``QueryRefused`` for one whose arithmetic cannot be checked."""
    parser = _Parser(sql, pieces)
    try:
        tree = parser.statement()
    except RecursionError:
        raise _refused("it is nested too deeply") from None
    if not parser.checkable:
        return sql
    if parser.count > MAX_OPERATIONS:
        raise _refused(f"it has more than {MAX_OPERATIONS} operations, too many to check each for overflow")
    before = plan(sql)
    if before is None:
        return sql
    if plan(_text(tree)) != before:
        raise _refused("which of its operators comes first is not clear: put parentheses around + - * /")
    found = _integers(tree, parser.checkable, plan)
    safe = _text(tree, checked=found)
    if found and plan(safe) is None:
        raise _refused(
            "its integer arithmetic cannot be checked for overflow: name its columns (AS …), or cast to DOUBLE"
        )
    return safe if found else sql


def _integers(tree: _Node, operations: Mapping[int, str], plan: Plan) -> frozenset[int]:
    """Those of the operations (number → text) that have integers: all of them, as is usual, or one by one. What is written
    twice, as a column and after GROUP BY, has to stay the same in both places."""
    if plan(_text(tree, probed=frozenset(operations))) is not None:
        return frozenset(operations)
    found: frozenset[int] = frozenset()
    for text in dict.fromkeys(operations.values()):
        same = frozenset(number for number, other in operations.items() if other == text)
        found |= same if plan(_text(tree, probed=same)) is not None else frozenset()
    return found


def _refused(reason: str) -> QueryRefused:
    return QueryRefused(f"This statement is not run: {reason}.")


_NONE: frozenset[int] = frozenset()


def _text(node: _Node, *, checked: frozenset[int] = _NONE, probed: frozenset[int] = _NONE) -> str:
    def of(inner: _Node) -> str:
        return _text(inner, checked=checked, probed=probed)

    def operand(number: int, inner: _Node) -> str:
        if number in checked:
            return f" cast({of(inner)} as {WIDE})"
        return f" length(to_hex({of(inner)}))" if number in probed else of(inner)

    if isinstance(node, str):
        return node
    if isinstance(node, _Binary):
        left, right = operand(node.number, node.left), operand(node.number, node.right)
        found = f" ({left}{node.sign}{right})"
        return f" cast({found} as {NARROW})" if node.number in checked else found
    if isinstance(node, _Sum):
        found = f" sum({node.head} {operand(node.number, node.argument)}){''.join(map(of, node.rest))}"
        return f" cast({found} as {NARROW})" if node.number in checked else found
    return "".join(map(of, node))


def _key(node: _Node) -> str:
    return _text(node).lower().replace(" ", "")


class _Parser:
    """Finds operands and their operators; all else is passed on as it is."""

    def __init__(self, sql: str, pieces: Sequence[Piece]) -> None:
        self._sql = sql
        self._tokens = pieces
        self._texts = [sql[token.start : token.end + 1] for token in self._tokens]
        self._at = 0
        self.count = 0
        self.checkable: dict[int, str] = {}

    def statement(self) -> _Node:
        return self._until()

    def _peek(self, ahead: int = 0) -> str:
        place = self._at + ahead
        return self._texts[place].lower() if place < len(self._texts) else ""

    def _take(self) -> str:
        """The next token, behind a space where there was one."""
        self._at += 1
        start = self._tokens[self._at - 1].start
        return (" " if start and self._sql[start - 1] == " " else "") + self._texts[self._at - 1]

    def _is_word(self, ahead: int = 0) -> bool:
        text = self._peek(ahead)
        return bool(text) and (text[0].isalpha() or text[0] == "_") and text.split()[0] not in RESERVED

    def _is_text(self, ahead: int = 0) -> bool:
        place = self._at + ahead
        return place < len(self._tokens) and self._tokens[place].is_text

    def _until(self, *ends: str) -> _Node:
        parts: list[_Node] = []
        while self._peek() and self._peek() not in ends:
            found = self._sum_of_terms()
            parts.append(self._take() if found is None else found)
        return tuple(parts)

    def _sum_of_terms(self) -> _Node | None:
        return self._chain(self._product, ("+", "-"))

    def _product(self) -> _Node | None:
        return self._chain(self._operand, ("*", "/", "%"))

    def _chain(self, part: Callable[[], _Node | None], signs: tuple[str, ...]) -> _Node | None:
        left = part()
        while left is not None and self._peek() in signs:
            sign, right = self._take(), part()
            if right is None:
                return (left, sign)
            self.count += 1
            left = _Binary(self.count, sign, left, right)
            if sign.strip() in "+-*":
                self.checkable[self.count] = _key(left)
        return left

    def _operand(self) -> _Node | None:
        if self._peek() in ("-", "+"):
            before = self._at
            sign, found = self._take(), self._operand()
            if found is None:
                self._at = before
                return None
            return (sign, found)
        first = self._primary()
        return None if first is None else self._followed(first)

    def _primary(self) -> _Node | None:
        text = self._peek()
        if text in ("(", "["):
            return self._group()
        if text == "case":
            return (self._take(), self._until("end"), self._take() if self._peek() else "")
        if text == "sum" and self._peek(1) == "(":
            return self._sum()
        if self._is_word():
            word = self._take()
            if self._is_text():  # a typed literal, as DATE '2026-01-01'; an interval may name its unit
                literal = (word, self._take())
                return (*literal, self._take()) if self._peek() in UNITS else literal
            return (word, self._group()) if self._peek() == "(" or (text == "array" and self._peek() == "[") else word
        if text == "." and self._peek(1)[:1].isdigit():  # .5
            return (self._take(), self._take())
        if text and (text[0] in "'\"" or text[0].isdigit()):
            return self._take()
        return None

    def _group(self) -> _Node:
        end = ")" if self._peek() == "(" else "]"
        return (self._take(), self._until(end), self._take() if self._peek() else "")

    def _sum(self) -> _Node:
        opening = (self._take(), self._take())
        head = self._take() if self._peek() in ("distinct", "all") else ""
        argument = self._sum_of_terms()
        if argument is None or self._peek() != ")":  # more than one argument, or an order
            return (*opening, head, *(() if argument is None else (argument,)), self._until(")"), self._take())
        self._take()
        self.count += 1
        found = _Sum(self.count, head, argument, tuple(self._clauses()))
        self.checkable[self.count] = _key(found)
        return found

    def _clauses(self) -> list[_Node]:
        """What belongs to a call of an aggregate, after its arguments."""
        found: list[_Node] = []
        while self._peek() in ("filter", "over", "within group") or self._peek() in ("ignore nulls", "respect nulls"):
            found.append(self._take())
            if self._peek() == "(":
                found.append(self._group())
            elif self._is_word():
                found.append(self._take())
        return found

    def _followed(self, first: _Node) -> _Node:
        parts = [first, *self._clauses()]
        while True:
            text = self._peek()
            if text == "." or text == "::":
                parts += [self._take(), self._take() if self._peek() else ""]
                if text == "::" and self._peek() == "(":
                    parts.append(self._group())
            elif text == "[":
                parts.append(self._group())
            elif text == "at time zone":
                parts += [self._take(), self._operand() or ""]
            else:
                return parts[0] if len(parts) == 1 else tuple(parts)
