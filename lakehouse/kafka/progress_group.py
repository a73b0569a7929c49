"""Bronze's progress as a consumer group, so that Kafka's own tools show its lag. A mirror: never read back.

Spark keeps its offsets in its checkpoint and commits none to Kafka. The group is never ahead of the checkpoint, since it is
told of batches that were committed; it may be behind by ``[MONITORING] sample_interval``.
"""

from __future__ import annotations

from collections.abc import Mapping

from lakehouse.config import Config
from lakehouse.errors import LakehouseError
from lakehouse.kafka import clients
from lakehouse.observability import log, metrics
from lakehouse.observability.registry import Meter

_log = log.get("bronze")


class ProgressGroup:
    """``[KAFKA] progress_group``. ``read`` takes committed offsets: partition → next offset to read."""

    def __init__(self, config: Config, meter: Meter) -> None:
        self._config = config
        self._meter = meter
        self._wanted: dict[int, int] = {}
        self._told: dict[int, int] = {}
        self._failing = False

    def read(self, ends: Mapping[int, int]) -> None:
        self._wanted.update(ends)

    def mirror(self) -> None:
        """Commit to the group what is new. A failure is counted, logged once, and tried again by the next call; never raised."""
        wanted = dict(self._wanted)
        if wanted == self._told:
            return
        try:
            clients.commit_offsets(self._config, self._config.kafka.progress_group, wanted)
        except LakehouseError as error:
            self._meter.add(metrics.PROGRESS_GROUP_FAILURES)
            if not self._failing:
                _log.warning(
                    "the consumer group is not told of Bronze's progress; Bronze goes on",
                    group=self._config.kafka.progress_group,
                    cause=str(error),
                )
            self._failing = True
        else:
            self._told, self._failing = wanted, False
