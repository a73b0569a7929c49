"""The dashboard's queue: who is served next, what is left out, and what nobody waits for any more."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lakehouse.dashboard import pages, question_queue
from lakehouse.dashboard.answer_cache import DROPPED, AnswerCache, Tables
from lakehouse.dashboard.html import BUSY, PageRenderer
from lakehouse.dashboard.query_process import Reply
from lakehouse.dashboard.question import Question
from lakehouse.dashboard.question_queue import STILL_WANTED, QuestionQueue
from lakehouse.dashboard.request import Language, View
from lakehouse.explorer.queries.model import Filters
from tests.support.children import eventually
from tests.support.harness import config_of


def page(client: int) -> list[Question]:
    return [Question(name, Filters(client=client)) for name in ("totals", "by-day")]


def test_the_newest_page_is_served_first_and_each_page_from_its_top() -> None:
    queue = QuestionQueue()
    for client in (1, 2, 3):
        queue.ask(page(client), 0.0, 1.0)
    assert queue.waiting(0.0) == page(3) + page(2) + page(1)
    queue.ask(page(1), 0.0, 1.0)  # the open page asks again
    assert queue.waiting(0.0) == page(1) + page(3) + page(2)
    queue.done(page(1)[0])
    assert queue.waiting(0.0)[0] == page(1)[1] and page(1)[0] not in queue


def test_what_nobody_asks_again_is_forgotten() -> None:
    queue = QuestionQueue()
    queue.ask(page(1), 0.0, 1.0)
    queue.ask(page(2), 3.0, 1.0)
    assert queue.waiting(1.0 + STILL_WANTED) == page(2) + page(1)
    assert queue.waiting(1.1 + STILL_WANTED) == page(2)
    assert queue.waiting(4.1 + STILL_WANTED) == []


def test_the_queue_is_bounded_and_the_oldest_page_leaves_it() -> None:
    queue = QuestionQueue()
    for client in range(1_000):
        queue.ask(page(client + 1), 0.0, 60.0)
    waiting = queue.waiting(0.0)
    assert len(waiting) == question_queue.LIMIT
    assert waiting[:2] == page(1_000) and page(1)[0] not in queue


def test_60_pages_with_filters_of_their_own_do_not_hold_up_the_next_reader(tmp_path: Path) -> None:
    goes_on, began, asked = threading.Event(), threading.Event(), []

    def ask(question: Question, _cut: object = None) -> Reply:
        asked.append(question)
        began.set()
        assert goes_on.wait(60)
        return Reply(None, "no lake")

    cache = AnswerCache(config_of(tmp_path, "localhost:1", "t"), ask=ask)
    cache.start()
    try:
        for client in range(1, 61):
            cache.answers(page(client), first=0.0, later=0.0)
        assert began.wait(60)
        with ThreadPoolExecutor(1) as reader:
            found = reader.submit(cache.answers, page(99), first=60.0, later=60.0)
            eventually(lambda: page(99)[1] in cache._due, 60)
            goes_on.set()
            assert all(found.result(60).values())
        assert asked[1:3] == page(99)
    finally:
        goes_on.set()
        cache.stop()


def test_a_page_that_is_pushed_out_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread answers here: what is in the queue stays in it."""
    monkeypatch.setattr(question_queue, "LIMIT", 2)
    cache = AnswerCache(config_of(tmp_path, "localhost:1", "t"), ask=lambda *_: Reply(None))
    cache.tables()
    assert cache.answers(page(1), first=0.0, later=0.0) == dict.fromkeys(page(1))
    found = cache.answers([*page(2), *page(3)], first=0.0, later=0.0)
    assert [found[one] for one in page(2)] == [None, None]
    assert [found[one] is DROPPED for one in page(3)] == [True, True]
    assert cache.answers(page(1), first=0.0, later=0.0) == dict.fromkeys(page(1)), "it is the newest now"


@pytest.mark.parametrize(
    ("language", "sentence", "card"),
    [
        ("en", "It asks again in 5 seconds.", "Not worked out: too many questions at once."),
        ("fr", "Elle redemande dans 5 secondes.", "Pas calculé"),
    ],
)
def test_the_page_says_that_a_question_was_dropped(
    tmp_path: Path, language: Language, sentence: str, card: str
) -> None:
    view = View("sales", language=language)
    asked = list(pages.questions(view))
    shown = next(one for one in asked if one not in (pages.PROCESSES, pages.BEGUN))
    renderer = PageRenderer(config_of(tmp_path, "localhost:1", "t"))
    whole = renderer.page(view, dict.fromkeys(asked), Tables({}, {}), datetime.now(UTC))
    assert whole.complete and sentence not in whole.body.decode()
    made = renderer.page(view, {**dict.fromkeys(asked), shown: DROPPED}, Tables({}, {}), datetime.now(UTC))
    text = made.body.decode()
    assert not made.complete and sentence in text and card in text and f'data-busy="{BUSY}"' in text
    assert made.tag != whole.tag


def test_no_text_of_the_lake_takes_the_place_of_the_pages_tag(tmp_path: Path) -> None:
    renderer = PageRenderer(config_of(tmp_path, "localhost:1", "t"))
    view = View("sales", pays="@TAG@")
    made = renderer.page(view, {}, Tables({}, {}), datetime.now(UTC))
    text = made.body.decode()
    assert '<option value="@TAG@" selected>@TAG@</option>' in text
    assert f'data-tag="{made.tag.replace(chr(34), "&quot;")}"' in text
    again = PageRenderer(config_of(tmp_path, "localhost:1", "t")).page(view, {}, Tables({}, {}), datetime.now(UTC))
    assert again.tag == made.tag, "another process makes the same page"
