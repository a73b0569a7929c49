"""The contract's French names explained: each public table and column with its English and French title and its meaning."""

from __future__ import annotations

from lakehouse.contract.tables import PUBLIC
from lakehouse.explorer.arguments import choose
from lakehouse.explorer.formats.titles import titled, unit
from lakehouse.lake.result import Column, Result

MEANINGS = {
    "vente_id": "identity of a sale, unique for ever: a copy with the same one is left out",
    "client_id": "identity of a client",
    "client_nom": "name of the client",
    "produit_id": "identity of a product",
    "produit_nom": "name of the product, as its latest sale has it",
    "categorie": "category of the product",
    "pays": "country, by its French name",
    "segment": "Particulier (private person) or Entreprise (company)",
    "timestamp": "when it was sold (event time)",
    "quantite": "items of one sale",
    "montant": "total of one sale in €",
    "operation_id": "identity of an operation on a sale, unique for ever",
    "operation": "annulation (cancelled), retour (came back) or correction",
    "revision": "of several corrections of a field the highest is valid",
    "raison": "why the operation was made, in the sender's words",
    "jour": "day of the sale in the business time zone",
    "heure": "hour of the day in the business time zone, 0 to 23",
    "date_ingestion": "when its batch was ingested: the batch's own clock",
    "kafka_timestamp": "when the broker received the message",
    "kafka_partition": "partition of the topic in which the message lies",
    "kafka_offset": "place of the message in its partition",
    "topic": "Kafka topic of the message",
    "est_tardif": "its sender was late: sold more than watermark_delay before the broker received it; back-dated sales too",
    "motif": "code of the reason why a message broke the contract",
    "explication": "sentence that says what is wrong with the message",
    "valeur": "the message's bytes, as they were sent",
    "cle": "the message's key, as it was sent",
    "premier_offset": "first offset of the gap",
    "dernier_offset": "last offset of the gap",
    "date_declaration": "when the loss was accepted",
    "operateur": "who accepted it",
    "date_rejeu": "when the message was replayed",
    "resultat": "what became of the replayed message",
    "corrige": "whether a person changed the message before it was replayed",
    "correction": "what was changed in the message",
    "run": "run of the script that wrote the row",
    "nb_achats": "number of sales, without the cancelled ones",
    "total_quantite": "sum of the items, without those that came back",
    "total_depense": "sum of the amounts in €, net of returns, cancellations and corrections",
    "panier_moyen": "sum of the amounts ÷ number of sales, in €",
    "nb_jours_actifs": "days on which the client bought something",
    "nb_produits_distincts": "different products that the client bought on that day",
    "est_client_fidele": "loyal on that day: enough purchases or enough spent ([ANALYTICS])",
    "segment_depense": "Premium, Standard or Economy, by what was spent on that day",
    "premier_achat": "the client's first sale",
    "dernier_achat": "the client's last sale",
    "total_transactions": "number of sales, without the cancelled ones",
    "revenue_total": "sum of the amounts in €, net of returns, cancellations and corrections",
    "transaction_moyenne": "sum of the amounts ÷ number of sales, in €",
    "items_sold": "sum of the items, without those that came back",
    "unique_customers": "different clients",
    "countries_count": "different countries",
    "date_correction": "when a day that had ended was corrected",
    "transactions": "change in the number of sales",
    "articles": "change in the number of items",
    "lot": "batch of the Silver job that made the correction",
    "generation": "life of the Silver tables: a full build and what followed",
    "processing_time": "when the Silver job wrote the row",
    "achat_min": "smallest amount of one sale, in €",
    "achat_max": "largest amount of one sale, in €",
    "revenu_brut": "what was sold, before returns and cancellations, in €",
    "montant_rembourse": "what returns and cancellations paid back, in €",
    "nb_retours": "number of returns",
    "nb_annulations": "number of sales that were cancelled",
}
"""Column → what it means, with its unit."""

COLUMNS = (
    Column("name", "text", "Name"),
    Column("english", "text", "In English"),
    Column("french", "text", "In French"),
    Column("meaning", "text", "What it means"),
)


def answer(name: str) -> Result:
    """One row for each public table and column, or for the one of that ``name``; raises ``ConfigError`` for another name."""
    rows = [(spec.name, f"table, {spec.layer}", f"table, {spec.layer}", spec.grain) for spec in PUBLIC]
    known = {column: None for spec in PUBLIC for column in spec.public}
    for column in known:
        measured = f" ({unit(column)})" if unit(column) else ""
        titles = (titled(column, "en") + measured, titled(column, "fr") + measured)
        rows.append((column, *titles, MEANINGS.get(column, "")))
    if name:
        chosen = choose(name, [row[0] for row in rows], "name")
        rows = [row for row in rows if row[0] == chosen]
    return Result(COLUMNS, list(rows))
