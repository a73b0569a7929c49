"""Every figure of the explorer against plain Python over the same sales; money to the cent, order included."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder, write_deltalake

from lakehouse.contract import tables
from lakehouse.contract.sale import MAX_AMOUNT
from lakehouse.explorer.queries import model, registry
from lakehouse.explorer.queries.clients import RFM_RULES
from lakehouse.explorer.queries.model import Filters, average
from lakehouse.explorer.queries.registry import ENTRIES, entry
from lakehouse.lake.query import Query, literal
from lakehouse.lake.reader import Lake
from lakehouse.lake.result import Result
from tests.support import lakes
from tests.support.lakes import Row, group, money

EVERYTHING = Filters()
NARROW = Filters(date(2026, 11, 12), date(2026, 11, 19), ("France", "Côte d'Ivoire"), ("Entreprise",))
CASES = [EVERYTHING, Filters(du=date(2026, 11, 13)), Filters(au=date(2026, 11, 13)), Filters(pays=("Japon",)), NARROW]


@pytest.fixture(scope="module")
def lake(base: str) -> Lake:
    return Lake(base)


def kept(filters: Filters) -> list[Row]:
    return [
        row
        for row in lakes.sales()
        if (filters.du is None or row["jour"] >= filters.du)
        and (filters.au is None or row["jour"] <= filters.au)
        and (not filters.pays or row["pays"] in filters.pays)
        and (not filters.segment or row["segment"] in filters.segment)
    ]


def ask(lake: Lake, name: str, filters: Filters = EVERYTHING) -> Result:
    return lake.read(entry(name).query(filters))


def sums(rows: Sequence[Row]) -> tuple[int, Decimal, Decimal, int, int]:
    revenue = sum((row["montant"] for row in rows), Decimal(0))
    clients = {row["client_id"] for row in rows}
    return len(rows), revenue, money(revenue / len(rows)), sum(row["quantite"] for row in rows), len(clients)


def percent(part: Decimal, whole: Decimal) -> Decimal:
    return (100 * part / whole).quantize(Decimal("0.1"), ROUND_HALF_UP)


@pytest.mark.parametrize("filters", CASES, ids=str)
def test_totals(lake: Lake, filters: Filters) -> None:
    rows = kept(filters)
    [row] = ask(lake, "totals", filters).rows
    late = sum(row["est_tardif"] for row in rows)
    days = [row["jour"] for row in rows]
    assert row == (*sums(rows), len({row["pays"] for row in rows}), late, min(days), max(days))


@pytest.mark.parametrize("filters", CASES, ids=str)
@pytest.mark.parametrize(
    ("name", "key"),
    [("revenue-by-country", "pays"), ("revenue-by-segment", "segment"), ("revenue-by-category", "categorie")],
)
def test_revenue_by_key(lake: Lake, name: str, key: str, filters: Filters) -> None:
    rows = kept(filters)
    whole = sum(row["montant"] for row in rows)
    expected = []
    for (value,), found in group(rows, key).items():
        places = (len({row["pays"] for row in found}),) if key == "segment" else ()
        expected.append((value, *sums(found), *places, percent(sums(found)[1], whole)))
    assert ask(lake, name, filters).rows == sorted(expected, key=lambda row: (-row[2], row[0]))


@pytest.mark.parametrize("filters", CASES, ids=str)
def test_revenue_by_product(lake: Lake, filters: Filters) -> None:
    rows = kept(filters)
    whole = sum(row["montant"] for row in rows)
    expected = []
    for (product,), found in group(rows, "produit_id").items():
        count, revenue, mean, items, _ = sums(found)
        expected.append(
            (
                product,
                found[0]["produit_nom"],
                found[0]["categorie"],
                count,
                revenue,
                mean,
                items,
                percent(revenue, whole),
            )
        )
    assert ask(lake, "revenue-by-product", filters).rows == sorted(expected, key=lambda row: (-row[4], row[0]))


@pytest.mark.parametrize("filters", CASES, ids=str)
def test_top_clients(lake: Lake, filters: Filters) -> None:
    expected = []
    for (client,), found in group(kept(filters), "client_id").items():
        count, revenue, mean, items, _ = sums(found)
        days = {row["jour"] for row in found}
        expected.append((client, found[0]["client_nom"], count, items, revenue, mean, len(days), max(days)))
    expected.sort(key=lambda row: (-row[4], row[0]))
    assert ask(lake, "top-clients", filters).rows == expected


def test_pages_are_disjoint_and_complete(lake: Lake) -> None:
    whole = ask(lake, "ventes-stream").rows
    pages = [
        row for offset in range(0, 400, 37) for row in ask(lake, "ventes-stream", Filters(limit=37, offset=offset)).rows
    ]
    assert pages == whole
    assert len(whole) == 400


def test_latest_and_largest_sales(lake: Lake) -> None:
    rows = kept(NARROW)
    latest = sorted(rows, key=lambda row: (row["timestamp"], row["vente_id"]), reverse=True)
    assert ask(lake, "latest-sales", NARROW).column("vente_id") == [row["vente_id"] for row in latest]
    largest = sorted(rows, key=lambda row: (-row["montant"], row["vente_id"]))
    assert ask(lake, "largest-sales", NARROW).column("vente_id") == [row["vente_id"] for row in largest]


def test_late_sales(lake: Lake) -> None:
    expected = [
        (int((row["kafka_timestamp"] - row["timestamp"]) / timedelta(minutes=1)), row["vente_id"])
        for row in kept(EVERYTHING)
        if row["est_tardif"]
    ]
    answer = ask(lake, "late-sales")
    assert list(zip(answer.column("retard_minutes"), answer.column("vente_id"), strict=True)) == sorted(
        expected, key=lambda pair: (-pair[0], pair[1])
    )
    shares = ask(lake, "late-by-country").rows
    assert sum(row[2] for row in shares) == len(expected)
    for pays, count, late, share in shares:
        assert count == sum(row["pays"] == pays for row in kept(EVERYTHING))
        assert share == percent(Decimal(late), Decimal(count))


def nearest_rank(amounts: list[Decimal], quarter: int) -> Decimal:
    return sorted(amounts)[math.ceil(len(amounts) * quarter / 4) - 1]


@pytest.mark.parametrize("filters", CASES, ids=str)
def test_statistics(lake: Lake, filters: Filters) -> None:
    def line(rows: Sequence[Row]) -> tuple[object, ...]:
        amounts = [row["montant"] for row in rows]
        quartiles = [nearest_rank(amounts, quarter) for quarter in (1, 2, 3)]
        return len(amounts), min(amounts), *quartiles, max(amounts), money(sum(amounts, Decimal(0)) / len(amounts))

    rows = kept(filters)
    assert ask(lake, "statistics", filters).rows == [line(rows)]
    assert ask(lake, "statistics-by-category", filters).rows == [
        (*key, *line(found)) for key, found in sorted(group(rows, "categorie").items())
    ]


@pytest.mark.parametrize(("name", "key"), [("loyalty", "est_client_fidele"), ("spending-segments", "segment_depense")])
def test_client_days(lake: Lake, name: str, key: str) -> None:
    expected = []
    for (value,), found in group(lakes.silver(lakes.sales())["ventes_aggreges"], key).items():
        purchases, spent = sum(row["nb_achats"] for row in found), sum(row["total_depense"] for row in found)
        clients = {row["client_id"] for row in found}
        expected.append((value, len(clients), len(found), purchases, spent, money(spent / purchases)))
    assert ask(lake, name).rows == sorted(expected, key=lambda row: -row[4])


def quintile(rows: Sequence[Row], key: str) -> dict[int, int]:
    """NTILE(5): the first groups take the remainder."""
    ordered = sorted(rows, key=lambda row: (row[key], row["client_id"]))
    size, extra = divmod(len(ordered), 5)
    tiles = [tile for tile in range(1, 6) for _ in range(size + (tile <= extra))]
    return {row["client_id"]: tile for row, tile in zip(ordered, tiles, strict=True)}


@pytest.mark.parametrize("filters", [EVERYTHING, Filters(pays=("France", "Japon"))], ids=str)
def test_rfm(lake: Lake, filters: Filters) -> None:
    profiles = [
        row for row in lakes.silver(lakes.sales())["profil_clients"] if not filters.pays or row["pays"] in filters.pays
    ]
    tiles = [quintile(profiles, key) for key in ("dernier_achat", "nb_achats", "total_depense")]
    answer = ask(lake, "rfm", filters)
    seen = {row[0]: row[6:9] for row in answer.rows}
    assert seen == {row["client_id"]: tuple(tile[row["client_id"]] for tile in tiles) for row in profiles}
    labels = dict(zip(answer.column("client_id"), answer.column("segment_rfm"), strict=True))
    for client, (recence, frequence, montant) in seen.items():
        names = {"recence": recence, "frequence": frequence, "montant": montant}
        rules = [name for name, rule in RFM_RULES if eval(rule.replace("AND", "and"), {}, names)]
        assert labels[client] == rules[0]
    for label, clients, _, spent, mean, _ in ask(lake, "rfm-segments", filters).rows:
        found = [row for row in profiles if labels[row["client_id"]] == label]
        assert (clients, spent) == (len(found), sum(row["total_depense"] for row in found))
        assert mean == money(spent / clients)


def test_every_combination_of_quintiles_has_a_segment() -> None:
    for recence in range(1, 6):
        for frequence in range(1, 6):
            for montant in range(1, 6):
                names = {"recence": recence, "frequence": frequence, "montant": montant}
                assert any(eval(rule.replace("AND", "and"), {}, names) for _, rule in RFM_RULES), names


@pytest.mark.parametrize("filters", CASES, ids=str)
def test_trends(lake: Lake, filters: Filters) -> None:
    rows = kept(filters)
    hours = group([{**row, "heure": row["timestamp"].hour} for row in rows], "heure")
    assert ask(lake, "by-hour", filters).rows == [
        (hour, sums(found)[0], sums(found)[1], sums(found)[3]) for (hour,), found in sorted(hours.items())
    ]
    days = group(rows, "jour")
    assert ask(lake, "by-day", filters).rows == [
        (day, sums(found)[0], sums(found)[1], sums(found)[3]) for (day,), found in sorted(days.items(), reverse=True)
    ]


@pytest.mark.parametrize("filters", CASES, ids=str)
def test_moving_average_and_day_over_day(lake: Lake, filters: Filters) -> None:
    """The windows look before ``du``; the fixture's sixth day has no sale."""
    revenue = {
        day: sums(found)[1]
        for (day,), found in group(kept(Filters(pays=filters.pays, segment=filters.segment)), "jour").items()
    }
    first = min(revenue)
    averages, changes = [], []
    for day in sorted(revenue, reverse=True):
        if (filters.du and day < filters.du) or (filters.au and day > filters.au):
            continue
        window = sum((revenue.get(day - timedelta(days=back), Decimal(0)) for back in range(7)), Decimal(0))
        averages.append((day, money(window / min(7, (day - first).days + 1))))
        before = None if day == first else revenue.get(day - timedelta(days=1), Decimal(0))
        change = None if before is None else revenue[day] - before
        changes.append(
            (day, revenue[day], before, change, percent(change, before) if change is not None and before else None)
        )
    answer = ask(lake, "moving-average", filters)
    assert list(zip(answer.column("jour"), answer.column("moyenne_7_jours"), strict=True)) == averages
    assert [(row[0], *row[2:]) for row in ask(lake, "day-over-day", filters).rows] == changes


