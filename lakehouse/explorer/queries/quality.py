"""Data quality: latest sales, late sales, rejected messages. Times are UTC in the tables."""

from __future__ import annotations

from lakehouse.contract.tables import BRONZE, OPERATIONS, REJETS, VENTES
from lakehouse.explorer.queries.model import Filters, late, where
from lakehouse.lake.query import Query


def latest_sales(filters: Filters) -> Query:
    """The sales, newest event first; equal times by vente_id."""
    return Query(
        f"""SELECT "timestamp", client_nom, produit_nom, quantite, montant, pays, segment, vente_id
FROM {VENTES.name} {where(filters)}
ORDER BY "timestamp" DESC, vente_id DESC""",
        (VENTES.name,),
    )


def late_sales(filters: Filters) -> Query:
    """The sales that count as late, the latest first; retard_minutes is whole minutes, event → broker."""
    delay = '(CAST(kafka_timestamp AS BIGINT) - CAST("timestamp" AS BIGINT)) / 60000000'  # both count microseconds
    return Query(
        f"""SELECT {delay} AS retard_minutes, "timestamp", kafka_timestamp, vente_id, client_nom, montant, pays, segment
FROM {VENTES.name} {where(filters, late(filters))}
ORDER BY retard_minutes DESC, vente_id""",
        (VENTES.name,),
    )


def late_by_country(filters: Filters) -> Query:
    """One row per pays: all sales, those that count as late, and their share in per cent (one decimal, half up)."""
    number = f"SUM(CASE WHEN {late(filters)} THEN 1 ELSE 0 END)"
    return Query(
        f"""SELECT pays, COUNT(*) AS total_transactions, {number} AS ventes_tardives,
  CAST(ROUND(100 * CAST({number} AS DECIMAL(18,2)) / CAST(COUNT(*) AS DECIMAL(18,0)), 1) AS DECIMAL(5,1)) AS tardives_pct
FROM {VENTES.name} {where(filters)}
GROUP BY pays
ORDER BY ventes_tardives DESC, pays""",
        (VENTES.name,),
    )


def rejects_by_reason(filters: Filters) -> Query:
    """One row per motif; the dates filter the day of the rejection."""
    return Query(
        f"""SELECT motif, COUNT(*) AS messages, MIN(date_ingestion) AS premier, MAX(date_ingestion) AS dernier
FROM {REJETS.name} {where(filters)}
GROUP BY motif
ORDER BY messages DESC, motif""",
        (REJETS.name,),
    )


def latest_rejects(filters: Filters) -> Query:
    """The rejected messages, newest first, with the sentence that says why and the raw value."""
    return Query(
        f"""SELECT date_ingestion, motif, explication, valeur, topic, kafka_partition, kafka_offset
FROM {REJETS.name} {where(filters)}
ORDER BY date_ingestion DESC, topic, kafka_partition, kafka_offset DESC""",
        (REJETS.name,),
    )


def offsets_without_row(filters: Filters) -> Query:
    """One row per Kafka partition: its messages that ended as a row, and those between them that did not.

    Every message that was read is a sale, an operation, a reject or a duplicate, so ``sans_ligne`` counts the duplicates that were
    left out, and losses that a person accepted (pertes_declarees). Null when an offset stands there twice: the topic
    was created anew and counts from 0 again, so that its offsets no longer tell.
    """
    kept = "COUNT(*) - COUNT(DISTINCT kafka_offset)"
    places = " UNION ALL ".join(
        f"SELECT kafka_partition, kafka_offset FROM {spec.name} {where(filters)}" for spec in BRONZE
    )
    return Query(
        f"""SELECT kafka_partition, MIN(kafka_offset) AS premier_offset, MAX(kafka_offset) AS dernier_offset,
  COUNT(*) AS lignes,
  CASE WHEN {kept} = 0 THEN MAX(kafka_offset) - MIN(kafka_offset) + 1 - COUNT(*) END AS sans_ligne
FROM ({places})
GROUP BY kafka_partition
ORDER BY kafka_partition""",
        tuple(spec.name for spec in BRONZE),
        optional=(OPERATIONS.name,),
    )
