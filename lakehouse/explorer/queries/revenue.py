"""Who buys, where and what: clients, countries, segments, products, categories, statistics.

A question without filters reads the Silver table made for it. With a filter that this table has no column for,
it reads Bronze (net of operations, as Silver is), so that every column (distinct clients among them) stays exact; the sources are shown
with the result.
"""

from __future__ import annotations

from lakehouse.contract.tables import AGGREGES, PAR_PAYS, PAR_PRODUIT, PAR_SEGMENT, VENTES
from lakehouse.explorer.queries.model import Filters, average, late, share, where
from lakehouse.lake.net_sql import NET
from lakehouse.lake.query import Query


def totals(filters: Filters) -> Query:
    """One row: what Bronze holds, net of operations. Money in EUR."""
    return Query(
        f"""SELECT COUNT(*) AS total_transactions, SUM(montant) AS revenue_total,
  {average("SUM(montant)", "COUNT(*)")} AS transaction_moyenne, SUM(quantite) AS items_sold,
  COUNT(DISTINCT client_id) AS unique_customers, COUNT(DISTINCT pays) AS countries_count,
  SUM(CASE WHEN {late(filters)} THEN 1 ELSE 0 END) AS ventes_tardives, MIN(jour) AS premier_jour, MAX(jour) AS dernier_jour
FROM {NET} {where(filters)}""",
        (VENTES.name,),
        net=True,
    )


def top_clients(filters: Filters) -> Query:
    """One row per client_id, the largest spender first; equal sums by client_id."""
    if filters.pays or filters.segment:
        # First by name and day, then by client: ordering 5 million sales by time for one name took twice as long.
        source, newest = "jours", "moment DESC, client_nom"
        jours = f"""WITH jours AS (
  SELECT client_id, client_nom, jour, MAX("timestamp") AS moment, COUNT(*) AS nb_achats,
    SUM(quantite) AS total_quantite, SUM(montant) AS total_depense
  FROM {NET} {where(filters)}
  GROUP BY client_id, client_nom, jour
)
"""
        read, condition, net = VENTES.name, "", True
    else:
        source, newest, jours, read, condition = AGGREGES.name, "jour DESC", "", AGGREGES.name, where(filters)
        net = False
    return Query(
        f"""{jours}SELECT client_id, FIRST_VALUE(client_nom ORDER BY {newest}) AS client_nom, SUM(nb_achats) AS nb_achats,
  SUM(total_quantite) AS total_quantite, SUM(total_depense) AS total_depense,
  {average("SUM(total_depense)", "SUM(nb_achats)")} AS panier_moyen,
  COUNT(DISTINCT jour) AS nb_jours_actifs, MAX(jour) AS dernier_jour
FROM {source} {condition}
GROUP BY client_id
ORDER BY total_depense DESC, client_id""",
        (read,),
        net=net,
    )


def _by_sales(key: str, filters: Filters, extra: str = "") -> Query:
    """One row per ``key`` from Bronze."""
    return Query(
        f"""SELECT {key}, COUNT(*) AS total_transactions, SUM(montant) AS revenue_total,
  {average("SUM(montant)", "COUNT(*)")} AS transaction_moyenne, SUM(quantite) AS items_sold,
  COUNT(DISTINCT client_id) AS unique_customers{extra}, {share("SUM(montant)")} AS part_pct
FROM {NET} {where(filters)}
GROUP BY {key}
ORDER BY revenue_total DESC, {key}""",
        (VENTES.name,),
        net=True,
    )


def revenue_by_country(filters: Filters) -> Query:
    """One row per pays."""
    if filters.narrowed:
        return _by_sales("pays", filters)
    return Query(
        f"""SELECT pays, total_transactions, revenue_total, transaction_moyenne, items_sold, unique_customers,
  {share("revenue_total")} AS part_pct
FROM {PAR_PAYS.name}
ORDER BY revenue_total DESC, pays""",
        (PAR_PAYS.name,),
    )


