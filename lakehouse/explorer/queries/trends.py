"""How sales move: by hour, by day, 7-day moving average, day over day. Hours and days are the business zone's."""

from __future__ import annotations

from lakehouse.contract.tables import TENDANCES
from lakehouse.explorer.queries.model import Filters, average, where
from lakehouse.lake.query import Query

MEASURES = (
    "SUM(total_transactions) AS total_transactions, SUM(revenue_total) AS revenue_total, SUM(items_sold) AS items_sold"
)


def by_hour(filters: Filters) -> Query:
    """One row per heure (0–23) that has sales, over all days that the filters leave."""
    return Query(
        f"SELECT heure, {MEASURES}\nFROM {TENDANCES.name} {where(filters)}\nGROUP BY heure\nORDER BY heure",
        (TENDANCES.name,),
    )


def by_day(filters: Filters) -> Query:
    """One row per jour that has sales, the newest first."""
    return Query(
        f"SELECT jour, {MEASURES}\nFROM {TENDANCES.name} {where(filters)}\nGROUP BY jour\nORDER BY jour DESC",
        (TENDANCES.name,),
    )


def _days(filters: Filters) -> str:
    """Days before ``du`` count in the windows, so the dates cut the result and not its input."""
    return f"""jours AS (
  SELECT jour, SUM(total_transactions) AS total_transactions, SUM(revenue_total) AS revenue_total
  FROM {TENDANCES.name} {where(filters.without_dates())} GROUP BY jour
)"""


def _dates_only(filters: Filters) -> str:
    return where(Filters(du=filters.du, au=filters.au))


def moving_average(filters: Filters) -> Query:
    """One row per jour that has sales: revenue (EUR) a day over the 7 calendar days that end there.

    A day without a sale counts as 0; in the first six days the divisor is the days since the first sale.
    """
    return Query(
        f"""WITH {_days(filters)}, fenetres AS (
  SELECT jour, total_transactions, revenue_total,
    SUM(revenue_total) OVER (ORDER BY jour RANGE BETWEEN INTERVAL '6 days' PRECEDING AND CURRENT ROW) AS sept_jours,
    CAST(jour AS INT) - CAST(MIN(jour) OVER () AS INT) + 1 AS jours_ecoules
  FROM jours
)
SELECT jour, total_transactions, revenue_total,
  {average("sept_jours", "LEAST(jours_ecoules, 7)")} AS moyenne_7_jours
FROM fenetres {_dates_only(filters)}
ORDER BY jour DESC""",
        (TENDANCES.name,),
    )


def day_over_day(filters: Filters) -> Query:
    """One row per jour that has sales, beside the calendar day before (0 when it sold nothing, null for the first day).

    ``evolution_pct`` is null when the day before sold nothing.
    """
    return Query(
        f"""WITH {_days(filters)}, veilles AS (
  SELECT jour, total_transactions, revenue_total, MIN(jour) OVER () AS premier_jour,
    SUM(revenue_total) OVER (
      ORDER BY jour RANGE BETWEEN INTERVAL '1 day' PRECEDING AND INTERVAL '1 day' PRECEDING) AS la_veille
  FROM jours
), evolutions AS (
  SELECT jour, total_transactions, CAST(revenue_total AS DECIMAL(28,2)) AS revenue_total,
    CASE WHEN jour > premier_jour THEN CAST(COALESCE(la_veille, 0) AS DECIMAL(28,2)) END AS revenue_veille
  FROM veilles
)
SELECT jour, total_transactions, revenue_total, revenue_veille, revenue_total - revenue_veille AS evolution,
  CAST(ROUND(100 * (revenue_total - revenue_veille) / NULLIF(revenue_veille, 0), 1) AS DECIMAL(28,1)) AS evolution_pct
FROM evolutions {_dates_only(filters)}
ORDER BY jour DESC""",
        (TENDANCES.name,),
    )
