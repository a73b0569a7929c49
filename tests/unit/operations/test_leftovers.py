"""What the receipt of an erasure says of each place: what remains there, and until when."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lakehouse import config
from lakehouse.contract.tables import MEMBRES, REJOUES, VENTES, TableSpec
from lakehouse.kafka import clients
from lakehouse.lake import delta_tables, table_settings
from lakehouse.operations import leftovers
from tests.support import lakes

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
SENT = datetime(2026, 11, 27, 11, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _topic(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, {"retention.ms": "86400000", "segment.ms": "3600000"})


def answer(monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]) -> None:
    topic = clients.Topic("ventes_stream", 1, 1, 1, settings)
    monkeypatch.setattr(clients, "describe_topic", lambda _config: topic)


def listed(base: str, *, newest: datetime | None = SENT, due: bool = False, **settings: str) -> dict[str, str]:
    """Where → until."""
    texts = {f"VENTES_{name}": text for name, text in settings.items()}
    made = config.load(env={"VENTES_DELTA__BASE_PATH": base, "VENTES_DELTA__BACKUP_PATH": f"{base}-store", **texts})
    found = leftovers.listed(made, newest, due, NOW)
    assert len({one.where for one in found}) == len(found)
    return {one.where: one.until for one in found}


def log(base: str, spec: TableSpec) -> Path:
    return Path(spec.path(base), "_delta_log")


def test_kafka_keeps_a_message_for_as_long_as_its_segment(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert listed(base)["Kafka topic ventes_stream"].startswith("2026-11-28T12:00+00:00, at the latest")
    answer(monkeypatch, {"retention.ms": "-1", "segment.ms": str(2**63 - 1)})
    assert listed(base)["Kafka topic ventes_stream"].startswith("for ever")
    answer(monkeypatch, {"retention.ms": "86400000", "segment.ms": str(2**63 - 1)})
    assert listed(base)["Kafka topic ventes_stream"].startswith("2126-")


def test_the_checkpoint_keeps_an_id_for_the_watermark_and_some_batches(base: str) -> None:
    delays = {"STREAMING__WATERMARK_DELAY": "20 minutes", "STREAMING__FUTURE_TOLERANCE": "5 minutes"}
    said = listed(base, **delays)["Bronze's checkpoint"]
    assert said == (
        "2026-11-27T12:45+00:00, then 100 more batches of the job, RocksDB's next compaction, a new start of the job and "
        "100 more batches"
    )
    own = {"SPARK__CONF": "spark.a=b\nspark.sql.streaming.minBatchesToRetain = 7", "STREAMING__STATE_STORE": "memory"}
    assert listed(base, **own)["Bronze's checkpoint"].endswith("then 7 more batches of the job")


def test_nothing_was_erased_and_nothing_remains(base: str) -> None:
    assert listed(base, newest=None) == {}


def test_a_tables_versions_stay_for_a_time_and_its_log_where_it_names_someone(base: str) -> None:
    settings = config.load(env={"VENTES_DELTA__BASE_PATH": base})
    delta_tables.append(lakes.sales(5), VENTES, settings, what="test")
    delta_tables.create(MEMBRES, settings, table_settings.statistics(MEMBRES), what="test")
    said = listed(base, due=True)
    assert said["bronze ventes_stream"].startswith("2026-12-04T12:00+00:00, at its next maintenance")
    assert said["silver _membres"].startswith("7 days after its next build")
    assert not [where for where in said if "_delta_log" in where]
    assert listed(base)["silver _membres"].startswith("2026-12-04T12:00+00:00")


def test_a_log_of_an_earlier_release_is_named(base: str) -> None:
    lakes.write(base, REJOUES.name, [{**dict.fromkeys(REJOUES.names), "topic": "t", "vente_id": "a-sale"}])
    lakes.write(base, VENTES.name, lakes.sales(5))
    said = listed(base)
    assert said["bronze rejets_rejoues/_delta_log"].startswith("2026-12-28T12:00+00:00")
    assert "bronze ventes_stream/_delta_log" in said


@pytest.mark.parametrize(
    ("predicate", "named"),
    [
        ("client_id = 13", True),
        ('["(client_id = 13)"]', True),
        ('["(client_id#5042L = 13)"]', True),
        ("client_id IN (13, 14)", True),
        ('["(t.client_id = s.client_id) AND jour IN (...)"]', False),
        ('["((jour#5 = 2026-11-27) AND (client_id#5042L = client_id#5012L))"]', False),
        ("concat(kafka_partition, ':', kafka_offset) IN ('0:13')", False),
    ],
)
def test_a_condition_names_someone_when_it_has_a_number(base: str, predicate: str, named: bool) -> None:
    settings = config.load(env={"VENTES_DELTA__BASE_PATH": base})
    delta_tables.append(lakes.sales(5), VENTES, settings, what="test")
    entry: dict[str, Any] = {"commitInfo": {"operation": "DELETE", "operationParameters": {"predicate": predicate}}}
    (log(base, VENTES) / f"{1:020}.json").write_text(json.dumps(entry, separators=(",", ":")) + "\n")
    assert ("bronze ventes_stream/_delta_log" in listed(base)) == named


def test_signed_records_of_differences_and_backups_are_named(base: str) -> None:
    folder = Path(base, "audit", "reconciliations")
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"{number}.json").write_text(json.dumps({"differences": number}))
    Path(f"{base}-store", "backups").mkdir(parents=True)
    Path(f"{base}-store", "backups", "one.json").write_text("{}")
    said = listed(base)
    assert said["audit/reconciliations"].startswith("for ever") and said["backup one"] == "until it is removed"
    assert said["bronze _effacements"].startswith("for ever")
