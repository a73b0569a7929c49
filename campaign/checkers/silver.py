"""Silver beside a recompute of Bronze in plain Python, operations on sales included, and its sums among themselves: claims S7 and
S8."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from campaign.checkers.tables import rows
from campaign.checkers.violation import Violation

Row = dict[str, Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CENT = Decimal("0.01")
_CORRECTED = (
    "client_id",
    "produit_id",
    "quantite",
    "montant",
    "client_nom",
    "produit_nom",
    "categorie",
    "pays",
    "segment",
)
"""What a correction may replace."""
_ADDED = ("total_transactions", "nb_achats", "revenue_total", "total_depense", "items_sold", "total_quantite")


def _total(sales: list[Row]) -> Row:
    return {
        "total_transactions": len(sales),
        "revenue_total": sum((row["montant"] for row in sales), Decimal(0)),
        "items_sold": sum(row["quantite"] for row in sales),
    }


def _mean(sales: list[Row]) -> Decimal:
    """To twelve digits first: the contract's mean is rounded twice."""
    exact: Decimal = _total(sales)["revenue_total"] / len(sales)
    return exact.quantize(Decimal("1e-12"), ROUND_HALF_UP).quantize(_CENT, ROUND_HALF_UP)


def _latest(sales: list[Row]) -> Row:
    return max(sales, key=lambda row: (row["timestamp"], row["vente_id"]))


def _clients(sales: list[Row]) -> int:
    return len({row["client_id"] for row in sales})


def _hour(row: Row) -> int:
    return (_EPOCH + timedelta(microseconds=row["timestamp"])).hour


def _per_client_and_day(sales: list[Row]) -> Row:
    spent = sum((row["montant"] for row in sales), Decimal(0))
    return {
        "client_nom": _latest(sales)["client_nom"],
        "total_quantite": sum(row["quantite"] for row in sales),
        "total_depense": spent,
        "nb_achats": len(sales),
        "panier_moyen": _mean(sales),
        "achat_min": min(row["montant"] for row in sales),
        "achat_max": max(row["montant"] for row in sales),
        "nb_produits_distincts": len({row["produit_id"] for row in sales}),
        "est_client_fidele": len(sales) >= 2,
        "segment_depense": "Premium" if spent >= 500 else "Standard" if spent >= 100 else "Economy",
    }


def _profile(sales: list[Row]) -> Row:
    last = _latest(sales)
    return {
        "premier_achat": min(row["timestamp"] for row in sales),
        "dernier_achat": last["timestamp"],
        "nb_achats": len(sales),
        "total_depense": sum((row["montant"] for row in sales), Decimal(0)),
        "nb_jours_actifs": len({row["jour"] for row in sales}),
        "pays": last["pays"],
        "segment": last["segment"],
    }


TABLES: dict[str, tuple[Callable[[Row], tuple[Any, ...]], tuple[str, ...], Callable[[list[Row]], Row]]] = {
    "ventes_par_pays": (
        lambda row: (row["pays"],),
        ("pays",),
        lambda sales: {**_total(sales), "transaction_moyenne": _mean(sales), "unique_customers": _clients(sales)},
    ),
    "ventes_par_segment": (
        lambda row: (row["segment"],),
        ("segment",),
        lambda sales: {
            **_total(sales),
            "transaction_moyenne": _mean(sales),
            "unique_customers": _clients(sales),
            "countries_count": len({row["pays"] for row in sales}),
        },
    ),
    "ventes_par_produit": (
        lambda row: (row["produit_id"], row["jour"]),
        ("produit_id", "jour"),
        lambda sales: {
            **_total(sales),
            "unique_customers": _clients(sales),
            "produit_nom": _latest(sales)["produit_nom"],
            "categorie": _latest(sales)["categorie"],
        },
    ),
    "tendances_horaires": (
        lambda row: (row["jour"], _hour(row), row["pays"], row["segment"]),
        ("jour", "heure", "pays", "segment"),
        _total,
    ),
    "ventes_aggreges": (lambda row: (row["client_id"], row["jour"]), ("client_id", "jour"), _per_client_and_day),
    "profil_clients": (lambda row: (row["client_id"],), ("client_id",), _profile),
}
"""table → its key of a sale, the names of that key's columns, and its figures of the sales with one key."""


def check(lake: Path) -> Iterator[Violation]:
    """Each cell of each table beside the sales of Bronze, of a lake whose Silver has taken all of them in."""
    sales = net(rows(lake / "bronze/ventes_stream"), rows(lake / "bronze/ventes_operations"))
    yield from compare(sales, {name: rows(lake / "silver" / name) for name in TABLES})


def net(sales: list[Row], operations: list[Row]) -> list[Row]:
    """The sales as their operations leave them, each with ``_annulee``: of each field the correction with the greatest revision,
    then operation_id, is valid; returns add up; of a cancelled sale nothing is left."""
    of: dict[str, list[Row]] = defaultdict(list)
    for row in operations:
        of[row["vente_id"]].append(row)
    return [_after(sale, of[sale["vente_id"]]) for sale in sales]


def _after(sale: Row, operations: list[Row]) -> Row:
    left = {**sale, "_annulee": any(row["operation"] == "annulation" for row in operations)}
    corrections = [row for row in operations if row["operation"] == "correction"]
    for row in sorted(corrections, key=lambda row: (row["revision"], row["operation_id"])):
        left |= {name: row[name] for name in _CORRECTED if row[name] is not None}
    if left["_annulee"]:
        return {**left, "quantite": 0, "montant": Decimal("0.00")}
    for row in operations:
        if row["operation"] == "retour":
            left |= {name: left[name] - row[name] for name in ("quantite", "montant")}
    return left


def compare(sales: list[Row], held: dict[str, list[Row]]) -> Iterator[Violation]:
    """The same, of sales (``net``) and rows that were read before, of those tables that were."""
    for name, (key_of, columns, figures) in TABLES.items():
        if name not in held:
            continue
        expected: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for sale in sales:
            expected[key_of(sale)].append(sale)
        found = {tuple(row[column] for column in columns): row for row in held[name]}
        if len(found) != len(held[name]):
            yield Violation("S7", f"{name} has {len(held[name])} rows for {len(found)} keys")
        for key in sorted(expected.keys() ^ found.keys(), key=str):
            yield Violation("S7", f"{name} {key} is {'missing' if key in expected else 'of no sale'}")
        for key in expected.keys() & found.keys():
            for column, value in _cells(figures, expected[key]).items():
                if found[key][column] != value:
                    yield Violation("S7", f"{name} {key} {column}: {found[key][column]}, not {value}")
    yield from sums(held)


def _cells(figures: Callable[[list[Row]], Row], sales: list[Row]) -> Row:
    """The figures of the sales that were not cancelled. Where all were, the row stays, and its counts and sums are 0."""
    live = [sale for sale in sales if not sale["_annulee"]]
    if live:
        return figures(live)
    return {name: 0 for name in figures(sales) if name in _ADDED}


def sums(held: dict[str, list[Row]]) -> Iterator[Violation]:
    """Totals over countries, segments, products and hours are one total."""
    totals = {
        name: (
            sum(row["total_transactions"] for row in found),
            sum((row["revenue_total"] for row in found), Decimal(0)),
            sum(row["items_sold"] for row in found),
        )
        for name, found in held.items()
        if name in ("ventes_par_pays", "ventes_par_segment", "ventes_par_produit", "tendances_horaires")
    }
    if len(set(totals.values())) > 1:
        yield Violation("S8", f"the totals differ: {totals}")
