"""One entry of a Delta table's log, its content in, actions out: a line is one action as JSON. No other module takes one apart."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


def place(table: str, version: int) -> str:
    """Where the entry of a version lies; ``table`` is the table's folder or URI."""
    return f"{table}/_delta_log/{version:020}.json"


def version_of(name: str) -> int | None:
    """The version of which a file of the log is the entry; None for the log's other files."""
    number, dot, ending = name.partition(".")
    return int(number) if dot and ending == "json" and number.isdecimal() else None


def lines(content: str | bytes) -> list[str]:
    """The entry's lines. Not ``splitlines``: a text among the statistics may hold U+2028, U+0085 and the like, at which that
    cuts, and which JSON leaves as they are."""
    text = content if isinstance(content, str) else content.decode("utf-8")
    return [line for line in text.split("\n") if line.strip()]


def actions(content: str | bytes) -> list[dict[str, Any]]:
    """Every action of the entry, in its order."""
    return [json.loads(line) for line in lines(content)]


def takes_rows(found: Iterable[dict[str, Any]]) -> bool:
    """Whether these actions took rows away: a compaction removes files, and says that no row changed."""
    return any("remove" in action and changes_rows(action["remove"]) for action in found)


def changes_rows(file: dict[str, Any]) -> bool:
    """Whether a file that came or went brought rows or took them away; false for a file that only took another's place."""
    return bool(file.get("dataChange", True))


def commit_info(found: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What the commit says of itself."""
    return next((action["commitInfo"] for action in found if "commitInfo" in action), {})


def commit_info_in(content: Iterable[str]) -> dict[str, Any]:
    """The same from the entry's lines: no other one is parsed, and those behind it are not read."""
    return commit_info(json.loads(line) for line in content if '"commitInfo"' in line)
