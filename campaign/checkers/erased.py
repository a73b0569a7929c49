"""The person who was erased is nowhere: claim S12. Not looked at: what the receipt says remains (older versions' data files,
backups), and the topic itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from campaign.checkers.tables import rows
from campaign.checkers.versions import tables
from campaign.checkers.violation import Violation


def check(lake: Path, folder: Path, erased: Mapping[int, str]) -> Iterator[Violation]:
    """``folder``: all that the history wrote; ``erased``: client → a word that stands in that person's rows alone."""
    if not erased:
        return
    for table in tables(lake):
        for row in rows(table):
            for client, word in erased.items():
                if row.get("client_id") == client or word in repr(row):
                    yield Violation("S12", f"client {client} stands in {table.name}")
    for path in _others(folder):
        content = _text(path)
        for client, word in erased.items():
            if word.encode() in content:
                yield Violation("S12", f"client {client} is named in {path.relative_to(folder)}")


def _others(folder: Path) -> Iterator[Path]:
    """Files that are no data files; a backup keeps what it kept."""
    for path in folder.rglob("*"):
        kept = "backups" in path.relative_to(folder).parts
        if path.is_file() and not kept and (path.suffix != ".parquet" or "_delta_log" in path.parts):
            yield path


def _text(path: Path) -> bytes:
    return repr(pq.read_table(path).to_pylist()).encode() if path.suffix == ".parquet" else path.read_bytes()
