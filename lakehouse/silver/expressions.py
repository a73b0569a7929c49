"""The vocabulary in which Silver's columns are declared: each word is an expression in the SQL of both engines.

An expression is written once, with a word from here, and its two texts give the same value to the last digit: a property-based
test compares them. The words are few on purpose. What differs between the engines is not how an expression is spelt but
what it computes (the digits and the rounding of a quotient, the type of an hour), so that a text in one dialect cannot
be translated into the other without knowing what is meant.

``{name}`` in a text stands for a measure of the same table; texts without one are over Bronze's columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from lakehouse.lake.query import Dialect, quoted, timestamp_type


@dataclass(frozen=True)
class Expression:
    """One value in the SQL of both engines."""

    spark: str
    local: str
    local_max: Callable[[str], str] | None = None
    """Its ``max`` over many rows by DataFusion, given what follows an aggregate (``FILTER …``), where ``max(local)`` would be another work: that of a struct keeps the batches
    of rows in memory from which each group's came, gigabytes for ten thousand groups, and ``last_value`` with an order takes
    four times as long as the maximum of a text (deltalake 1.6.6)."""
    noted: str | None = None
    """Its text in the fingerprint of the definitions, where Spark's has changed and no figure with it."""

    def text(self, dialect: Dialect) -> str:
        return self.spark if dialect == "spark" else self.local


# --- over Bronze's columns -------------------------------------------------------------------------------------------

ONE = Expression("1", "1")
NOW = f"arrow_cast(now(), {timestamp_type()})"
"""The present, in DataFusion's SQL."""


def column(name: str) -> Expression:
    """One of Bronze's columns. ``timestamp`` is the only one that is also a type."""
    return Expression(quoted(name, "spark") if name == "timestamp" else name, quoted(name, "local"))


def big(name: str) -> Expression:
    """An integer column, wide enough for its sum."""
    return Expression(f"CAST({name} AS BIGINT)", f'CAST("{name}" AS BIGINT)')


def latest(*names: str) -> Expression:
    """The sale that names a client or a product; its ``max`` is the latest by event time, then by id, so that ties have one
    winner. ``names`` are texts."""
    fields = ("timestamp", "vente_id", *names)
    spark = ", ".join(f"'{name}', {name}" for name in fields)
    local = ", ".join(f"'{name}', {quoted(name, 'local')}" for name in fields)
    return Expression(
        f"named_struct({spark})", f"named_struct({local})", local_max=lambda only: _latest_max(names, only)
    )


_EPOCH = 2 * 10**17
"""Added to the microseconds of a moment: of every year from 1 to 9999 it makes a number of 18 digits, which as texts have the
order of the moments."""
_NUL, _END = "chr(0)", "chr(0) || chr(0)"


def _latest_max(names: Sequence[str], only: str) -> str:
    """The maximum (of the rows ``only``) of one text that holds the sale's moment, id and names in this order, taken to pieces again.

    A text ends with two NUL, and a NUL in it is followed by U+0001: the whole has the order of its parts, whatever is in them.
    """

    def written(name: str) -> str:
        return f"replace({quoted(name, 'local')}, {_NUL}, {_NUL} || chr(1)) || {_END}"

    def read(text: str) -> str:
        return f"replace({text}, {_NUL} || chr(1), {_NUL})"

    moment = f'CAST(CAST("timestamp" AS BIGINT) + {_EPOCH} AS STRING)'
    whole = " || ".join((moment, *(written(name) for name in ("vente_id", *names))))
    most = f"max({whole}){only}"
    parts = {
        "timestamp": f"arrow_cast(CAST(left({most}, 18) AS BIGINT) - {_EPOCH}, {timestamp_type()})",
        "vente_id": read(f"substr(split_part({most}, {_END}, 1), 19)"),
        **{name: read(f"split_part({most}, {_END}, {number + 2})") for number, name in enumerate(names)},
    }
    fields = ", ".join(f"'{name}', {sql}" for name, sql in parts.items())
    return f"named_struct({fields})"


def hour(timezone: str) -> Expression:
    """The hour of the event on the clock of a zone, 0 to 23."""
    return Expression(
        f"hour(from_utc_timestamp(`timestamp`, '{timezone}'))",
        f"date_part('hour', arrow_cast(\"timestamp\", {timestamp_type(timezone)}))",
    )


# --- over measures ---------------------------------------------------------------------------------------------------


def part(measure: str, name: str) -> Expression:
    """A field of a ``latest``."""
    return Expression(f"{{{measure}}}.{name}", f"get_field({{{measure}}}, '{name}')")


def size(measure: str) -> Expression:
    """The number of a set's members."""
    return Expression(f"size({{{measure}}})", f"cardinality({{{measure}}})")


def at_least(measure: str, limit: int) -> Expression:
    """Whether a number reaches a limit; null for null."""
    return Expression(*(f"{{{measure}}} >= {limit}",) * 2)


def ranges(measure: str, *limits: tuple[Decimal, str], below: str) -> Expression:
    """The text of the first limit that an amount reaches, from the highest down; ``below`` all of them; null for null."""

    def said(literal: Callable[[Decimal], str]) -> str:
        cases = " ".join(f"WHEN {{{measure}}} >= {literal(limit)} THEN '{text}'" for limit, text in limits)
        return f"CASE {cases} WHEN {{{measure}}} IS NOT NULL THEN '{below}' END"

    # without the cast DataFusion takes a number with a point for a float
    return Expression(said(lambda limit: f"{limit:f}BD"), said(lambda limit: f"CAST('{limit:f}' AS DECIMAL(38,10))"))


_DIGITS = 12
"""Of Spark's quotient of a DECIMAL(28,2) and a BIGINT, which is rounded half up to them, and then to cents."""
_WIDE = "DECIMAL(76,0)"
"""Holds twice a DECIMAL(28,2) in units of 10^-12, and more."""


def mean(total: str, count: str) -> Expression:
    """``total`` (EUR, DECIMAL(28,2)) by ``count``, in cents, rounded half up twice (away from 0), as Spark's decimals are; null by 0.

    DataFusion cuts a quotient of decimals off, so its quotients here are of integers without a remainder.
    """

    def halved_up(dividend: str, divisor: str) -> str:
        """dividend / divisor in integers, both not below 0: (2 a + b) / 2 b without its remainder."""
        twice = f"(({dividend}) * CAST(2 AS {_WIDE}) + ({divisor}))"
        by = f"(({divisor}) * CAST(2 AS {_WIDE}))"
        return f"CAST(({twice} - {twice} % {by}) / {by} AS {_WIDE})"

    units = f"CAST(CAST(abs({{{total}}}) AS DECIMAL(76,2)) * CAST({10**_DIGITS} AS {_WIDE}) AS {_WIDE})"
    fine = halved_up(units, f"CAST(nullif({{{count}}}, 0) AS {_WIDE})")
    cents = halved_up(fine, f"CAST({10 ** (_DIGITS - 2)} AS {_WIDE})")
    cent = f"CAST(CASE WHEN {{{total}}} < 0 THEN '-0.01' ELSE '0.01' END AS DECIMAL(3,2))"
    return Expression(
        # the type says how many digits the quotient has: a sum over net amounts, or of two sums, is wider by itself
        f"CAST(round(CAST({{{total}}} AS DECIMAL(28,2)) / nullif({{{count}}}, 0), 2) AS DECIMAL(28,2))",
        f"CAST(CAST({cents} AS DECIMAL(38,0)) * {cent} AS DECIMAL(28,2))",
        noted=f"CAST(round({{{total}}} / {{{count}}}, 2) AS DECIMAL(28,2))",
    )
