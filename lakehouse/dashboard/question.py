"""A question of a page: an entry of the registry, or a fact of the processes, with the filters that it takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from lakehouse.explorer.queries import registry
from lakehouse.explorer.queries.model import Filters

EVERYTHING = Filters()


@lru_cache(1000)
def _tables(name: str, filters: Filters) -> tuple[str, ...]:
    try:
        entry = registry.entry(name)
    except KeyError:
        return ()
    return entry.query(filters).tables if entry.build else ()


@dataclass(frozen=True)
class Question:
    """``live``: it is read at the newest versions, the others at the page's cut."""

    name: str
    filters: Filters = EVERYTHING
    live: bool = False

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that it reads; none of a fact of the processes."""
        return _tables(self.name, self.filters)
