"""Rows laid out in a given width: a table; with headers on two lines; or one block of lines a row.

Texts fold; an amount, a time or an identifier is never cut and never wrapped inside a table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lakehouse.explorer.formats.values import RIGHT, shown, visible
from lakehouse.lake.result import Column, Result

FOLD = 10  # a text column may be folded down to this width before the table gives way to blocks
GAP = 2  # cells between two columns: the box draws one, the padding is the other


@dataclass(frozen=True)
class Layout:
    """The headers (their lines joined) and the cells that each column needs."""

    headers: tuple[str, ...]
    sizes: tuple[int, ...]

    def fits(self, width: int) -> bool:
        return sum(self.sizes) + GAP * (len(self.sizes) - 1) <= width


def _layout(result: Result, cells: Sequence[Sequence[str]], width: int) -> Layout | None:
    """One line of headers when that fits, two when only that does, None when neither does."""
    names = [visible(column.head) for column in result.columns]
    for headers in (names, [_two_lines(name) for name in names]):
        sizes = []
        for index, (column, header) in enumerate(zip(result.columns, headers, strict=True)):
            title = max(map(cell_len, header.split("\n")))
            natural = max([title, *(cell_len(row[index]) for row in cells)])
            sizes.append(min(natural, max(FOLD, title)) if _folds(column) else natural)
        found = Layout(tuple(headers), tuple(sizes))
        if found.fits(width):
            return found
    return None


def _two_lines(name: str) -> str:
    """Broken after the space or underscore that leaves the shorter longest line: ``transaction_`` / ``moyenne``."""
    cuts = [index + 1 for index, char in enumerate(name) if char in "_ " and 0 < index < len(name) - 1]
    if not cuts or len(name) < 10:
        return name
    cut = min(cuts, key=lambda cut: max(cut, len(name) - cut))
    return f"{name[:cut].rstrip()}\n{name[cut:]}"


def _cells(result: Result, zone: tzinfo) -> list[list[str]]:
    return [
        [shown(value, column, zone) for value, column in zip(row, result.columns, strict=True)] for row in result.rows
    ]


def fitted(result: Result, *, zone: tzinfo, width: int, less: Sequence[str]) -> Result:
    """The result without as many of the ``less`` columns as keep it from being a table; whole when that does not help."""
    kept = result
    for name in ("", *less) if len(result.rows) > 1 else ():
        kept = _without(kept, name)
        if _layout(kept, _cells(kept, zone), width) is not None:
            return kept
    return result


def _without(result: Result, name: str) -> Result:
    keep = [index for index, column in enumerate(result.columns) if column.name != name]
    return dataclasses.replace(
        result,
        columns=tuple(result.columns[index] for index in keep),
        rows=[tuple(row[index] for index in keep) for row in result.rows],
    )


def table(result: Result, *, zone: tzinfo, width: int, unicode: bool = True) -> RenderableType:
    """The rows as one table, or as blocks when ``width`` cells are too few."""
    cells = _cells(result, zone)
    layout = _layout(result, cells, width)
    if layout is None:
        return _blocks(result, cells, width)
    made = Table(
        box=box.SIMPLE_HEAD if unicode else box.ASCII2,
        show_edge=False,
        pad_edge=False,
        safe_box=False,
        padding=(0, 1, 0, 0),
    )
    for column, header, size in zip(result.columns, layout.headers, layout.sizes, strict=True):
        made.add_column(
            Text(header),
            justify="right" if column.kind in RIGHT else "left",
            no_wrap=not _folds(column),
            overflow="fold",
            min_width=size,
            vertical="bottom",
        )
    for row, values in zip(cells, result.rows, strict=True):
        made.add_row(*(_cell(text, value) for text, value in zip(row, values, strict=True)))
    return made


def _folds(column: Column) -> bool:
    return column.kind in ("text", "binary", "other")


def _cell(text: str, value: Any) -> Text:
    return Text(text, style="dim" if value is None else "")


def _blocks(result: Result, cells: Sequence[Sequence[str]], width: int) -> RenderableType:
    """One line a cell; a title gives way to an amount, a time or an identifier that would not stand on the line whole."""
    size = max((cell_len(visible(column.head)) for column in result.columns), default=0)
    rigid = [index for index, column in enumerate(result.columns) if not _folds(column)]
    size = min(
        size, max(FOLD, width - GAP - max((cell_len(row[index]) for row in cells for index in rigid), default=0))
    )
    lines: list[Text] = []
    for number, (row, values) in enumerate(zip(cells, result.rows, strict=True)):
        if number:
            lines.append(Text(""))
        for column, text, value in zip(result.columns, row, values, strict=True):
            lines.append(Text.assemble((set_cell_size(visible(column.head), size) + "  ", "bold"), _cell(text, value)))
    return Group(*lines)
