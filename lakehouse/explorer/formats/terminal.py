"""Answers on a terminal: tables with ``rich``, bars and spark lines. Nothing here becomes a float.

Text from the lake goes in as ``rich.text.Text`` after ``values.visible``: markup such as ``[red]`` and escape
sequences are shown, never obeyed. Off a terminal lines are as long as they need to be.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import tzinfo
from decimal import Decimal
from typing import IO

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from lakehouse import cli
from lakehouse.explorer.formats.text_table import fitted, table
from lakehouse.explorer.formats.values import shown
from lakehouse.explorer.queries.model import Chart
from lakehouse.lake.result import Column, Flow, Result, Source
from lakehouse.wording import counted

UNBOUND = 100_000
BARS = "▏▎▍▌▋▊▉█"
SPARKS = "▁▂▃▄▅▆▇█"
PLAIN_SPARKS = "_.-:=+*#"
LABEL = 28


def console(stream: IO[str] | None = None) -> Console:
    """The console to print on. Colours only on a terminal and never with NO_COLOR; no wrapping into a pipe or a file."""
    stream = sys.stdout if stream is None else stream
    width = None if stream.isatty() else UNBOUND
    return cli.console(file=stream, width=width, markup=False, highlight=False, emoji=False, legacy_windows=False)


def draws(out: Console) -> bool:
    """Whether the encoding can show block characters."""
    return out.encoding.lower().startswith("utf")


def chart(result: Result, wanted: Chart, *, zone: tzinfo, width: int, unicode: bool = True) -> list[str]:
    """The drawing's lines; none when there is nothing to compare or no room for it."""
    labels, values = result.column(wanted.label), result.column(wanted.value)
    label = result.columns[result.names.index(wanted.label)]
    value = result.columns[result.names.index(wanted.value)]
    pairs = [
        (shown(name, label, zone), Decimal(amount), shown(amount, value, zone))
        for name, amount in zip(labels, values, strict=True)
        if amount is not None
    ]
    if len(pairs) < 2 or max(amount for _, amount, _ in pairs) <= 0:
        return []
    width = min(width, 100)
    if wanted.kind == "spark":
        return _spark(sorted(pairs), value.head, width, SPARKS if unicode else PLAIN_SPARKS)
    return bars(pairs, width=width, unicode=unicode)


def bars(pairs: Sequence[tuple[str, Decimal, str]], *, width: int, unicode: bool = True) -> list[str]:
    """One line a (label, amount ≥ 0, amount as text); the largest amount fills the room."""
    size = min(max(cell_len(label) for label, _, _ in pairs), LABEL)
    room = width - size - max(len(text) for _, _, text in pairs) - 2
    if room < 5:
        return []
    most = max(amount for _, amount, _ in pairs)
    last = max(len(text) for _, _, text in pairs)
    return [
        f"{_fit(label, size)} {_bar(amount, most, room, unicode).ljust(room)} {text.rjust(last)}"
        for label, amount, text in pairs
    ]


def _fit(label: str, size: int) -> str:
    return set_cell_size(label, size) if cell_len(label) <= size else set_cell_size(label, size - 1) + "~"


def _bar(amount: Decimal, most: Decimal, room: int, unicode: bool) -> str:
    if amount <= 0:
        return ""
    if not unicode:
        return "#" * max(1, int(amount * room / most))
    eighths = max(1, int(amount * room * 8 / most))
    return BARS[-1] * (eighths // 8) + (BARS[eighths % 8 - 1] if eighths % 8 else "")


def _spark(pairs: Sequence[tuple[str, Decimal, str]], name: str, width: int, levels: str) -> list[str]:
    shown_pairs = pairs[-max(width - 24, 1) :]
    low = min(shown_pairs, key=lambda pair: pair[1])
    high = max(shown_pairs, key=lambda pair: pair[1])
    span = high[1] - low[1]
    line = "".join(
        levels[int((amount - low[1]) * (len(levels) - 1) / span) if span else 0] for _, amount, _ in shown_pairs
    )
    return [
        f"{shown_pairs[0][0]} {line} {shown_pairs[-1][0]}",
        f"{name}: least {low[2]} ({low[0]}), most {high[2]} ({high[0]})",
    ]


def read_at(sources: Iterable[Source], zone: tzinfo) -> str:
    """``ventes_par_pays version 3 (2026-11-22 20:43:11)``: what an answer was read from."""
    column = Column("committed", "timestamp")
    return ", ".join(
        f"{source.table} version {source.version}"
        + (f" ({shown(source.committed, column, zone)})" if source.committed else "")
        for source in sources
    )


def show(
    out: Console,
    result: Result,
    *,
    zone: tzinfo,
    wanted: Chart | None = None,
    footer: bool = True,
    less: Sequence[str] = (),
) -> None:
    """One answer: its table, its drawing, and what it was read from. ``less``: see ``Entry``."""
    unicode = draws(out)
    shown_here = fitted(result, zone=zone, width=out.width, less=less)
    if result.rows:
        out.print(table(shown_here, zone=zone, width=out.width, unicode=unicode), soft_wrap=False)
    else:
        out.print(Text("no rows", style="dim"))
    lines = chart(result, wanted, zone=zone, width=out.width, unicode=unicode) if wanted and result.rows else []
    if lines:
        out.print()
        for line in lines:
            out.print(Text(line), no_wrap=True, crop=False, overflow="ignore")
    if left := [column.head for column in result.columns if column.name not in shown_here.names]:
        note(out, f"left out, too narrow: {', '.join(left)} (a wider terminal or --format csv has all)")
    if footer:
        note(out, footer_text(result, zone, len(result.rows)))


def footer_text(result: Result | Flow, zone: tzinfo, count: int) -> str:
    """The line below an answer: rows shown, tables and versions read."""
    size = counted(count, "row")
    parts = [f"first {size} only" if result.cut else size]
    if result.sources:
        parts.append(f"read: {read_at(result.sources, zone)}")
    kinds = {column.kind for column in result.columns}
    if "timestamp" in kinds or result.sources:
        parts.append(f"times: {zone}")
    return " · ".join(parts)


def note(out: Console, text: str) -> None:
    """Print a remark."""
    out.print(Text(text if draws(out) else text.replace("·", "|"), style="dim"))


def heading(out: Console, text: str) -> None:
    """Print a heading."""
    out.print(Text(text, style="bold cyan"))
