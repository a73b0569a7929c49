"""The Silver job over sales and operations on them, by the local engine: any interleaving in any batches gives the algebra's cells."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse import config
from lakehouse.contract.sale import ANNULATION, CORRECTION, RETOUR
from lakehouse.contract.tables import MEMBRES, OPERATIONS, SILVER, VENTES
from lakehouse.lake import delta_tables
from lakehouse.silver import job
from lakehouse.silver.aggregates import Aggregate
from lakehouse.silver.job import SilverJob
from lakehouse.silver.local_engine import LocalEngine
from tests.support import job_lake, lakes

SALES = lakes.sales(40, days=4)
DAY = datetime(2026, 11, 22, 20, tzinfo=UTC)


def operation(number: int, kind: str, vente_id: str, **fields: Any) -> lakes.Row:
    """A row of ``ventes_operations``."""
    return {
        **dict.fromkeys(OPERATIONS.names), "operation_id": f"o{number:03}", "operation": kind, "vente_id": vente_id,
        "timestamp": DAY, "jour": DAY.date(), "date_ingestion": DAY, "kafka_partition": 0, "kafka_offset": 1000 + number,
        "kafka_timestamp": DAY, "est_tardif": False, **fields,
    }  # fmt: skip


def back(number: int, vente_id: str, montant: str, quantite: int = 1) -> lakes.Row:
    return operation(number, RETOUR, vente_id, quantite=quantite, montant=Decimal(montant))


class Shop:
    """A lake whose Bronze tables a test writes, batch by batch, and the local engine's job over it."""

    def __init__(self, base: Path) -> None:
        env = {"VENTES_DELTA__BASE_PATH": str(base), "VENTES_ANALYTICS__ENGINE": "local"}
        self.config = config.load(env=env)
        self.batch = 0
        self.sold: list[lakes.Row] = []
        self.done: list[lakes.Row] = []

    def bronze(self, sold: Sequence[lakes.Row], done: Sequence[lakes.Row] = ()) -> None:
        clock = job_lake.CLOCK + timedelta(minutes=self.batch)
        for spec, rows in ((VENTES, sold), (OPERATIONS, done)):
            if rows:
                job_lake.append(self.config.delta.base_path, spec, rows, clock, self.batch)
        self.batch += 1
        self.sold += sold
        self.done += done

    def run(self, *, full: bool = False) -> None:
        assert SilverJob(self.config).run(full=full) == 0

    def differences(self) -> list[Any]:
        silver = SilverJob(self.config)
        return silver._verify(LocalEngine(self.config, silver._entries), 20)

    def assert_exact(self) -> None:
        """Equal to the engine's own recompute, and to the algebra in plain Python."""
        assert self.differences() == []
        expected = lakes.silver(lakes.net(self.sold, self.done))
        for entry in job.entries(self.config):
            found = lakes.contents(delta_tables.opened(entry.table, self.config)).to_pylist()
            assert cells(found, entry) == cells(expected[entry.table.name], entry), entry.table.name

    def versions(self) -> list[int]:
        return [delta_tables.opened(spec, self.config).version() for spec in (*SILVER, MEMBRES)]


def cells(rows: Sequence[lakes.Row], entry: Aggregate) -> list[tuple[object, ...]]:
    def plain(value: object) -> object:
        if isinstance(value, dict):
            return tuple(plain(item) for item in value.values())
        return value.astimezone(UTC) if isinstance(value, datetime) else value

    names = (*entry.table.keys, *entry.compared)
    return sorted((tuple(plain(row[name]) for name in names) for row in rows), key=repr)


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
        [operation(1, ANNULATION, "v00003", raison="wrong colour")],
        [back(1, "v00003", "0.50")],
        [back(1, "v00003", "1000.00", 9), back(2, "v00003", "1000.00", 9)],
        [operation(1, CORRECTION, "v00003", revision=1, pays="Chili", client_id=900, client_nom="Anaïs")],
        [operation(1, CORRECTION, "v00003", revision=1, produit_id=999, produit_nom="Lampe", montant=Decimal("1.00"))],
        [operation(n, ANNULATION, row["vente_id"]) for n, row in enumerate(SALES[:20]) if row["pays"] == SALES[0]["pays"]],
        [operation(1, ANNULATION, "v00003"), back(2, "v00003", "5.00")],
        [operation(n, ANNULATION, row["vente_id"]) for n, row in enumerate(SALES[:20])],
    ],
    ids=["cancelled", "returned", "too much", "another client", "another product", "a country", "both", "everything"],
)  # fmt: skip
def test_operations_on_sales_that_silver_holds(shop: Shop, done: list[lakes.Row]) -> None:
    shop.bronze([], done)
    shop.run()
    shop.assert_exact()
    before = shop.versions()
    shop.run()
    assert shop.versions() == before
    shop.bronze(SALES[20:])
    shop.run()
    shop.assert_exact()
    shop.run(full=True)
    shop.assert_exact()


def test_an_operation_waits_for_its_sale(shop: Shop) -> None:
    shop.bronze([], [operation(1, ANNULATION, SALES[30]["vente_id"]), back(2, SALES[31]["vente_id"], "2.00")])
    before = shop.versions()
    shop.run()
    assert shop.versions() == before
    shop.assert_exact()
    shop.bronze(SALES[20:])
    shop.run()
    shop.assert_exact()


def test_the_highest_revision_wins_and_of_equal_ones_the_greatest_id(shop: Shop) -> None:
    about = SALES[3]["vente_id"]
    for number, (revision, pays) in enumerate([(2, "Chili"), (1, "Pérou"), (2, "Japon"), (2, "Cuba")]):
        shop.bronze([], [operation((5, 9, 3, 4)[number], CORRECTION, about, revision=revision, pays=pays)])
        shop.run()
        shop.assert_exact()
    found = lakes.contents(delta_tables.opened(SILVER[1], shop.config)).to_pylist()
    assert [row["nb_annulations"] for row in found if row["pays"] == "Chili"] == [0]


PLACES = st.sampled_from([*lakes.PLACES, "Chili"])
TARGETS = st.sampled_from([row["vente_id"] for row in SALES[:10]])


@st.composite
def operations(draw: st.DrawFn, number: int) -> lakes.Row:
    kind = draw(st.sampled_from([ANNULATION, RETOUR, CORRECTION, CORRECTION]))
    about = draw(TARGETS)
    if kind == ANNULATION:
        return operation(number, kind, about, raison="r")
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
    return operation(number, kind, about, revision=draw(st.integers(1, 2)), **(fields or {"pays": "Chili"}))


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
