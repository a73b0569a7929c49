"""The headless Chromium of the tests that need a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def not_to_be_had(sentence: str) -> None:
    """Skip the test, which CI may not do."""
    pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)


@contextmanager
def chromium(untested: str) -> Iterator[Any]:
    """Playwright's browser; without one, the tests of ``untested`` are skipped."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        not_to_be_had(
            f"NO BROWSER: {untested} NOT tested. None of {', '.join(BROWSERS)} is on the PATH: apt-get install chromium"
        )
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield launched
        launched.close()
