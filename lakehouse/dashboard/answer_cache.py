"""Answers shared by all open pages: each question is asked once per state of its tables, however many pages show it.

One process queries the lake (``query_process``), and one thread hands it the questions; a second thread polls the
pipeline's processes, which may take seconds to answer. A page waits for them up to a limit, then shows what there is, so that the time
for a page does not depend on the size of the lake.

All figures of a page are of one *cut* (``lake.cuts``): every page is worked out at the same one, and the answers of the
cut before are kept until those of the new one are all there, so that no page mixes two. What a cut does not name (rejects, facts of
processes) and what is live is read at the newest versions.

Two rules bound the cost. A question is asked anew only when one of its tables has another version, and not before ``REST`` times its
own processor time has passed; of the cut's questions the dearest counts for all, which move on together. And after a repeated
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
from lakehouse.dashboard.query_process import Reply, answered, is_of, state_of
from lakehouse.dashboard.question import Question
from lakehouse.dashboard.question_queue import QuestionQueue
from lakehouse.lake import cuts
from lakehouse.lake.cuts import Cut, Waiting
from lakehouse.lake.reader import Lake
from lakehouse.lake.result import Result, Source

KEPT = 500
"""Answers in memory; a page has about ten questions."""
REST = 10.0
LOOK_EVERY = 1.0
"""Seconds between two reads of the tables' versions."""
ALL = tuple(spec.name for spec in PUBLIC)
NOTHING_WAITS = Waiting()


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
    """Every table at its version; ``broken``: the messages for those that cannot be opened. ``waiting``: sales that are on
    their way to the figures of the last cut."""

    sources: dict[str, Source]
    broken: dict[str, str]
    waiting: Waiting = NOTHING_WAITS


class AnswerCache:
    """The cache: ``start`` it once, call ``answers`` from any thread, ``stop`` it."""

    def __init__(
        self,
        config: Config,
        *,
        ask: Callable[[Question, Cut | None], Reply],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._ask = config, ask
        self._clock = clock
        self._lake = Lake.of(config)
        self._tables = Tables({}, {})
        self._read_at = float("-inf")
        self._refreshing = threading.Lock()
        self._changed = threading.Condition()
        self._answers: OrderedDict[Question, Answer] = OrderedDict()
        self._before: dict[Question, Answer] = {}
        self._cut: Cut | None = None
        self._cut_before: Cut | None = None
        self._moves_on = float("-inf")
        self._backlog = cuts.Backlog(config)
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
        self._move_on()
        self._tables = Tables(
            {name: state for name, state in states.items() if isinstance(state, Source)},
            {name: state for name, state in states.items() if isinstance(state, str)},
            self._backlog.waiting(self._cut) if self._cut else Waiting(),
        )
        self._lake, self._read_at = lake, self._clock()

    def _move_on(self) -> None:
        """Work out all pages at the newest cut from now on, when the last one is done and paid for."""
        newest = cuts.newest(self._config, self._cut)
        with self._changed:
            now = self._clock()
            busy = any(is_of(question, self._cut) for question in self._due.waiting(now))
            if newest != self._cut and (self._cut is None or newest is None or (not busy and now >= self._moves_on)):
                self._cut_before, self._cut = self._cut, newest
                self._moves_on = now

    def answers(self, questions: Iterable[Question], *, first: float, later: float) -> dict[Question, Answer | None]:
        """As ``page``, without the cut."""
        return self.page(questions, first=first, later=later)[0]

    def page(
        self, questions: Iterable[Question], *, first: float, later: float
    ) -> tuple[dict[Question, Answer | None], Cut | None]:
        """The newest answers that belong together, and their cut; None for a question whose first answer takes longer than
        ``first`` seconds, ``DROPPED`` for one that has none and waits no longer.

        When there is an answer to every question already, newer ones are waited for ``later`` seconds at most.
        """
        wanted = list(dict.fromkeys(questions))
        self.tables()
        with self._changed:
            now = self._clock()
            due = [question for question in wanted if self._is_due(question, now)]
            patience = later if self._whole(wanted) else first
            self._due.ask(due, now, patience)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not any(question in self._due for question in due), patience)
            for question in wanted:
                if question in self._answers:
                    self._answers.move_to_end(question)
            found, cut = self._whole(wanted) or (self._at(wanted, self._cut), self._cut)
            return {
                question: answer or (None if question in self._due else DROPPED) for question, answer in found.items()
            }, cut

    def _whole(self, wanted: list[Question]) -> tuple[dict[Question, Answer | None], Cut | None] | None:
        """The answers at the newest cut at which there are all, and the cut."""
        for cut in (self._cut, *([self._cut_before] if self._cut_before else [])):
            found = self._at(wanted, cut)
            if all(found.values()):
                return found, cut
        return None

    def _at(self, wanted: list[Question], cut: Cut | None) -> dict[Question, Answer | None]:
        return {question: self._known(question, cut) for question in wanted}

    def _known(self, question: Question, cut: Cut | None) -> Answer | None:
        """The answer at a cut; the newest one of a question that is not of a cut."""
        answer = self._answers.get(question)
        if cut is None or not is_of(question, cut):
            return answer
        state = self._state(question, cut)
        return next((one for one in (answer, self._before.get(question)) if one and one.state == state), None)

    def _is_due(self, question: Question, now: float) -> bool:
        answer = self._answers.get(question)
        if answer is None:
            return True
        changed = answer.state != self._state(question, self._cut)
        return changed and (is_of(question, self._cut) or now >= answer.at + REST * answer.cost)

    def _state(self, question: Question, cut: Cut | None) -> object:
        """What the answer depends on: when it changes, the question is asked again."""
        if cut is not None and is_of(question, cut):
            return tuple(cut.tables[name] for name in question.tables)
        if question.name in process_facts.FACTS:
            fact = process_facts.FACTS[question.name]
            if fact.every:
                return int(self._clock() / fact.every)
            names = ALL
        else:
            names = question.tables
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
                if (last := self._answers.get(question)) is not None:
                    self._before[question] = last
                self._answers[question] = answer
                self._answers.move_to_end(question)
                while len(self._answers) > KEPT:
                    self._before.pop(self._answers.popitem(last=False)[0], None)
                if is_of(question, self._cut):
                    self._moves_on = max(self._moves_on, answer.at + REST * answer.cost)
                self._due.done(question)
                self._changed.notify_all()

    def _look_up(self, question: Question) -> Reply:
        return answered(lambda: process_facts.FACTS[question.name].find(self._config, self._lake))

    def _answer(self, question: Question) -> Answer:
        cut = self._cut
        cut = cut if is_of(question, cut) else None
        state = self._state(question, cut)
        about_tables = process_facts.about_tables(question.name)
        reply = self._ask(question, cut) if about_tables else self._look_up(question)
        if cut is None and question.name not in process_facts.FACTS and reply.state is not None:
            state = reply.state  # the versions that were read, which may be newer
        return Answer(next(self._serials), reply.result, reply.problem, reply.missing, state, self._clock(), reply.cost)
