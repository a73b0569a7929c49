"""What executes a Silver job's steps: the interface of both engines, and the values that it speaks of.

The job decides (which generation, whether a batch may follow, what to do after a failure); an engine reads Bronze and writes
Silver. Both read and write the same tables, commits and checkpoint, so that each goes on where the other stopped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, Protocol

from lakehouse.contract.table_properties import ERASE, RETENTION
from lakehouse.contract.tables import VENTES, TableSpec
from lakehouse.contract.tables import checkpoint as checkpoint_path
from lakehouse.errors import LakehouseError
from lakehouse.lake.checkpoint_folder import AdvancedFolder, CheckpointFolder
from lakehouse.lake.operations_progress import NONE, OperationsProgress, OperationsStep
from lakehouse.silver.aggregates import Aggregate

JOB = "silver"

EngineName = Literal["spark", "local"]


@dataclass(frozen=True)
class Generation:
    """One row of the generations' table: built from Bronze at ``bronze_version``; ``done`` when the build ended."""

    name: str
    bronze_version: int
    definition: str
    done: bool
    operations_version: int = NONE
    """Of the operations that it was built with."""

    def checkpoint(self, base: str) -> str:
        """The folder of its checkpoint."""
        return checkpoint_path(base, f"{JOB}-{self.name}")

    def consumed(self, checkpoint: CheckpointFolder) -> tuple[int, bool]:
        """The Bronze version that Silver holds all of, and whether it holds nothing of the next one."""
        committed = checkpoint.committed()
        if committed is None:
            return self.bronze_version, True
        with checkpoint.reading():
            end = committed.delta_end()
        return end.whole_version, not end.is_inside_version

    def operations(self, checkpoint: CheckpointFolder) -> OperationsProgress:
        """How far Silver has read the operations."""
        return OperationsProgress(checkpoint, self.operations_version)


@dataclass(frozen=True)
class CellDifference:
    """One cell that differs from the recompute; values as text."""

    table: str
    key: str
    column: str
    expected: str
    found: str


class Engine(Protocol):
    """Whoever calls a method that writes holds Silver's writer lock."""

    name: EngineName

    def bronze_version(self) -> int:
        """The newest version."""

    def operations_version(self) -> int:
        """The newest version of the table of operations; ``NONE`` while there is none."""

    def table_id(self, spec: TableSpec) -> str:
        """The id of a table: one that was removed and made anew has another."""

    def removals(self, spec: TableSpec, *, after: int, upto: int) -> Iterator[tuple[int, str, str | None]]:
        """(version, operation, what its origin says) of the table's commits ``after`` + 1 to ``upto`` that took rows away."""

    def last_state(self) -> Mapping[str, Any] | None:
        """The last row of the generations' table, None when there is none."""

    def record(self, row: Mapping[str, Any]) -> None:
        """Append a row to it."""

    def checkpoint(self, generation: Generation) -> AdvancedFolder:
        """The generation's checkpoint."""

    def build(self, generation: Generation, stop: threading.Event) -> bool:
        """Replace every table by the recompute of the generation's Bronze versions. False when ``stop`` was set between two
        tables: the next start finishes the build."""

    def advance(
        self,
        generation: Generation,
        *,
        operations: int,
        skip_removals: bool,
        merged: Callable[[str, float], None],
        beat: Callable[[], None],
    ) -> tuple[int, Exception | None]:
        """Merge all sales that Bronze holds and the generation's checkpoint does not, with their operations up to the version
        ``operations``. The sales that were merged, and what ended it
        early. ``merged`` is called with each table and the seconds that its merge took, ``beat`` now and then."""

    def apply(
        self,
        generation: Generation,
        step: OperationsStep,
        merged: Callable[[str, float], None],
        beat: Callable[[], None],
    ) -> None:
        """Take the sales that the step changes out of every table as they were, and put them back as they are."""

    def gain_columns(self, generation: Generation) -> None:
        """Add to the tables of an earlier release the columns that they lack, with their values."""

    def properties(self, spec: TableSpec) -> Mapping[str, str]:
        """The table's properties."""

    def version(self, spec: TableSpec) -> int:
        """The table's newest version."""

    def differences(
        self,
        entry: Aggregate,
        *,
        bronze_version: int,
        operations: int,
        version: int,
        since: date | None,
        limit: int,
    ) -> list[CellDifference]:
        """The cells (at most ``limit``), from the day ``since`` on, in which the table at ``version`` differs from the recompute of
        Bronze at ``bronze_version``, with the operations at theirs."""

    def doubled(self, spec: TableSpec, *, version: int | None, limit: int) -> list[CellDifference]:
        """The keys (at most ``limit``) of which more than one row stands; none of a table that is not there."""


def removers(removals: Iterable[tuple[int, str, str | None]], spec: TableSpec = VENTES) -> frozenset[str]:
    """Which of the operator's commands (``RETENTION``, ``ERASE``) made these removals from a table of Bronze. Raises ``LakehouseError``
    when something else did."""
    found = set()
    for version, operation, what in removals:
        if what not in (RETENTION, ERASE):
            raise LakehouseError(
                f"Version {version} of {spec.name} took sales away ({operation} by {what or 'an unknown writer'}), which no "
                f"increment can follow. To build Silver anew from what stands there: python streaming_silver.py --full"
            )
        found.add(what)
    return frozenset(found)
