"""Notes beside the checkpoint: the settings by which each batch was validated, so that a repeated batch is validated alike.

``settings/N`` holds those of batch N and of all after it up to the next note: there is one for each change. It is written
before anything of batch N is. A checkpoint of an earlier release has none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from lakehouse.bronze.batch_settings import BatchSettings, following
from lakehouse.contract.tables import OPERATIONS, REJETS, VENTES, TableSpec
from lakehouse.errors import CheckpointInvalid
from lakehouse.lake import checkpoint_validation
from lakehouse.lake.checkpoint import Checkpoint
from lakehouse.lake.checkpoint_files import SETTINGS
from lakehouse.observability import log

_log = log.get("bronze")


class SettingsChange(Exception):
    """Raised in a batch that may take the present settings, while the query still has those of the batch before; nothing of it
    was written."""


class NotedSettings:
    """The settings of one checkpoint's batches. ``wanted``: those of the present configuration. ``has``: whether a table has a
    batch already. ``prepare``: what the tables need before other settings hold: (the earlier ones or None, the new ones, the last
    batch's clock or None)."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        wanted: BatchSettings,
        has: Callable[[TableSpec, int], bool],
        prepare: Callable[[BatchSettings | None, BatchSettings, int | None], None],
    ) -> None:
        self._checkpoint = checkpoint
        self._wanted = wanted
        self._has = has
        self._prepare = prepare
        self.current = wanted
        """Of the query that runs, or is to be started."""
        self._upto: int | None = None  # the last batch that ``current`` is for, when that is not what is wanted

    def before_query(self) -> BatchSettings:
        """The settings with which a query has to be started: those of the batch that is repeated, else those that are wanted."""
        committed, planned = self._checkpoint.committed_ids()[-1:], self._checkpoint.planned_ids()[-1:]
        number = committed[0] + 1 if committed else 0
        self._upto = None
        if planned and planned[0] >= number and self._noted(number):
            self.current = self._repeated(number)
            if not self.current.same_rules(self._wanted):
                self._upto = number
                _log.info("a batch is repeated with the settings that it had", batch_id=number, **_shown(self.current))
        else:
            self.current = self._begin(number)
        return self.current

    def check(self, batch_id: int) -> None:
        """Raises ``SettingsChange`` for the batch after the repeated one, when other settings are wanted now."""
        if self._upto is not None and batch_id > self._upto:
            self._begin(batch_id)
            raise SettingsChange

    def _begin(self, number: int) -> BatchSettings:
        """The wanted settings, from batch ``number`` on, of which nothing is written yet."""
        last = self._checkpoint.planned(number - 1)
        before = self._noted(number - 1)
        clock = last.clock_ms if last else None
        now = following(before, self._wanted, clock)
        if now != self._noted(number):
            self._prepare(before, now, clock)
            self._checkpoint.write_text(f"{SETTINGS}/{number}", now.to_json())
            if before:
                _log.info("settings changed", batch_id=number, **_shown(now))
        return now

    def _repeated(self, number: int) -> BatchSettings:
        """Those that the batch has begun with, read by the present decoder."""
        noted = self._noted(number)
        assert noted is not None
        if noted.decoder == self._wanted.decoder:
            return noted
        begun = next((spec for spec in (VENTES, OPERATIONS) if self._has(spec, number)), None)
        if begun and not self._has(REJETS, number):
            raise CheckpointInvalid(
                f"Batch {number} was begun by another release, which may read some of its messages otherwise: a part of it is in "
                f"{begun.name}, its bad messages are in no table yet. Nothing was written. Let that release end the batch "
                f"(python spark_streaming_delta.py --once), then start this one again."
            )
        now = replace(noted, decoder=self._wanted.decoder)
        self._checkpoint.write_text(f"{SETTINGS}/{number}", now.to_json())
        return now

    def _noted(self, number: int) -> BatchSettings | None:
        """Of batch ``number``; None when its settings were not noted."""
        found = [each for each in self._checkpoint.ids(SETTINGS) if each <= number]
        if not found:
            return None
        name = f"{SETTINGS}/{found[-1]}"
        try:
            return BatchSettings.from_json(self._checkpoint.text(name) or "")
        except (ValueError, KeyError, TypeError):
            raise checkpoint_validation.refusal(
                self._checkpoint.path, self._checkpoint.job, f"its file {name} is damaged"
            ) from None


def _shown(settings: BatchSettings) -> dict[str, str]:
    return {
        "watermark_delay": str(settings.watermark_delay),
        "future_tolerance": str(settings.future_tolerance),
        "timezone": settings.timezone,
    }
