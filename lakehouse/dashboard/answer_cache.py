"""Answers shared by all open pages: each question is asked once per table version, however many pages show it.

One process queries the lake (``query_process``), and one thread hands it the questions; a second thread polls the
pipeline's processes, which may take seconds to answer. A page waits for them up to a limit, then shows what there is, so that the time
for a page does not depend on the size of the lake. Two rules bound the cost: a question is asked anew only when one
of its tables has a new version, and not before ``REST`` times its own processor time has passed; and after a repeated
question the thread rests for as long as the question took, so that repeated questions together take half a core at most.
What waits is a ``QuestionQueue``.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lakehouse.config import Config
from lakehouse.contract.tables import PUBLIC
from lakehouse.dashboard import process_facts
from lakehouse.dashboard.query_process import Question, Reply, answered, state_of
from lakehouse.dashboard.question_queue import QuestionQueue
from lakehouse.explorer.queries import registry
from lakehouse.lake.reader import Lake
from lakehouse.lake.result import Result, Source

KEPT = 500
"""Answers in memory; a page has about ten questions."""
REST = 10.0
LOOK_EVERY = 1.0
"""Seconds between two reads of the tables' versions."""
ALL = tuple(spec.name for spec in PUBLIC)


@dataclass(frozen=True)
class Answer:
    """A cached answer. ``problem`` is the message in place of a result; ``missing``: the table does not exist yet.

    ``state``: the tables' versions; ``at``: when it was given; ``cost``: processor seconds.
    """

    serial: int
    result: Result | None
    problem: str
    missing: bool
    state: object
    at: float
    cost: float


DROPPED = Answer(0, None, "", False, None, 0.0, 0.0)
"""In place of a first answer: newer questions have pushed this one out of the queue."""


@dataclass(frozen=True)
class Tables:
    """Every table at its version; ``broken``: the messages for those that cannot be opened."""

    sources: dict[str, Source]
    broken: dict[str, str]


class AnswerCache:
    """The cache: ``start`` it once, call ``answers`` from any thread, ``stop`` it."""

    def __init__(
        self, config: Config, *, ask: Callable[[Question], Reply], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config, self._ask = config, ask
        self._clock = clock
        self._lake = Lake.of(config)
        self._tables = Tables({}, {})
        self._read_at = float("-inf")
        self._refreshing = threading.Lock()
        self._changed = threading.Condition()
        self._answers: OrderedDict[Question, Answer] = OrderedDict()
        self._due = QuestionQueue()
        self._serials = itertools.count(1)
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, args=(about_tables,), name="answers", daemon=True)
            for about_tables in (True, False)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(10)

    def tables(self) -> Tables:
        """The tables as of the last read, at most ``LOOK_EVERY`` seconds ago."""
        never = self._read_at == float("-inf")  # nothing is known yet: wait for the thread that reads
        if self._clock() >= self._read_at + LOOK_EVERY and self._refreshing.acquire(blocking=never):
            try:
                if not never or self._read_at == float("-inf"):
                    self._read_versions()
            finally:
                self._refreshing.release()
        return self._tables

    def _read_versions(self) -> None:
        lake = self._lake.advanced()
        states = dict(zip(ALL, state_of(lake, ALL), strict=True))
        self._tables = Tables(
            {name: state for name, state in states.items() if isinstance(state, Source)},
            {name: state for name, state in states.items() if isinstance(state, str)},
        )
        self._lake, self._read_at = lake, self._clock()

    def answers(self, questions: Iterable[Question], *, first: float, later: float) -> dict[Question, Answer | None]:
        """The newest answers; None for a question whose first answer takes longer than ``first`` seconds, ``DROPPED`` for one
        that has none and waits no longer.

        When every question has an answer already, newer ones are waited for ``later`` seconds at most.
        """
        wanted = list(dict.fromkeys(questions))
        self.tables()
        with self._changed:
            now = self._clock()
            due = [question for question in wanted if self._is_due(question, now)]
            patience = later if all(question in self._answers for question in wanted) else first
            self._due.ask(due, now, patience)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not any(question in self._due for question in due), patience)
            for question in wanted:
                if question in self._answers:
                    self._answers.move_to_end(question)
            return {
                question: self._answers.get(question, None if question in self._due else DROPPED) for question in wanted
            }

    def _is_due(self, question: Question, now: float) -> bool:
        answer = self._answers.get(question)
        return answer is None or (now >= answer.at + REST * answer.cost and answer.state != self._state(question))

    def _state(self, question: Question) -> object:
        """What the answer depends on: when it changes, the question is asked again."""
        if question.name in process_facts.FACTS:
            fact = process_facts.FACTS[question.name]
            if fact.every:
                return int(self._clock() / fact.every)
            names = ALL
        else:
            names = registry.entry(question.name).query(question.filters).tables
        return tuple(self._tables.sources.get(name) or self._tables.broken.get(name) for name in names)

    def _mine(self, about_tables: bool) -> list[Question]:
        due = self._due.waiting(self._clock())
        return [question for question in due if process_facts.about_tables(question.name) == about_tables]

    def _work(self, about_tables: bool) -> None:
        rests_until = 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or bool(self._mine(about_tables)))
                if self._stopping:
                    return
                due = self._mine(about_tables)
                new = next((question for question in due if question not in self._answers), None)
                pause = rests_until - self._clock()
                if new is None and pause > 0:
                    self._changed.wait(pause)
                    continue
                question = new or min(due, key=lambda one: self._answers[one].at)
            answer = self._answer(question)
            if new is None:
                rests_until = self._clock() + answer.cost
            with self._changed:
                self._answers[question] = answer
                self._answers.move_to_end(question)
                while len(self._answers) > KEPT:
                    self._answers.popitem(last=False)
                self._due.done(question)
                self._changed.notify_all()

    def _look_up(self, question: Question) -> Reply:
        return answered(lambda: process_facts.FACTS[question.name].find(self._config, self._lake))

    def _answer(self, question: Question) -> Answer:
        state = self._state(question)
        reply = self._ask(question) if process_facts.about_tables(question.name) else self._look_up(question)
        if question.name not in process_facts.FACTS and reply.state is not None:
            state = reply.state  # the versions that were read, which may be newer
        return Answer(next(self._serials), reply.result, reply.problem, reply.missing, state, self._clock(), reply.cost)
