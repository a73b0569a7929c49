"""docs/benchmarks.json, and what is generated from it: the parts of docs/BENCHMARKS.md and its plots.

``python -m benchmarks.publish`` writes page and plots anew; ``docs/generate.py`` does the same, with the other pages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import page
from lakehouse.config import PROJECT

FILE = PROJECT / "docs" / "benchmarks.json"
PAGE = PROJECT / "docs" / "BENCHMARKS.md"
IMAGES = PROJECT / "docs" / "images"


def kept() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def merge(sections: Mapping[str, Any]) -> None:
    """Put the sections that were measured now into the file, and write the page; the others stay as they are."""
    merged = {**kept()["sections"], **sections}
    ordered = {name: merged[name] for name in page.GRIDS if name in merged}
    FILE.write_text(json.dumps({"sections": ordered}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write()


def parts() -> dict[str, Callable[[], str]]:
    """Generated part of the page → its text."""
    named = {name: (lambda name=name: page.part(name, kept())) for name in page.GRIDS}  # type: ignore[misc]
    return {"goals": lambda: page.goals_part(kept()), **named}


def images() -> dict[Path, str]:
    return {IMAGES / name: text for name, text in page.plots(kept()["sections"]).items()}


def write() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name, make in parts().items():
        start, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
        text = pattern.sub(lambda _, start=start, end=end, make=make: f"{start}\n\n{make()}\n\n{end}", text)  # type: ignore[misc]
    PAGE.write_text(text, encoding="utf-8")
    for path, drawn in images().items():
        path.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    write()
