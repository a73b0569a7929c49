"""Which cards a page has, in order, and what each asks. Adding a card is adding a line."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lakehouse.dashboard import entries
from lakehouse.dashboard.question import Question
from lakehouse.dashboard.request import View
from lakehouse.explorer.queries.model import Filters

Shape = Literal[
    "kpis",
    "days",
    "hours",
    "minutes",
    "map",
    "table",
    "matrix",
    "processes",
    "client",
    "client-days",
    "trust",
    "running",
    "tiles",
    "curves",
    "commits",
]
ROWS = 12
"""Rows of a list on the page; its CSV has all."""


@dataclass(frozen=True)
class Card:
    """``ask`` is the question (default: the card's own name). ``columns`` are shown in that order (default: all), those in
    ``wide`` not on a narrow screen. ``bar`` draws that column's amounts. ``note`` and ``none`` are texts: under the
    table, and in place of an empty one."""

    name: str
    shape: Shape = "table"
    ask: str = ""
    columns: tuple[str, ...] = ()
    wide: tuple[str, ...] = ()
    bar: str = ""
    rows: int | None = None
    full: bool = False
    note: str = ""
    none: str = "empty"
    fact: bool = False
    live: bool = False
    """Read at the newest versions, not at the page's cut."""

    @property
    def question(self) -> str:
        return self.ask or self.name


_MEASURES = ("revenue_total", "part_pct", "total_transactions", "transaction_moyenne", "unique_customers")
_LESS = ("transaction_moyenne", "unique_customers")

CARDS: dict[str, tuple[Card, ...]] = {
    "sales": (
        Card("right-now", "minutes", live=True),
        Card("arriving", columns=("timestamp", "client_nom", "produit_nom", "montant", "pays"), wide=("produit_nom",), rows=10, none="now-none", live=True),
        Card("key-figures", "kpis", "totals", full=True),
        Card("by-day", "days", full=True),
        Card("map", "map", "revenue-by-country"),
        Card("revenue-by-country", columns=("pays", *_MEASURES), wide=_LESS, bar="revenue_total", rows=30),
        Card("by-hour", "hours"),
        Card("revenue-by-segment", columns=("segment", *_MEASURES), wide=_LESS, bar="revenue_total", rows=30),
        Card("revenue-by-category", columns=("categorie", *_MEASURES), wide=_LESS, bar="revenue_total", rows=30),
        Card(
            "revenue-by-product", columns=("produit_nom", *_MEASURES[:-1], "items_sold"),
            wide=("transaction_moyenne", "items_sold"), bar="revenue_total", rows=30,
        ),
    ),
    "clients": (
        Card("client-totals", "client", full=True, none="client-unknown"),
        Card("client-days", "client-days", full=True, none="client-unknown"),
        Card(
            "top-clients",
            columns=("client_id", "client_nom", "total_depense", "nb_achats", "panier_moyen", "nb_jours_actifs", "dernier_jour"),
            wide=("panier_moyen", "nb_jours_actifs", "dernier_jour"), bar="total_depense", rows=10, full=True,
        ),
        Card("client-sales", wide=("client_id", "client_nom", "vente_id", "pays", "segment", "est_tardif"), rows=ROWS, full=True),
        Card("rfm-matrix", "matrix"),
        Card(
            "rfm-segments", columns=("segment_rfm", "clients", "total_depense", "depense_par_client", "nb_achats"),
            wide=("depense_par_client", "nb_achats"), bar="clients",
        ),
        Card(
            "loyalty", columns=("est_client_fidele", "total_depense", "clients", "jours_client", "panier_moyen"),
            wide=("jours_client", "panier_moyen"), bar="total_depense",
        ),
        Card(
            "spending-segments", columns=("segment_depense", "total_depense", "clients", "jours_client", "panier_moyen"),
            wide=("jours_client", "panier_moyen"), bar="total_depense",
        ),
        Card(
            "rfm", wide=("pays", "segment", "dernier_achat", "nb_achats", "recence", "frequence", "montant_quintile"),
            rows=ROWS, full=True,
        ),
    ),
    "trust": (
        Card("trust-verdict", "trust", "verdict", fact=True, full=True),
        Card("rejects-by-reason", columns=("motif", "messages", "dernier"), bar="messages", none="empty-good"),
        Card("offsets-without-row", note="offsets-note", wide=("premier_offset", "dernier_offset")),
        Card(
            "latest-rejects", wide=("explication", "topic", "kafka_partition", "kafka_offset"), rows=ROWS, full=True,
            none="empty-good",
        ),
        Card("reconciliation", fact=True, none="reconciliation-never"),
        Card("drift", fact=True, none="drift-unknown"),
        Card("late-sales", wide=("vente_id", "pays", "segment", "kafka_timestamp"), rows=ROWS, full=True, none="empty-good"),
        Card("late-by-country", bar="ventes_tardives", rows=30, none="empty-good"),
        Card("pertes-declarees", wide=("topic", "date_declaration"), rows=ROWS, none="empty-good"),
        Card(
            "corrections", wide=("date_correction", "segment", "articles", "generation", "lot"), rows=ROWS, full=True, none="empty-good"
        ),
        Card(
            "rejets-rejoues", wide=("topic", "kafka_timestamp", "vente_id", "corrige", "correction", "operateur", "run"), rows=ROWS,
            full=True, none="empty-good",
        ),
    ),
    "running": (
        Card("running-verdict", "running", "processes", fact=True, full=True),
        Card("tiles", "tiles", "figures", fact=True, full=True, none="figures-none"),
        Card("curves", "curves", "figures", fact=True, full=True, none="curves-none"),
        Card("processes", "processes", wide=("pid", "depuis"), fact=True, full=True),
        Card("tables", wide=("couche", "version", "date_commit"), fact=True, full=True, none="tables-none"),
        Card("latest-sales", wide=("vente_id", "segment", "produit_nom", "quantite"), rows=ROWS, full=True, live=True),
        Card("commits", "commits", fact=True, full=True, none="tables-none"),
    ),
}  # fmt: skip
LISTS = frozenset(
    {
        "arriving",
        "corrections",
        "rejets-rejoues",
        "client-sales",
        "latest-rejects",
        "late-sales",
        "latest-sales",
        "pertes-declarees",
        "rfm",
        "top-clients",
    }
)
"""Questions of which a page asks one row more than it shows; of the others it asks every row."""

OF_A_CLIENT = frozenset({"client-totals", "client-days", "client-sales"})
"""Questions that need a client: their cards are not there without one, but for the last, which says how to choose."""

FOLDED = frozenset({
    "rejects-by-reason", "latest-rejects", "late-sales", "late-by-country", "corrections", "pertes-declarees", "rejets-rejoues", "drift",
})  # fmt: skip
"""Cards of the page of trust that fold into one line together when they have nothing to show."""

COUNTS = {"late-by-country": "ventes_tardives", "drift": "valeur_mesuree"}
"""Columns of cards that have nothing to show when there are only zeros in it."""

RARE = frozenset({"corrections", "pertes-declarees", "rejets-rejoues"})
"""Tables that appear with their first row: while they are not there, there is nothing to show."""


def filters_of(name: str, view: View) -> Filters:
    """The view's filters, as far as the question takes them."""
    takes, given = entries.entry(name).filters, view.filters
    return Filters(
        du=given.du if "dates" in takes else None,
        au=given.au if "dates" in takes else None,
        pays=given.pays if "pays" in takes else (),
        segment=given.segment if "segment" in takes else (),
        client=view.client if "client" in takes else None,
    )


def left_out(name: str, view: View) -> list[str]:
    """The filters that the view has and the question does not take."""
    return sorted(view.filters.used - entries.entry(name).filters)


def by_hour(view: View) -> bool:
    """Whether the period is so short that it is shown by the hour."""
    return view.du is not None and view.au is not None and (view.au - view.du).days < entries.HOURLY


def question(card: Card, view: View) -> Question | None:
    """The question of the card; None when it needs a choice first."""
    if card.fact:
        return Question(card.question)
    if card.question in OF_A_CLIENT and view.client is None:
        return None
    filters = filters_of(card.question, view)
    if card.shape == "days" and by_hour(view):
        return Question("by-day-hour", filters)
    if card.question in LISTS and card.rows:
        filters = dataclasses.replace(filters, limit=card.rows + 1)
    return Question(card.question, filters, card.live)


def young(view: View) -> Question:
    """The period by the hour, for a lake that is ``entries.HOURLY`` days old or less: one bar of a week would say nothing."""
    return Question("young-hours", filters_of("young-hours", view))


COUNTRIES = Question("revenue-by-country")
"""For the list of countries in the filters."""
DAYS = Question("by-day")
"""The first and the last day that the lake holds."""
PROCESSES = Question("processes")
FIGURES = Question("figures")
BEGUN = Question("begun")
"""For the steps of an empty lake."""


def questions(view: View) -> Iterator[Question]:
    """All questions of the page, in the order in which it shows the answers."""
    yield PROCESSES
    yield BEGUN
    if view.page == "running":
        yield FIGURES
    for card in CARDS[view.page]:
        asked = question(card, view)
        if asked is not None:
            yield asked
        if card.shape == "kpis" and (before := view.before):
            yield Question(card.question, before)
        if card.shape == "days" and not by_hour(view):
            yield young(view)
    yield COUNTRIES
    if view.page == "sales":
        yield DAYS
