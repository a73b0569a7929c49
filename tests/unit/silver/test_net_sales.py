"""The laws of operations on sales: order and copies do not matter, and every step gives the recompute's cells."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.contract.sale import ANNULATION, CORRECTION, RETOUR
from lakehouse.silver.net_sales import FiguresByKey, Key, NetFigure, NetSale, Operation, Row, Story, net

Sale = Mapping[str, Any]

cents = st.integers(0, 5000).map(lambda amount: Decimal(amount) / 100)
PLACES = st.sampled_from(["France", "Suisse", "Japon"])
ids = st.sampled_from([f"v{number}" for number in range(8)])


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Sale], list[Operation]]:
    """Sales, and operations on them, on sales that never come, and on each other's ids."""
    sales = [
        {
            "vente_id": vente_id,
            "client_id": draw(st.integers(1, 3)),
            "quantite": draw(st.integers(1, 5)),
            "montant": draw(cents),
            "pays": draw(PLACES),
            "timestamp": draw(st.integers(0, 5)),
        }
        for vente_id in draw(st.sets(ids, min_size=1))
    ]
    return sales, [draw(operations(f"o{number}")) for number in range(draw(st.integers(0, 12)))]


@st.composite
def operations(draw: st.DrawFn, operation_id: str) -> Operation:
    kind = draw(st.sampled_from([ANNULATION, RETOUR, RETOUR, CORRECTION, CORRECTION]))
    if kind == RETOUR:
        given_back = {"quantite": draw(st.integers(1, 3)), "montant": draw(cents)}
        return Operation(kind, operation_id, draw(ids), fields=given_back)
    corrected = st.fixed_dictionaries(
        {}, optional={"pays": PLACES, "montant": cents, "client_id": st.integers(1, 3), "quantite": st.integers(1, 5)}
    )
    if kind == CORRECTION:
        return Operation(kind, operation_id, draw(ids), draw(st.integers(1, 3)), draw(corrected))
    return Operation(kind, operation_id, draw(ids))


TOTALS = {
    "total_transactions": NetFigure("count"),
    "revenue_total": NetFigure("sum", lambda sale: sale.fields["montant"]),
    "items_sold": NetFigure("sum", lambda sale: sale.fields["quantite"]),
    "revenu_brut": NetFigure("sum", lambda sale: sale.revenu_brut, of_cancelled=True),
    "montant_rembourse": NetFigure("sum", lambda sale: sale.montant_rembourse, of_cancelled=True),
    "nb_retours": NetFigure("sum", lambda sale: sale.nb_retours, of_cancelled=True),
    "nb_annulations": NetFigure("sum", lambda sale: int(sale.cancelled), of_cancelled=True),
}
BY_COUNTRY = FiguresByKey(
    lambda sale: sale.fields["pays"], {**TOTALS, "clients": NetFigure("set", lambda sale: sale.fields["client_id"])}
)
BY_CLIENT = FiguresByKey(
    lambda sale: sale.fields["client_id"],
    {
        **TOTALS,
        "achat_min": NetFigure("min", lambda sale: sale.fields["montant"]),
        "achat_max": NetFigure("max", lambda sale: sale.fields["montant"]),
        "_dernier": NetFigure(
            "max", lambda sale: (sale.fields["timestamp"], sale.fields["vente_id"], sale.fields["pays"])
        ),
    },
)
VIEWS = (BY_COUNTRY, BY_CLIENT)


def worth(sales: Iterable[Sale], done: Iterable[Operation]) -> list[NetSale]:
    """The definition: every sale with all of its operations."""
    known = list(done)
    return [net(sale, Story.of(one for one in known if one.vente_id == sale["vente_id"])) for sale in sales]


# --- one sale --------------------------------------------------------------------------------------------------------

SALE: Sale = {
    "vente_id": "v",
    "client_id": 1,
    "quantite": 4,
    "montant": Decimal("40.00"),
    "pays": "France",
    "timestamp": 1,
}


