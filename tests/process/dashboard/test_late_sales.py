"""Late sales on a page and in its CSV files: none of an announced backfill."""

from __future__ import annotations

from datetime import timedelta

from lakehouse.dashboard import download
from lakehouse.dashboard.query_process import LakeQueries
from lakehouse.dashboard.question import Question
from lakehouse.dashboard.request import read
from lakehouse.observability import audit_log
from tests.support import lakes
from tests.support.dashboard_lake import TODAY, config_of


def test_a_page_and_its_csv_count_no_sale_of_an_announced_backfill_as_late(own: str) -> None:
    config = config_of(own)
    queries, view = LakeQueries(config), read("trust", {"lang": "en", "periode": "all"}, today=TODAY)

    def late() -> tuple[int, int]:
        """Late sales on the page and in the file."""
        shown = queries.ask(Question("late-sales")).result
        assert shown is not None
        return len(shown.rows), "".join(download.rows("late-sales", view, config)[1]).count("\n") - 1

    marked = sum(row["est_tardif"] for row in lakes.sales())
    assert late() == (marked, marked)
    since = min(row["timestamp"] for row in lakes.sales())
    audit_log.announce_backfill(config, "ventes_stream", since, since + timedelta(days=30), marked)
    assert late() == (0, 0)
