"""The questions that pages ask: the explorer's, and the few that only a page needs."""

from __future__ import annotations

from lakehouse.contract.tables import AGGREGES, PROFIL, TENDANCES, VENTES
from lakehouse.explorer.queries import registry
from lakehouse.explorer.queries.model import Entry, Filters, average, where
from lakehouse.lake.query import Query

HOURLY = 3
"""Days of a period that is shown by the hour, and of a lake that is whatever the period; a longer one is shown by the day."""
_LAST_HOUR = "\"timestamp\" >= now() - INTERVAL '61 minutes'"


def by_minute(filters: Filters) -> Query:
    """One row per minute of the last hour that has sales. Read by event time, of which the files have statistics: the history
    is not opened."""
    return Query(
        f"""SELECT date_trunc('minute', "timestamp") AS minute, COUNT(*) AS total_transactions, SUM(montant) AS revenue_total
FROM {VENTES.name} {where(filters, _LAST_HOUR)}
GROUP BY minute
ORDER BY minute""",
        (VENTES.name,),
    )


def arriving(filters: Filters) -> Query:
    """The sales of the last hour, the newest first."""
    return Query(
        f"""SELECT "timestamp", client_nom, produit_nom, montant, pays
FROM {VENTES.name} {where(filters, _LAST_HOUR)}
ORDER BY "timestamp" DESC, vente_id DESC""",
        (VENTES.name,),
    )


def by_day_and_hour(filters: Filters) -> Query:
    """One row per jour × heure that has sales."""
    return Query(
        f"""SELECT jour, heure, SUM(total_transactions) AS total_transactions, SUM(revenue_total) AS revenue_total
FROM {TENDANCES.name} {where(filters)}
GROUP BY jour, heure
ORDER BY jour, heure""",
        (TENDANCES.name,),
    )


def young_hours(filters: Filters) -> Query:
    """The same while all sales of the lake lie within ``HOURLY``; no row of an older one."""
    within = f"SELECT MAX(jour) < MIN(jour) + INTERVAL '{HOURLY} days' FROM {TENDANCES.name}"
    return Query(
        f"""SELECT jour, heure, SUM(total_transactions) AS total_transactions, SUM(revenue_total) AS revenue_total
FROM {TENDANCES.name} {where(filters, f"({within})")}
GROUP BY jour, heure
ORDER BY jour, heure""",
        (TENDANCES.name,),
    )


def client_totals(filters: Filters) -> Query:
    """One row: a client's purchases, amount, average, active days, first and last purchase."""
    return Query(
        f"""SELECT client_id, nb_achats, total_depense, {average("total_depense", "nb_achats")} AS panier_moyen, nb_jours_actifs,
  premier_achat, dernier_achat, pays, segment
FROM {PROFIL.name} {where(Filters(client=filters.client))}
ORDER BY client_id""",
        (PROFIL.name,),
    )


def client_days(filters: Filters) -> Query:
    """One row per jour on which the client bought, named as a sale's columns are."""
    return Query(
        f"""SELECT jour, nb_achats AS total_transactions, total_depense AS revenue_total
FROM {AGGREGES.name} {where(Filters(client=filters.client))}
ORDER BY jour""",
        (AGGREGES.name,),
    )


OWN = {
    entry.name: entry
    for entry in (
        Entry("right-now", "Right now", "", "", by_minute, registry.PLACES),
        Entry("arriving", "Arriving", "", "", arriving, registry.PLACES),
        Entry("by-day-hour", "By day and hour", "", "", by_day_and_hour, registry.ALL),
        Entry("young-hours", "By hour", "", "", young_hours, registry.ALL),
        Entry("client-totals", "A client's totals", "", "", client_totals, frozenset({"client"})),
        Entry("client-days", "A client's days", "", "", client_days, frozenset({"client"})),
    )
}  # fmt: skip


def entry(name: str) -> Entry:
    """The entry of that name; ``KeyError`` when there is none."""
    return OWN.get(name) or registry.entry(name)
