"""Every text of the dashboard in English and French. An entry without both does not type-check."""

from __future__ import annotations

import re
from typing import Literal

TEXTS: dict[str, tuple[str, str]] = {
    "title": ("Sales dashboard", "Tableau de bord des ventes"),
    "sales": ("How are sales?", "Comment vont les ventes ?"),
    "clients": ("Who are my customers?", "Qui sont mes clients ?"),
    "trust": ("Can I trust the figures?", "Puis-je me fier aux chiffres ?"),
    "running": ("Is it running?", "Est-ce que ça tourne ?"),
    "skip": ("Skip to the figures", "Aller aux chiffres"),
    "pages": ("Pages", "Pages"),
    "language": ("Language", "Langue"),
    "filters": ("Filters", "Filtres"),
    "period": ("Period", "Période"),
    "period-today": ("Today", "Aujourd’hui"),
    "period-7d": ("Last 7 days", "7 derniers jours"),
    "period-30d": ("Last 30 days", "30 derniers jours"),
    "period-all": ("All days", "Tous les jours"),
    "period-dates": ("These dates", "Ces dates"),
    "du": ("From", "Du"),
    "au": ("To", "Au"),
    "pays": ("Country", "Pays"),
    "segment": ("Segment", "Segment"),
    "all-countries": ("All countries", "Tous les pays"),
    "all-segments": ("All segments", "Tous les segments"),
    "client": ("Client number", "Numéro de client"),
    "apply": ("Show", "Afficher"),
    "reset": ("Reset", "Réinitialiser"),
    "yes": ("yes", "oui"),
    "no": ("no", "non"),
    "csv": ("CSV", "CSV"),
    "csv-of": ("Download as CSV: {}", "Télécharger en CSV : {}"),
    "table": ("Figures as a table", "Les chiffres en tableau"),
    "source": ("{} version {}", "{} version {}"),
    "committed": ("written", "écrite le"),
    "first-rows": (
        "The first {} of {} rows; the CSV has all.",
        "Les {} premières lignes sur {} ; le CSV les a toutes.",
    ),
    "first-cut": ("The first {} rows; the CSV has all.", "Les {} premières lignes ; le CSV les a toutes."),
    "not-filtered": ("Not filtered by {}: these rows have none.", "Non filtré par {} : ces lignes n’en ont pas."),
    "dates": ("date", "date"),
    "pending": ("Being worked out…", "Calcul en cours…"),
    "dropped": ("Not worked out: too many questions at once.", "Pas calculé : trop de questions à la fois."),
    "busy": ("Too many questions at once", "Trop de questions à la fois"),
    "busy-do": (
        "Newer pages were served first, and parts of this one were not worked out. It asks again in {} seconds.",
        "Des pages plus récentes sont passées avant, et une partie de celle-ci n’a pas été calculée. Elle redemande dans {} secondes.",
    ),
    "empty": ("Nothing in this period.", "Rien sur cette période."),
    "empty-good": ("None. That is good.", "Aucun. C’est bon signe."),
    "failed": ("This part cannot be read.", "Cette partie ne peut pas être lue."),
    "missing": ("There is no data yet.", "Il n’y a pas encore de données."),
    "see-trouble": ("What it means: docs/TROUBLESHOOTING.md", "Ce que cela veut dire : docs/TROUBLESHOOTING.md"),
    "no-lake": ("No data yet", "Pas encore de données"),
    "no-lake-do": (
        "Nothing has been written to {} yet. Start the pipeline: make run. This page fills itself.",
        "Rien n’a encore été écrit dans {}. Démarrez la chaîne : make run. Cette page se remplit toute seule.",
    ),
    "old": ("The newest sales are old", "Les dernières ventes sont anciennes"),
    "old-do": (
        "Nothing was written to Bronze since {}. Is the pipeline running? See “Is it running?”; start it with: make run",
        "Rien n’a été écrit dans Bronze depuis {}. La chaîne tourne-t-elle ? Voir « Est-ce que ça tourne ? » ; "
        "la démarrer : make run",
    ),
    "down": ("Not everything is running", "Tout ne tourne pas"),
    "one-down": ("{}: {}", "{} : {}"),
    "down-do": ("{}. Start it again with: make run", "{}. Redémarrer avec : make run"),
    "broken": ("A table cannot be read", "Une table ne peut pas être lue"),
    "mistake": (
        "{} in the address is not accepted: the last 7 days are shown instead.",
        "{} dans l’adresse n’est pas accepté : voici les 7 derniers jours.",
    ),
    "none-in-period": (
        "No sale in this period. The lake holds sales from {} to {}.",
        "Aucune vente sur cette période. Le lac contient des ventes du {} au {}.",
    ),
    "show-all": ("Show all days", "Afficher tous les jours"),
    "unreachable": (
        "The dashboard does not answer: the figures below stand still. Start it again: python dashboard.py",
        "Le tableau de bord ne répond pas : les chiffres ci-dessous n’avancent plus. Le relancer : python dashboard.py",
    ),
    "live": ("Live: updates every 2 seconds", "En direct : mise à jour toutes les 2 secondes"),
    "ago-s": ("{} s ago", "il y a {} s"),
    "ago-m": ("{} min ago", "il y a {} min"),
    "ago-h": ("{} h ago", "il y a {} h"),
    "ago-d": ("{} d ago", "il y a {} j"),
    "day-unit": ("d", "j"),
    "cut": (
        "Every figure of this page is of one moment, cut {}:",
        "Tous les chiffres de cette page sont d’un même instant, la coupe {} :",
    ),
    "one-waiting": (
        "{} newer sale is on its way to these figures",
        "{} vente plus récente est en route vers ces chiffres",
    ),
    "many-waiting": (
        "{} newer sales are on their way to these figures",
        "{} ventes plus récentes sont en route vers ces chiffres",
    ),
    "key-figures": ("Key figures", "Chiffres clés"),
    "kpi-revenue": ("Revenue", "Chiffre d’affaires"),
    "kpi-sales": ("Sales", "Ventes"),
    "kpi-basket": ("Average basket", "Panier moyen"),
    "kpi-customers": ("Customers", "Clients"),
    "before": ("before: {}", "avant : {}"),
    "compared": ("Compared with {} – {}.", "Comparé au {} – {}."),
    "before-none": ("before: nothing", "avant : rien"),
    "before-never": ("no earlier period", "pas de période antérieure"),
    "not-over": ("The last day is not over yet.", "La dernière journée n’est pas terminée."),
    "by-day": ("Revenue by day", "Chiffre d’affaires par jour"),
    "by-hour": ("Revenue by hour of the day", "Chiffre d’affaires par heure de la journée"),
    "map": ("Revenue on the map", "Chiffre d’affaires sur la carte"),
    "revenue-by-country": ("Revenue by country", "Chiffre d’affaires par pays"),
    "revenue-by-segment": ("Revenue by segment", "Chiffre d’affaires par segment"),
    "revenue-by-category": ("Revenue by category", "Chiffre d’affaires par catégorie"),
    "revenue-by-product": ("Revenue by product", "Chiffre d’affaires par produit"),
    "top-clients": ("Top clients", "Meilleurs clients"),
    "loyalty": ("Loyal client days", "Jours de clients fidèles"),
    "spending-segments": ("Spending segments of client days", "Segments de dépense des jours de client"),
    "rfm-matrix": ("RFM matrix: clients by recency and frequency", "Matrice RFM : clients par récence et fréquence"),
    "rfm-segments": ("RFM segments", "Segments RFM"),
    "rfm": ("RFM of each client", "RFM de chaque client"),
    "client-sales": ("One client’s history", "L’historique d’un client"),
    "client-none": (
        "Choose a client: a number in the lists on this page, or type one into the filters.",
        "Choisissez un client : un numéro dans les listes de cette page, ou tapez-en un dans les filtres.",
    ),
    "rejects-by-reason": ("Rejected messages by reason", "Messages rejetés par motif"),
    "latest-rejects": ("Latest rejected messages, as they came", "Derniers messages rejetés, tels quels"),
    "late-sales": ("Late sales", "Ventes tardives"),
    "late-by-country": ("Late sales by country", "Ventes tardives par pays"),
    "offsets-without-row": ("Duplicates removed", "Doublons écartés"),
    "offsets-note": (
        "Every message that was read is a sale, a reject or a duplicate. So offsets without a row are duplicates that were left out; "
        "losses that a person declared count here too. – : the topic was created anew, its offsets no longer tell.",
        "Chaque message lu est une vente, un rejet ou un doublon. Les offsets sans ligne sont donc des doublons écartés ; les "
        "pertes qu’une personne a déclarées comptent aussi. – : le topic a été recréé, ses offsets ne le disent plus.",
    ),
    "pertes-declarees": ("Losses that a person declared", "Pertes déclarées par une personne"),
    "corrections": ("Corrections of days that had ended", "Corrections de jours déjà terminés"),
    "rejets-rejoues": ("Rejected messages that were replayed", "Messages rejetés qui ont été rejoués"),
    "reconciliation": ("Last reconciliation", "Dernière réconciliation"),
    "reconciliation-never": (
        "Never run. Type: python ops_utils.py reconcile",
        "Jamais faite. Tapez : python ops_utils.py reconcile",
    ),
    "drift": ("Schema drift", "Dérive du schéma"),
    "drift-unknown": (
        "The Bronze job’s health data does not say. Unknown fields are named in its log: “schema drift”.",
        "Les données de santé du job Bronze ne le disent pas. Les champs inconnus sont nommés dans son journal : « schema drift ».",
    ),
    "processes": ("Processes, as their own health data says", "Les processus, selon leurs propres données de santé"),
    "figures": ("Lag, batches, freshness", "Retard, lots, fraîcheur"),
    "figures-none": ("No process reports figures.", "Aucun processus ne donne de chiffres."),
    "tables": ("Tables", "Tables"),
    "tables-none": ("No table has been written yet.", "Aucune table n’a encore été écrite."),
    "commits": ("Latest commits", "Derniers commits"),
    "latest-sales": ("Latest sales that arrived", "Dernières ventes arrivées"),
    "state-running": ("running", "en marche"),
    "state-starting": ("starting", "démarre"),
    "state-failing": ("failing", "en échec"),
    "state-stopped": ("stopped", "arrêté"),
    "state-dead": ("dead", "mort"),
    "state-unknown": ("unknown", "inconnu"),
    "fewer": ("less", "moins"),
    "more": ("more", "plus"),
    "off-map": ("Not on the map: {}", "Hors carte : {}"),
    "matrix-cell": ("recency {}, frequency {}: {}", "récence {}, fréquence {} : {}"),
    "one-client": ("{} client", "{} client"),
    "many-clients": ("{} clients", "{} clients"),
    "one-sale": ("{} sale", "{} vente"),
    "many-sales": ("{} sales", "{} ventes"),
    "recency": ("Recency (5: bought last)", "Récence (5 : achat le plus récent)"),
    "frequency": ("Frequency (5: buys most often)", "Fréquence (5 : achète le plus souvent)"),
    "figures-as-of": ("Figures from", "Chiffres tirés de"),
    "made-here": (
        "Served by this machine alone: nothing is loaded from another host, nothing is sent out.",
        "Servi par cette seule machine : rien n’est chargé d’un autre hôte, rien n’est envoyé.",
    ),
    "map-world": ("The world", "Le monde"),
    "map-europe": ("Europe, larger", "L’Europe, en plus grand"),
    "map-source": ("Country shapes: Natural Earth.", "Formes des pays : Natural Earth."),
}

_FRENCH_SPACES = re.compile(r" (?=[?;:»])|(?<=«) ")
"""French puts a space before these marks, at which no line may be broken."""


def say(key: str, language: Literal["en", "fr"], *parts: object) -> str:
    """The text of that key; ``KeyError`` for an unknown one."""
    text = TEXTS[key][("en", "fr").index(language)]
    return (text if language == "en" else _FRENCH_SPACES.sub("\u00a0", text)).format(*parts)


def counted(thing: Literal["client", "sale"], language: Literal["en", "fr"], count: int, digits: str) -> str:
    """``1 sale``, ``2 sales``, ``0 sales``; in French nothing and one are singular. ``digits`` is the count as it is shown."""
    single = count == 1 or (count == 0 and language == "fr")
    return say(f"one-{thing}" if single else f"many-{thing}s", language, digits)
