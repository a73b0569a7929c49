"""Retention: what is removed is on record, and everything still adds up."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from lakehouse import config
from lakehouse.contract.tables import AGGREGES, PAR_PAYS, REJETS, RETRAITS, SOMMES, VENTES
from lakehouse.errors import ConfigError
from lakehouse.maintenance import retention, scheduler
from lakehouse.wording import euros
from tests.support import job_lake
from tests.support.kills import killed_at
from tests.support.maintained import Run, clean_record, reconciled, rows, silver_has_all

# --- retention -------------------------------------------------------------------------------------------------------


def keep(monkeypatch: pytest.MonkeyPatch, what: str, before: date) -> None:
    """Set the retention so that days before ``before`` go."""
    kept = (datetime.now(UTC).date() - before).days
    monkeypatch.setenv("VENTES_KAFKA__RETENTION", "1 second")
    monkeypatch.setenv(f"VENTES_DELTA__RETENTION_DAYS_{what}", str(kept))


def split_day(base: str) -> date:
    days = sorted({row["jour"] for row in rows(base)})
    found: date = days[len(days) // 2]
    return found


@pytest.fixture
def old(base: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The sales arrived on their own days, as they would have: arrival is an age too."""
    monkeypatch.setattr(retention.Removal, "where", lambda self, alias="": f"{alias}jour < DATE '{self.day}'")
    return base


def test_by_default_everything_is_kept_for_ever(base: str) -> None:
    assert rows(base)
    assert scheduler.plan(config.load(), "bronze").due == () == scheduler.plan(config.load(), "silver").due


def test_a_retention_shorter_than_kafkas_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENTES_DELTA__RETENTION_DAYS_BRONZE", "3")
    with pytest.raises(
        ConfigError, match=r"retention_days_bronze \(3 days\) may not be shorter than \[KAFKA\] retention"
    ):
        config.load()


def test_a_sale_of_long_ago_that_came_now_stays(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All sales of the lake arrived on one day; those of the days before it go by that day and no sooner."""
    for after, gone in ((0, 0), (1, len(rows(base)))):
        keep(monkeypatch, "BRONZE", job_lake.CLOCK.date() + timedelta(days=after))
        (found,) = [one for one in scheduler.plan(config.load(), "bronze").due if one.spec is VENTES]
        assert found.rows == gone


def test_what_retention_takes_out_of_bronze_is_on_record_and_everything_still_adds_up(
    run: Run, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean_record(run)
    day, all_rows = split_day(old), rows(old)
    went = [row for row in all_rows if row["jour"] < day]
    keep(monkeypatch, "BRONZE", day)
    code, out = run("maintain", "bronze", "--dry-run")
    amount = sum((row["montant"] for row in went), Decimal(0))
    assert code == 0 and f"Retention: {len(went)} rows, {euros(amount)}, of ventes_stream" in out
    assert run("maintain", "bronze")[0] == 2 and rows(old) == all_rows, "it has to be confirmed"

    assert run("maintain", "bronze", "--yes")[0] == 0
    assert rows(old) == [row for row in all_rows if row["jour"] >= day]
    sums = rows(old, SOMMES)
    for dimension in ("pays", "segment"):
        mine = [one for one in sums if one["dimension"] == dimension]
        assert (sum(one["ventes"] for one in mine), sum(one["montant"] for one in mine)) == (len(went), amount)
    places = {
        (one["kafka_partition"], o)
        for one in rows(old, RETRAITS)
        for o in range(one["premier_offset"], one["dernier_offset"] + 1)
    }
    assert places == {(row["kafka_partition"], row["kafka_offset"]) for row in went}
    assert "client" not in repr(sums) + repr(rows(old, RETRAITS))

    record = clean_record(run)
    assert sum(line["removed"] for line in record["per_partition"]) == len(went)
    silver_has_all(old)
    record = clean_record(run)
    assert any("were not compared" in note for note in record["notes"])
    assert run("maintain", "bronze", "--yes")[0] == 0 and len(rows(old, SOMMES)) == len(sums), (
        "nothing is left to remove"
    )


def test_after_a_removal_one_cent_is_still_found_in_a_total_and_in_a_day_that_is_held(
    run: Run, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(monkeypatch, "BRONZE", split_day(old))
    assert run("maintain", "bronze", "--yes")[0] == 0
    silver_has_all(old)
    job_lake.table(old, PAR_PAYS).update(updates={"revenue_total": "revenue_total + 0.01"}, predicate="pays = 'Japon'")
    row = max(rows(old, AGGREGES), key=lambda one: str(one["jour"]))
    job_lake.table(old, AGGREGES).update(
        updates={"total_depense": "total_depense + 0.01"},
        predicate=f"client_id = {row['client_id']} AND jour = '{row['jour']}'",
    )
    found = [text for text in reconciled(run) if "UPDATE" not in text]
    assert [text.split()[0] for text in found] == ["ventes_aggreges", "ventes_par_pays"]


def test_retention_waits_for_silver(run: Run, old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    day = split_day(old)
    row = next(row for row in rows(old) if row["jour"] < day)
    job_lake.append(
        old, VENTES, [{**row, "vente_id": "late", "kafka_offset": 900}], job_lake.CLOCK + timedelta(minutes=5), 2
    )
    count = len(rows(old))
    keep(monkeypatch, "BRONZE", day)
    code, out = run("maintain", "bronze", "--yes")
    assert code == 0 and "They stay for now: Silver has not merged 1 of them yet" in out and len(rows(old)) == count


@pytest.mark.parametrize(
    ("function", "number"),
    [
        ("lakehouse.maintenance.retention:_record", 1),
        ("lakehouse.lake.delta_tables:append", 1),
        ("lakehouse.maintenance.retention:_delete", 1),
    ],
)
def test_a_removal_that_is_killed_is_finished_by_the_next_and_counted_once(
    run: Run, base: str, monkeypatch: pytest.MonkeyPatch, function: str, number: int
) -> None:
    count = len(rows(base))
    keep(monkeypatch, "BRONZE", job_lake.CLOCK.date() + timedelta(days=1))
    killed_at(base, function, ["maintain", "bronze", "--yes"], number=number)
    record = clean_record(run)
    standing = len(rows(base))
    assert standing == (0 if function.endswith("_delete") else count)
    assert sum(line["removed"] for line in record["per_partition"]) == count - standing
    assert run("maintain", "bronze", "--yes")[0] == 0
    assert rows(base) == []
    sums = [one for one in rows(base, SOMMES) if one["dimension"] == "pays"]
    assert sum(one["ventes"] for one in sums) == count
    assert sum(line["removed"] for line in clean_record(run)["per_partition"]) == count


def test_rejects_and_silver_have_ages_of_their_own(run: Run, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    day, count = split_day(base), len(rows(base))
    keep(monkeypatch, "SILVER", day)
    monkeypatch.setenv(
        "VENTES_DELTA__RETENTION_DAYS_REJECTS", str((datetime.now(UTC).date() - job_lake.CLOCK.date()).days - 1)
    )
    totals = rows(base, PAR_PAYS)
    bad = len(rows(base, REJETS))
    assert bad and run("maintain", "--yes")[0] == 0
    assert (len(rows(base)), rows(base, REJETS), rows(base, PAR_PAYS)) == (count, [], totals)
    assert min(row["jour"] for row in rows(base, AGGREGES)) >= day
    assert retention.kept_from(config.load(), AGGREGES) == day
    record = clean_record(run)
    assert sum(line["removed"] for line in record["per_partition"]) == bad
    assert f"ventes_aggreges is compared from {day} on: retention" in record["notes"]
