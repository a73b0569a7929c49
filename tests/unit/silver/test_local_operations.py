"""The Silver job over sales and operations on them, by the local engine: any interleaving in any batches gives the algebra's cells."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.contract.sale import ANNULATION, CORRECTION, RETOUR
from lakehouse.contract.tables import MEMBRES, SILVER
from lakehouse.lake import delta_tables
from tests.support import lakes
from tests.support.operations import Shop, back, cancelled, corrected

SALES = lakes.sales(40, days=4)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Built, without operations."""
    made = Shop(tmp_path / "lake")
    made.bronze(SALES[:20])
    made.run()
    yield made


@pytest.mark.parametrize(
    "done",
    [
        [cancelled(1, "v00003")],
        [back(1, "v00003", "0.50")],
        [back(1, "v00003", "1000.00", 9), back(2, "v00003", "1000.00", 9)],
        [corrected(1, "v00003", pays="Chili", client_id=900, client_nom="Anaïs")],
        [corrected(1, "v00003", produit_id=999, produit_nom="Lampe", montant=Decimal("1.00"))],
        [cancelled(n, row["vente_id"]) for n, row in enumerate(SALES[:20]) if row["pays"] == SALES[0]["pays"]],
        [cancelled(1, "v00003"), back(2, "v00003", "5.00")],
        [cancelled(n, row["vente_id"]) for n, row in enumerate(SALES[:20])],
    ],
    ids=["cancelled", "returned", "too much", "another client", "another product", "a country", "both", "everything"],
)  # fmt: skip
def test_operations_on_sales_that_silver_holds(shop: Shop, done: list[lakes.Row]) -> None:
    shop.bronze([], done)
    shop.run()
    shop.assert_exact()
    before = versions(shop)
    shop.run()
    assert versions(shop) == before
    shop.bronze(SALES[20:])
    shop.run()
    shop.assert_exact()
    shop.run(full=True)
    shop.assert_exact()


def test_an_operation_waits_for_its_sale(shop: Shop) -> None:
    shop.bronze([], [cancelled(1, SALES[30]["vente_id"]), back(2, SALES[31]["vente_id"], "2.00")])
    before = versions(shop)
    shop.run()
    assert versions(shop) == before
    shop.assert_exact()
    shop.bronze(SALES[20:])
    shop.run()
    shop.assert_exact()


def test_the_highest_revision_wins_and_of_equal_ones_the_greatest_id(shop: Shop) -> None:
    about = SALES[3]["vente_id"]
    for number, (revision, pays) in enumerate([(2, "Chili"), (1, "Pérou"), (2, "Japon"), (2, "Cuba")]):
        shop.bronze([], [corrected((5, 9, 3, 4)[number], about, revision, pays=pays)])
        shop.run()
        shop.assert_exact()
    found = shop.contents(SILVER[1])
    assert [row["nb_annulations"] for row in found if row["pays"] == "Chili"] == [0]


def versions(shop: Shop) -> list[int]:
    return [delta_tables.opened(spec, shop.config).version() for spec in (*SILVER, MEMBRES)]


PLACES = st.sampled_from([*lakes.PLACES, "Chili"])
TARGETS = st.sampled_from([row["vente_id"] for row in SALES[:10]])


@st.composite
def operations(draw: st.DrawFn, number: int) -> lakes.Row:
    kind = draw(st.sampled_from([ANNULATION, RETOUR, CORRECTION, CORRECTION]))
    about = draw(TARGETS)
    if kind == ANNULATION:
        return cancelled(number, about)
    if kind == RETOUR:
        return back(number, about, str(Decimal(draw(st.integers(0, 200_000))) / 100), draw(st.integers(1, 9)))
    fields = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "pays": PLACES,
                "client_id": st.integers(1, 4),
                "produit_id": st.integers(101, 103),
                "produit_nom": st.sampled_from(["Lampe", "Île"]),
                "montant": st.integers(0, 200_000).map(lambda cents: Decimal(cents) / 100),
                "quantite": st.integers(1, 9),
                "segment": st.sampled_from(["Particulier", "Entreprise"]),
            },
        )
    )
    return corrected(number, about, draw(st.integers(1, 2)), **(fields or {"pays": "Chili"}))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_interleaving_in_any_batches_gives_the_cells_of_one_computation(data: st.DataObject) -> None:
    """Bronze holds each sale and each operation once (its own tests say so): copies are left out there."""
    done = [data.draw(operations(number)) for number in range(data.draw(st.integers(1, 8)))]
    stream = data.draw(st.permutations([*(("sale", row) for row in SALES[:10]), *(("operation", row) for row in done)]))
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder))
        shop.bronze([SALES[39]])
        while stream:
            size = data.draw(st.integers(1, len(stream)))
            batch, stream = stream[:size], stream[size:]
            sold, new = ([row for kind, row in batch if kind == one] for one in ("sale", "operation"))
            shop.bronze(sold, new)
            if data.draw(st.booleans()):
                shop.run()
                shop.assert_exact()
        shop.run()
        shop.assert_exact()
