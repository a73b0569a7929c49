"""How often a planned batch was begun and not committed, kept beside the checkpoint: the process may have ended with it.

A batch that was planned has its offsets and its clock for good. What fails ``FAILURES`` times with one plan is not
transient.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from lakehouse.lake.checkpoint import Checkpoint
from lakehouse.lake.checkpoint_files import Planned

_FILE = "attempts"
FAILURES = 3


@dataclass(frozen=True)
class Trial:
    """Messages that are being ingested by themselves, ``first`` to ``last`` (partition, offset), both included. ``times``:
    how often these were begun when the process ended with them."""

    first: tuple[int, int]
    last: tuple[int, int]
    messages: int
    times: int = 1

    def holds(self, partition: int, offset: int) -> bool:
        """Whether the message at this place is between them."""
        return self.first <= (partition, offset) <= self.last


@dataclass(frozen=True)
class Attempt:
    """One more attempt at a plan. ``settled``: each of its messages is in a table. ``trial``: what the process ended with."""

    batch_id: int
    clock_ms: int
    failures: int
    settled: bool = False
    trial: Trial | None = None

    @property
    def exhausted(self) -> bool:
        """Whether the batch is not begun once more as it is."""
        return self.settled or self.failures >= FAILURES


class Attempts:
    """The record of one checkpoint. A record that cannot be read counts as none: then the count begins anew, and what was
    ingested already is found in the tables."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._now: Attempt | None = None

    def _load(self, planned: Planned) -> Attempt:
        none = Attempt(planned.batch_id, planned.clock_ms, 0)
        try:
            found = json.loads(self._checkpoint.text(_FILE) or "{}")
            if trial := found.get("trial"):
                found["trial"] = Trial(tuple(trial["first"]), tuple(trial["last"]), trial["messages"], trial["times"])
            kept = Attempt(**found)
        except (ValueError, TypeError, KeyError, AttributeError):
            return none
        return kept if (kept.batch_id, kept.clock_ms) == (planned.batch_id, planned.clock_ms) else none

    def _note(self, attempt: Attempt) -> Attempt:
        self._checkpoint.write_text(_FILE, json.dumps(asdict(attempt)))
        self._now = attempt
        return attempt

    def begin(self) -> Attempt | None:
        """Before the query starts: count the batch that was planned and not committed. None when there is none."""
        planned = self._checkpoint.uncommitted()
        if planned is None:
            return None
        known = self._load(planned)
        return self._note(replace(known, failures=known.failures + 1))

    def excuse(self) -> None:
        """The batch in hand was put off and not begun: a job that stops at a batch boundary has planned it already."""
        planned = self._checkpoint.uncommitted()
        if planned is not None:
            known = self._load(planned)
            self._note(replace(known, failures=known.failures - 1))

    def forgive(self) -> None:
        """The failures so far may have had another cause than the batch: they do not count."""
        assert self._now is not None
        self._note(replace(self._now, failures=0))

    def trying(self, trial: Trial | None) -> None:
        """Note what is ingested next, or that nothing is in hand."""
        assert self._now is not None
        self._note(replace(self._now, trial=trial))

    def settle(self) -> None:
        """Note that each message of the batch is in a table."""
        assert self._now is not None
        self._note(replace(self._now, settled=True, trial=None))
