"""The process that queries the lake. DataFusion holds Python's lock while it works (deltalake 1.6.6: a third of a second
for a count over 5 million sales), and in the server's own process every open page would stand still for as long.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process

from lakehouse.config import Config
from lakehouse.dashboard import process_facts
from lakehouse.dashboard.question import Question
from lakehouse.errors import LakehouseError, TableMissing
from lakehouse.explorer.queries import registry
from lakehouse.lake.cuts import Cut
from lakehouse.lake.reader import Lake, SnapshotGone
from lakehouse.lake.result import Result, Source


def is_of(question: Question, cut: Cut | None) -> bool:
    """Whether the question is read at this cut."""
    return not question.live and cut is not None and bool(question.tables) and cut.covers(question.tables)


@dataclass(frozen=True)
class Reply:
    """The answer to a question. ``problem`` is the message in place of a result; ``missing``: a table does not exist yet;
    ``state``: the tables' versions, None if unknown; ``cost``: processor seconds."""

    result: Result | None
    problem: str = ""
    missing: bool = False
    state: object = None
    cost: float = 0.0


def state_of(lake: Lake, names: Iterable[str]) -> tuple[Source | str | None, ...]:
    """State of each table: its version, the message why it cannot be opened, or None if it does not exist."""
    return tuple(_state(lake, name) for name in names)


def _state(lake: Lake, name: str) -> Source | str | None:
    try:
        return lake.snapshot(name).source
    except TableMissing:
        return None
    except LakehouseError as error:
        return str(error)


def answered(find: Callable[[], Result]) -> Reply:
    """The result, or the sentence why there is none; never raises."""
    try:
        return Reply(find())
    except TableMissing as error:
        return Reply(None, str(error), missing=True)
    except LakehouseError as error:
        return Reply(None, str(error))
    except Exception as error:  # noqa: BLE001  # who answers serves every page, and must outlive any one question
        return Reply(None, f"{type(error).__name__}: {error}")


class LakeQueries:
    """Answers one question after the other, from the newest versions or those of a cut, opening only tables that have
    changed."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lake = Lake.of(config)

    def ask(self, question: Question, cut: Cut | None = None) -> Reply:
        """Never raises: the sentence stands in the reply. A cut that cannot be read any more is passed over."""
        began = time.process_time()
        self._lake = self._lake.at_cut(cut) if cut is not None else self._lake.advanced()
        reply = answered(lambda: self._read(question))
        state = None
        if question.name not in process_facts.FACTS:
            state = state_of(self._lake, question.tables)
        return replace(reply, state=state, cost=time.process_time() - began)

    def _read(self, question: Question) -> Result:
        if question.name in process_facts.FACTS:
            return process_facts.FACTS[question.name].find(self._config, self._lake)
        query = registry.entry(question.name).query(question.filters)
        try:
            return self._lake.read(query)
        except SnapshotGone:
            self._lake = Lake.of(self._config)
            return self._lake.read(query)


class QueryProcess:
    """An ``LakeQueries`` in a process of its own, which ends with this one; a new one when it was killed."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._pool: ProcessPoolExecutor | None = None

    def start(self) -> ProcessPoolExecutor:
        """Start the process, unless it runs, and let it load what it needs: about a second."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=_begin, initargs=(self._config,))
            self._pool.submit(os.getpid)
        return self._pool

    def ask(self, question: Question, cut: Cut | None = None) -> Reply:
        """Waits for the answer."""
        try:
            return self.start().submit(_ask, question, cut).result()
        except BrokenProcessPool:
            self._pool = None
            return Reply(
                None, f"The process that reads the lake was killed while it answered {question.name}. It starts again."
            )

    def stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


_queries: LakeQueries | None = None


def _begin(config: Config) -> None:
    """Initializer of the new process. It ignores Ctrl-C: the server handles it."""
    global _queries
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _queries = LakeQueries(config)


def _end_with_parent() -> None:
    """End this process when the server ends, SIGKILL included."""
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(0)


def _ask(question: Question, cut: Cut | None) -> Reply:
    assert _queries is not None
    return _queries.ask(question, cut)
