"""A small exact lake for tests of the readers: Bronze rows, and the Silver tables worked out in plain Python.

Nothing here uses the project's SQL or Spark: ``silver`` is the independent arithmetic that the explorer's figures
are compared with. Money is Decimal throughout; an average is rounded half up to the cent.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder, write_deltalake

from lakehouse.contract import tables
from lakehouse.contract.sale import CORRIGES
from lakehouse.contract.tables import TableSpec
from lakehouse.silver import net_sales
from lakehouse.silver.net_sales import Operation, Story

Row = dict[str, Any]
CENT = Decimal("0.01")
ABSENT = {"ventes_operations", "pertes_declarees", "rejets_rejoues", "corrections"}
"""Public tables that ``build`` does not make: in a lake where nothing went wrong they do not exist."""
PRODUCTS = (
    (101, "Ordinateur portable", "Informatique", Decimal("899.99")),
    (102, "Souris", "Informatique", Decimal("25.50")),
    (103, "Clavier", "Informatique", Decimal("75.00")),
    (104, "Casque", "Audio", Decimal("59.99")),
    (105, "Câble", "Accessoires", Decimal("19.99")),
    (106, "Écran", "Informatique", Decimal("299.99")),
)
PLACES = ("France", "Belgique", "Côte d'Ivoire", "Japon")
NASTY = "[red]Zoé[/red]\x1b[31m\x07\u202e; DROP"
START = datetime(2026, 11, 10, 6, 0, tzinfo=UTC)


def money(value: Decimal) -> Decimal:
    return value.quantize(CENT, ROUND_HALF_UP)


def sales(count: int = 400, seed: int = 7, days: int = 12) -> list[Row]:
    """Bronze rows; client 1 has the nasty name, and day 5 has no sale at all."""
    rng = random.Random(seed)
    clients = {
        number: (
            NASTY if number == 1 else f"Client {number}",
            rng.choice(PLACES),
            rng.choice(("Particulier", "Entreprise")),
        )
        for number in range(1, 24)
    }
    rows = []
    for number in range(count):
        client_id = rng.randint(1, len(clients))
        name, place, segment = clients[client_id]
        product, title, category, price = rng.choice(PRODUCTS)
        day = rng.choice([day for day in range(days) if day != 5])
        moment = START + timedelta(days=day, seconds=rng.randint(0, 50_000), microseconds=rng.randint(0, 999_999))
        late = rng.random() < 0.05
        quantity = rng.randint(1, 5)
        arrived = moment + timedelta(minutes=rng.randint(11, 900)) if late else moment + timedelta(seconds=1)
        rows.append({
            "vente_id": f"v{number:05}", "client_id": client_id, "produit_id": product, "timestamp": moment,
            "quantite": quantity, "montant": price * quantity, "client_nom": name, "produit_nom": title,
            "categorie": category, "pays": place, "segment": segment, "jour": moment.date(),
            "date_ingestion": arrived + timedelta(seconds=2), "kafka_partition": client_id % 4, "kafka_offset": number,
            "kafka_timestamp": arrived, "est_tardif": late,
        })  # fmt: skip
    return rows


def rejects() -> list[Row]:
    found = [
        ("json_invalide", b"{oops"),
        ("json_invalide", b"\xff\xfe"),
        ("message_vide", None),
        ("champ_manquant:pays", b"{}"),
    ]
    return [
        {
            "motif": motif, "explication": f"sentence {number}", "valeur": value, "cle": None, "topic": "ventes_stream",
            "kafka_partition": 0, "kafka_offset": 1000 + number, "kafka_timestamp": START,
            "date_ingestion": START + timedelta(minutes=number), "jour": START.date(),
        }
        for number, (motif, value) in enumerate(found)
    ]  # fmt: skip


def group(rows: Iterable[Row], *keys: str) -> dict[tuple[Any, ...], list[Row]]:
    found: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        found[tuple(row[key] for key in keys)].append(row)
    return dict(found)


def live(rows: Iterable[Row]) -> list[Row]:
    """Those that are not cancelled."""
    return [row for row in rows if not row.get("annulee")]


def _mean(total: Decimal, count: int) -> Decimal | None:
    return money(total / count) if count else None


def _sums(rows: Sequence[Row]) -> Row:
    revenue, there = sum((row["montant"] for row in rows), Decimal(0)), live(rows)
    return {
        "total_transactions": len(there),
        "revenue_total": revenue,
        "transaction_moyenne": _mean(revenue, len(there)),
        "items_sold": sum(row["quantite"] for row in rows),
        "unique_customers": len({row["client_id"] for row in there}),
    }


def _beside(rows: Sequence[Row]) -> Row:
    """Of sales without operations what is sold is what is left."""
    return {
        "revenu_brut": sum((row.get("revenu_brut", row["montant"]) for row in rows), Decimal(0)),
        "montant_rembourse": sum((row.get("montant_rembourse", Decimal(0)) for row in rows), Decimal(0)),
        "nb_retours": sum(row.get("nb_retours", 0) for row in rows),
        "nb_annulations": sum(bool(row.get("annulee")) for row in rows),
    }


def _latest(rows: Sequence[Row], *names: str) -> Row | None:
    if not rows:
        return None
    row = max(rows, key=lambda row: (row["timestamp"], row["vente_id"]))
    return {name: row[name] for name in ("timestamp", "vente_id", *names)}


def net(rows: Sequence[Row], operations: Sequence[Row]) -> list[Row]:
    """What is left of the sales after their operations (rows of ``ventes_operations``), by the algebra."""
    known = [
        Operation(
            row["operation"], row["operation_id"], row["vente_id"], row["revision"] or 0,
            {name: row[name] for name in CORRIGES if row[name] is not None},
        )
        for row in operations
    ]  # fmt: skip
    found = []
    for row in rows:
        worth = net_sales.net(row, Story.of(one for one in known if one.vente_id == row["vente_id"]))
        found.append({
            **worth.fields, "revenu_brut": worth.revenu_brut, "montant_rembourse": worth.montant_rembourse,
            "nb_retours": worth.nb_retours, "annulee": worth.cancelled,
        })  # fmt: skip
    return found


def silver(rows: Sequence[Row], processed: datetime = START + timedelta(days=20)) -> dict[str, list[Row]]:
    """The six Silver tables of these sales; those of ``net`` have what operations left of them."""
    made: dict[str, list[Row]] = {spec.name: [] for spec in tables.SILVER}
    for (client_id, jour), found in group(rows, "client_id", "jour").items():
        spent, there = sum((row["montant"] for row in found), Decimal(0)), live(found)
        last = _latest(there, "client_nom")
        made["ventes_aggreges"].append({
            "client_id": client_id, "jour": jour, "client_nom": last and last["client_nom"],
            "total_quantite": sum(row["quantite"] for row in found), "total_depense": spent, "nb_achats": len(there),
            "panier_moyen": _mean(spent, len(there)), "achat_min": min((row["montant"] for row in there), default=None),
            "achat_max": max((row["montant"] for row in there), default=None),
            "nb_produits_distincts": len({row["produit_id"] for row in there}), "est_client_fidele": len(there) >= 2,
            "segment_depense": "Premium" if spent >= 500 else "Standard" if spent >= 100 else "Economy",
            "processing_time": processed, "_dernier": last, "_produits": sorted({row["produit_id"] for row in there}),
            **_beside(found),
        })  # fmt: skip
    for (pays,), found in group(rows, "pays").items():
        made["ventes_par_pays"].append({"pays": pays, **_sums(found), **_beside(found), "processing_time": processed})
    for (segment,), found in group(rows, "segment").items():
        places = sorted({row["pays"] for row in live(found)})
        made["ventes_par_segment"].append(
            {
                "segment": segment,
                **_sums(found),
                **_beside(found),
                "countries_count": len(places),
                "processing_time": processed,
                "_pays": places,
            }
        )
    for (product, jour), found in group(rows, "produit_id", "jour").items():
        sums = _sums(found)
        del sums["transaction_moyenne"]
        last = _latest(live(found), "produit_nom", "categorie")
        made["ventes_par_produit"].append({
            "produit_id": product, "jour": jour, "produit_nom": last and last["produit_nom"],
            "categorie": last and last["categorie"], **sums, **_beside(found), "_dernier": last,
        })  # fmt: skip
    hours = [{**row, "heure": row["timestamp"].hour} for row in rows]
    for (jour, heure, pays, segment), found in group(hours, "jour", "heure", "pays", "segment").items():
        sums = _sums(found)
        made["tendances_horaires"].append({
            "jour": jour, "heure": heure, "pays": pays, "segment": segment,
            **{name: sums[name] for name in ("total_transactions", "revenue_total", "items_sold")}, **_beside(found),
        })  # fmt: skip
    for (client_id,), found in group(rows, "client_id").items():
        there = live(found)
        last = _latest(there, "pays", "segment")
        made["profil_clients"].append({
            "client_id": client_id, "premier_achat": min((row["timestamp"] for row in there), default=None),
            "dernier_achat": max((row["timestamp"] for row in there), default=None), "nb_achats": len(there),
            "total_depense": sum((row["montant"] for row in found), Decimal(0)),
            "nb_jours_actifs": len({row["jour"] for row in there}), "pays": last and last["pays"],
            "segment": last and last["segment"], "_dernier": last, **_beside(found),
        })  # fmt: skip
    return made


_SIMPLE: dict[str, Callable[[], pa.DataType]] = {
    "STRING": pa.string, "BIGINT": pa.int64, "INT": pa.int32, "DATE": pa.date32, "BOOLEAN": pa.bool_, "BINARY": pa.binary,
    "TIMESTAMP": lambda: pa.timestamp("us", "UTC"),
}  # fmt: skip


def arrow_type(ddl: str) -> pa.DataType:
    """A Spark DDL type as Arrow has it."""
    if ddl in _SIMPLE:
        return _SIMPLE[ddl]()
    kind, _, inner = ddl.partition("(" if ddl.startswith("DECIMAL") else "<")
    if kind == "DECIMAL":
        precision, scale = inner.rstrip(")").split(",")
        return pa.decimal128(int(precision), int(scale))
    if kind == "ARRAY":
        return pa.list_(arrow_type(inner[:-1]))
    return pa.struct([(name, arrow_type(of)) for name, of in (part.split(": ") for part in inner[:-1].split(", "))])


def arrow_table(spec: TableSpec, rows: Sequence[Row]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), pa.schema([(name, arrow_type(ddl)) for name, ddl in spec.columns]))


def write(base: str, name: str, rows: Sequence[Row], mode: str = "append") -> None:
    """One commit on one table."""
    write_spec(base, next(spec for spec in tables.PUBLIC if spec.name == name), rows, mode)


def write_spec(base: str, spec: TableSpec, rows: Sequence[Row], mode: str = "append") -> None:
    """One commit on one table, also one that people are not shown."""
    write_deltalake(spec.path(base), arrow_table(spec, rows), mode=mode, partition_by=list(spec.partition_by) or None)


def contents(table: DeltaTable) -> pa.Table:
    """All that a table holds. Not by pyarrow's dataset, which works out in Python what each file may hold: 90 ms a table."""
    return pa.table(QueryBuilder().register("held", table).execute("SELECT * FROM held"))


def build(base: str, rows: Sequence[Row] | None = None) -> list[Row]:
    """A whole lake: Bronze in two commits, rejects, and each Silver table in one. Returns the sales."""
    rows = sales() if rows is None else list(rows)
    half = len(rows) // 2
    write(base, "ventes_stream", rows[:half])
    write(base, "ventes_stream", rows[half:])
    write(base, "ventes_rejetees", rejects())
    for name, made in silver(rows).items():
        write(base, name, made)
    return rows


def days_between(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def arrow_actions(table: DeltaTable) -> pa.Table:
    """The files of a table, with their statistics as columns."""
    return pa.table(table.get_add_actions(flatten=True))
