"""The Silver job over sales and operations on them, by the local engine: any interleaving in any batches gives the algebra's cells."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.contract.sale import ANNULATION, CORRECTION, RETOUR
from lakehouse.contract.table_properties import ERASE
from lakehouse.contract.tables import (
    BESIDE,
    CORRECTIONS,
    GENERATIONS,
    MEMBRES,
    OPERATIONS,
    PAR_SEGMENT,
    SILVER,
    VENTES,
    TableSpec,
)
from lakehouse.errors import CheckpointInvalid, LakehouseError
from lakehouse.lake import cuts, delta_tables, job_progress
from lakehouse.silver import job
from lakehouse.silver.local_sink import LocalSink
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
    shop.assert_algebra()
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
        shop.assert_algebra()
    assert shop.differences() == []
    places = {row["pays"] for row in shop.contents(SILVER[1])}
    assert "Chili" in places and not places & {"Pérou", "Cuba"}


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


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_interleaving_in_any_batches_gives_the_cells_of_one_computation(data: st.DataObject) -> None:
    """Bronze holds each sale and each operation once (its own tests say so): copies are left out there."""
    done = [data.draw(operations(number)) for number in range(data.draw(st.integers(1, 8)))]
    stream = data.draw(st.permutations([*(("sale", row) for row in SALES[:10]), *(("operation", row) for row in done)]))
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(Path(folder))
        shop.bronze([SALES[39]])
        while stream:
            size = data.draw(st.integers(min(4, len(stream)), len(stream)))
            batch, stream = stream[:size], stream[size:]
            sold, new = ([row for kind, row in batch if kind == one] for one in ("sale", "operation"))
            shop.bronze(sold, new)
            if data.draw(st.booleans()):
                shop.run()
                shop.assert_algebra()
        shop.run()
        shop.assert_exact()


STEPS = [
    ("_record", 2, True),  # the first is that of the sales
    ("_change_members", 1, False),
    ("_change_members", 1, True),
    ("_shift", 1, False),
    ("_shift", 1, True),
    ("_shift", 4, True),
    ("_shift", len(SILVER), True),
]


def crash(monkeypatch: pytest.MonkeyPatch, method: str, at: int, *, after: bool) -> list[int]:
    """The ``at``-th call of a ``LocalSink`` method raises, before or after its work. The calls."""
    real, calls = getattr(LocalSink, method), []

    def step(sink: LocalSink, *args: Any) -> Any:
        calls.append(len(calls))
        if len(calls) != at:
            return real(sink, *args)
        if after:
            real(sink, *args)
        raise OSError("injected: the machine stopped here")

    monkeypatch.setattr(LocalSink, method, step)
    return calls


def test_faults_at_every_point_of_a_step_are_made_good_by_the_next_pass(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, (method, at, after) in enumerate(STEPS):
        shop.bronze(
            [SALES[20 + number]], [cancelled(number, SALES[number]["vente_id"]), back(100 + number, "v00019", "1.00")]
        )
        with monkeypatch.context() as patch:
            calls = crash(patch, method, at, after=after)
            with pytest.raises(LakehouseError, match=r"pass failed: .*Nothing is lost"):
                shop.run()
        assert len(calls) == at
        position = job_progress.silver(shop.config)
        assert position is not None and not position.settled
    shop.run()
    shop.assert_exact()
    lots = [(row["lot"], row["jour"], row["pays"], row["segment"]) for row in shop.contents(CORRECTIONS)]
    assert len(lots) == len(set(lots))


def test_a_lake_of_an_earlier_release_goes_on_without_a_rebuild(shop: Shop) -> None:
    """Its tables gain the columns, with what is right while no operation is known; the progress without operations means none was read."""
    for entry in job.entries(shop.config):
        spec = entry.table
        kept = tuple(one for one in spec.columns if one not in BESIDE)
        rows = lakes.arrow_table(dataclasses.replace(spec, columns=kept), shop.contents(spec))
        write_deltalake(
            spec.path(shop.config.delta.base_path), rows, mode="overwrite", schema_mode="overwrite",
            partition_by=list(spec.partition_by) or None,
        )  # fmt: skip
    assert "operations_version" not in shop.contents(GENERATIONS)[-1]
    shop.bronze(SALES[20:30], [cancelled(1, SALES[2]["vente_id"])])
    shop.run()
    shop.assert_exact()
    assert len({row["generation"] for row in shop.contents(GENERATIONS)}) == 1
    before = versions(shop)
    shop.run()
    assert versions(shop) == before


def test_a_pass_without_operations_reads_nothing_of_them(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = delta_tables.opened

    def noted(spec: TableSpec, *args: Any, **options: Any) -> DeltaTable:
        opened.append(spec.name)
        return real(spec, *args, **options)

    monkeypatch.setattr(delta_tables, "opened", noted)
    shop.bronze(SALES[20:])
    shop.run()
    assert VENTES.name in opened and OPERATIONS.name not in opened
    steps = list(Path(shop.config.delta.base_path, "checkpoints").glob("silver-*/operations*"))
    assert steps == []


def test_the_progress_and_the_cut_name_the_version_of_the_operations(shop: Shop) -> None:
    def at() -> tuple[int | None, int]:
        cut, position = cuts.newest(shop.config), job_progress.silver(shop.config)
        assert cut is not None and position is not None and position.settled
        named = cut.tables.get(OPERATIONS.name)
        return named.version if named else None, position.operations_version

    assert at() == (None, -1)
    for number in range(2):
        shop.bronze([], [back(number, "v00001", "1.00")])
        shop.run()
        assert at() == (number, number)
    shop.run(full=True)
    assert at() == (1, 1)
    assert max(shop.contents(GENERATIONS), key=lambda row: row["date_etat"])["operations_version"] == 1
    shop.assert_exact()


def test_operations_that_an_erasure_took_away_ask_for_a_build(shop: Shop) -> None:
    shop.bronze([], [corrected(1, "v00001", client_id=900), back(2, "v00002", "1.00")])
    shop.run()
    delta_tables.delete(OPERATIONS, shop.config, "operation_id = 'o001'", what=ERASE, erasure="e")
    shop.done = shop.done[1:]
    shop.run()
    shop.assert_exact()
    assert len({row["generation"] for row in shop.contents(GENERATIONS)}) == 2


def test_a_damaged_plan_of_a_step_is_refused_with_the_next_command(shop: Shop) -> None:
    shop.bronze([], [back(1, "v00001", "1.00")])
    shop.run()
    (plan,) = Path(shop.config.delta.base_path, "checkpoints").glob("silver-*/operations/0")
    plan.write_text('{"number": 0')
    with pytest.raises(CheckpointInvalid, match=r"operations/0 is missing or damaged.*ops_utils\.py rebuild silver"):
        shop.run()


@pytest.mark.parametrize("day", [0, 1], ids=["on that day", "on another day alone"])
def test_what_another_client_still_holds_of_a_key_stays(shop: Shop, day: int) -> None:
    """A country of a segment, and the latest name of a product: the touched client's own sales do not tell."""
    first = {**SALES[0], "vente_id": "w1", "client_id": 501, "pays": "Pérou", "produit_id": 900, "produit_nom": "Lampe"}
    moment = first["timestamp"] + timedelta(days=day) - timedelta(seconds=1)
    other = {
        **first,
        "vente_id": "w2",
        "client_id": 502,
        "produit_nom": "Île",
        "timestamp": moment,
        "jour": moment.date(),
    }
    shop.bronze([first, other])
    shop.run()
    shop.bronze([], [cancelled(1, "w1")])
    shop.run()
    shop.assert_exact()
    (segment,) = (row for row in shop.contents(PAR_SEGMENT) if row["segment"] == first["segment"])
    assert "Pérou" in segment["_pays"]


