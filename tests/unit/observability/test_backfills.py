"""The announcement of a backfill: who can read it, and what a changed line does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lakehouse import config as settings
from lakehouse.observability import audit_log
from lakehouse.operations import command
from lakehouse.operations.reconcile.report import _backfills

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def test_an_announced_backfill_is_read_back_and_named_by_a_reconciliation_of_its_topic(tmp_path: Path) -> None:
    config = settings.load(env={"VENTES_DELTA__BASE_PATH": str(tmp_path)})
    assert audit_log.backfills(config) == ()
    audit_log.announce_backfill(config, "ventes_stream", SINCE, SINCE + timedelta(days=14), 21_000)
    (one,) = audit_log.backfills(config)
    assert (one.topic, one.since, one.until, one.messages) == (
        "ventes_stream",
        SINCE,
        SINCE + timedelta(days=14),
        21_000,
    )
    assert datetime.now(UTC) - one.announced < timedelta(minutes=5)
    (note,) = _backfills(config, "ventes_stream")
    assert note.startswith(
        "an announced backfill of 21,000 sales with event times from 2026-01-01 00:00:00 UTC to 2026-01-15 00:00:00 UTC"
    )
    assert _backfills(config, "another") == []


def test_a_changed_announcement_counts_for_nothing_and_the_log_says_that_it_was_changed(tmp_path: Path) -> None:
    config = settings.load(env={"VENTES_DELTA__BASE_PATH": str(tmp_path)})
    for topic in ("one", "two"):
        audit_log.announce_backfill(config, topic, SINCE, SINCE, 1)
    log = audit_log.AuditLog(audit_log.folder(config))
    log.path.write_text(log.path.read_text().replace("2026-01-01", "2026-13-01", 1), encoding="utf-8")
    assert [one.topic for one in audit_log.backfills(config)] == ["two"]
    assert log.verify().fault is not None


def test_the_end_of_a_backfill_is_that_of_the_last_one_of_its_topic_and_never_an_earlier_one(tmp_path: Path) -> None:
    config = settings.load(env={"VENTES_DELTA__BASE_PATH": str(tmp_path)})
    audit_log.end_backfill(config, "one", SINCE)  # of a backfill whose announcement is gone
    audit_log.announce_backfill(config, "one", SINCE, SINCE, 1)
    audit_log.announce_backfill(config, "two", SINCE, SINCE, 1)
    assert [one.arrived for one in audit_log.backfills(config)] == [None, None]
    first, last = SINCE + timedelta(minutes=1), SINCE + timedelta(minutes=2)
    audit_log.end_backfill(config, "one", last)
    audit_log.end_backfill(config, "one", first)  # of another run, which took it for interrupted
    assert [one.arrived for one in audit_log.backfills(config)] == [last, None]
    audit_log.announce_backfill(config, "one", SINCE, SINCE, 1)  # the topic was created anew
    audit_log.end_backfill(config, "one", last + timedelta(days=1))
    assert [one.arrived for one in audit_log.backfills(config)] == [last, None, last + timedelta(days=1)]


def test_the_list_of_the_audit_says_what_was_announced_and_when_it_had_arrived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", str(tmp_path))
    config = settings.load()
    audit_log.announce_backfill(config, "ventes_stream", SINCE, SINCE + timedelta(days=14), 21_000)
    audit_log.end_backfill(config, "ventes_stream", SINCE + timedelta(days=15))
    assert command.main(["audit", "list"]) == 0
    said = capsys.readouterr().out
    assert "since=2026-01-01T00:00:00+00:00 until=2026-01-15T00:00:00+00:00 messages=21000" in said
    assert "arrived=2026-01-16T00:00:00+00:00" in said and "previous=" not in said
