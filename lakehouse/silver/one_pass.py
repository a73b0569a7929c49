"""One pass: what is new in Bronze's two tables, taken into every Silver table in steps.

New sales are merged with the operations that came before them; then new operations change the sales that are there (decision 0033).
One step at a time, and each is repeated as it was planned until it ends: what Silver holds is a function of the two versions, so that no
step needs to know in which order the others came.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lakehouse.contract.table_properties import ERASE, RETENTION
from lakehouse.contract.tables import OPERATIONS, VENTES
from lakehouse.errors import CheckpointInvalid
from lakehouse.lake import checkpoint_validation
from lakehouse.lake.checkpoint_folder import AdvancedFolder
from lakehouse.silver.engine import JOB, Engine, Generation, removers

_STEP_VERSIONS = 50
"""Versions of the operations, each a batch of Bronze's, that one step takes: what it reads is held in memory."""


@dataclass(frozen=True)
class Versions:
    """What a pass goes from and to: the versions of Bronze's two tables that Silver holds, and the newest ones."""

    sales: int
    newest_sales: int
    operations: int
    newest_operations: int

    @classmethod
    def of(cls, engine: Engine, generation: Generation, checkpoint: AdvancedFolder) -> Versions:
        consumed, _ = generation.consumed(checkpoint)
        read = generation.operations(checkpoint).read()
        return cls(consumed, engine.bronze_version(), read, engine.operations_version())

    @property
    def new_sales(self) -> bool:
        return self.newest_sales > self.sales

    @property
    def new_operations(self) -> bool:
        return self.newest_operations > self.operations

    def removers(self, engine: Engine) -> frozenset[str]:
        """Which of the operator's commands took rows away in between: ``RETENTION`` of sales, ``ERASE`` of either."""
        kinds = removers(engine.removals(VENTES, after=self.sales, upto=self.newest_sales))
        if self.new_operations:
            of_operations = engine.removals(OPERATIONS, after=self.operations, upto=self.newest_operations)
            kinds |= removers(of_operations, OPERATIONS) & {ERASE}
        return kinds & {RETENTION, ERASE}


@dataclass(frozen=True)
class Pass:
    """The steps of a pass. ``merged`` is called with each table and the seconds that its merge took, ``beat`` now and then."""

    generation: Generation
    checkpoint: AdvancedFolder
    merged: Callable[[str, float], None]
    beat: Callable[[], None]

    def run(self, engine: Engine, versions: Versions, *, skip_removals: bool) -> tuple[int, Exception | None]:
        """The sales that were merged, and what ended it early."""
        progress, rows = self.generation.operations(self.checkpoint), 0
        try:
            if begun := progress.unfinished():
                engine.apply(self.generation, begun, self.merged, self.beat)
                progress.finish(self.checkpoint, begun)
            if versions.new_sales:
                rows, failure = engine.advance(
                    self.generation,
                    operations=progress.read(),
                    skip_removals=skip_removals,
                    merged=self.merged,
                    beat=self.beat,
                )
                if failure is not None:
                    return rows, failure
            self._operations(engine, versions.newest_operations)
        except CheckpointInvalid:
            raise
        except Exception as failure:  # noqa: BLE001  # deltalake raises bare exceptions; the job says what follows
            return rows, failure
        return rows, None

    def _operations(self, engine: Engine, newest: int) -> None:
        progress = self.generation.operations(self.checkpoint)
        sales, whole = self.generation.consumed(self.checkpoint)
        while whole and progress.read() < newest:
            table_id = engine.table_id(OPERATIONS)
            if progress.table_id() not in (None, table_id):
                fault = f"it has read another table of {OPERATIONS.name}, which stood in the place of the present one"
                raise checkpoint_validation.refusal(self.checkpoint.path, JOB, fault)
            upto = min(newest, progress.read() + _STEP_VERSIONS)
            step = progress.plan(self.checkpoint, upto=upto, sales=sales, table_id=table_id)
            engine.apply(self.generation, step, self.merged, self.beat)
            progress.finish(self.checkpoint, step)
