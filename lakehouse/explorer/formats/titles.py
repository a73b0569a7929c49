"""What the contract's French columns are called for people, in English and French, with their units. Downloads keep the names."""

from __future__ import annotations

import dataclasses
from typing import Literal

from lakehouse.lake.result import Result
from lakehouse.wording import EURO

Language = Literal["en", "fr"]
LANGUAGES: tuple[Language, ...] = ("en", "fr")

EUROS = frozenset({
    "montant", "revenue_total", "transaction_moyenne", "total_depense", "panier_moyen", "depense_par_client", "revenue_veille",
    "minimum", "quartile_1", "mediane", "quartile_3", "maximum", "moyenne", "moyenne_7_jours", "evolution",
    "achat_min", "achat_max", "revenu_brut", "montant_rembourse",
})  # fmt: skip
"""Columns of amounts in EUR."""

COLUMNS: dict[str, tuple[str, str]] = {
    "pays": ("Country", "Pays"),
    "segment": ("Segment", "Segment"),
    "categorie": ("Category", "Catégorie"),
    "produit_id": ("Product no.", "N° produit"),
    "produit_nom": ("Product", "Produit"),
    "client_id": ("Client no.", "N° client"),
    "client_nom": ("Client", "Client"),
    "total_transactions": ("Sales", "Ventes"),
    "revenue_total": ("Revenue", "Chiffre d’affaires"),
    "transaction_moyenne": ("Average basket", "Panier moyen"),
    "items_sold": ("Items", "Articles"),
    "unique_customers": ("Customers", "Clients"),
    "countries_count": ("Countries", "Pays"),
    "part_pct": ("Share", "Part"),
    "jour": ("Day", "Jour"),
    "heure": ("Hour", "Heure"),
    "nb_achats": ("Purchases", "Achats"),
    "total_quantite": ("Items", "Articles"),
    "total_depense": ("Spent", "Dépensé"),
    "panier_moyen": ("Average basket", "Panier moyen"),
    "nb_jours_actifs": ("Active days", "Jours actifs"),
    "dernier_jour": ("Last day", "Dernier jour"),
    "est_client_fidele": ("Loyal", "Fidèle"),
    "clients": ("Clients", "Clients"),
    "jours_client": ("Client days", "Jours de client"),
    "segment_depense": ("Spending", "Dépense"),
    "segment_rfm": ("RFM segment", "Segment RFM"),
    "depense_par_client": ("Spent per client", "Dépensé par client"),
    "dernier_achat": ("Last purchase", "Dernier achat"),
    "recence": ("Recency", "Récence"),
    "frequence": ("Frequency", "Fréquence"),
    "montant_quintile": ("Amount", "Montant"),
    "timestamp": ("Time", "Heure"),
    "quantite": ("Pieces", "Quantité"),
    "montant": ("Amount", "Montant"),
    "vente_id": ("Sale", "Vente"),
    "est_tardif": ("Late", "Tardive"),
    "retard_minutes": ("Late by", "Retard"),
    "kafka_timestamp": ("Received", "Reçue"),
    "ventes_tardives": ("Late sales", "Ventes tardives"),
    "tardives_pct": ("Late", "Tardives"),
    "motif": ("Reason", "Motif"),
    "operation_id": ("Operation id", "Identifiant de l’opération"),
    "revision": ("Revision", "Révision"),
    "raison": ("Sender's reason", "Raison"),
    "messages": ("Messages", "Messages"),
    "premier": ("First", "Premier"),
    "dernier": ("Last", "Dernier"),
    "date_ingestion": ("Taken in", "Reçu le"),
    "explication": ("Why", "Pourquoi"),
    "valeur": ("Raw message", "Message brut"),
    "topic": ("Topic", "Topic"),
    "kafka_partition": ("Partition", "Partition"),
    "kafka_offset": ("Offset", "Offset"),
    "premier_offset": ("First offset", "Premier offset"),
    "dernier_offset": ("Last offset", "Dernier offset"),
    "lignes": ("Rows", "Lignes"),
    "sans_ligne": ("Without a row", "Sans ligne"),
    "date_declaration": ("Declared", "Déclarée le"),
    "operateur": ("By", "Par"),
    "quoi": ("What", "Quoi"),
    "numero": ("No.", "N°"),
    "ventes": ("Sales", "Ventes"),
    "secondes": ("Seconds", "Secondes"),
    "minute": ("Minute", "Minute"),
    "table": ("Table", "Table"),
    "couche": ("Layer", "Couche"),
    "version": ("Version", "Version"),
    "fichiers": ("Files", "Fichiers"),
    "octets": ("Bytes", "Octets"),
    "date_commit": ("Written", "Écrite le"),
    "operation": ("Operation", "Opération"),
    "moteur": ("Written by", "Écrit par"),
    "mesures": ("What it did", "Ce qu’il a fait"),
    "processus": ("Process", "Processus"),
    "etat": ("State", "État"),
    "pid": ("PID", "PID"),
    "depuis": ("Since", "Depuis"),
    "raisons": ("Why", "Pourquoi"),
    "derniere_erreur": ("Last error", "Dernière erreur"),
    "mesure": ("Figure", "Mesure"),
    "valeur_mesuree": ("Value", "Valeur"),
    "champ": ("Field", "Champ"),
    "contenu": ("Content", "Contenu"),
    "date_correction": ("Corrected", "Corrigé le"),
    "transactions": ("Sales", "Ventes"),
    "articles": ("Items", "Articles"),
    "generation": ("Generation", "Génération"),
    "lot": ("Batch no.", "N° du lot"),
    "date_rejeu": ("Replayed", "Rejoué le"),
    "resultat": ("Result", "Résultat"),
    "corrige": ("Corrected", "Corrigé"),
    "correction": ("Correction", "Correction"),
    "run": ("Run", "Exécution"),
    "minimum": ("Least", "Minimum"),
    "quartile_1": ("1st quartile", "1er quartile"),
    "mediane": ("Median", "Médiane"),
    "quartile_3": ("3rd quartile", "3e quartile"),
    "maximum": ("Most", "Maximum"),
    "moyenne": ("Average", "Moyenne"),
    "moyenne_7_jours": ("7-day average", "Moyenne sur 7 jours"),
    "revenue_veille": ("Day before", "Veille"),
    "evolution": ("Change", "Évolution"),
    "evolution_pct": ("Change", "Évolution"),
    "premier_jour": ("First day", "Premier jour"),
    "premier_achat": ("First purchase", "Premier achat"),
    "nb_produits_distincts": ("Products", "Produits"),
    "achat_min": ("Smallest sale", "Plus petit achat"),
    "achat_max": ("Largest sale", "Plus gros achat"),
    "processing_time": ("Computed", "Calculé le"),
    "revenu_brut": ("Gross revenue", "Chiffre d’affaires brut"),
    "montant_rembourse": ("Paid back", "Remboursé"),
    "nb_retours": ("Returns", "Retours"),
    "nb_annulations": ("Cancelled sales", "Ventes annulées"),
    "cle": ("Key", "Clé"),
    "parametres": ("Parameters", "Paramètres"),
}


def titled(name: str, language: Language) -> str:
    """The title of a column, without its unit; a name without one stands for itself."""
    return COLUMNS.get(name, (name, name))[LANGUAGES.index(language)]


def unit(name: str) -> str:
    """``€``, ``%``, ``min``; empty for a column that has none."""
    if name in EUROS:
        return EURO
    return "%" if name.endswith("_pct") else "min" if name.endswith("_minutes") else ""


def headed(name: str, language: Language) -> str:
    """The head of a column on a terminal: ``Revenue (€)``."""
    return titled(name, language) + (f" ({unit(name)})" if unit(name) and name in COLUMNS else "")


def with_titles(result: Result, language: Language) -> Result:
    """The result with a title over each of its columns; the names stay. Two columns never get one title."""
    heads = [column.title or headed(column.name, language) for column in result.columns]
    columns = (
        dataclasses.replace(column, title=head if heads.count(head) == 1 else f"{head} {column.name}")
        for column, head in zip(result.columns, heads, strict=True)
    )
    return dataclasses.replace(result, columns=tuple(columns))
