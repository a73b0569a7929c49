"""The tables' versions: contiguous, readable, and the same for ever. Claims S9 and S10."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from deltalake import DeltaTable

from campaign.checkers.tables import rows, versions
from campaign.checkers.violation import Violation

Hashes = dict[tuple[str, int], str]
"""(table, version) → a hash of its rows, whatever their order."""


def tables(lake: Path) -> list[Path]:
    """The folders of all Delta tables of a lake."""
    return sorted(log.parent for log in lake.glob("*/*/_delta_log"))


def check(lake: Path, before: Hashes) -> Iterator[Violation]:
    """Compares with ``before``, and adds what it read to it. A hash is taken once a version, and anew of the newest."""
    for table in tables(lake):
        name, there = table.relative_to(lake).as_posix(), versions(table)
        if there != list(range(there[0], there[-1] + 1)):
            yield Violation("S9", f"{name} has a gap among its versions")
            continue
        counted = DeltaTable(str(table)).count()
        if counted != len(rows(table)):
            yield Violation("S9", f"{name}: two readers count {counted} and {len(rows(table))} rows")
        for version in there:
            now = _hash(table, version)
            if before.setdefault((name, version), now) != now:
                yield Violation("S10", f"{name} at version {version} is no longer what it was")


def _hash(table: Path, version: int) -> str:
    texts = sorted(repr(sorted(row.items())) for row in rows(table, version))
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()