def returned(operation_id: str, quantite: int, montant: str) -> Operation:
    return Operation(RETOUR, operation_id, "v", fields={"quantite": quantite, "montant": Decimal(montant)})


def corrected(operation_id: str, revision: int, **fields: Any) -> Operation:
    return Operation(CORRECTION, operation_id, "v", revision, fields)


@pytest.mark.parametrize(
    ("done", "brut", "back", "left", "articles", "pays"),
    [
        ([], "40.00", "0", "40.00", 4, "France"),
        ([Operation(ANNULATION, "a", "v")], "40.00", "40.00", "0", 0, "France"),
        ([returned("a", 1, "10.00"), returned("b", 2, "19.99")], "40.00", "29.99", "10.01", 1, "France"),
        ([returned("a", 1, "10.00"), returned("a", 1, "10.00")], "40.00", "10.00", "30.00", 3, "France"),
        ([returned("a", 5, "50.00")], "40.00", "50.00", "-10.00", -1, "France"),
        ([returned("a", 1, "10.00"), Operation(ANNULATION, "b", "v")], "40.00", "40.00", "0", 0, "France"),
        ([corrected("a", 1, montant=Decimal("44.00"))], "44.00", "0", "44.00", 4, "France"),
        ([corrected("a", 2, pays="Suisse"), corrected("b", 1, pays="Japon")], "40.00", "0", "40.00", 4, "Suisse"),
        ([corrected("b", 1, pays="Suisse"), corrected("a", 1, pays="Japon")], "40.00", "0", "40.00", 4, "Suisse"),
        ([corrected("a", 2, pays="Suisse"), corrected("b", 1, montant=Decimal("44.00"))], "44.00", "0", "44.00", 4, "Suisse"),
        ([corrected("a", 1, montant=Decimal("44.00")), Operation(ANNULATION, "b", "v")], "44.00", "44.00", "0", 0, "France"),
    ],
    ids=[
        "nothing", "cancelled", "two returns", "one return twice", "more than was sold", "returned and cancelled",
        "corrected", "the highest revision", "a tie", "two fields", "corrected and cancelled",
    ],
)  # fmt: skip
def test_what_is_left_of_a_sale(
    done: list[Operation], brut: str, back: str, left: str, articles: int, pays: str
) -> None:
    for order in itertools.permutations(done):
        found = net(SALE, Story.of(order))
        amounts = (found.revenu_brut, found.montant_rembourse, found.fields["montant"])
        assert amounts == (Decimal(brut), Decimal(back), Decimal(left))
        assert (found.fields["quantite"], found.fields["pays"]) == (articles, pays)
        assert found.returned_too_much is (Decimal(left) < 0)


@given(histories(), st.data())
def test_order_copies_and_grouping_of_operations_do_not_matter(
    history: tuple[list[Sale], list[Operation]], data: st.DataObject
) -> None:
    done = [Operation(one.kind, one.operation_id, "v", one.revision, one.fields) for one in history[1]]
    copies = data.draw(st.lists(st.sampled_from(done), max_size=4)) if done else []
    shuffled = data.draw(st.permutations([*done, *copies]))
    cut = data.draw(st.integers(0, len(shuffled)))
    assert Story.of(shuffled) == Story.of(done)
    assert Story.of(shuffled[:cut]).joined(Story.of(shuffled[cut:])) == Story.of(done)


@given(histories())
def test_gross_less_what_was_paid_back_is_net_for_every_sale(history: tuple[list[Sale], list[Operation]]) -> None:
    for sale in worth(*history):
        assert sale.revenu_brut - sale.montant_rembourse == sale.fields["montant"]
        if sale.cancelled:
            assert (sale.fields["montant"], sale.fields["quantite"]) == (0, 0)


# --- figures ---------------------------------------------------------------------------------------------------------


