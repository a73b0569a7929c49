"""A lake of millions of sales for measuring the readers: written through ``deltalake``, no broker and no JVM.

``python -m benchmarks.big_lake FOLDER [--sales 5000000] [--days 100]``. The days end today, so that the dashboard's default period
has sales. One day's sales are drawn once and moved to each day under new ids; Silver is worked out from Bronze by SQL.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import QueryBuilder

from lakehouse.contract import tables
from lakehouse.lake import table_handle
from lakehouse.producer.catalogue import CATALOGUE, POOL_SEED, Pool
from tests.support.lakes import arrow_table

CLIENTS = 20_000


def one_day(count: int, day: date, *, seed: int = 11, clients: int | None = None) -> pa.Table:
    """``count`` sales spread over ``day``, as Bronze has them; of ``clients`` clients in turn, or of any of ``CLIENTS``."""
    rng, pool = random.Random(seed), Pool(POOL_SEED)
    people = [pool.client(number + 1) for number in range(clients or CLIENTS)]
    start = datetime.combine(day, time(), UTC)
    rows = []
    for number in range(count):
        client = people[number % clients] if clients else rng.choice(people)
        product, quantity = rng.choice(CATALOGUE), rng.randint(1, 5)
        moment = start + timedelta(seconds=number * 86_400 / count)
        cents = product.cents * quantity
        rows.append({
            "vente_id": f"{number:08}", "client_id": client.client_id, "produit_id": product.produit_id, "timestamp": moment,
            "quantite": quantity, "montant": pa.scalar(f"{cents // 100}.{cents % 100:02}").cast(pa.decimal128(18, 2)).as_py(),
            "client_nom": client.nom, "produit_nom": product.nom, "categorie": product.categorie, "pays": client.pays,
            "segment": client.segment, "jour": day, "date_ingestion": moment + timedelta(seconds=3),
            "kafka_partition": number % 4, "kafka_offset": number // 4, "kafka_timestamp": moment + timedelta(seconds=1),
            "est_tardif": rng.random() < 0.01,
        })  # fmt: skip
    return arrow_table(tables.VENTES, rows)


def moved(day: pa.Table, number: int, jour: date) -> pa.Table:
    """The same sales on another day, under ids and offsets of their own."""
    shift = pa.scalar(timedelta(days=number), pa.duration("us"))
    made = day
    for name in ("timestamp", "date_ingestion", "kafka_timestamp"):
        made = made.set_column(made.schema.get_field_index(name), name, pc.add(made[name], shift))
    ids = pc.binary_join_element_wise(pa.scalar(f"{number:04}"), made["vente_id"], "-")
    made = made.set_column(made.schema.get_field_index("vente_id"), "vente_id", ids)
    offsets = pc.add(made["kafka_offset"], number * (day.num_rows // 4))
    made = made.set_column(made.schema.get_field_index("kafka_offset"), "kafka_offset", offsets)
    return made.set_column(made.schema.get_field_index("jour"), "jour", pa.array([jour] * made.num_rows, pa.date32()))


_SUMS = "COUNT(*) AS total_transactions, SUM(montant) AS revenue_total"
_MEAN = "CAST(ROUND(CAST(SUM(montant) AS DECIMAL(28,2)) / CAST(COUNT(*) AS DECIMAL(18,0)), 2) AS DECIMAL(28,2))"
SILVER = {
    "ventes_aggreges": f"""SELECT client_id, jour, MAX(client_nom) AS client_nom, SUM(quantite) AS total_quantite,
        SUM(montant) AS total_depense, COUNT(*) AS nb_achats, {_MEAN} AS panier_moyen, MIN(montant) AS achat_min,
        MAX(montant) AS achat_max, CAST(COUNT(DISTINCT produit_id) AS INT) AS nb_produits_distincts, COUNT(*) >= 2 AS est_client_fidele,
        CASE WHEN SUM(montant) >= 500 THEN 'Premium' WHEN SUM(montant) >= 100 THEN 'Standard' ELSE 'Economy' END AS segment_depense,
        MAX(date_ingestion) AS processing_time FROM ventes_stream GROUP BY client_id, jour""",
    "ventes_par_pays": f"""SELECT pays, {_SUMS}, {_MEAN} AS transaction_moyenne, SUM(quantite) AS items_sold,
        COUNT(DISTINCT client_id) AS unique_customers, MAX(date_ingestion) AS processing_time FROM ventes_stream GROUP BY pays""",
    "ventes_par_segment": f"""SELECT segment, {_SUMS}, {_MEAN} AS transaction_moyenne, SUM(quantite) AS items_sold,
        COUNT(DISTINCT client_id) AS unique_customers, CAST(COUNT(DISTINCT pays) AS INT) AS countries_count,
        MAX(date_ingestion) AS processing_time FROM ventes_stream GROUP BY segment""",
    "ventes_par_produit": f"""SELECT produit_id, jour, MAX(produit_nom) AS produit_nom, MAX(categorie) AS categorie, {_SUMS},
        SUM(quantite) AS items_sold, COUNT(DISTINCT client_id) AS unique_customers FROM ventes_stream GROUP BY produit_id, jour""",
    "tendances_horaires": f"""SELECT jour, CAST(date_part('hour', "timestamp") AS INT) AS heure, pays, segment, {_SUMS},
        SUM(quantite) AS items_sold FROM ventes_stream GROUP BY 1, 2, 3, 4""",
    "profil_clients": """SELECT client_id, MIN("timestamp") AS premier_achat, MAX("timestamp") AS dernier_achat,
        COUNT(*) AS nb_achats, SUM(montant) AS total_depense, COUNT(DISTINCT jour) AS nb_jours_actifs, MAX(pays) AS pays,
        MAX(segment) AS segment FROM ventes_stream GROUP BY client_id""",
}


def build(base: str, *, sales: int, days: int, last: date) -> None:
    """Bronze in one commit a day, then each Silver table in one."""
    first = last - timedelta(days=days - 1)
    day = one_day(sales // days, first)
    for number in range(days):
        append(base, moved(day, number, first + timedelta(days=number)))
    stopped = datetime.combine(last, time(), UTC)
    bad = [
        {"motif": f"champ_manquant:{name}", "explication": f"the field {name} is missing", "valeur": b'{"vente_id": "x"}',
         "topic": "ventes_stream", "kafka_partition": number % 4, "kafka_offset": days * (sales // days // 4) + number // 4,
         "kafka_timestamp": stopped, "date_ingestion": stopped, "jour": last}
        for number, name in enumerate(("pays", "montant") * 500)
    ]  # fmt: skip
    table_handle.write(tables.REJETS.path(base), arrow_table(tables.REJETS, bad), partition_by=["jour"])
    bronze = table_handle.opened(tables.VENTES.path(base))
    for spec in tables.SILVER:
        made = pa.table(QueryBuilder().register("ventes_stream", bronze).execute(SILVER[spec.name]))
        table_handle.write(spec.path(base), made, partition_by=list(spec.partition_by) or None)


def append(base: str, made: pa.Table) -> None:
    """One commit to Bronze."""
    table_handle.write(tables.VENTES.path(base), made, mode="append", partition_by=list(tables.VENTES.partition_by))


def trickle(base: str, rows: int, last: date) -> Iterator[Any]:
    """A commit of ``rows`` new sales of today each time that it is asked."""
    day = one_day(rows, last, seed=12)
    for number in range(100_000, 1_000_000):
        append(base, moved(day, number, last).set_column(3, "timestamp", day["timestamp"]))
        yield number


def main() -> int:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("folder")
    made.add_argument("--sales", type=int, default=5_000_000)
    made.add_argument("--days", type=int, default=100)
    args = made.parse_args()
    build(args.folder, sales=args.sales, days=args.days, last=datetime.now(UTC).date())
    return 0


if __name__ == "__main__":
    sys.exit(main())
