"""Reconciliation, --explain and backups of a lake whose figures hold operations."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lakehouse.contract.tables import CORRECTIONS, MEMBRES, OPERATIONS, PAR_PAYS, SILVER, VENTES
from lakehouse.errors import LakehouseError
from lakehouse.explorer.queries import revenue
from lakehouse.explorer.queries.model import Filters
from lakehouse.lake import cuts, delta_tables
from lakehouse.lake.reader import Lake
from lakehouse.maintenance import retention
from lakehouse.operations.commands.explain import explain
from lakehouse.operations.reconcile import audit_evidence, foreign_commits, silver
from lakehouse.operations.recovery import snapshot
from lakehouse.silver.local_sink import LocalSink
from tests.support import lakes
from tests.support.lakes import START
from tests.support.operations import DAY, Shop, back, cancelled, corrected

SALES = lakes.sales(40, days=4)
IDS = [row["vente_id"] for row in SALES]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Some sales were cancelled, returned and corrected; one operation waits for its sale."""
    made = Shop(tmp_path / "lake")
    made.bronze(SALES[:20])
    made.run()
    made.bronze([], [cancelled(1, IDS[3]), back(2, IDS[4], "9999.00", 20), corrected(3, IDS[5], pays="Chili")])
    made.run()
    made.bronze(SALES[20:30], [cancelled(4, IDS[35])])
    made.run()
    yield made


def differing(shop: Shop) -> list[str]:
    found = silver.settled(shop.config, lambda: None)
    assert found is not None
    tables = silver.compare(found[1], silver.FIGURES, shop.config.analytics.timezone.key, lambda _: None)
    return [named for table in tables for named in table.named]


def test_silver_is_compared_with_the_sales_after_their_operations(shop: Shop) -> None:
    assert differing(shop) == []
    for column, one in (("montant_rembourse", "1"), ("nb_annulations", "1"), ("revenue_total", "-1")):
        delta_tables.opened(PAR_PAYS, shop.config).update(
            updates={column: f"{column} + {one}"}, predicate="pays = 'Chili'"
        )
    (named,) = differing(shop)
    assert all(said in named for said in ("pays=Chili", "montant_rembourse €1.00", "nb_annulations 1", "revenue €"))


def test_operations_that_wait_are_listed_by_age_and_so_are_returns_above_the_sale(shop: Shop) -> None:
    found = silver.settled(shop.config, lambda: None)
    assert found is not None
    said = "1 operation waits for the sale: 1 {}. By partition@offset, the oldest first: 0@1004 of 2026-11-22 20:00"
    for days, age in ((0, "for less than a day"), (2, "for 1 to 7 days"), (9, "for longer")):
        assert silver.unmatched(found[1], DAY + timedelta(days=days)) == [said.format(age)]
    sale = SALES[4]
    place = f"{sale['kafka_partition']}@{sale['kafka_offset']}"
    assert silver.returned_too_much(found[1]) == [
        f"More came back than was sold of 1 sale, by partition@offset: {place}"
    ]
    shop.bronze(SALES[30:])
    shop.run()
    found = silver.settled(shop.config, lambda: None)
    assert found is not None and silver.unmatched(found[1], DAY) == [] and differing(shop) == []


def test_the_commits_of_steps_are_the_jobs_own(shop: Shop) -> None:
    found = silver.settled(shop.config, lambda: None)
    assert found is not None

    def looked() -> list[str]:
        evidence = audit_evidence.read(shop.config)
        return [one.text for one in foreign_commits.look(shop.config, found[1], foreign_commits.OF_SILVER, evidence, {}).findings]  # fmt: skip

    assert looked() == []
    for plan in Path(shop.config.delta.base_path, "checkpoints").glob("silver-*/operations*/*"):
        plan.unlink()  # so that their commits claim steps that nobody has planned
    assert {text.split()[0] for text in looked()} == {spec.name for spec in (*SILVER, MEMBRES, CORRECTIONS)}
    assert all("the checkpoint has planned no step after -1" in text for text in looked())


