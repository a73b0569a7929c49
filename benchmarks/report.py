"""PURE. Figures → medians, and tables that stand in a terminal and in a page of Markdown alike."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from rich.table import Table

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Grid:
    """A table: the first ``texts`` columns are words, the others figures; ``notes`` stand below it."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    texts: int = 1


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the values, in ascending order, that ``share`` (0..1] of them do not exceed (nearest rank)."""
    if not ordered:
        raise ValueError("a percentile of no values")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def typical(runs: Sequence[Row], contender: str, figure: str) -> float | None:
    """The median of a figure over a contender's turns; None when it has none."""
    values = [run[figure] for run in runs if run["contender"] == contender and run[figure] is not None]
    return median(values) if values else None


def names(runs: Sequence[Row]) -> list[str]:
    """The contenders, in the order of their first turns."""
    return list(dict.fromkeys(run["contender"] for run in runs))


def number(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def ratio(ours: float | None, other: float | None) -> str:
    return "–" if ours is None or not other else f"{ours / other:.2f} ×"


def spread(runs: Sequence[Row], contender: str, figure: str) -> str:
    """The lowest and the highest turn."""
    values = [run[figure] for run in runs if run["contender"] == contender]
    return f"{min(values):,.0f} – {max(values):,.0f}" if len(values) > 1 else "–"


def markdown(grid: Grid) -> str:
    rule = tuple("---" if place < grid.texts else "---:" for place in range(len(grid.head)))
    lines = [f"| {' | '.join(_cell(cell) for cell in line)} |" for line in (grid.head, rule, *grid.rows)]
    return "\n\n".join([f"**{grid.title}**", "\n".join(lines), *grid.notes])


def terminal(grid: Grid) -> Table:
    table = Table(title=grid.title, title_justify="left", caption_justify="left", caption="\n".join(grid.notes) or None)
    for place, name in enumerate(grid.head):
        table.add_column(name, justify="left" if place < grid.texts else "right")
    for row in grid.rows:
        table.add_row(*row)
    return table


def headline(about: Row) -> str:
    """Date, machine and versions in three lines."""
    machine, versions = about["machine"], about["versions"]
    return (
        f"{about['date']}   commit {about['commit']}\n"
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']:.0f} GB, {machine['system']}, "
        f"load before the start {machine['load']:.1f}\n"
        + ", ".join(f"{name} {text}" for name, text in versions.items())
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the least-squares line; 0 for fewer than two points. PURE."""
    if len(points) < 2:
        return 0.0
    x, y = fmean(one for one, _ in points), fmean(one for _, one in points)
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)
