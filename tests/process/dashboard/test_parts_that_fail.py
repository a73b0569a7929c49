"""The dashboard's page when something of it is missing, broken or just beginning; and the button that starts a reconciliation."""

from __future__ import annotations

import html
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from lakehouse.dashboard import process_facts
from lakehouse.operations.status import ProcessState
from tests.process.dashboard.test_dashboard import page_text
from tests.support import lakes
from tests.support.children import eventually
from tests.support.dashboards import dashboard as serving

WHEN = {"du": "2026-11-10", "au": "2026-11-21"}


def test_the_steps_to_the_first_figures_tick_themselves_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = [ProcessState("bronze", "running"), ProcessState("producer", "running")]
    monkeypatch.setattr(process_facts.status, "processes", lambda _: states)
    own = str(tmp_path / "lake")
    assert page_text(own, "sales").count("(done)") == 1, "nothing was sent"
    states[1].figures["sent"] = 5
    assert eventually(lambda: page_text(own, "sales").count("(done)") == 2)
    states[0].figures["sales"] = 5
    lakes.write(own, "ventes_stream", lakes.sales(5))
    assert eventually(lambda: page_text(own, "sales").count("(done)") == 3)
    assert "Silver has worked out the first figures (to come)" in page_text(own, "sales")
    lakes.write(own, "ventes_par_pays", lakes.silver(lakes.sales(5))["ventes_par_pays"])
    assert "The lake is still empty" not in page_text(own, "sales")


def test_a_card_that_cannot_be_drawn_leaves_the_others(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("boom <b>")

    monkeypatch.setattr("lakehouse.dashboard.country_map.world", broken)
    text = page_text(base, "sales", **WHEN)
    assert "This part could not be drawn: boom <b>" in text and "Revenue by day" in text
    monkeypatch.setattr("lakehouse.dashboard.country_map.world", lambda *_: object())  # no template can draw that
    assert "This part could not be drawn" in page_text(base, "sales", **WHEN)


def test_a_reconciliation_is_started_from_this_page_alone(own: str, tmp_path: Path) -> None:
    """Another site's form is refused, and what went wrong is said."""
    with serving(own, tmp_path / "log") as found:
        assert found.get("/reconcile").status == 405

        def post(**headers: str) -> int:
            named = {name.replace("_", "-"): text for name, text in headers.items()}
            request = urllib.request.Request(f"{found.address}reconcile", method="POST", headers=named)
            try:
                with urllib.request.urlopen(request, timeout=60) as reply:
                    return int(reply.status)
            except urllib.error.HTTPError as error:
                return error.code

        assert post() == 403 and post(Sec_Fetch_Site="cross-site") == 403 and post(Origin="http://evil.example") == 403
        assert post(Sec_Fetch_Site="same-origin") == 200
        said = eventually(lambda: (text := found.get("/trust?lang=en").text) and "did not end" in text and text, 120)
        assert "nothing to reconcile yet" in html.unescape(said)
