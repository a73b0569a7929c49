"""Pictures of the pages: those of a new user's first five minutes, which the README shows, and those of every state of a lake.

``VENTES_PICTURES=1`` writes the README's to docs/images, ``VENTES_STATES=FOLDER`` keeps the others there; otherwise they are made and
thrown away.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse.config import PROJECT
from lakehouse.dashboard.request import PAGES
from lakehouse.dashboard.translations import say
from tests.support import page_states
from tests.support.browsers import chromium
from tests.support.dashboards import dashboard

pytestmark = pytest.mark.timeout(300)
SHOTS = (
    ("390", "light", "en"), ("1440", "light", "en"), ("2560", "light", "fr"), ("390", "dark", "fr"), ("1440", "dark", "fr"),
    ("2560", "dark", "en"),
)  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium("the README's pictures were") as launched:
        yield launched


def test_the_first_five_minutes(browser: Any, tmp_path: Path) -> None:
    folder = PROJECT / "docs" / "images" if os.environ.get("VENTES_PICTURES") else tmp_path / "pictures"
    own, now = str(tmp_path / "lake"), datetime.now(UTC)
    made = {name: folder / f"first-{name}.png" for name in ("empty", "sales", "trust", "phone")}
    with dashboard(own, tmp_path / "log") as found:
        page_states.taken(browser, f"{found.address}sales?lang=en", made["empty"], "1440", "light")
        page_states.build(own, now - timedelta(minutes=4), now)
        with page_states.pipeline(own):
            page_states.taken(browser, f"{found.address}sales?lang=en", made["sales"], "1440", "light")
            page_states.taken(browser, f"{found.address}trust?lang=en", made["trust"], "1440", "light")
            page_states.taken(browser, f"{found.address}sales?lang=fr", made["phone"], "390", "dark")
    assert all(path.stat().st_size > 10_000 for path in made.values())


def empty(_lake: str, _running: ExitStack) -> None:
    """Nothing was ever started."""


def hour(lake: str, running: ExitStack) -> None:
    """An hour of sales, without a history."""
    now = datetime.now(UTC)
    page_states.build(lake, now - timedelta(hours=1), now, past=False)
    running.enter_context(page_states.pipeline(lake))


def fortnight(lake: str, running: ExitStack) -> None:
    """Two weeks of sales, the last minutes of them live."""
    now = datetime.now(UTC)
    page_states.build(lake, now - timedelta(minutes=20), now)
    running.enter_context(page_states.pipeline(lake))


def stopped(lake: str, _running: ExitStack) -> None:
    """The same, stopped in order three hours ago."""
    ended = datetime.now(UTC) - timedelta(hours=3)
    page_states.build(lake, ended - timedelta(minutes=20), ended)
    with page_states.pipeline(lake):
        pass


SAYS = {
    "empty": ("start-title", "start-title", "start-title", "start-title"),
    "hour": ("live", "live", "trust-never", "yes-title"),
    "fortnight": ("live", "live", "trust-never", "yes-title"),
    "stopped": ("down", "down", "down", "running-do"),
}
"""What the pages say first in each state: a text's key, for each of ``PAGES``."""


@pytest.mark.parametrize("state", [empty, hour, fortnight, stopped], ids=lambda state: state.__name__)
def test_every_page_in_every_state_at_every_size(
    browser: Any, tmp_path: Path, state: Callable[[str, ExitStack], None]
) -> None:
    """Light and dark, English and French: nothing is wider than the screen, and each page says first what is so."""
    kept, own = os.environ.get("VENTES_STATES"), str(tmp_path / "lake")
    folder, faults = Path(kept) if kept else tmp_path / "pictures", list[str]()
    with ExitStack() as running:
        state(own, running)
        served = running.enter_context(dashboard(own, tmp_path / "log"))
        for number, (size, scheme, language) in enumerate(SHOTS):
            for page, says in zip(PAGES, SAYS[state.__name__], strict=True):
                if page != "sales" and number % 2 and not kept:
                    continue  # every page at every size, the first one in every dress
                target = folder / f"{state.__name__}-{page}-{size}-{scheme}-{language}.png"
                address = f"{served.address}{page}?lang={language}"
                found = page_states.taken(browser, address, target, size, scheme, whole=True, faults=faults)
                said = say(says, "fr" if language == "fr" else "en").partition("{}")[0]
                assert found["wide"] <= 0 and said in found["text"], f"{target.stem}: {found['text'][:600]}"
                late = say("late-by-country", "fr" if language == "fr" else "en")
                assert late not in found["text"], "the back-dated sales are not late"
                assert say("drift", "fr" if language == "fr" else "en") not in found["text"], (
                    "none: one line for all that is empty"
                )
    assert faults == []
