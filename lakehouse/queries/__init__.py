"""PURE. The questions that people ask of the lake: tables → report tables, as SQL text.

The explorer (menu, sub-commands, daily report) and the dashboard share them. No I/O here: a builder takes
``Filters`` and returns a ``Query``, the text and the names of the tables it reads; ``lakehouse.lake`` runs it.
``registry.ENTRIES`` is the one list that drives menu, sub-commands, help and documents.

The texts are DataFusion's SQL. Money stays DECIMAL from the table to the caller: sums are exact, an average is
sum ÷ count rounded half up to the cent (see ``model.average``).
"""

from lakehouse.queries.model import Chart, Entry, Filters, Query, Section
from lakehouse.queries.registry import ENTRIES, daily_report, entry

__all__ = ["ENTRIES", "Chart", "Entry", "Filters", "Query", "Section", "daily_report", "entry"]
