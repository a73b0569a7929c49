"""The pictures of a new user's first five minutes that the README shows: made here, so that they show the page as it is.

``VENTES_PICTURES=1`` writes them to docs/images; otherwise they are made and thrown away.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse.config import PROJECT
from lakehouse.observability import process
from tests.e2e.dashboard.test_dashboard import COMPLETE
from tests.support import lakes
from tests.support.browsers import chromium
from tests.support.dashboards import dashboard
from tests.support.harness import config_of

pytestmark = pytest.mark.timeout(300)
SIZES = {"1440": {"width": 1440, "height": 900}, "390": {"width": 390, "height": 844}}
COUNTRIES = (("France", 30), ("Allemagne", 14), ("Espagne", 9), ("Belgique", 8), ("Italie", 7), ("Royaume-Uni", 6))
RHYTHM = (2, 1, 1, 1, 1, 2, 4, 8, 14, 20, 24, 26, 22, 20, 22, 24, 22, 20, 18, 14, 10, 8, 5, 3)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium("the README's pictures were") as launched:
        yield launched


def sales(since: datetime, until: datetime, per_minute: float) -> list[lakes.Row]:
    """Sales with a daily rhythm, seeded."""
    chance = random.Random(5)
    template = lakes.sales(300)
    found: list[lakes.Row] = []
    moment = since
    while moment < until:
        moment += timedelta(seconds=chance.expovariate(per_minute * RHYTHM[moment.hour] / 12 / 60))
        row = chance.choice(template)
        place = chance.choices([name for name, _ in COUNTRIES], [weight for _, weight in COUNTRIES])[0]
        found.append({
            **row, "vente_id": f"p{len(found):06}", "timestamp": moment, "jour": moment.date(), "pays": place, "est_tardif": False,
            "client_nom": f"Client {row['client_id']}", "date_ingestion": moment, "kafka_timestamp": moment, "kafka_offset": len(found),
        })  # fmt: skip
    return found[:-1]


def taken(browser: Any, address: str, name: str, size: str, scheme: str, folder: Path) -> Path:
    context = browser.new_context(viewport=SIZES[size], color_scheme=scheme, locale="en-GB")
    page = context.new_page()
    page.goto(address)
    page.locator(COMPLETE).wait_for()
    page.wait_for_function("document.fonts.ready.then(() => true)")
    path = folder / f"{name}.png"
    page.screenshot(path=str(path))
    context.close()
    return path


@contextlib.contextmanager
def pipeline(lake: str) -> Iterator[None]:
    """The four processes' own health servers, in this process: the page asks them as it asks the real ones."""
    config = config_of(Path(lake), "localhost:1", "pictures")
    with contextlib.ExitStack() as running:
        for name in ("kafka", "producer", "bronze", "silver"):
            running.enter_context(process.serve(config, name)).started()
        yield


def test_the_first_five_minutes(browser: Any, tmp_path: Path) -> None:
    folder = PROJECT / "docs" / "images" if os.environ.get("VENTES_PICTURES") else tmp_path / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    own, now = str(tmp_path / "lake"), datetime.now(UTC)
    with dashboard(own, tmp_path / "log") as found:
        made = [taken(browser, f"{found.address}sales?lang=en", "first-empty", "1440", "light", folder)]
        rows = sales(now - timedelta(days=14), now, 1)
        lakes.build(own, rows)
        with pipeline(own):
            made += [
                taken(browser, f"{found.address}sales?lang=en", "first-sales", "1440", "light", folder),
                taken(browser, f"{found.address}trust?lang=en", "first-trust", "1440", "light", folder),
                taken(browser, f"{found.address}sales?lang=fr", "first-phone", "390", "dark", folder),
            ]
    assert all(path.stat().st_size > 10_000 for path in made)
