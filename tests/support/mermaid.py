"""The Mermaid diagrams of the documents, drawn by the real Mermaid in a browser.

Mermaid is one file of its npm package.

By hand, with a picture of each diagram::

    python -m tests.support.mermaid docs/SECURITY.md --pictures artifacts/diagrams
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakehouse.config import PROJECT
from tests.support.browsers import chromium
from tests.support.npm import Package

MERMAID = Package(
    "mermaid", "12.3.0", "4113TdXeLAsMruJ79OpFL5O8+LTFXhQqZ260rF3tgUmiNAtRm4Uume04I+65PRN6yZ69J4f8rVYWW8zRk65UYw=="
)

BLOCK = re.compile(
    r"^(?P<indent>[ \t]*)```mermaid[ \t]*\n(?P<text>.*?)^(?P=indent)```[ \t]*$", re.DOTALL | re.MULTILINE
)

DRAW = """async ([name, text]) => {
    try {
        const {svg} = await mermaid.render(name, text);
        document.body.innerHTML = svg;
        const box = document.querySelector('svg').getBoundingClientRect();
        return box.width > 0 && box.height > 0 ? null : 'The drawing is empty.';
    } catch (error) {
        return String(error.message || error);
    }
}"""


@dataclass(frozen=True)
class Diagram:
    """One block of a document; ``line`` is that of its first line of text."""

    path: Path
    line: int
    text: str

    @property
    def place(self) -> str:
        shown = self.path.relative_to(PROJECT) if self.path.is_relative_to(PROJECT) else self.path
        return f"{shown}:{self.line}"


def diagrams(path: Path) -> Iterator[Diagram]:
    """Those of one document."""
    page = path.read_text(encoding="utf-8")
    for found in BLOCK.finditer(page):
        yield Diagram(path, page.count("\n", 0, found.start("text")) + 1, found["text"])


def documents() -> list[Path]:
    """Every Markdown file that git knows."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", "*.md"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return [PROJECT / name for name in listed.stdout.split("\0") if name and (PROJECT / name).is_file()]


def fetch() -> Path:
    """Mermaid's script. Raises ``OSError`` or ``subprocess.SubprocessError``."""
    return MERMAID.file("dist/mermaid.min.js")


@contextmanager
def page(script: Path) -> Iterator[Any]:
    """A browser's page that has Mermaid and no network; one for all diagrams."""
    with chromium("the diagrams were") as browser:
        context = browser.new_context(viewport={"width": 1000, "height": 800}, offline=True)
        opened = context.new_page()
        opened.add_script_tag(path=script)
        opened.evaluate("mermaid.initialize({startOnLoad: false, suppressErrorRendering: true})")
        yield opened
        context.close()


def fault(opened: Any, diagram: Diagram) -> str | None:
    """What Mermaid says against the diagram, with its place; None when it is drawn."""
    said = opened.evaluate(DRAW, ["drawing", diagram.text])
    return said and f"{diagram.place}: {said}"


def main(paths: Iterable[Path], pictures: Path | None) -> int:
    """Draw the diagrams of the documents named; the exit code."""
    faults = 0
    with page(fetch()) as opened:
        for diagram in (one for path in paths for one in diagrams(path)):
            said = fault(opened, diagram)
            faults += said is not None
            print(said or f"{diagram.place}: drawn")
            if pictures and not said:
                pictures.mkdir(parents=True, exist_ok=True)
                opened.locator("svg").first.screenshot(path=pictures / f"{diagram.path.stem}-{diagram.line}.png")
    return int(bool(faults))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("documents", nargs="*", type=Path, help="Markdown files; without any, all that git knows")
    parser.add_argument("--pictures", type=Path, help="a folder for one PNG per diagram")
    chosen = parser.parse_args()
    sys.exit(main(chosen.documents or documents(), chosen.pictures))
