"""Table properties by which the jobs and the operators' commands inform each other."""

from __future__ import annotations

from datetime import UTC, datetime

EXACT_DEDUP_UNTIL = "ventes.porteExacteJusqua"
"""Table property of ``ventes_stream``: until this time every sale is compared with Bronze, because another checkpoint,
whose deduplication state is gone, or an operator's replay has written to the table."""

ZONES = "ventes.fuseaux"
"""Table property of ``ventes_stream``: the business time zones in which the ``jour`` of its rows was made, each with the time
from which on, comma-separated: ``UTC 2026-11-27T09:00:00Z,Europe/Paris 2026-12-01T09:00:00Z``."""

UNKNOWN_ZONE = "?"
"""In ``ZONES``: that of rows which were written before zones were noted."""


def with_zone(noted: str | None, zone: str, since: datetime, *, empty: bool) -> str:
    """``ZONES`` once rows of ``zone`` may be written; ``empty``: the table has no row yet."""
    before = noted.split(",") if noted else [] if empty else [UNKNOWN_ZONE]
    if before and before[-1].partition(" ")[0] == zone:
        return ",".join(before)
    return ",".join((*before, f"{zone} {since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"))


def zones_of(noted: str | None) -> tuple[str, ...]:
    """The different zones of ``ZONES``."""
    return tuple(dict.fromkeys(each.partition(" ")[0] for each in (noted or UNKNOWN_ZONE).split(",")))


def zones_sentence(noted: str | None) -> str:
    """For people: of which zones the days are; empty when they are of one, as far as is known."""
    if not noted or len(set(zones_of(noted)) - {UNKNOWN_ZONE}) < 2:
        return ""
    first, *later = (each.partition(" ") for each in noted.split(","))
    begun = "an unknown one" if first[0] == UNKNOWN_ZONE else first[0]
    changes = ", ".join(f"{zone} for sales ingested from {since} on" for zone, _, since in later)
    return f"The days of sales are of several time zones: {begun}, {changes}. Days around a change hold sales of both zones' days."


TOPIC_SINCE = "ventes.topicDepuis"
"""Table property of ``ventes_stream``: the topic's id, and the time from which on rows come from it. A topic that was
created anew counts its offsets from 0 again: only from that time on are a row's coordinates unique."""

SALT = "ventes.sel"
"""Table property of ``_effacements``: what goes before a vente_id in its hash."""

ERASE = "erase"
"""What the commits of an erasure say that they are. Silver cannot take such a commit in: it begins a new generation."""

INVALID = "invalide"
"""``etat`` of a Silver generation that an operator ended: the next pass builds a new one."""

KEPT_FROM = "ventes.conserveDepuis"
"""Table property of a Silver table with a ``jour``: retention has taken the days before this one away; they are neither
written again nor compared."""

RETENTION = "retention"
"""``what`` of the commits by which retention takes rows away."""
