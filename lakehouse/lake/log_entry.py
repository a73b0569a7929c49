"""One entry of a Delta table's log, text in, actions out: a line is one action as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


def lines(text: str) -> list[str]:
    """The entry's lines. Not ``splitlines``: a text among the statistics may hold U+2028, U+0085 and the like, at which that
    cuts, and which JSON leaves as they are."""
    return [line for line in text.split("\n") if line.strip()]


def actions(text: str) -> list[dict[str, Any]]:
    """Every action of the entry, in its order."""
    return [json.loads(line) for line in lines(text)]


def takes_rows(found: Iterable[dict[str, Any]]) -> bool:
    """Whether these actions took rows away: a compaction removes files, and says that no row changed."""
    return any("remove" in action and action["remove"].get("dataChange", True) for action in found)


def commit_info(found: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What the commit says of itself."""
    return next((action["commitInfo"] for action in found if "commitInfo" in action), {})
