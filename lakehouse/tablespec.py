"""PURE. What is said of each table of the lake: ``TableSpec``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TableSpec:
    """One table: where it lies under the base path, its columns in order, its grain and its partitioning.

    ``stats`` names the columns with file statistics: those that queries prune by. Statistics on every wide column
    cost about a third of a write (docs/decisions). ``optional`` columns stand after the others, in a table to which a
    setting once added them; a row may have null there.
    """

    name: str
    layer: str
    columns: tuple[tuple[str, str], ...]
    keys: tuple[str, ...]
    partition_by: tuple[str, ...] = ()
    stats: tuple[str, ...] = ()
    grain: str = ""
    optional: tuple[tuple[str, str], ...] = ()

    def path(self, base: str) -> str:
        return f"{base.rstrip('/')}/{self.layer}/{self.name}"

    @property
    def ddl(self) -> str:
        return ", ".join(f"`{name}` {kind}" for name, kind in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.columns)

    @property
    def public(self) -> tuple[str, ...]:
        """The columns that people see."""
        return tuple(name for name in self.names if not name.startswith("_"))