def test_a_country_that_was_found_again_stays_while_another_segment_is_looked_for_further_back(shop: Shop) -> None:
    """Of two segments that lose a country's sale in one step, one has another sale of it on that day, the other on another day."""
    moment = SALES[0]["timestamp"]
    before = moment - timedelta(days=1)

    def sold(name: str, client: int, segment: str, when: Any, pays: str) -> lakes.Row:
        fields = {"vente_id": name, "client_id": client, "segment": segment, "pays": pays}
        return {**SALES[0], **fields, "timestamp": when, "jour": when.date()}

    shop.bronze([
        sold("w1", 601, "Particulier", moment, "Pérou"), sold("w2", 602, "Particulier", moment, "Pérou"),
        sold("w3", 603, "Entreprise", moment, "Togo"), sold("w4", 604, "Entreprise", before, "Togo"),
    ])  # fmt: skip
    shop.run()
    shop.bronze([], [cancelled(1, "w1"), cancelled(2, "w3")])
    shop.run()
    shop.assert_exact()
    held = {row["segment"]: row["_pays"] for row in shop.contents(PAR_SEGMENT)}
    assert "Pérou" in held["Particulier"] and "Togo" in held["Entreprise"]


def test_two_operations_to_which_a_sender_gave_one_id_both_count_once(shop: Shop) -> None:
    """With another event time the second is a row of its own in Bronze, which reconcile names."""
    first = back(1, "v00003", "1.00")
    shop.bronze([], [first])
    shop.run()
    shop.bronze([], [{**first, "timestamp": first["timestamp"] + timedelta(days=3), "kafka_offset": 5000}])
    shop.run()
    assert {one.table for one in shop.differences()} == {OPERATIONS.name}, "the doubled id is named; the figures agree"
