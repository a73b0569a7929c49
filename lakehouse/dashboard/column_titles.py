"""What figures, fields and columns are called on a page, in English and French; the columns as the explorer calls them."""

from __future__ import annotations

from lakehouse.explorer.formats.titles import LANGUAGES, Language, unit
from lakehouse.explorer.formats.titles import titled as titled_column
from lakehouse.wording import EURO

FIELDS: dict[str, tuple[str, str]] = {
    "finished": ("Finished", "Terminée le"),
    "differences": ("Differences", "Écarts"),
    "found": ("Found", "Trouvés"),
    "notes": ("Notes", "Remarques"),
    "record": ("Record", "Procès-verbal"),
    "versions": ("Versions", "Versions"),
    "silver_bronze_version": ("Bronze version in Silver", "Version de Bronze dans Silver"),
    "operator": ("By", "Par"),
}
"""The fields of a reconciliation's record."""

FIGURES: dict[str, tuple[str, str]] = {
    "lag_records": ("Kafka lag (messages)", "Retard sur Kafka (messages)"),
    "batch_seconds": ("Last batch (s)", "Dernier lot (s)"),
    "freshness_seconds": ("Freshness (s)", "Fraîcheur (s)"),
    "lag_seconds": ("Kafka lag (s)", "Retard sur Kafka (s)"),
    "rows_per_second": ("Rows a second", "Lignes par seconde"),
    "batch_id": ("Batch no.", "N° du lot"),
    "sales": ("Sales since the start", "Ventes depuis le démarrage"),
    "operations": ("Operations since the start", "Opérations depuis le démarrage"),
    "rejected": ("Rejected since the start", "Rejetés depuis le démarrage"),
    "drifted": ("Sales with unknown fields since the start", "Ventes aux champs inconnus depuis le démarrage"),
    "duplicates": ("Duplicates since the start", "Doublons depuis le démarrage"),
    "sent": ("Sent", "Envoyés"),
    "acknowledged": ("Acknowledged", "Confirmés"),
    "failed": ("Failed", "Échoués"),
    "in_flight": ("On their way", "En route"),
    "log_bytes": ("Log on disk (bytes)", "Journal sur disque (octets)"),
    "age_seconds": ("Silver’s age (s)", "Âge de Silver (s)"),
    "merged": ("Rows merged", "Lignes fusionnées"),
    "pass_seconds": ("Last pass (s)", "Dernière passe (s)"),
    "memory": ("Memory (MiB)", "Mémoire (Mio)"),
    "behind_versions": ("Behind Bronze (versions)", "En retard sur Bronze (versions)"),
    "pass_tables": ("Tables merged in this pass", "Tables fusionnées dans ce passage"),
}


RFM_SEGMENTS: dict[str, tuple[str, str]] = {
    "Champions": ("Champions", "Champions"),
    "Loyal": ("Loyal", "Fidèles"),
    "New": ("New", "Nouveaux"),
    "At risk": ("At risk", "À risque"),
    "Lost": ("Lost", "Perdus"),
    "Promising": ("Promising", "Prometteurs"),
}
"""The names that ``queries.clients`` gives; the CSV keeps them."""


def titled(name: str, language: Language) -> str:
    """The title of a column, a process's figure or a record's field; a name without one stands for itself. With the unit, where
    the cells do not show it."""
    found = titled_column(name, language)
    if found == name:
        return (FIGURES.get(name) or FIELDS.get(name) or (name, name))[LANGUAGES.index(language)]
    return found if unit(name) in ("", EURO, "%") else f"{found} ({unit(name)})"