@pytest.mark.parametrize("key", ["Chili", SALES[3]["pays"]])
def test_explain_goes_from_a_net_figure_to_the_sales_and_their_operations(shop: Shop, key: str) -> None:
    found = explain(["ventes_par_pays", key], 50, shop.config)
    assert found.code == 0 and found.data["equal"] is True
    about = [one for one in shop.done if one["vente_id"] in {row["vente_id"] for row in found.data["listed"]}]
    assert about and [row["operation_id"] for row in found.data["operations"]] == [one["operation_id"] for one in about]


def test_a_backup_taken_within_a_step_holds_all_of_it_or_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot.capture(shop.config)
    shop.bronze([], [back(5, IDS[0], "1.00")])
    with monkeypatch.context() as patch, pytest.raises(LakehouseError, match="The Silver pass failed"):
        patch.setattr(LocalSink, "_committed", lambda *_: (_ for _ in ()).throw(OSError("injected")))
        shop.run()
    within = snapshot.capture(shop.config)
    names = {name for name in before.tables if name in {spec.name for spec in (*SILVER, MEMBRES)}}
    assert {name: within.tables[name] for name in names} == {name: before.tables[name] for name in names}
    assert within.tables[OPERATIONS.name] == before.tables[OPERATIONS.name] + 1
    steps = [sorted(one.file.path.rpartition("/")[2] for one in made.sources if "/operations" in one.file.path and "checkpoints" in one.file.path) for made in (before, within)]  # fmt: skip
    assert steps[0] == steps[1] == ["0", "0", "1", "1"]
    shop.run()
    assert snapshot.capture(shop.config).tables[PAR_PAYS.name] == before.tables[PAR_PAYS.name] + 1


def test_what_the_explorer_works_out_from_bronze_is_net_as_silver_is(shop: Shop) -> None:
    """At the last cut, with filters and without."""
    cut = cuts.newest(shop.config)
    assert cut is not None
    lake = Lake.of(shop.config, cut=cut)
    expected = lakes.live(lakes.net(shop.sold, shop.done))
    totals = lake.read(revenue.totals(Filters())).rows[0]
    euros = sum(row["montant"] for row in expected)
    assert totals[:2] == (len(expected), euros)
    by_country = lake.read(revenue.revenue_by_country(Filters())).rows
    assert sum(row[2] for row in by_country) == euros
    one_country = lake.read(revenue.revenue_by_country(Filters(pays=("Chili",)))).rows
    assert [row[:3] for row in one_country] == [row[:3] for row in by_country if row[0] == "Chili"]
    assert len(lake.read(revenue.extremes(Filters())).rows) == len(expected)


def test_what_retention_takes_leaves_the_figures_with_what_its_sales_were_worth(tmp_path: Path) -> None:
    """And it waits for Silver while there are operations that may be about these sales."""
    shop = Shop(tmp_path / "lake", DELTA__RETENTION_DAYS_BRONZE="30")
    shop.clock = START - timedelta(days=1)
    shop.bronze(SALES)
    shop.run()
    old = [row for row in SALES if row["jour"] < START.date() + timedelta(days=2)]
    shop.bronze(
        [],
        [cancelled(1, old[0]["vente_id"]), back(2, old[1]["vente_id"], "2.00"), back(3, SALES[-1]["vente_id"], "1.00")],
    )
    now = START + timedelta(days=32)

    def due() -> retention.Due:
        found = retention.due(shop.config, VENTES, now=now)
        assert found is not None and found.rows == len(old)
        return found

    assert due().waits == "Silver has not merged the newest operations on some of them yet: python streaming_silver.py"
    shop.run()
    assert due().waits is None and retention.apply(shop.config, due()) == len(old)
    shop.run()
    position, lake = silver.settled(shop.config, lambda: None) or (None, None)
    assert position is not None and lake is not None
    kept = retention.kept(shop.config, lake)
    zone = shop.config.analytics.timezone.key
    tables = silver.compare(lake, silver.FIGURES, zone, lambda _: None, kept)
    assert len(kept.removed) == 1 and [table.named for table in tables] == [()] * len(tables)
    expected = sum(row["montant"] for row in lakes.net(shop.sold, shop.done))
    assert sum(row["revenue_total"] for row in shop.contents(PAR_PAYS)) == expected