def revenue_by_segment(filters: Filters) -> Query:
    """One row per segment."""
    if filters.narrowed:
        return _by_sales("segment", filters, ", COUNT(DISTINCT pays) AS countries_count")
    return Query(
        f"""SELECT segment, total_transactions, revenue_total, transaction_moyenne, items_sold, unique_customers,
  countries_count, {share("revenue_total")} AS part_pct
FROM {PAR_SEGMENT.name}
ORDER BY revenue_total DESC, segment""",
        (PAR_SEGMENT.name,),
    )


def revenue_by_product(filters: Filters) -> Query:
    """One row per produit_id, under the name and category of its latest sale."""
    if filters.pays or filters.segment:
        source, newest = "noms", "moment DESC, produit_nom, categorie"
        noms = f"""WITH noms AS (
  SELECT produit_id, produit_nom, categorie, MAX("timestamp") AS moment, COUNT(*) AS total_transactions,
    SUM(montant) AS revenue_total, SUM(quantite) AS items_sold
  FROM {NET} {where(filters)}
  GROUP BY produit_id, produit_nom, categorie
)
"""
        read, condition, net = VENTES.name, "", True
    else:
        source, newest, noms, read, condition = PAR_PRODUIT.name, "jour DESC", "", PAR_PRODUIT.name, where(filters)
        net = False
    return Query(
        f"""{noms}SELECT produit_id, FIRST_VALUE(produit_nom ORDER BY {newest}) AS produit_nom,
  FIRST_VALUE(categorie ORDER BY {newest}) AS categorie, SUM(total_transactions) AS total_transactions,
  SUM(revenue_total) AS revenue_total, {average("SUM(revenue_total)", "SUM(total_transactions)")} AS transaction_moyenne,
  SUM(items_sold) AS items_sold, {share("SUM(revenue_total)")} AS part_pct
FROM {source} {condition}
GROUP BY produit_id
ORDER BY revenue_total DESC, produit_id""",
        (read,),
        net=net,
    )


def revenue_by_category(filters: Filters) -> Query:
    """One row per categorie, as each sale named it."""
    return _by_sales("categorie", filters)


def _quartiles(keys: str, filters: Filters) -> Query:
    """Nearest-rank quartiles: the smallest amount that at least 25, 50, 75 % of the sales do not exceed.

    The amounts are counted first and ranked after: few distinct amounts, so no sort over every sale, and no float.
    """
    by = f"PARTITION BY {keys} " if keys else ""
    group = f"{keys}, " if keys else ""

    def rank(quarter: int) -> str:
        return f"MIN(CASE WHEN 4 * jusque_la >= {quarter} * n THEN montant END)"

    return Query(
        f"""WITH montants AS (
  SELECT {group}montant, COUNT(*) AS ventes FROM {NET} {where(filters)} GROUP BY {group}montant
), rangs AS (
  SELECT {group}montant, ventes,
    SUM(ventes) OVER ({by}ORDER BY montant ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS jusque_la,
    SUM(ventes) OVER ({by.strip()}) AS n
  FROM montants
)
SELECT {group}COALESCE(SUM(ventes), 0) AS total_transactions, MIN(montant) AS minimum, {rank(1)} AS quartile_1,
  {rank(2)} AS mediane, {rank(3)} AS quartile_3, MAX(montant) AS maximum,
  {average("SUM(montant * ventes)", "SUM(ventes)")} AS moyenne
FROM rangs {f"GROUP BY {keys}" if keys else ""}
ORDER BY {keys or "total_transactions"}""",
        (VENTES.name,),
        net=True,
    )


def statistics(filters: Filters) -> Query:
    """One row: quartiles, extremes and average of montant (EUR) over the sales."""
    return _quartiles("", filters)


def statistics_by_category(filters: Filters) -> Query:
    """Quartiles, extremes and average of the amounts, one row per category."""
    return _quartiles("categorie", filters)


def extremes(filters: Filters) -> Query:
    """The largest sales, each with who bought what; equal amounts by vente_id."""
    return Query(
        f"""SELECT montant, vente_id, "timestamp", client_id, client_nom, produit_nom, quantite, pays, segment
FROM {NET} {where(filters)}
ORDER BY montant DESC, vente_id""",
        (VENTES.name,),
        net=True,
    )
