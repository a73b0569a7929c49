"""The dashboard on a lake of 5 million sales: first paint in Chromium, server time of an update, processor of 20 open pages.

``python -m benchmarks.dashboard FOLDER`` with a folder that ``benchmarks.big_lake`` has made, or an empty one, which is filled
first (about half a minute). While the pages are open, 5 sales are committed to Bronze every 2 seconds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks import big_lake
from lakehouse.contract.tables import VENTES
from lakehouse.dashboard.request import PAGES
from tests.support.dashboards import Served
from tests.support.dashboards import dashboard as serving

OPEN, SECONDS, EVERY = 20, 30, 2.0
VIEWS = {
    "the default page (last 7 days)": ["sales"] * OPEN,
    "all 5 million sales": ["sales?periode=all"] * OPEN,
    "five views of each page, all different": [
        f"{page}?periode={period}" for page in PAGES for period in ("today", "7d", "30d", "all", "dates&du=2026-11-01")
    ],
}  # fmt: skip


def first_paint(address: str) -> dict[str, float]:
    """Seconds in a new browser, for a server that has just started: first paint, and all figures there."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page()
        began = time.perf_counter()
        page.goto(address)
        page.locator("#live:not([data-pending])").wait_for()
        whole = time.perf_counter() - began
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime / 1000")
        browser.close()
    return {"first_paint_s": round(paint, 2), "all_figures_s": round(whole, 2)}


def poll(served: Served, path: str, offset: float, until: float) -> list[tuple[int, float]]:
    """One open page: (status, seconds) of each update."""
    tag, found = "", []
    time.sleep(offset)
    while time.monotonic() < until:
        began = time.perf_counter()
        request = urllib.request.Request(
            served.address + path, headers={"If-None-Match": tag, "Accept-Encoding": "gzip"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                reply.read()
                tag = reply.headers["etag"]
                status = reply.status
        except urllib.error.HTTPError as error:
            status = error.code
        found.append((status, time.perf_counter() - began))
        time.sleep(EVERY)
    return found


def used(process: psutil.Process) -> float:
    """Processor seconds of the server and of the process that asks the lake."""
    return sum(one.cpu_times().user + one.cpu_times().system for one in (process, *process.children(recursive=True)))


def open_pages(served: Served, paths: list[str], base: str) -> dict[str, Any]:
    """All of them for ``SECONDS``, beside the commits."""
    process, stop = psutil.Process(served.child.process.pid), threading.Event()
    commits = 0

    def write() -> None:
        nonlocal commits
        for _ in big_lake.trickle(base, 5, datetime.now(UTC).date()):
            commits += 1
            if stop.wait(EVERY):
                return

    writer = threading.Thread(target=write)
    writer.start()
    for path in dict.fromkeys(paths):
        served.get(path)
    before, began = used(process), time.monotonic()
    with ThreadPoolExecutor(len(paths)) as pool:
        asked = [
            pool.submit(poll, served, path, number * EVERY / len(paths), began + SECONDS)
            for number, path in enumerate(paths)
        ]
        replies = [reply for one in asked for reply in one.result()]
    after, took = used(process), time.monotonic() - began
    size = sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))
    stop.set()
    writer.join()
    changed = sorted(seconds for status, seconds in replies if status == 200)
    cores = (after - before) / took
    return {
        "updates": len(replies), "changed": len(changed), "commits": commits, "cores": round(cores, 2),
        "ms_p50": round(statistics.median(changed) * 1000), "ms_p95": round(changed[int(len(changed) * 0.95)] * 1000),
        "ms_max": round(changed[-1] * 1000), "rss_mb": round(size / 1e6),
    }  # fmt: skip


def main() -> int:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("folder")
    args = made.parse_args()
    if not Path(VENTES.path(args.folder)).exists():
        big_lake.build(args.folder, sales=5_000_000, days=100, last=datetime.now(UTC).date())
    logs = (Path(args.folder) / f"dashboard-{time.time_ns()}.log" for _ in iter(int, 1))
    for path in ("sales", "sales?periode=all", "clients?periode=all", "trust?periode=all", "running"):
        with serving(args.folder, next(logs)) as served:
            print("first paint", path, json.dumps(first_paint(served.address + path)), flush=True)
    for name, paths in VIEWS.items():
        with serving(args.folder, next(logs)) as served:
            print(f"{len(paths)} open pages,", name, json.dumps(open_pages(served, paths, args.folder)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
