"""Sales after their operations as SQL of either engine: ``net_sales``' definition over Bronze's two tables.

``sales`` and ``operations`` are tables with Bronze's columns. The result of ``net`` has the columns of ``sales``, corrected, with ``quantite`` and
``montant`` net of what came back, and ``BESIDE``. A property compares it with ``net_sales.net``, cell by cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lakehouse.contract.sale import ANNULATION, CORRECTION, CORRIGES, RETOUR
from lakehouse.contract.tables import MONEY_SUM, OPERATIONS, VENTES
from lakehouse.lake.query import Dialect, literal, named, quoted

SOURCE_COLUMNS = (
    "vente_id", "client_id", "produit_id", "timestamp", "quantite", "montant",
    "client_nom", "produit_nom", "categorie", "pays", "segment", "jour",
)  # fmt: skip
"""What Silver reads of a sale."""

BESIDE = ("revenu_brut", "montant_rembourse", "nb_retours", "annulee")
"""What a sale has beside its net amount and articles, in the order of the result's last columns."""

_LATEST: Mapping[Dialect, str] = {
    "spark": "max_by({0}, struct(revision, operation_id)) FILTER (WHERE operation = {1} AND {0} IS NOT NULL)",
    "local": "last_value({0} ORDER BY revision, operation_id) FILTER (WHERE operation = {1} AND {0} IS NOT NULL)",
}
"""Of a field, the value of the greatest (revision, operation_id) that corrects it."""


def folded(operations: str, dialect: Dialect) -> str:
    """One row per sale that has operations, matched or not: what they say together."""
    back = f"FILTER (WHERE operation = {literal(RETOUR)})"
    values = {
        "annulee": f"count(1) FILTER (WHERE operation = {literal(ANNULATION)}) > 0",
        "nb_retours": f"count(1) {back}",
        "articles_rendus": f"sum(CAST(quantite AS BIGINT)) {back}",
        "montant_rendu": f"sum(montant) {back}",
        **{f"corrige_{name}": _LATEST[dialect].format(quoted(name, dialect), literal(CORRECTION)) for name in CORRIGES},
    }
    return f"SELECT vente_id, {named(values, dialect)} FROM {operations} GROUP BY vente_id"


PLAIN = {
    "revenu_brut": "montant",
    "montant_rembourse": f"CAST(0 AS {MONEY_SUM})",
    "nb_retours": "CAST(0 AS BIGINT)",
    "annulee": "false",
}
"""Of a sale without operations, ``BESIDE`` as SQL; the same in both dialects."""


def plain(sales: str) -> str:
    """The sales of ``sales``, none of which has an operation, with the columns of ``net``; the same in both dialects."""
    return f"SELECT *, {', '.join(f'{sql} AS {name}' for name, sql in PLAIN.items())} FROM {sales}"


def net(sales: str, operations: str, dialect: Dialect, columns: Sequence[str] = VENTES.names) -> str:
    """The sales of ``sales`` with all of their operations: those ``columns`` of it, and ``BESIDE``."""
    fields = {
        name: f"coalesce(o.corrige_{name}, s.{quoted(name, dialect)})"
        if name in CORRIGES
        else f"s.{quoted(name, dialect)}"
        for name in columns
    }
    brut, articles = fields["montant"], f"CAST({fields['quantite']} AS BIGINT)"
    void = "coalesce(o.annulee, false)"
    back = f"CASE WHEN {void} THEN {brut} ELSE coalesce(o.montant_rendu, 0) END"
    values = {
        **fields,
        "quantite": f"CASE WHEN {void} THEN 0 ELSE {articles} - coalesce(o.articles_rendus, 0) END",
        "montant": f"CAST({brut} - {back} AS {MONEY_SUM})",
        "revenu_brut": f"CAST({brut} AS {MONEY_SUM})",
        "montant_rembourse": f"CAST({back} AS {MONEY_SUM})",
        "nb_retours": "coalesce(o.nb_retours, 0)",
        "annulee": void,
    }
    return f"SELECT {named(values, dialect)} FROM {sales} AS s LEFT JOIN ({folded(operations, dialect)}) AS o ON s.vente_id = o.vente_id"


NET = "ventes_nettes"
"""The sales that are not cancelled, net of their operations: a view that a question may read (``Query.net``), and no table."""


def view(*, operations: bool) -> str:
    """The statement that makes it, over Bronze's tables; without ``operations`` there are none."""
    made = net(VENTES.name, OPERATIONS.name, "local") if operations else plain(VENTES.name)
    return f"CREATE VIEW {NET} AS SELECT * FROM ({made}) WHERE NOT annulee"
