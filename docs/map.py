"""Writes the dashboard's map, ``world.svg`` in ``lakehouse/dashboard/static``, ``countries.json`` and
``country_names.json`` beside it.

The shapes are Natural Earth's (public domain, naturalearthdata.com) at 1:110 million, as the npm package world-atlas 2.0.2
carries them; the names are Unicode CLDR's, through Babel. Neither is needed to run the project: the three files are
in the tree. To write them anew::

    npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz package/countries-110m.json && pip install babel==2.18.0
    python docs/map.py package/countries-110m.json
"""

from __future__ import annotations

import itertools
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lakehouse.dashboard.country_shapes import key

FOLDER = Path(__file__).resolve().parents[1] / "lakehouse" / "dashboard"
SCALE = 180  # units of the drawing for one radian: the world is about 1000 wide
ANTARCTICA = "010"


Place = tuple[float, float]


def projected(longitude: float, latitude: float) -> tuple[int, int]:
    """Natural Earth projection (Patterson, Šavrič), north up, in whole units."""
    lam, phi = math.radians(longitude), math.radians(latitude)
    p2, p4 = phi * phi, phi**4
    x = lam * (0.8707 - 0.131979 * p2 + p4 * (-0.013791 + p4 * (0.003971 * p2 - 0.001529 * p4)))
    y = phi * (1.007226 + p2 * (0.015085 + p4 * (-0.044475 + 0.028874 * p2 - 0.005916 * p4)))
    return round(x * SCALE), round(-y * SCALE)


def arcs(topology: dict[str, Any]) -> list[list[Place]]:
    """TopoJSON's delta-encoded arcs as (longitude, latitude)."""
    (sx, sy), (tx, ty) = topology["transform"]["scale"], topology["transform"]["translate"]
    found = []
    for arc in topology["arcs"]:
        x = y = 0
        points = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            points.append((x * sx + tx, y * sy + ty))
        found.append(points)
    return found


def rings(geometry: dict[str, Any], lines: list[list[Place]]) -> Iterator[list[Place]]:
    """The closed rings of one country, as longitude and latitude; an index below 0 is an arc walked backwards."""
    polygons = geometry["arcs"] if geometry["type"] == "MultiPolygon" else [geometry["arcs"]]
    for polygon in polygons:
        for ring in polygon:
            points: list[Place] = []
            for index in ring:
                line = lines[index] if index >= 0 else lines[~index][::-1]
                points += line if not points else line[1:]
            yield points


def unbroken(ring: list[Place]) -> list[Place]:
    """A ring over the date line, such as Russia's, goes on past 180° instead of jumping to the other edge."""
    jumps = any(abs(a[0] - b[0]) > 180 for a, b in itertools.pairwise(ring))
    return [(x + 360 if jumps and x < 0 else x, y) for x, y in ring]


def path(geometry: dict[str, Any], lines: list[list[Place]]) -> str:
    """One ``d`` attribute, points relative to the one before, repeated points left out."""
    found = []
    for places in rings(geometry, lines):
        ring = [projected(*place) for place in unbroken(places)]
        (x, y), *rest = ring
        steps = []
        for px, py in rest:
            if (px, py) != (x, y) or not steps:
                steps.append(f"{px - x} {py - y}")
                x, y = px, py
        found.append(f"M{ring[0][0]} {ring[0][1]}l{' '.join(steps)}z")
    return "".join(found).replace(" -", "-")


def main() -> int:
    """Write the page's map and the countries' names from the topology file that is named; the exit code."""
    from babel import Locale
    from babel.core import get_global

    topology = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    lines, aliases = arcs(topology), get_global("territory_aliases")
    names = {language: Locale(language).territories for language in ("en", "fr")}
    shapes, codes = [], {}
    for geometry in topology["objects"]["countries"]["geometries"]:
        numeric = geometry.get("id")
        if numeric == ANTARCTICA:
            continue
        code = aliases.get(numeric, [geometry["properties"]["name"].replace(" ", "").replace(".", "")])[0]
        shapes.append(f'<path id="{code}" d="{path(geometry, lines)}"/>')
        for territories in names.values():
            if code in territories:
                codes[key(territories[code])] = code
        codes[key(geometry["properties"]["name"])] = code
    (FOLDER / "countries.json").write_text(
        json.dumps(dict(sorted(codes.items())), ensure_ascii=False, indent=0) + "\n", encoding="utf-8"
    )
    known = sorted({code for code in codes.values() if code in names["en"]})
    lines_ = [f'"{code}": {json.dumps([names[one][code] for one in names], ensure_ascii=False)}' for code in known]
    (FOLDER / "country_names.json").write_text("{\n" + ",\n".join(lines_) + "\n}\n", encoding="utf-8")
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-486 -262 972 440">'
    note = "<!-- Natural Earth 1:110m, public domain; projected by docs/map.py -->"
    body = "\n".join(sorted(shapes))
    (FOLDER / "static" / "world.svg").write_text(
        f'{head}\n{note}\n<g id="world">\n{body}\n</g>\n</svg>\n', encoding="utf-8"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