def test_days_of_a_cent_and_of_the_largest_amounts_are_compared(tmp_path: Path) -> None:
    first = lakes.sales(1)[0]
    amounts = (Decimal("0.01"), MAX_AMOUNT, MAX_AMOUNT)
    moments = (lakes.START, lakes.START + timedelta(days=1), lakes.START + timedelta(days=1, hours=1))
    lakes.build(str(tmp_path), [
        {**first, "vente_id": f"v{n}", "montant": amount, "timestamp": moment, "jour": moment.date()}
        for n, (amount, moment) in enumerate(zip(amounts, moments, strict=True))
    ])  # fmt: skip
    revenue = 2 * MAX_AMOUNT
    change = revenue - Decimal("0.01")
    assert ask(Lake(str(tmp_path)), "day-over-day").rows == [
        (moments[1].date(), 2, revenue, Decimal("0.01"), change, percent(change, Decimal("0.01"))),
        (lakes.START.date(), 1, Decimal("0.01"), None, None, None),
    ]


def test_the_first_days_of_the_calendar_are_answered(tmp_path: Path) -> None:
    moments = (datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 2, 23, tzinfo=UTC), datetime(999, 12, 31, 12, tzinfo=UTC))
    lakes.build(str(tmp_path), [
        {**lakes.sales(1)[0], "vente_id": f"v{n}", "timestamp": moment, "jour": moment.date()} for n, moment in enumerate(moments)
    ])  # fmt: skip
    made = Lake(str(tmp_path))
    days = [moment.date() for moment in reversed(moments)]
    for question in ("by-day", "moving-average", "day-over-day"):
        assert ask(made, question).column("jour") == days
    assert ask(made, "by-hour").column("heure") == [0, 12, 23]
    assert ask(made, "by-day", Filters(au=date(999, 12, 30))).column("jour") == days[1:]


