"""What kind of clients: loyalty, spending segments, RFM quintiles and segments."""

from __future__ import annotations

from lakehouse.contract.tables import AGGREGES, PROFIL, VENTES
from lakehouse.explorer.queries.model import Filters, average, where
from lakehouse.lake.query import Query


def _client_days(key: str, filters: Filters) -> Query:
    return Query(
        f"""SELECT {key}, COUNT(DISTINCT client_id) AS clients, COUNT(*) AS jours_client, SUM(nb_achats) AS nb_achats,
  SUM(total_depense) AS total_depense, {average("SUM(total_depense)", "SUM(nb_achats)")} AS panier_moyen
FROM {AGGREGES.name} {where(filters)}
GROUP BY {key}
ORDER BY total_depense DESC, {key}""",
        (AGGREGES.name,),
    )


def loyalty(filters: Filters) -> Query:
    """One row per est_client_fidele, the flag that Silver wrote on each client × jour.

    ``jours_client`` counts those rows; a client with loyal and other days is in ``clients`` of both rows.
    """
    return _client_days("est_client_fidele", filters)


def spending_segments(filters: Filters) -> Query:
    """One row per segment_depense (Premium, Standard, Economy) of a client × jour."""
    return _client_days("segment_depense", filters)


def _quintiles(filters: Filters) -> str:
    """Quintiles over the clients that the filters leave: 5 is the best fifth; equal values go by client_id."""
    return f"""quintiles AS (
  SELECT client_id, pays, segment, dernier_achat, nb_achats, total_depense,
    CAST(NTILE(5) OVER (ORDER BY dernier_achat, client_id) AS BIGINT) AS recence,
    CAST(NTILE(5) OVER (ORDER BY nb_achats, client_id) AS BIGINT) AS frequence,
    CAST(NTILE(5) OVER (ORDER BY total_depense, client_id) AS BIGINT) AS montant
  FROM {PROFIL.name} {where(filters)}
), profils AS (
  SELECT *, {RFM_SEGMENT} AS segment_rfm FROM quintiles
)"""


# Read from top to bottom: the first rule that holds names the client.
RFM_RULES = (
    ("Champions", "recence >= 4 AND frequence >= 4 AND montant >= 4"),
    ("Loyal", "recence >= 3 AND frequence >= 4"),
    ("New", "recence >= 4 AND frequence <= 2"),
    ("At risk", "recence <= 2 AND frequence >= 3"),
    ("Lost", "recence <= 2 AND frequence <= 2"),
    ("Promising", "recence >= 3"),
)
RFM_SEGMENT = "CASE " + " ".join(f"WHEN {rule} THEN '{name}'" for name, rule in RFM_RULES) + " END"


def rfm(filters: Filters) -> Query:
    """One row per client_id with its quintiles (5 best) and its RFM segment."""
    return Query(
        f"""WITH {_quintiles(filters)}
SELECT client_id, pays, segment, dernier_achat, nb_achats, total_depense, recence, frequence,
  montant AS montant_quintile, segment_rfm
FROM profils
ORDER BY recence + frequence + montant DESC, total_depense DESC, client_id""",
        (PROFIL.name,),
    )


def rfm_segments(filters: Filters) -> Query:
    """One row per RFM segment, the largest revenue first."""
    return Query(
        f"""WITH {_quintiles(filters)}
SELECT segment_rfm, COUNT(*) AS clients, SUM(nb_achats) AS nb_achats, SUM(total_depense) AS total_depense,
  {average("SUM(total_depense)", "COUNT(*)")} AS depense_par_client, MAX(dernier_achat) AS dernier_achat
FROM profils
GROUP BY segment_rfm
ORDER BY total_depense DESC, segment_rfm""",
        (PROFIL.name,),
    )


def rfm_matrix(filters: Filters) -> Query:
    """One row per recence × frequence quintile that has clients: how many, and what they spent (EUR)."""
    return Query(
        f"""WITH {_quintiles(filters)}
SELECT recence, frequence, COUNT(*) AS clients, SUM(total_depense) AS total_depense
FROM profils
GROUP BY recence, frequence
ORDER BY recence DESC, frequence DESC""",
        (PROFIL.name,),
    )


def client_sales(filters: Filters) -> Query:
    """The sales of the client that the filter names, newest event first."""
    return Query(
        f"""SELECT "timestamp", client_id, client_nom, produit_nom, quantite, montant, pays, segment, est_tardif, vente_id
FROM {VENTES.name} {where(filters)}
ORDER BY "timestamp" DESC, vente_id DESC""",
        (VENTES.name,),
    )
