"""Fixtures for the tests with a real broker and a real Spark. Nothing starts before a test asks for it."""

from __future__ import annotations

import gc
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from lakehouse.kafka.broker.node import Broker
    from tests.support.harness import Lake


@contextmanager
def _broker(folder: Path) -> Iterator[tuple[Broker, str]]:
    from lakehouse.kafka.broker.node import Broker
    from lakehouse.kafka.broker.properties import free_port
    from tests.support.harness import SHORT_LIVED, config_of

    address = f"localhost:{free_port()}"
    broker = Broker(config_of(folder, address, "unused"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JDK_JAVA_OPTIONS", SHORT_LIVED)
        broker.start()
    try:
        yield broker, address
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap servers of the session's broker."""
    with _broker(tmp_path_factory.mktemp("kafka")) as (_, address):
        yield address


@pytest.fixture
def make_lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Lake]]:
    """Lakes with a topic and a folder of their own; ``make_lake(servers, **overrides)``."""
    from tests.support.harness import Lake, config_of

    made: list[Lake] = []

    def make(servers: str, **overrides: str) -> Lake:
        number = len(made)
        topic = f"{re.sub('[^a-z0-9]+', '-', request.node.name.lower())[:60]}-{uuid.uuid4().hex[:6]}"
        made.append(Lake(config_of(tmp_path / f"lake{number}", servers, topic, **overrides)))
        return made[-1]

    yield make
    for lake in made:
        lake.end()


@pytest.fixture
def lake(make_lake: Callable[..., Lake], servers: str) -> Lake:
    """An empty lake at the session's broker."""
    return make_lake(servers)


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[tuple[Broker, str]]:
    """A broker for one test, which may kill it; with its bootstrap servers."""
    with _broker(tmp_path / "broker") as made:
        yield made


@pytest.fixture(scope="session")
def _session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SparkSession, list[int]]]:
    from pyspark.sql.streaming.listener import StreamingQueryListener

    from lakehouse.bronze import decoder
    from lakehouse.lake import spark_session
    from tests.support.harness import SNAPSHOTS, config_of

    dropped: list[int] = []

    class Watch(StreamingQueryListener):
        def onQueryStarted(self, event: Any) -> None: ...
        def onQueryIdle(self, event: Any) -> None: ...
        def onQueryTerminated(self, event: Any) -> None: ...
        def onQueryProgress(self, event: Any) -> None:
            dropped.extend(operator.numRowsDroppedByWatermark for operator in event.progress.stateOperators)

    chosen = "\n".join(f"{key}={text}" for key, text in SNAPSHOTS.items())
    # a job's default is for one job: this one has the plans of hundreds of tests
    own = {"SPARK__CONF": chosen, "SPARK__DRIVER_MEMORY": "2g"}
    made = spark_session.build(config_of(tmp_path_factory.mktemp("spark"), "localhost:1", "unused", **own), "tests")
    decoder.register(made)
    made.streams.addListener(Watch())
    yield made, dropped
    made.stop()


@pytest.fixture
def spark(_session: tuple[SparkSession, list[int]], request: pytest.FixtureRequest) -> Iterator[SparkSession]:
    """The one Spark of all tests, built as the jobs build theirs. After each test: the watermark has dropped nothing."""
    from tests.support.harness import INTERPRETED

    made, dropped = _session
    generated = request.path.parents[1].name == "spark"
    for key, text in INTERPRETED.items():
        made.conf.unset(key) if generated else made.conf.set(key, text)
    yield made
    gc.collect()  # Java keeps each plan that a DataFrame stands for, until Python has found out that nobody needs it
    assert not any(dropped), "the watermark dropped rows"
