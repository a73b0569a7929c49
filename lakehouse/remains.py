"""EDGE. Where an erased person's data still lies, and until when: Kafka, older versions, backups, the stream's memory.
No JVM; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from lakehouse import delta_files, kafka_clients
from lakehouse.backups import Backups
from lakehouse.config import Config, format_duration
from lakehouse.errors import LakehouseError
from lakehouse.tables import AGGREGES, MEMBRES, PROFIL, REJETS, REJOUES, VENTES, TableSpec

_NAMED = (VENTES, REJETS, REJOUES, AGGREGES, PROFIL, MEMBRES)
"""Tables with a person's rows; the other Silver tables hold sums."""


@dataclass(frozen=True)
class Remain:
    """``until`` is a time (ISO 8601), or a sentence."""

    where: str
    what: str
    until: str


def listed(config: Config, newest: datetime | None, silver_due: bool, now: datetime) -> list[dict[str, str]]:
    """All of it; ``newest`` is the broker's time of the last erased message, None when there was none."""
    found = [] if newest is None else [_kafka(config, newest), _memory(config, now)]
    found += _versions(config, now, silver_due)
    found += _backups(config)
    return [asdict(one) for one in found]


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="minutes")


def _kafka(config: Config, newest: datetime) -> Remain:
    where = f"Kafka topic {config.kafka.topic}"
    try:
        text = kafka_clients.describe_topic(config).settings.get("retention.ms", "-1")
        if int(text) < 0:
            return Remain(where, "the messages themselves", "for ever: the topic has no retention (retention.ms = -1)")
        kept, known = timedelta(milliseconds=int(text)), "the topic's retention.ms"
    except LakehouseError:
        kept, known = config.kafka.retention, "[KAFKA] retention; Kafka was not asked"
    what = f"the messages themselves; no replay or rebuild takes them in again ({known})"
    return Remain(where, what, f"{_text(newest + kept)}, and until Kafka removes their segment")


def _memory(config: Config, now: datetime) -> Remain:
    until = now + 2 * config.streaming.watermark_delay
    return Remain(
        "Bronze's checkpoint",
        "vente_id of sales of the last minutes, no name",
        f"{_text(until)}, and its next clean-up",
    )


def _versions(config: Config, now: datetime, silver_due: bool) -> Sequence[Remain]:
    kept = config.delta.deleted_file_retention
    found = []
    for spec in _NAMED:
        if not delta_files.exists(spec, config):
            continue
        since = "its next build" if silver_due and spec.layer == "silver" else _text(now)
        until = f"{format_duration(kept)} after {since}, when the table is vacuumed"
        found.append(Remain(f"{spec.layer} {spec.name}", _older(spec), until))
    return found


def _older(spec: TableSpec) -> str:
    return f"older versions, for time travel{' and restore-table' if spec in (VENTES, REJETS) else ''}"


def _backups(config: Config) -> list[Remain]:
    place = config.delta.backup_path
    try:
        ids = Backups(place, config).ids()
    except (LakehouseError, OSError) as error:
        return [Remain(f"backups in {place}", f"could not be looked at: {error}", "not known")]
    return [
        Remain(
            f"backup {backup}", f"the lake as it was, in {place}: erase again after a restore", "until it is removed"
        )
        for backup in ids
    ]
