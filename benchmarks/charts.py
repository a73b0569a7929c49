"""PURE. Bars and lines as SVG: the plots of docs/BENCHMARKS.md. The same figures give the same bytes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, LEFT, RIGHT, LINE = 720, 190, 120, 30
INK, FAINT, COLOURS = "#1f2933", "#9aa5b1", ("#1b6ca8", "#d9822b", "#5b7083")
Point = tuple[float, float]


def bars(title: str, rows: Sequence[tuple[str, float, str]]) -> str:
    """One bar a row: name, length, text at its end. The first row is ours."""
    height, longest = 44 + LINE * len(rows), max((value for _, value, _ in rows), default=0) or 1
    made = [_text(12, 24, title, weight=True)]
    for place, (name, value, said) in enumerate(rows):
        top, width = 40 + place * LINE, (WIDTH - LEFT - RIGHT) * value / longest
        colour = COLOURS[0] if place == 0 else FAINT
        made += [
            _text(LEFT - 8, top + 15, name, anchor="end"),
            f'<rect x="{LEFT}" y="{top}" width="{max(1.0, width):.1f}" height="20" rx="2" fill="{colour}"/>',
            _text(LEFT + width + 6, top + 15, said),
        ]
    return _svg(height, made)


def lines(title: str, across: str, series: Sequence[tuple[str, Sequence[Point]]]) -> str:
    """Lines over one axis, which begins at 0 on both sides; ``across`` names the horizontal one."""
    height, left, top, bottom = 300, 60, 44, 250
    points = [point for _, one in series for point in one] or [(1.0, 1.0)]
    end, peak = max(x for x, _ in points) or 1.0, 1.1 * max(y for _, y in points) or 1.0
    made = [_text(12, 24, title, weight=True)]
    for part in range(5):
        y = bottom - (bottom - top) * part / 4
        made += [
            f'<line x1="{left}" y1="{y:.1f}" x2="{WIDTH - 20}" y2="{y:.1f}" stroke="#e4e7eb"/>',
            _text(left - 6, y + 4, f"{peak * part / 4:,.3g}", anchor="end"),
            _text(left + (WIDTH - 20 - left) * part / 4, bottom + 18, f"{end * part / 4:,.3g}", anchor="middle"),
        ]
    made.append(_text((left + WIDTH - 20) / 2, bottom + 38, across, anchor="middle"))
    for place, (name, one) in enumerate(series):
        drawn = " ".join(
            f"{left + (WIDTH - 20 - left) * x / end:.1f},{bottom - (bottom - top) * y / peak:.1f}" for x, y in one
        )
        colour = COLOURS[place % len(COLOURS)]
        made += [
            f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="1.6"/>',
            _text(WIDTH - 20 - 90 * (len(series) - place - 1), 24, name, anchor="end", colour=colour),
        ]
    return _svg(height, made)


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: bool = False, colour: str = INK) -> str:
    bold = ' font-weight="600"' if weight else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{bold}>{escape(text)}</text>'


def _svg(height: int, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="13">'
    )
    return "\n".join([head, f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>', *parts, "</svg>"]) + "\n"