class Lake:
    """Bronze in memory, and each view as steps have made it; a read of the sales of some keys is noted."""

    def __init__(self) -> None:
        self.sales: dict[str, Sale] = {}
        self.done: dict[str, Operation] = {}
        self.tables: list[Mapping[Key, Row]] = [{} for _ in VIEWS]
        self.read: list[set[Key]] = [set() for _ in VIEWS]

    def current(self) -> list[NetSale]:
        return worth(self.sales.values(), self.done.values())

    def add_sales(self, batch: Iterable[Sale]) -> None:
        new = {sale["vente_id"]: sale for sale in batch if sale["vente_id"] not in self.sales}
        self.sales |= new
        added = worth(new.values(), self.done.values())
        self.tables = [view.with_sales(table, added) for view, table in zip(VIEWS, self.tables, strict=True)]

    def add_operations(self, batch: Iterable[Operation]) -> None:
        new = {one.operation_id: one for one in batch if one.operation_id not in self.done}
        touched = [self.sales[vente_id] for vente_id in {one.vente_id for one in new.values()} & self.sales.keys()]
        before = worth(touched, self.done.values())
        self.done |= new
        changes = list(zip(before, worth(touched, self.done.values()), strict=True))
        tables = []
        for number, (view, table) in enumerate(zip(VIEWS, self.tables, strict=True)):

            def read(keys: Collection[Key], number: int = number, view: FiguresByKey = view) -> list[NetSale]:
                self.read[number] |= set(keys)
                return [sale for sale in self.current() if view.key(sale) in keys]

            tables.append(view.with_changes(table, changes, read))
        self.tables = tables


@given(histories(), st.data())
def test_any_interleaving_in_any_batches_equals_the_recompute_after_every_step(
    history: tuple[list[Sale], list[Operation]], data: st.DataObject
) -> None:
    sales, done = history
    everything: list[Sale | Operation] = [*sales, *done]
    copies = data.draw(st.lists(st.sampled_from(everything), max_size=4))
    stream = data.draw(st.permutations([*everything, *copies]))
    lake = Lake()
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        batch, stream = stream[:size], stream[size:]
        steps = [
            lambda batch=batch: lake.add_sales(one for one in batch if not isinstance(one, Operation)),
            lambda batch=batch: lake.add_operations(one for one in batch if isinstance(one, Operation)),
        ]
        for step in data.draw(st.permutations(steps)):
            step()
            current = lake.current()
            for view, table in zip(VIEWS, lake.tables, strict=True):
                assert table == view.recomputed(current)
    in_order = worth(sales, sorted(done, key=lambda one: one.operation_id))
    assert lake.tables == [view.recomputed(in_order) for view in VIEWS]


def test_only_keys_that_may_lose_an_extreme_or_a_member_are_read_again() -> None:
    lake = Lake()
    lake.add_sales({**SALE, "vente_id": f"v{n}", "montant": Decimal(n)} for n in range(1, 10))
    lake.add_operations([Operation(RETOUR, "a", "v5", fields={"quantite": 1, "montant": Decimal("0.50")})])
    assert lake.read == [
        set(),
        set(),
    ]  # 5.00 → 4.50, and the same client: neither the least, nor the greatest, nor gone
    lake.add_operations([Operation(ANNULATION, "b", "v9")])
    assert lake.read == [{"France"}, {1}]


def test_a_cancelled_sale_counts_in_what_was_sold_and_came_back_and_in_nothing_else() -> None:
    sales = worth([SALE, {**SALE, "vente_id": "w", "client_id": 2}], [Operation(ANNULATION, "o", "w")])
    assert BY_COUNTRY.recomputed(sales) == {
        "France": Row(
            2,
            {
                "total_transactions": 1, "revenue_total": Decimal("40.00"), "items_sold": 4, "revenu_brut": Decimal("80.00"),
                "montant_rembourse": Decimal("40.00"), "nb_retours": 0, "nb_annulations": 1, "clients": frozenset({1}),
            },
        )
    }  # fmt: skip
