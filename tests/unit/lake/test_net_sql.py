"""Sales after their operations by DataFusion: the same cells as the algebra's, for any history."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakehouse.contract.sale import ANNULATION, CORRECTION, CORRIGES, RETOUR
from lakehouse.contract.tables import OPERATIONS, VENTES, TableSpec
from lakehouse.lake import delta_tables, net_sql
from lakehouse.silver.local_sales import asked
from lakehouse.silver.net_sales import Operation, Story, net

DAY = datetime(2026, 11, 22, 20, tzinfo=UTC)
ids = st.sampled_from([f"v{number}" for number in range(2)])
texts = st.sampled_from(["France", "Suisse", "Île", "\U0001d11e"])
amounts = st.integers(0, 10**18 - 1).map(lambda cents: Decimal(cents) / 100)
values = {
    "client_id": st.integers(1, 2**63 - 1), "produit_id": st.integers(1, 200), "quantite": st.integers(1, 2**31 - 1),
    "montant": amounts, "client_nom": texts, "produit_nom": texts, "categorie": texts, "pays": texts,
    "segment": st.sampled_from(["Particulier", "Entreprise"]),
}  # fmt: skip
assert values.keys() == CORRIGES.keys()


@st.composite
def sales(draw: st.DrawFn) -> list[dict[str, Any]]:
    fixed = {
        "jour": DAY.date(),
        "date_ingestion": DAY,
        "kafka_partition": 0,
        "kafka_timestamp": DAY,
        "est_tardif": False,
    }
    return [
        {**fixed, "vente_id": vente_id, "kafka_offset": n, "timestamp": DAY + timedelta(seconds=n), **draw(st.fixed_dictionaries(values))}
        for n, vente_id in enumerate(sorted(draw(st.sets(ids, min_size=1))))
    ]  # fmt: skip


@st.composite
def operations(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows = []
    names = draw(st.lists(st.text("aé\U0001d11e\uffff", min_size=1, max_size=3), unique=True, max_size=10))
    for n, operation_id in enumerate(names):
        kind = draw(st.sampled_from([ANNULATION, RETOUR, CORRECTION, CORRECTION]))
        row: dict[str, Any] = {
            **dict.fromkeys(OPERATIONS.names), "operation_id": operation_id, "operation": kind, "vente_id": draw(ids),
            "timestamp": DAY, "jour": date(2026, 11, 22), "kafka_offset": 100 + n, "kafka_partition": 0,
        }  # fmt: skip
        if kind == RETOUR:
            row |= {name: draw(values[name]) for name in ("quantite", "montant")}
        elif kind == CORRECTION:
            corrected = draw(st.sets(st.sampled_from(["pays", "montant", *CORRIGES]), min_size=1, max_size=2))
            row |= {"revision": draw(st.integers(1, 2)), **{name: draw(values[name]) for name in sorted(corrected)}}
        rows.append(row)
    return rows


def stored(folder: str, spec: TableSpec, rows: list[dict[str, Any]]) -> DeltaTable:
    path = f"{folder}/{spec.name}"
    write_deltalake(path, pa.Table.from_pylist(rows, delta_tables.schema(spec)))
    return DeltaTable(path)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(sold=sales(), done=operations())
def test_the_sql_says_of_each_sale_what_the_algebra_says(
    sold: list[dict[str, Any]], done: list[dict[str, Any]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sql = net_sql.net("sales", "operations", "local")
        tables = {"sales": stored(folder, VENTES, sold), "operations": stored(folder, OPERATIONS, done)}
        rows = {row["vente_id"]: row for row in asked(sql, **tables).read_all().to_pylist()}
    assert list(next(iter(rows.values()))) == [*VENTES.names, *net_sql.BESIDE]
    known = [
        Operation(
            row["operation"],
            row["operation_id"],
            row["vente_id"],
            row["revision"] or 0,
            {name: row[name] for name in CORRIGES if row[name] is not None},
        )
        for row in done
    ]
    for sale in sold:
        worth = net(sale, Story.of(one for one in known if one.vente_id == sale["vente_id"]))
        beside = {
            "revenu_brut": worth.revenu_brut, "montant_rembourse": worth.montant_rembourse,
            "nb_retours": worth.nb_retours, "annulee": worth.cancelled,
        }  # fmt: skip
        assert rows.pop(sale["vente_id"]) == {**worth.fields, **beside}
    assert not rows
