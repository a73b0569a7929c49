"""Every published moment of Silver, not only the last: claims S7 and S8 at each cut, and that a cut names what is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from campaign.checkers import silver
from campaign.checkers.tables import rows, versions
from campaign.checkers.violation import Violation

_SALES, _OPERATIONS = "ventes_stream", "ventes_operations"


def check(lake: Path, known: set[str]) -> Iterator[Violation]:
    """``known``: the cuts that were looked at before, to which those of now are added."""
    for path in sorted((lake / "cuts").glob("*.json")):
        if path.name in known:
            continue
        known.add(path.name)
        named = {name: one["version"] for name, one in json.loads(path.read_text(encoding="utf-8"))["tables"].items()}
        places = {name: _place(lake, name) for name in named}
        missing = [name for name, version in named.items() if version not in versions(places[name])]
        if missing:
            yield Violation("S7", f"cut {int(path.stem)} names a version of {missing[0]} that is not there")
            continue
        held = {name: rows(places[name], named[name]) for name in silver.TABLES if name in named}
        operations = rows(places[_OPERATIONS], named[_OPERATIONS]) if _OPERATIONS in named else []
        for found in silver.compare(silver.net(rows(places[_SALES], named[_SALES]), operations), held):
            yield Violation(found.claim, f"cut {int(path.stem)}: {found.what}")


def _place(lake: Path, name: str) -> Path:
    return lake / ("bronze" if name in (_SALES, _OPERATIONS) else "silver") / name
