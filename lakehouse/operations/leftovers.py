"""What remains of an erased person: where, what of it, and until when. It is printed, and stands in the receipt."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lakehouse.config import Config, format_duration, paths
from lakehouse.contract.tables import (
    AGGREGES,
    BRONZE,
    EFFACES,
    MEMBRES,
    PAR_PRODUIT,
    PERSONAL,
    PROFIL,
    REJOUES,
    TableSpec,
)
from lakehouse.errors import LakehouseError
from lakehouse.kafka import clients
from lakehouse.lake import delta_tables
from lakehouse.maintenance.version_retention import LATE
from lakehouse.observability import audit_log
from lakehouse.operations.recovery.backup import Backups

_NAMED = (*BRONZE, REJOUES, AGGREGES, PROFIL, PAR_PRODUIT, MEMBRES)
"""Tables with a person's rows, or with the vente_id of a person's sale; the others hold sums."""

_SEGMENT = timedelta(days=7)
"""Kafka's own segment.ms: a segment is removed when its newest message is old enough, and takes messages for so long."""

_BATCHES = re.compile(r"spark\.sql\.streaming\.minBatchesToRetain\s*=\s*(\d+)")
_KEPT_BATCHES = 100
"""Spark's own value of it."""


@dataclass(frozen=True)
class Leftover:
    """``until`` begins with a time (ISO 8601), or is a sentence."""

    where: str
    what: str
    until: str


def listed(config: Config, newest: datetime | None, silver_due: bool, now: datetime) -> list[Leftover]:
    """All of it; ``newest`` is the broker's time of the last erased message, None when there was none."""
    found = [] if newest is None else [_kafka(config, newest), _state(config, now)]
    for spec in _NAMED:
        if delta_tables.exists(spec, config):
            found += _table(config, spec, None if silver_due and spec.layer == "silver" else now)
    found += _records(config)
    found += _backups(config)
    if newest is not None:
        what = "places in Kafka, times and salted hashes of vente_id and operation_id; no name, no number"
        found.append(
            Leftover(f"bronze {EFFACES.name}", what, "for ever: reconcile counts by it, and no copy comes back")
        )
    return found


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="minutes")


def _kafka(config: Config, newest: datetime) -> Leftover:
    where = f"Kafka topic {config.kafka.topic}"
    kept, segment, known = config.kafka.retention, _SEGMENT, "[KAFKA] retention; Kafka was not asked"
    try:
        settings = clients.describe_topic(config).settings
    except LakehouseError:
        pass
    else:
        if int(settings.get("retention.ms", "-1")) < 0:
            return Leftover(
                where, "the messages themselves", "for ever: the topic has no retention (retention.ms = -1)"
            )
        kept, known = _span(settings["retention.ms"]), "the topic's retention.ms and segment.ms"
        segment = _span(settings["segment.ms"])
    what = f"the messages themselves; no replay or rebuild takes them in again ({known})"
    return Leftover(where, what, f"{_text(newest + kept + segment)}, at the latest: Kafka removes whole segments")


def _span(milliseconds: str) -> timedelta:
    """A hundred years at most: Kafka's largest number of milliseconds ends no date that can be written."""
    return timedelta(milliseconds=min(int(milliseconds), 36_500 * 86_400_000))


def _state(config: Config, now: datetime) -> Leftover:
    streaming, own = config.streaming, _BATCHES.search(config.spark.conf)
    until = _text(now + 2 * streaming.watermark_delay + streaming.future_tolerance)
    batches = f"{own[1] if own else _KEPT_BATCHES} more batches"
    # the list of files (MANIFEST) in each snapshot names the first and last key of files that are gone, until it is opened anew
    rocksdb = f", RocksDB's next compaction, a new start of the job and {batches}"
    return Leftover(
        "Bronze's checkpoint",
        "vente_id of sales of the last minutes, no name",
        f"{until}, then {batches} of the job{rocksdb if streaming.state_store == 'rocksdb' else ''}",
    )


def _table(config: Config, spec: TableSpec, since: datetime | None) -> Iterator[Leftover]:
    """``since``: when the person left it; None when that is still to come."""

    def until(kept: timedelta) -> str:
        what = "at its next maintenance"
        return f"{_text(since + kept)}, {what}" if since else f"{format_duration(kept)} after its next build, {what}"

    where, delta = f"{spec.layer} {spec.name}", config.delta
    verb = " and restore-table" if spec in BRONZE else ""
    of = "vente_id in older" if spec is PAR_PRODUIT else "older"
    yield Leftover(where, f"{of} versions, for time travel{verb}", until(delta.deleted_file_retention))
    if _log_names_people(spec.path(delta.base_path)):
        what = "log entries of an earlier release: the smallest and largest number or text of files, or a condition"
        yield Leftover(f"{where}/_delta_log", what, until(delta.log_retention + LATE))


_IN_STATISTICS = re.compile(rb'minValues\\":\{[^}]*\\"(?:' + "|".join(sorted(PERSONAL)).encode() + rb')\\":')
_IN_A_CONDITION = re.compile(rb'"predicate":"(?:[^"\\]|\\.)*client_id(?:#\d+L?)? (?:=|IN)\W*\d')
"""Spark numbers its columns: ``client_id#7L = 13``."""


def _log_names_people(path: str) -> bool:
    """Whether an entry of the log may name someone: none that this release writes does. Of an object store it is not known."""
    if paths.is_uri(path):
        return True
    entries = sorted(Path(path, "_delta_log").glob("*.json"), reverse=True)
    return any(
        _IN_STATISTICS.search(text) or _IN_A_CONDITION.search(text) for text in (one.read_bytes() for one in entries)
    )


def _records(config: Config) -> Iterator[Leftover]:
    folder = audit_log.folder(config) / audit_log.RECONCILIATIONS
    found = sum(1 for path in folder.glob("*.json") if json.loads(path.read_bytes()).get("differences"))
    if found:
        what = f"{found} signed records with differences: the keys and vente_id that differed, whoever's they are"
        yield Leftover(f"audit/{audit_log.RECONCILIATIONS}", what, "for ever: they are kept as they were signed")


def _backups(config: Config) -> list[Leftover]:
    place = config.delta.backup_path
    try:
        ids = Backups(place, config).ids()
    except (LakehouseError, OSError) as error:
        return [Leftover(f"backups in {place}", f"could not be read: {error}", "not known")]
    return [
        Leftover(
            f"backup {backup}", f"the lake as it was, in {place}: erase again after a restore", "until it is removed"
        )
        for backup in ids
    ]
