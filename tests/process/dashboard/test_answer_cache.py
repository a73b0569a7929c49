"""One answer for many readers, and the process that reads the lake for them."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import psutil
import pytest

from lakehouse.config import Config
from lakehouse.dashboard import (
    answer_cache,
)
from lakehouse.dashboard.answer_cache import AnswerCache
from lakehouse.dashboard.query_process import LakeQueries, QueryProcess, Reply
from lakehouse.dashboard.question import Question
from lakehouse.explorer.queries.model import Filters
from lakehouse.lake import cuts
from lakehouse.lake.cuts import Cut
from lakehouse.lake.reader import Lake
from tests.support import lakes
from tests.support.children import eventually
from tests.support.dashboard_lake import config_of
from tests.support.dashboards import dashboard as serving

# --- the board -------------------------------------------------------------------------------------------------------


class Counting(AnswerCache):
    """Notes each question that is really asked; ``gate`` holds them up."""

    def __init__(self, config: Config) -> None:
        self._queries = LakeQueries(config)
        super().__init__(config, ask=self.noted)
        self.asked: list[Question] = []
        self.gate = threading.Event()
        self.gate.set()

    def noted(self, question: Question, cut: Cut | None = None) -> Reply:
        assert self.gate.wait(60)
        self.asked.append(question)
        return self._queries.ask(question, cut)


@pytest.fixture
def counting(own: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    monkeypatch.setattr(answer_cache, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(answer_cache, "REST", 0.0)
    made = Counting(config_of(own))
    made.start()
    yield made
    made.gate.set()
    made.stop()


TOTALS = Question("totals", Filters())


def test_many_readers_share_one_answer_until_the_table_has_a_new_version(counting: Counting, own: str) -> None:
    with ThreadPoolExecutor(20) as readers:
        found = [
            one.result() for one in [readers.submit(counting.answers, [TOTALS], first=60, later=60) for _ in range(20)]
        ]
    assert counting.asked == [TOTALS]
    assert len({answer[TOTALS].serial for answer in found if answer[TOTALS]}) == 1
    again = counting.answers([TOTALS], first=60, later=60)[TOTALS]
    assert counting.asked == [TOTALS] and again is found[0][TOTALS], "nothing was written: nothing is asked again"
    before = found[0][TOTALS]
    assert before and before.result and before.result.sources[0].version == 1
    sale = {**lakes.sales(1)[0], "vente_id": "new", "montant": Decimal("0.01")}
    lakes.write(own, "ventes_stream", [sale])
    after = counting.answers([TOTALS], first=60, later=60)[TOTALS]
    assert after and after.result and after.result.sources[0].version == 2
    assert after.result.column("revenue_total")[0] == before.result.column("revenue_total")[0] + Decimal("0.01")
    assert counting.asked == [TOTALS] * 2


def test_a_page_does_not_wait_for_a_slow_answer(counting: Counting) -> None:
    counting.gate.clear()
    assert counting.answers([TOTALS], first=0.01, later=0.01) == {TOTALS: None}
    counting.gate.set()
    assert eventually(lambda: counting.answers([TOTALS], first=0.01, later=0.01)[TOTALS])


def test_after_a_costly_answer_the_board_rests(own: str) -> None:
    """The rule itself, with its numbers: no wall time is judged."""
    now = [1000.0]
    made = AnswerCache(config_of(own), ask=LakeQueries(config_of(own)).ask, clock=lambda: now[0])
    made.tables()
    question = TOTALS
    made._answers[question] = answer_cache.Answer(1, None, "", False, "another version", at=1000.0, cost=0.4)
    now[0] = 1000.0 + 0.4 * answer_cache.REST - 0.01
    assert not made._is_due(question, now[0])
    now[0] += 0.02
    assert made._is_due(question, now[0])


def test_a_table_that_appears_or_breaks_or_is_made_anew_is_seen(counting: Counting, own: str) -> None:
    missing = Question("pertes-declarees")
    answer = counting.answers([missing], first=60, later=60)[missing]
    assert answer and answer.missing and "accepts a loss" in answer.problem
    loss = {
        "topic": "t",
        "kafka_partition": 0,
        "premier_offset": 1,
        "dernier_offset": 2,
        "date_declaration": lakes.START,
        "operateur": "x",
    }
    lakes.write(own, "pertes_declarees", [loss])
    answer = counting.answers([missing], first=60, later=60)[missing]
    assert answer and answer.result and len(answer.result.rows) == 1

    assert (answer := counting.answers([TOTALS], first=60, later=60)[TOTALS]) and answer.result
    shutil.rmtree(Path(own, "bronze", "ventes_stream"))
    answer = counting.answers([TOTALS], first=60, later=60)[TOTALS]
    assert answer and answer.missing
    for row in (lakes.sales(3), lakes.sales(2)):  # version 1 again, as before, with other sales
        lakes.write(own, "ventes_stream", row)
    answer = counting.answers([TOTALS], first=60, later=60)[TOTALS]
    assert answer and answer.result and answer.result.rows[0][0] == 5

    log = Path(own, "bronze", "ventes_stream", "_delta_log", f"{1:020}.json")
    log.write_text("{broken")
    answer = counting.answers([TOTALS], first=60, later=60)[TOTALS]
    assert answer and "cannot be opened" in answer.problem and not answer.missing
    assert "ventes_stream" in counting.tables().broken


def test_the_process_that_reads_the_lake_is_replaced_when_it_was_killed(base: str) -> None:
    made = QueryProcess(config_of(base))
    first = made.ask(TOTALS)
    assert first.result and first.cost > 0
    assert made._pool is not None
    (victim,) = made._pool._processes
    os.kill(victim, signal.SIGKILL)
    said = eventually(lambda: made.ask(TOTALS).problem, 60)
    assert "was killed while it answered totals" in said
    again = made.ask(TOTALS)
    assert again.result and again.result.rows == first.result.rows
    made.stop()


def test_no_process_outlives_a_killed_dashboard(base: str, tmp_path: Path) -> None:
    with serving(base, tmp_path / "log", stops=False) as found:
        children = psutil.Process(found.child.process.pid).children(recursive=True)
        assert children
        found.child.process.kill()
        gone, alive = psutil.wait_procs(children, timeout=60)
        assert len(gone) == len(children) and not alive


# --- one cut for a page -----------------------------------------------------------------------------------------------


COUNTRIES = Question("revenue-by-country", Filters())


def recorded(own: str) -> Cut:
    """A cut at the newest versions."""
    return cuts.record(config_of(own), "g", Lake(own).sources(cuts.TABLES))


def test_all_answers_of_a_page_are_of_one_cut(counting: Counting, own: str) -> None:
    """While a new cut is worked out, the page stays at the one before; and Bronze alone never moves it."""
    recorded(own)
    first, cut = counting.page([TOTALS, COUNTRIES], first=60, later=60)
    assert cut and cut.number == 1
    more = {**lakes.sales(1)[0], "vente_id": "new", "montant": Decimal("0.01")}
    lakes.write(own, "ventes_stream", [more])
    again, cut = counting.page([TOTALS, COUNTRIES], first=60, later=60)
    assert again == first and cut and cut.number == 1, "Bronze is ahead of Silver: the page waits for both"
    assert counting.tables().waiting.sales == 1
    lakes.write(own, "ventes_par_pays", lakes.silver([*lakes.sales(), more])["ventes_par_pays"], mode="overwrite")
    recorded(own)
    counting.gate.clear()
    kept, cut = counting.page([TOTALS, COUNTRIES], first=0.01, later=0.01)
    assert kept == first and cut and cut.number == 1
    counting.gate.set()
    moved, cut = counting.page([TOTALS, COUNTRIES], first=60, later=60)
    assert cut and cut.number == 2
    totals, countries = moved[TOTALS], moved[COUNTRIES]
    assert totals and totals.result and countries and countries.result
    assert totals.result.column("revenue_total")[0] == sum(countries.result.column("revenue_total"))
    assert counting.tables().waiting.sales == 0


def test_a_cut_is_not_left_before_its_figures_are_paid_for(own: str) -> None:
    now = [1000.0]
    config = config_of(own)
    made = AnswerCache(config, ask=LakeQueries(config).ask, clock=lambda: now[0])
    recorded(own)
    made.tables()
    made._moves_on = 1000.0 + 0.4 * answer_cache.REST
    lakes.write(own, "ventes_stream", [{**lakes.sales(1)[0], "vente_id": "new"}])
    recorded(own)
    for moment, number in ((1003.9, 1), (1005.0, 2)):
        now[0] = moment
        made.tables()
        assert made._cut and made._cut.number == number


def test_a_cut_that_is_gone_does_not_empty_the_page(counting: Counting, own: str) -> None:
    recorded(own)
    shutil.rmtree(Path(own, "silver", "ventes_par_pays"))
    lakes.write(own, "ventes_par_pays", lakes.silver(lakes.sales(9))["ventes_par_pays"])
    answer = counting.answers([COUNTRIES], first=60, later=60)[COUNTRIES]
    assert answer and answer.result and sum(answer.result.column("total_transactions")) == 9
