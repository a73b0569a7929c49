"""The dashboard's chart beside those of two libraries, of the same sales: the picture of decision 0036.

By hand, with Chromium and npm::

    python -m tests.support.side_by_side docs/images/charts-side-by-side.png

The libraries are fetched for the picture only; nothing of the project uses them.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lakehouse.config import PROJECT
from tests.support import lakes
from tests.support.browsers import chromium
from tests.support.dashboards import dashboard
from tests.support.npm import Package
from tests.support.page_states import COMPLETE, sales

UPLOT = Package(
    "uplot", "1.6.32", "KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw=="
)
ECHARTS = Package(
    "echarts", "6.1.0", "q0yaFPggC9FUdsWH4blavRWFmxdrIodbkoKNAjJudAI6CA9gNPxHtV2RcZNEepZVlk4yvBYkOkbk6HIVpIyHZA=="
)
UPLOT_JS, UPLOT_CSS, ECHARTS_JS = "dist/uPlot.iife.min.js", "dist/uPlot.min.css", "dist/echarts.min.js"
STYLE = PROJECT / "lakehouse" / "dashboard" / "static" / "style.css"

DRAW = """([days, amounts]) => {
    const style = getComputedStyle(document.documentElement), colour = name => style.getPropertyValue(name).trim();
    const width = document.querySelector('#uplot').clientWidth;
    new uPlot({
        width, height: 215, legend: {show: false}, cursor: {show: false},
        axes: [{stroke: colour('--soft'), grid: {show: false}},
               {stroke: colour('--soft'), size: 60, grid: {stroke: colour('--line'), width: 1}, values: (_, all) => all.map(one => '€' + one / 1000 + ' k')}],
        series: [{}, {fill: colour('--bar'), stroke: colour('--bar'), paths: uPlot.paths.bars({size: [0.8, 100]}), points: {show: false}}],
        scales: {x: {range: (_, first, last) => [first - 43200, last + 43200]}, y: {range: (_, low, high) => [0, high * 1.02]}},
    }, [days.map(day => Date.parse(day) / 1000), amounts], document.querySelector('#uplot'));
    const chart = echarts.init(document.querySelector('#echarts'), null, {renderer: 'svg', width, height: 235});
    const last = days.length - 1;
    chart.setOption({
        animation: false, grid: {left: 60, right: 10, top: 15, bottom: 28}, tooltip: {trigger: 'axis'},
        xAxis: {type: 'category', data: days, axisLabel: {color: colour('--soft')}, axisTick: {show: false}},
        yAxis: {type: 'value', axisLabel: {color: colour('--soft'), formatter: one => '€' + one / 1000 + ' k'}, splitLine: {lineStyle: {color: colour('--line')}}},
        series: [{type: 'bar', barWidth: '80%', itemStyle: {color: colour('--bar')},
            data: amounts.map((value, at) => at < last ? value : {value, itemStyle: {decal: {symbol: 'rect', dashArrayX: [1, 0], dashArrayY: [2, 5], rotation: -Math.PI / 4}}})}],
    });
}"""


def page_of(ours: str, sizes: dict[str, str]) -> str:
    """One page with the three charts, each in a card of the dashboard's."""
    cards = "".join(
        f'<section class="card"><div class="head"><h2>{title}</h2><span class="hint">{sizes[name]}</span></div>'
        f'<div id="{name}">{ours if name == "ours" else ""}</div></section>'
        for name, title in (
            ("ours", "Drawn by the server (this project)"), ("uplot", f"uPlot {UPLOT.version}"),
            ("echarts", f"Apache ECharts {ECHARTS.version}"),
        )
    )  # fmt: skip
    return f"<html><style>{STYLE.read_text(encoding='utf-8')} .cards {{ grid-template-columns: minmax(0, 1fr); padding: .9rem 0; }}</style><main><div class=cards>{cards}</div></main></html>"


def kilobytes(*files: Path) -> str:
    return f"{sum(file.stat().st_size for file in files) / 1000:,.0f} KB of script and style"


def picture(browser: Any, folder: Path, target: Path) -> None:
    """Draw the three on a desktop and on a phone, light and dark, and keep them in one picture."""
    scripts = [UPLOT.file(UPLOT_JS), ECHARTS.file(ECHARTS_JS)]
    sizes = {
        "ours": kilobytes(STYLE.with_name("charts.js")), "uplot": kilobytes(UPLOT.file(UPLOT_CSS), scripts[0]),
        "echarts": kilobytes(scripts[1]),
    }  # fmt: skip
    lake, now = str(folder / "lake"), datetime.now(UTC)
    rows = sales(now - timedelta(days=14), now, 1)
    lakes.build(lake, rows)
    days = sorted({row["jour"] for row in rows})
    amounts = [float(sum(row["montant"] for row in rows if row["jour"] == day)) for day in days]
    shots = []
    with dashboard(lake, folder / "log") as served:
        for width, scheme in ((900, "light"), (390, "dark")):
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, locale="en-GB")
            opened = context.new_page()
            opened.goto(f"{served.address}sales?lang=en&du={days[0]}&au={days[-1]}")
            opened.locator(COMPLETE).wait_for()
            ours = opened.locator("#by-day .chart").evaluate("chart => chart.outerHTML")
            alone = context.new_page()
            alone.set_content(page_of(ours, sizes))
            alone.add_style_tag(path=str(UPLOT.file(UPLOT_CSS)))
            for script in scripts:
                alone.add_script_tag(path=str(script))
            alone.evaluate(DRAW, [[day.isoformat() for day in days], amounts])
            shots.append(alone.screenshot(full_page=True))
            context.close()
    target.write_bytes(beside(browser, shots))


def beside(browser: Any, shots: list[bytes]) -> bytes:
    """Pictures in one, from left to right."""
    import base64

    images = "".join(f'<img src="data:image/png;base64,{base64.b64encode(shot).decode()}">' for shot in shots)
    opened = browser.new_page(viewport={"width": 1310, "height": 900})
    opened.set_content(
        f"<body style='margin:0;display:flex;gap:10px;background:#888;align-items:start'>{images}</body>"
    )
    made: bytes = opened.screenshot(full_page=True)
    opened.close()
    return made


def main(target: Path) -> int:
    """Make the picture."""
    with chromium("the charts side by side were") as browser, tempfile.TemporaryDirectory() as folder:
        picture(browser, Path(folder), target)
    print(re.sub(r"^.*/", "", str(target)), json.dumps({"bytes": target.stat().st_size}))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
