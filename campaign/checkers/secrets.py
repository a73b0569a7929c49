"""No secret in what a run leaves behind: claim S13."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from campaign.checkers.violation import Violation


def check(folders: Sequence[Path], secrets: Sequence[str]) -> Iterator[Violation]:
    """Files below ``folders`` that hold one of ``secrets``."""
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                yield from (
                    Violation("S13", f"{path.name} holds a secret") for each in secrets if each.encode() in content
                )
