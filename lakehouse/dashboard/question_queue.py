"""The questions that wait for an answer: those of the newest page first, a bounded number, and none that nobody waits for.

Whoever opens a page is served before what was asked earlier: many pages with filters of their own hold up themselves,
not the next reader. A page that is open asks again every few seconds, and thereby stays among the newest.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from lakehouse.dashboard.question import Question

LIMIT = 200
"""Questions that wait; a page has about ten."""
STILL_WANTED = 5.0
"""Seconds after a page's wait in which it must ask again: an open one does so every 2 seconds."""


@dataclass(frozen=True)
class _Place:
    """Where a question stands: the number of the page that asked it last, its place on it, and until when it is wanted."""

    page: int
    place: int
    until: float


class QuestionQueue:
    """Not thread-safe: ``AnswerCache`` holds its lock."""

    def __init__(self) -> None:
        self._places: dict[Question, _Place] = {}
        self._pages = itertools.count(1)

    def __contains__(self, question: Question) -> bool:
        return question in self._places

    def ask(self, questions: Iterable[Question], now: float, patience: float) -> None:
        """One page's questions, what it shows first first; it waits ``patience`` seconds. What is over the limit is left
        out, beginning with the oldest page."""
        page, until = next(self._pages), now + patience + STILL_WANTED
        self._places |= {question: _Place(page, place, until) for place, question in enumerate(questions)}
        if len(self._places) > LIMIT:
            self._places = {question: self._places[question] for question in self._in_order()[:LIMIT]}

    def waiting(self, now: float) -> list[Question]:
        """Those that are still wanted, the next one first. The others are gone."""
        self._places = {question: place for question, place in self._places.items() if place.until >= now}
        return self._in_order()

    def done(self, question: Question) -> None:
        self._places.pop(question, None)

    def _in_order(self) -> list[Question]:
        return sorted(self._places, key=lambda question: (-self._places[question].page, self._places[question].place))
