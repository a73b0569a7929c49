"""What is left of a sale after its operations, and how figures over many sales follow: the algebra of decision 0033.

What a sale is worth is a function of the *set* of its operations: neither their order nor their copies matter. A table of
figures (``FiguresByKey``) over sales and operations is the recompute of what its sales are worth. Two steps lead from one such table
to the next, and both give the recompute's cells: ``with_sales`` adds new sales, and ``with_changes`` takes known sales out as they were
and puts them back as they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal

from lakehouse.contract.sale import ANNULATION, CORRIGES, RETOUR

Key = Hashable
Kind = Literal["sum", "count", "min", "max", "set"]
INVERTIBLE: frozenset[Kind] = frozenset({"sum", "count"})
"""Kinds whose value without a sale follows from the value with it: the others are recomputed."""


# --- one sale --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operation:
    """One row of the operations. ``fields``: what it holds of the sale's fields; amounts in EUR."""

    kind: str
    operation_id: str
    vente_id: str
    revision: int = 0
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Story:
    """A set of operations on one sale, summed up. ``corrections``: field → (revision, operation_id, value), the valid one."""

    cancelled: bool = False
    returns: Mapping[str, tuple[int, Decimal]] = field(default_factory=dict)
    corrections: Mapping[str, tuple[int, str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, operations: Iterable[Operation]) -> Story:
        """Operations with one ``operation_id`` are copies of one another."""
        story = cls()
        for one in operations:
            story = story.joined(cls._of_one(one))
        return story

    @classmethod
    def _of_one(cls, one: Operation) -> Story:
        if one.kind == ANNULATION:
            return cls(cancelled=True)
        if one.kind == RETOUR:
            return cls(returns={one.operation_id: (one.fields["quantite"], one.fields["montant"])})
        rank = (one.revision, one.operation_id)
        return cls(corrections={name: (*rank, value) for name, value in one.fields.items() if name in CORRIGES})

    def joined(self, other: Story) -> Story:
        """Both together: commutative, associative, and the same when something is in both."""
        corrections = dict(self.corrections)
        for name, theirs in other.corrections.items():
            mine = corrections.get(name)
            corrections[name] = theirs if mine is None or theirs[:2] > mine[:2] else mine
        return Story(self.cancelled or other.cancelled, {**self.returns, **other.returns}, corrections)


@dataclass(frozen=True)
class NetSale:
    """What a sale is worth. ``fields``: the sale's, corrected, with ``quantite`` and ``montant`` net of what came back."""

    fields: Mapping[str, Any]
    revenu_brut: Decimal
    montant_rembourse: Decimal
    nb_retours: int
    cancelled: bool

    @property
    def returned_too_much(self) -> bool:
        """More came back than was sold: counted as it was said, and listed."""
        return not self.cancelled and (self.fields["quantite"] < 0 or self.fields["montant"] < 0)


def net(sale: Mapping[str, Any], story: Story) -> NetSale:
    """The sale, as Bronze has it, after its operations. Of a cancelled sale nothing is left, whatever came back before."""
    fields = {**sale, **{name: value for name, (*_, value) in story.corrections.items()}}
    brut = fields["montant"]
    back = sum((montant for _, montant in story.returns.values()), Decimal(0))
    articles = sum(quantite for quantite, _ in story.returns.values())
    if story.cancelled:
        back, articles = brut, fields["quantite"]
    left = {"montant": brut - back, "quantite": fields["quantite"] - articles}
    return NetSale({**fields, **left}, brut, back, len(story.returns), story.cancelled)


# --- figures over many sales -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NetFigure:
    """``of`` a sale that is not cancelled; with ``of_cancelled`` of every sale."""

    kind: Kind
    of: Callable[[NetSale], Any] = lambda _: 1
    of_cancelled: bool = False

    def counts(self, sale: NetSale) -> bool:
        """Whether the sale is among those that are measured."""
        return self.of_cancelled or not sale.cancelled


@dataclass(frozen=True)
class Row:
    """The figures of one key, of ``sales`` sales, cancelled ones included: without any, there is no row."""

    sales: int
    values: Mapping[str, Any]


Table = Mapping[Key, Row]


@dataclass(frozen=True)
class FiguresByKey:
    """One table of figures: a sale's key, after correction, and the measures over the sales of a key."""

    key: Callable[[NetSale], Key]
    measures: Mapping[str, NetFigure]

    def recomputed(self, sales: Iterable[NetSale]) -> dict[Key, Row]:
        """The table over these sales."""
        groups: dict[Key, list[NetSale]] = defaultdict(list)
        for sale in sales:
            groups[self.key(sale)].append(sale)
        return {key: Row(len(group), self._values(group)) for key, group in groups.items()}

    def _values(self, group: Collection[NetSale]) -> dict[str, Any]:
        return {name: _measured(one, group) for name, one in self.measures.items()}

    def with_sales(self, table: Table, sales: Iterable[NetSale]) -> dict[Key, Row]:
        """The table with new sales: every kind merges, and nothing else is read."""
        found = dict(table)
        for key, new in self.recomputed(sales).items():
            old = found.get(key)
            if old is None:
                found[key] = new
                continue
            merged = {
                name: _merged(one.kind, old.values[name], new.values[name]) for name, one in self.measures.items()
            }
            found[key] = Row(old.sales + new.sales, merged)
        return found

    def with_changes(
        self,
        table: Table,
        changes: Iterable[tuple[NetSale, NetSale]],
        read: Callable[[Collection[Key]], Iterable[NetSale]],
    ) -> dict[Key, Row]:
        """The table after known sales have changed, each from what it was to what it is. ``read`` gives all sales of some keys, as they
        are now: it is asked for the keys in ``to_recompute`` alone."""
        pairs = list(changes)
        out = self.recomputed(before for before, _ in pairs)
        into = self.recomputed(after for _, after in pairs)
        found = dict(table)
        for key in out.keys() | into.keys():
            row = _shifted(self.measures, found.get(key), out.get(key), into.get(key))
            if row is None:
                found.pop(key, None)
            else:
                found[key] = row
        asked = self.to_recompute(table, pairs) & found.keys()
        for key, row in self.recomputed(read(asked)).items() if asked else ():
            if key in asked:
                found[key] = replace(found[key], values={**found[key].values, **self._read_again(row)})
        return found

    def _read_again(self, row: Row) -> dict[str, Any]:
        return {name: row.values[name] for name, one in self.measures.items() if one.kind not in INVERTIBLE}

    def to_recompute(self, table: Table, changes: Iterable[tuple[NetSale, NetSale]]) -> set[Key]:
        """The keys in which a measure that has no inverse may lose what it holds: the least, the greatest, or a member."""
        found: set[Key] = set()
        for before, after in changes:
            key = self.key(before)
            for name, one in self.measures.items():
                if one.kind in INVERTIBLE or not one.counts(before):
                    continue
                stays = self.key(after) == key and one.counts(after) and one.of(after) == one.of(before)
                if not stays and _may_hold(one.kind, table[key].values[name], one.of(before)):
                    found.add(key)
        return found


def _measured(measure: NetFigure, group: Iterable[NetSale]) -> Any:
    values = [measure.of(sale) for sale in group if measure.counts(sale)]
    match measure.kind:
        case "sum" | "count":
            return sum(values, Decimal(0) if values and isinstance(values[0], Decimal) else 0)
        case "min":
            return min(values, default=None)
        case "max":
            return max(values, default=None)
        case "set":
            return frozenset(values)


def _merged(kind: Kind, old: Any, new: Any) -> Any:
    if kind in INVERTIBLE:
        return old + new
    if kind == "set":
        return old | new
    if old is None or new is None:
        return new if old is None else old
    return min(old, new) if kind == "min" else max(old, new)


def _may_hold(kind: Kind, held: Any, value: Any) -> bool:
    """Whether the measure's value may rest on this one, so that it cannot be kept without it."""
    return value in held if kind == "set" else held == value


def _shifted(measures: Mapping[str, NetFigure], row: Row | None, out: Row | None, into: Row | None) -> Row | None:
    """A row after sales went out of it and others came in; what has no inverse keeps what went out, to be recomputed."""
    sales = (row.sales if row else 0) - (out.sales if out else 0) + (into.sales if into else 0)
    if not sales:
        return None
    values: dict[str, Any] = {}
    for name, one in measures.items():
        held = row.values[name] if row else _measured(one, ())
        if out and one.kind in INVERTIBLE:
            held -= out.values[name]
        values[name] = _merged(one.kind, held, into.values[name]) if into else held
    return Row(sales, values)
