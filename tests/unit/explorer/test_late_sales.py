"""What counts as late: a sale whose sender was late, and none of an announced backfill, wherever lateness is shown or counted."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

from lakehouse import config as settings
from lakehouse.contract.backfill import Backfill
from lakehouse.explorer.answers import Answers
from lakehouse.explorer.queries.model import Filters
from lakehouse.explorer.queries.registry import entry
from lakehouse.lake.reader import Lake
from lakehouse.lake.result import Result
from lakehouse.observability import audit_log
from tests.support import lakes
from tests.support.lakes import Row

MARKED = [row for row in lakes.sales() if row["est_tardif"]]


def test_sales_of_an_announced_backfill_are_late_in_no_figure(base: str) -> None:
    """Their event times are within its span, and they arrived before its end; a sale of the span that came later is late."""
    at = partial(datetime, 2026, 11, tzinfo=UTC)
    known = (
        Backfill("a", at(11), at(16), at(16), 9, arrived=at(13, 12)),
        Backfill("b", at(18), at(19), at(19), 9),  # nobody has said that all are sent
    )

    def backfilled(row: Row) -> bool:
        sold, came = row["timestamp"], row["kafka_timestamp"]
        return any(one.since <= sold <= one.until and (one.arrived is None or came <= one.arrived) for one in known)

    late = {row["vente_id"] for row in MARKED if not backfilled(row)}
    after = [row for row in MARKED if row["vente_id"] in late and at(11) <= row["timestamp"] <= at(16)]
    assert after and len(late) < len(MARKED), "there is one of each kind"

    def told(name: str, client: int | None = None) -> Result:
        return Lake(base).read(entry(name).query(Filters(client=client), known))

    assert set(told("late-sales").column("vente_id")) == late
    assert told("totals").column("ventes_tardives") == [len(late)]
    assert sum(told("late-by-country").column("ventes_tardives")) == len(late)
    for client in {row["client_id"] for row in MARKED}:
        of_one = told("client-sales", client)
        shown = dict(zip(of_one.column("vente_id"), of_one.column("est_tardif"), strict=True))
        assert {sale for sale, is_late in shown.items() if is_late} == late & shown.keys()


def test_the_explorer_knows_what_was_announced_to_its_lake_and_says_so(tmp_path: Path, base: str) -> None:
    own = shutil.copytree(base, tmp_path / "lake").as_posix()
    config = settings.load(env={"VENTES_DELTA__BASE_PATH": own})
    answers = Answers(config)
    found = answers.ask(entry("late-sales"), Filters())
    assert len(found.rows) == len(MARKED) and answers.remarks(found) == []
    since = min(row["timestamp"] for row in lakes.sales())
    audit_log.announce_backfill(config, "ventes_stream", since, since + timedelta(days=30), 400)
    for name in ("late-sales", "late-by-country", "totals"):
        found = answers.ask(entry(name), Filters())
        assert "Not counted as late: 400 sales of an announced backfill." in answers.remarks(found)
        assert not any(found.column("ventes_tardives") if name != "late-sales" else found.rows)
    assert answers.remarks(answers.ask(entry("by-day"), Filters())) == []
    assert list(answers.flow(entry("late-sales"), Filters()).rows) == []
    nobody = Filters(pays=("Japon",), du=date(2030, 1, 1))
    assert not any("backfill" in text for text in answers.remarks(answers.ask(entry("totals"), nobody), nobody))
    (totals,) = (one.result for one in answers.report() if one.section.entry.name == "totals")
    assert totals is not None and totals.column("ventes_tardives") == [0]