def test_rejects(lake: Lake) -> None:
    assert [row[:2] for row in ask(lake, "rejects-by-reason").rows] == [
        ("json_invalide", 2), ("champ_manquant:pays", 1), ("message_vide", 1),
    ]  # fmt: skip
    assert ask(lake, "latest-rejects").column("valeur") == [b"{}", None, b"\xff\xfe", b"{oops"]
    assert ask(lake, "latest-rejects", Filters(du=date(2026, 11, 11))).rows == []


@pytest.mark.parametrize("spec", tables.SILVER, ids=lambda spec: spec.name)
def test_a_table_is_listed_with_its_public_columns_and_every_row(lake: Lake, spec: tables.TableSpec) -> None:
    answer = ask(lake, spec.name.replace("_", "-"))
    assert answer.names == spec.public
    made = [tuple(row[name] for name in spec.public) for row in lakes.silver(lakes.sales())[spec.name]]
    assert sorted(answer.rows, key=repr) == sorted(made, key=repr)


def test_every_question_answers_an_empty_table(tmp_path: Path) -> None:
    for spec in tables.PUBLIC:
        lakes.write(str(tmp_path), spec.name, [])
    lake = Lake(str(tmp_path))
    for question in ENTRIES:
        if question.build:
            rows = lake.read(question.query(EVERYTHING)).rows
            assert rows == [] or rows == [(0, *rows[0][1:])], question.name  # totals: one row that counts 0


