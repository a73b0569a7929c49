"""What the dashboard's pages are looked at in: lakes and processes made up for its states, and pictures of them."""

from __future__ import annotations

import contextlib
import json
import random
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from lakehouse.config import paths
from lakehouse.lake import cuts
from lakehouse.lake.reader import Lake
from lakehouse.observability import audit_log, process
from tests.support import lakes
from tests.support.dashboards import COMPLETE
from tests.support.harness import config_of

SIZES = {
    "390": {"width": 390, "height": 844}, "1440": {"width": 1440, "height": 900}, "2560": {"width": 2560, "height": 1440},
}  # fmt: skip
COUNTRIES = (("France", 30), ("Allemagne", 14), ("Espagne", 9), ("Belgique", 8), ("Italie", 7), ("Royaume-Uni", 6))
RHYTHM = (2, 1, 1, 1, 1, 2, 4, 8, 14, 20, 24, 26, 22, 20, 22, 24, 22, 20, 18, 14, 10, 8, 5, 3)


def sales(since: datetime, until: datetime, per_minute: float, arrived: datetime | None = None) -> list[lakes.Row]:
    """Sales with a daily rhythm, seeded; back-dated ones, when they all ``arrived`` at one moment."""
    chance = random.Random(5)
    template = lakes.sales(300)
    found: list[lakes.Row] = []
    moment = since
    while moment < until:
        moment += timedelta(seconds=chance.expovariate(per_minute * RHYTHM[moment.hour] / 12 / 60))
        row = chance.choice(template)
        place = chance.choices([name for name, _ in COUNTRIES], [weight for _, weight in COUNTRIES])[0]
        came = arrived or moment
        found.append({
            **row, "vente_id": f"p{since:%s}-{len(found):06}", "timestamp": moment, "jour": moment.date(), "pays": place,
            "est_tardif": came - moment > timedelta(minutes=10), "client_nom": f"Client {row['client_id']}",
            "date_ingestion": came, "kafka_timestamp": came, "kafka_offset": len(found),
        })  # fmt: skip
    return found[:-1]


def build(base: str, since: datetime, until: datetime, *, past: bool = True) -> None:
    """A lake as ``make run`` leaves it at ``until``: an announced fortnight of back-dated sales before ``since`` (``past``), then
    ten sales a minute; Silver, and a cut."""
    config = config_of(Path(base), "localhost:1", "pictures")
    rows = sales(since, until, 10)
    if past:
        began = since - timedelta(days=14)
        before = sales(began, since, 1, arrived=since)
        audit_log.announce_backfill(config, "ventes_stream", began, since, len(before))
        audit_log.end_backfill(config, "ventes_stream", since)
        rows = [*before, *rows]
    lakes.build(base, rows)
    _commit_at(base, until)
    cuts.record(config, "pictures", Lake.of(config).sources(cuts.TABLES), None)
    for record in (paths.state(config) / "cuts").glob("*.json"):
        found = json.loads(record.read_bytes())
        record.write_text(json.dumps({**found, "recorded": until.isoformat()}), encoding="utf-8")


def _commit_at(base: str, moment: datetime) -> None:
    """Have the commits of every table of ``moment``."""
    stamp = f'"timestamp":{moment.timestamp() * 1000:.0f}'
    for entry in Path(base).glob("*/*/_delta_log/*.json"):
        entry.write_text(re.sub(r'"timestamp":\d{13}', stamp, entry.read_text(encoding="utf-8")), encoding="utf-8")


@contextlib.contextmanager
def pipeline(base: str) -> Iterator[None]:
    """The four processes' own health servers, in this process: the page asks them as it asks the real ones. They end in order."""
    config = config_of(Path(base), "localhost:1", "pictures")
    with contextlib.ExitStack() as running:
        for name in ("kafka", "producer", "bronze", "silver"):
            running.enter_context(process.serve(config, name)).started()
        yield


def taken(
    browser: Any,
    address: str,
    target: Path,
    size: str,
    scheme: str,
    *,
    whole: bool = False,
    faults: list[str] | None = None,
) -> Any:
    """A picture of one page, and the page's facts: ``text``, ``wide`` (px beyond the screen)."""
    context = browser.new_context(viewport=SIZES[size], color_scheme=scheme, locale="en-GB")
    page = context.new_page()
    page.on("pageerror", lambda error: faults is not None and faults.append(f"{target.stem}: {error}"))
    page.goto(address)
    page.locator(COMPLETE).wait_for()
    page.wait_for_function("document.fonts.ready.then(() => true)")
    target.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(target), full_page=whole)
    found = page.evaluate("({text: document.body.innerText, wide: document.documentElement.scrollWidth - innerWidth})")
    context.close()
    return found
