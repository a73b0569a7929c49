"""How far Silver has read the operations on sales: *steps* in its checkpoint's folder, beside the files of Spark's own.

A step takes the operations of some versions of their table to the sales of one Bronze version. It is *planned* by the file
``operations/N``, and *ended* by ``operations_ended/N``; N counts from 0. A step that was planned is repeated as it was planned
until it ends, and nothing else is merged meanwhile. Who advances holds Silver's writer lock. A folder without steps is one of a
lake that has no operations, or of an earlier release.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from lakehouse.lake.checkpoint_files import DamagedFile
from lakehouse.lake.checkpoint_folder import AdvancedFolder, CheckpointFolder

PLANNED, ENDED = "operations", "operations_ended"
NONE = -1
"""The version of a table of operations of which nothing was read."""
_KEPT = 100
"""Steps whose files are kept."""


@dataclass(frozen=True)
class OperationsStep:
    """Operations of the versions ``after`` + 1 to ``upto``, on the sales of Bronze's version ``sales``. ``table_id``: the id of the
    table of operations."""

    number: int
    after: int
    upto: int
    sales: int
    table_id: str


class OperationsProgress:
    """The steps in one checkpoint's folder. ``built``: the version of the operations that the generation was built from."""

    def __init__(self, folder: CheckpointFolder, built: int) -> None:
        self._folder = folder
        self._built = built

    def read(self) -> int:
        """The version that Silver holds all of; ``NONE`` before the first."""
        ended = self._folder.ids(ENDED)
        return self._step(ended[-1]).upto if ended else self._built

    def ended(self) -> int:
        """The number of the last step that ended, -1 before the first."""
        return max(self._folder.ids(ENDED), default=-1)

    def unfinished(self) -> OperationsStep | None:
        """The step that was planned and has not ended."""
        planned = self._folder.ids(PLANNED)[-1:]
        return None if planned == self._folder.ids(ENDED)[-1:] else self._step(planned[0])

    def seen(self) -> tuple[int, ...]:
        """Changes with every plan and every end."""
        return (max(self._folder.ids(PLANNED), default=-1), self.ended())

    def table_id(self) -> str | None:
        """The table that the last step was about; None before the first."""
        planned = self._folder.ids(PLANNED)
        return self._step(planned[-1]).table_id if planned else None

    def plan(self, into: AdvancedFolder, *, upto: int, sales: int, table_id: str) -> OperationsStep:
        """Plan the next step."""
        step = OperationsStep(self.ended() + 1, self.read(), upto, sales, table_id)
        into.write_text(f"{PLANNED}/{step.number}", json.dumps(asdict(step)))
        return step

    def finish(self, into: AdvancedFolder, step: OperationsStep) -> None:
        """Note that everything of the step is in every table."""
        into.write_text(f"{ENDED}/{step.number}", "{}")
        for name in (ENDED, PLANNED):  # in this order: an end without its plan is damage
            for number in self._folder.ids(name):
                if number <= step.number - _KEPT:
                    into.forget(f"{name}/{number}")

    def _step(self, number: int) -> OperationsStep:
        name = f"{PLANNED}/{number}"
        with self._folder.reading():
            try:
                found = json.loads(self._folder.text(name) or "")
                step = OperationsStep(**found)
            except (ValueError, TypeError):
                raise DamagedFile(name) from None
            if step.number != number or not all(type(one) is int for one in (step.after, step.upto, step.sales)):
                raise DamagedFile(name)
            return step
