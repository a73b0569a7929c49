"""One table of a page as a CSV file, all of its rows, read at the versions of the last cut (the newest, where it has none) and sent
as it is read.

The values are those of ``query_utils.py --format csv``, digit by digit, with one exception: a text that a spreadsheet would
run as a formula gets an apostrophe in front, which a spreadsheet takes as "this is text": it begins with a control character
or, after blanks and what cannot be seen, with = + - @ in any width. So does a text that is such a one behind apostrophes of
its own: no two texts become the same. Numbers, days and times are never touched.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from lakehouse.config import Config
from lakehouse.dashboard.pages import filters_of
from lakehouse.dashboard.process_facts import FACTS
from lakehouse.dashboard.request import View
from lakehouse.explorer.formats.export import csv_value, csv_writer
from lakehouse.explorer.queries import registry
from lakehouse.lake import cuts
from lakehouse.lake import result as lake_result
from lakehouse.lake.reader import CutGone, Lake


def runs(text: str) -> bool:
    """Whether a spreadsheet could take the text for a formula. Which blanks and invisible characters it passes over before
    one differs between programs: any."""
    if text and unicodedata.category(text[0]) == "Cc":
        return True
    seen = next((char for char in text if unicodedata.category(char)[0] not in "CZ"), "?")
    return unicodedata.normalize("NFKC", seen) in ("=", "+", "-", "@")


def harmless(value: Any) -> Any:
    """The value as csv has it; a text that would be a formula with an apostrophe in front."""
    text = csv_value(value)
    is_text = isinstance(value, str | bytes | list | dict)
    return f"'{text}" if is_text and runs(str(text).lstrip("'")) else text


def rows(name: str, view: View, config: Config) -> tuple[str, Iterator[str]]:
    """A file name and the lines. Raises ``LakehouseError`` before the first line, ``KeyError`` for an unknown table."""
    lake = Lake.of(config)
    if name in FACTS:
        result = FACTS[name].find(config, lake)
        return f"{name}.csv", _lines([result.names, *result.rows])
    entry = registry.entry(name)
    if entry.build is None:
        raise KeyError(name)
    query, cut = entry.query(filters_of(name, view)), cuts.newest(config)
    try:
        reader, sources = (lake.at_cut(cut) if cut is not None and cut.covers(query.tables) else lake).stream(query)
    except CutGone:
        reader, sources = lake.stream(query)
    names = tuple(column.name for column in lake_result.columns(reader.schema))
    versions = "_".join(f"v{source.version}" for source in sources)

    def found() -> Iterator[tuple[Any, ...]]:
        yield names
        for batch in reader:
            yield from lake_result.rows(batch)

    return f"{name}_{versions}.csv", _lines(found())


def _lines(found: Iterable[tuple[Any, ...]]) -> Iterator[str]:
    """CSV text in pieces of about 64 KB."""
    stream = io.StringIO()
    writer = csv_writer(stream)
    for row in found:
        writer.writerow([harmless(value) for value in row])
        if stream.tell() > 65_536:
            yield stream.getvalue()
            stream.seek(0)
            stream.truncate()
    yield stream.getvalue()
