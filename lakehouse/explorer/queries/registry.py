"""The one list of questions. Adding a question is adding an entry: menu, sub-command and help follow."""

from __future__ import annotations

from lakehouse.contract import tables
from lakehouse.explorer.queries import clients, quality, revenue, trends
from lakehouse.explorer.queries.model import Chart, Entry, FilterName, Filters, Section, listing

ALL: frozenset[FilterName] = frozenset({"dates", "pays", "segment"})
DATES: frozenset[FilterName] = frozenset({"dates"})
PLACES: frozenset[FilterName] = frozenset({"pays", "segment"})
LIST_ROWS = 20

ENTRIES: tuple[Entry, ...] = (
    Entry("totals", "Totals", "all sales in Bronze, in one row", "Overview", revenue.totals, ALL),
    Entry("row-counts", "Row counts", "rows and version of every table", "Overview", kind="counts"),
    Entry("latest-sales", "Latest sales", "newest event first", "Sales", quality.latest_sales, ALL, limit=LIST_ROWS,
          less=("vente_id", "segment")),
    Entry("largest-sales", "Largest sales", "highest amount first", "Sales", revenue.extremes, ALL, limit=LIST_ROWS,
          less=("vente_id", "client_id", "segment", "quantite")),
    Entry("late-sales", "Late sales", "sent over the watermark late, longest delay first", "Sales",
          quality.late_sales, ALL, limit=LIST_ROWS,
          less=("vente_id", "kafka_timestamp", "segment")),
    Entry("late-by-country", "Late sales by country", "their number and share", "Sales", quality.late_by_country, ALL,
          Chart("bars", "pays", "ventes_tardives")),
    Entry("statistics", "Statistics", "quartiles, extremes and average of the amounts", "Sales",
          revenue.statistics, ALL),
    Entry("statistics-by-category", "Statistics by category", "the same for each category", "Sales",
          revenue.statistics_by_category, ALL, Chart("bars", "categorie", "mediane")),
    Entry("top-clients", "Top clients", "largest spenders first", "Clients", revenue.top_clients, ALL,
          Chart("bars", "client_nom", "total_depense"), limit=10,
          less=("total_quantite", "nb_jours_actifs", "dernier_jour")),
    Entry("loyalty", "Loyalty", "loyal client days against others", "Clients", clients.loyalty, DATES),
    Entry("spending-segments", "Spending segments", "Premium, Standard, Economy client days", "Clients",
          clients.spending_segments, DATES, Chart("bars", "segment_depense", "total_depense")),
    Entry("rfm", "RFM of each client", "quintiles of recency, frequency and amount (5 is best)", "Clients",
          clients.rfm, PLACES, limit=LIST_ROWS,
          less=("segment", "nb_achats", "dernier_achat")),
    Entry("rfm-segments", "RFM segments", "champions, loyal, new, at risk, lost", "Clients",
          clients.rfm_segments, PLACES, Chart("bars", "segment_rfm", "clients")),
    Entry("rfm-matrix", "RFM matrix", "clients by recency and frequency quintile", "Clients", clients.rfm_matrix, PLACES),
    Entry("client-sales", "Sales of one client", "name the client with --client, newest event first", "Clients",
          clients.client_sales, ALL | {"client"}, limit=LIST_ROWS,
          less=("vente_id", "client_id", "segment", "est_tardif", "pays")),
    Entry("revenue-by-country", "Revenue by country", "sales, revenue, average, clients", "Revenue",
          revenue.revenue_by_country, ALL, Chart("bars", "pays", "revenue_total")),
    Entry("revenue-by-segment", "Revenue by segment", "private persons and companies", "Revenue",
          revenue.revenue_by_segment, ALL, Chart("bars", "segment", "revenue_total"),
          less=("countries_count", "items_sold")),
    Entry("revenue-by-product", "Revenue by product", "every product, best first", "Revenue",
          revenue.revenue_by_product, ALL, Chart("bars", "produit_nom", "revenue_total"),
          less=("produit_id", "items_sold")),
    Entry("revenue-by-category", "Revenue by category", "every category, best first", "Revenue",
          revenue.revenue_by_category, ALL, Chart("bars", "categorie", "revenue_total"),
          less=("items_sold",)),
    Entry("by-hour", "Trend by hour", "hour of the day, all days together", "Trends", trends.by_hour, ALL,
          Chart("bars", "heure", "revenue_total")),
    Entry("by-day", "Trend by day", "newest day first", "Trends", trends.by_day, ALL,
          Chart("spark", "jour", "revenue_total"), limit=31),
    Entry("moving-average", "7-day moving average", "revenue a day over the last 7 days", "Trends",
          trends.moving_average, ALL, Chart("spark", "jour", "moyenne_7_jours"), limit=31),
    Entry("day-over-day", "Day over day", "each day beside the day before", "Trends", trends.day_over_day, ALL,
          Chart("spark", "jour", "revenue_total"), limit=31),
    Entry("rejects-by-reason", "Rejects by reason", "how many messages for each reason", "Quality",
          quality.rejects_by_reason, DATES, Chart("bars", "motif", "messages")),
    Entry("latest-rejects", "Latest rejects", "the messages themselves, newest first", "Quality",
          quality.latest_rejects, DATES, limit=LIST_ROWS),
    Entry("offsets-without-row", "Offsets without a row", "duplicates left out, for each Kafka partition", "Quality",
          quality.offsets_without_row),
    Entry("corrections", "Corrections", "what refreshes changed in days that had ended, newest first", "Quality",
          listing(tables.CORRECTIONS, "date_correction DESC, jour DESC, pays, segment"), ALL, limit=LIST_ROWS),
    Entry("ventes-stream", "Bronze sales", "ventes_stream, every column", "Tables",
          listing(tables.VENTES, '"timestamp" DESC, vente_id DESC'), ALL, limit=LIST_ROWS),
    Entry("ventes-rejetees", "Bronze rejects", "ventes_rejetees, every column", "Tables",
          listing(tables.REJETS, "date_ingestion DESC, topic, kafka_partition, kafka_offset DESC"), DATES,
          limit=LIST_ROWS),
    Entry("pertes-declarees", "Declared losses", "pertes_declarees: gaps in Kafka that a person accepted", "Tables",
          listing(tables.PERTES, "date_declaration DESC, topic, kafka_partition, premier_offset"), limit=LIST_ROWS),
    Entry("rejets-rejoues", "Replayed rejects", "rejets_rejoues: what became of bad messages that a person replayed", "Tables",
          listing(tables.REJOUES, "date_rejeu DESC, topic, kafka_partition, kafka_offset"), limit=LIST_ROWS),
    Entry("ventes-aggreges", "Client days", "ventes_aggreges, one row per client and day", "Tables",
          listing(tables.AGGREGES, "jour DESC, total_depense DESC, client_id"), DATES, limit=LIST_ROWS),
    Entry("ventes-par-pays", "Countries", "ventes_par_pays, one row per country", "Tables",
          listing(tables.PAR_PAYS, "revenue_total DESC, pays"), frozenset({"pays"}), limit=LIST_ROWS),
    Entry("ventes-par-segment", "Segments", "ventes_par_segment, one row per segment", "Tables",
          listing(tables.PAR_SEGMENT, "revenue_total DESC, segment"), frozenset({"segment"}), limit=LIST_ROWS),
    Entry("ventes-par-produit", "Product days", "ventes_par_produit, one row per product and day", "Tables",
          listing(tables.PAR_PRODUIT, "jour DESC, revenue_total DESC, produit_id"), DATES, limit=LIST_ROWS),
    Entry("tendances-horaires", "Hourly trends", "tendances_horaires, one row per day, hour, country, segment", "Tables",
          listing(tables.TENDANCES, "jour DESC, heure DESC, pays, segment"), ALL, limit=LIST_ROWS),
    Entry("profil-clients", "Client profiles", "profil_clients, one row per client", "Tables",
          listing(tables.PROFIL, "total_depense DESC, client_id"), PLACES, limit=LIST_ROWS),
    Entry("history", "Table history", "who changed a table when, newest version first", "Time", kind="history",
          limit=LIST_ROWS),
    Entry("glossary", "Glossary", "what the French names of tables and columns mean", "Time", kind="glossary"),
    Entry("time-travel", "Time travel", "read every table as it was at a time", "Time", kind="travel"),
    Entry("sql", "Your own SQL", "one SELECT over the tables", "Time", kind="sql"),
)  # fmt: skip


def entry(name: str) -> Entry:
    """The entry of that name; ``KeyError`` when there is none."""
    for found in ENTRIES:
        if found.name == name:
            return found
    raise KeyError(name)


def daily_report(*, top_clients: int, dernieres_ventes: int) -> tuple[Section, ...]:
    """The sections of ``--batch`` in order; the two numbers are the lengths of its lists."""
    lengths = {"top-clients": top_clients, "latest-sales": dernieres_ventes}
    names = (
        "row-counts", "totals", "top-clients", "revenue-by-country", "revenue-by-segment", "loyalty",
        "rejects-by-reason", "latest-sales",
    )  # fmt: skip
    titles = {
        "top-clients": f"Top {top_clients} clients",
        "latest-sales": f"Last {dernieres_ventes} sales",
    }
    return tuple(
        Section(titles.get(name, entry(name).title), entry(name), Filters(limit=lengths.get(name))) for name in names
    )