# the fixture has no declared gaps
ANSWERED = [entry for entry in ENTRIES if entry.build and entry.name.replace("-", "_") not in lakes.ABSENT]


@pytest.mark.parametrize("question", ANSWERED, ids=lambda e: e.name)
def test_the_order_is_total_and_no_money_is_a_float(lake: Lake, question: model.Entry) -> None:
    answer = lake.read(question.query(EVERYTHING))
    assert all(column.kind not in ("float", "other") for column in answer.columns)
    assert lake.read(question.query(EVERYTHING)).rows == answer.rows


def test_an_average_is_rounded_once_half_up(tmp_path: Path) -> None:
    """The pairs lie within a millionth of half a cent, where a division that rounds first would go up."""
    rng = random.Random(3)
    pairs = [(Decimal("0.01"), 2), (Decimal("0.01"), 3), (Decimal("0.03"), 2), (Decimal(0), 7)]
    for _ in range(400):
        count = rng.randint(1, 3_000_000)
        cents = rng.randint(0, 10**6)
        near = (2 * cents + 1) * count // 2 + rng.randint(-1, 1)  # count × (cents + ½), give or take
        pairs.append((Decimal(max(near, 0)) / 100, count))
    made = pa.table({
        "total": pa.array([total for total, _ in pairs], pa.decimal128(28, 2)),
        "n": pa.array([count for _, count in pairs], pa.int64()),
        "k": pa.array(range(len(pairs))),
    })  # fmt: skip
    write_deltalake(str(tmp_path), made)
    found = (
        QueryBuilder()
        .register("pairs", DeltaTable(str(tmp_path)))
        .execute(f"SELECT {average('total', 'n')} AS mean FROM pairs ORDER BY k")
        .read_all()
    )
    assert [value.as_py() for value in found["mean"]] == [money(total / count) for total, count in pairs]


def test_a_sum_past_the_range_of_one_amount_stays_exact(tmp_path: Path) -> None:
    rows = lakes.sales(40)
    for row in rows:
        row["montant"] = Decimal("9999999999999999.99")
    lakes.build(str(tmp_path), rows)
    [row] = ask(Lake(str(tmp_path)), "totals").rows
    assert row[1:3] == (Decimal("399999999999999999.60"), Decimal("9999999999999999.99"))


def test_literal_doubles_quotes() -> None:
    assert literal("Côte d'Ivoire' OR '1'='1") == "'Côte d''Ivoire'' OR ''1''=''1'"
    assert literal(date(2026, 11, 1)) == "DATE '2026-11-01'"


def test_names_are_unique_and_filters_are_columns_of_the_sources(lake: Lake) -> None:
    names = [e.name for e in ENTRIES]
    assert len(names) == len(set(names))
    for question in ENTRIES:
        if question.chart and question.build:
            built = lake.read(question.query(Filters(limit=1)))
            assert {question.chart.label, question.chart.value} <= set(built.names)


def test_the_daily_report_has_its_sections_in_order() -> None:
    sections = registry.daily_report(top_clients=3, dernieres_ventes=4)
    assert [(section.entry.name, section.filters.limit) for section in sections] == [
        ("row-counts", None), ("totals", None), ("top-clients", 3), ("revenue-by-country", None),
        ("revenue-by-segment", None), ("loyalty", None), ("rejects-by-reason", None), ("latest-sales", 4),
    ]  # fmt: skip
    assert [section.title for section in sections][2] == "Top 3 clients"


def test_page_cuts_the_text() -> None:
    assert Query("SELECT 1", ()).page(5, 10).sql == "SELECT 1\nLIMIT 5\nOFFSET 10"
    assert Query("SELECT 1", ()).page(None).sql == "SELECT 1"
