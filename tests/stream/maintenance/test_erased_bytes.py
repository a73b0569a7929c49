"""What an erasure's receipt says remains is all that remains, and after its dates no byte names the person any more.

The jobs, the broker and the commands are the real ones, as processes, with everything below one base path. Then the clock
goes on past the receipt's dates, and they run again.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse.kafka.broker.node import Broker
from lakehouse.kafka.broker.properties import free_port
from lakehouse.lake.spark_session import EVICTION_INTERVAL
from tests.support import byte_search, moved_clock
from tests.support.children import Child, eventually
from tests.support.harness import INTERPRETED, SHORT_LIVED, SNAPSHOTS, Lake, config_of
from tests.support.messages import ago, encoded, sale

pytestmark = pytest.mark.timeout(2400)

CLIENT, NAME = 918_273_645, "Wilhelmine Übersee"
STATE = {
    **INTERPRETED,
    **SNAPSHOTS,
    "spark.sql.streaming.minBatchesToRetain": "2",  # instead of 100: the batches that the receipt speaks of
    "spark.sql.streaming.stateStore.rocksdb.compression": "none",  # so that the search sees what RocksDB holds
}

SOON = {
    "spark.sql.streaming.stateStore.rocksdb.compactOnCommit": "true",  # else it comes with the fourth file of a partition
    EVICTION_INTERVAL: "0",  # instead of a minute
}
"""After the dates only: before, the state has to hold the person for as long as it does by default."""


def lines(settings: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={text}" for key, text in settings.items())


class Person:
    """The sales of one person, and everybody else's."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.sales: list[str] = []

    def send(self, moment: datetime | None = None, **fields: Any) -> tuple[int, int]:
        made = {**sale(moment, client_id=CLIENT, client_nom=NAME), **fields}
        self.sales.append(made["vente_id"])
        return self.lake.send([encoded(made)])[0]

    def others(self, count: int, moment: datetime | None = None) -> None:
        self.lake.send([encoded(sale(moment, client_id=100 + n, client_nom=f"Autre {n}")) for n in range(count)])

    def found(self, folder: Path) -> dict[str, set[str]]:
        return byte_search.search(folder, byte_search.words(CLIENT, NAME, self.sales))


def test_after_the_dates_on_the_receipt_no_byte_names_the_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = moved_clock.library(tmp_path)
    monkeypatch.setenv("JDK_JAVA_OPTIONS", SHORT_LIVED)
    config = config_of(
        tmp_path / "lake", f"localhost:{free_port()}", "ventes",
        KAFKA__PARTITIONS="1", DELTA__BACKUP_PATH=str(tmp_path / "store"), STREAMING__WATERMARK_DELAY="1 minute",
        STREAMING__FUTURE_TOLERANCE="10 seconds", SPARK__CONF=lines(STATE),
    )  # fmt: skip
    lake = Lake(config)
    person, children = Person(lake), []

    def start(script: str, *words: str, **settings: str) -> Child:
        children.append(Child(lake.with_settings(**settings).config, tmp_path / f"{len(children)}.log", script, *words))
        return children[-1]

    def run(script: str, *words: str, code: int = 0) -> str:
        child = start(script, *words)
        assert child.wait(900) == code, child.said()[-4000:]
        return child.said()

    def stop(job: Child) -> None:
        job.process.send_signal(signal.SIGTERM)
        assert job.wait(300) == 0, job.said()[-4000:]

    try:
        with Broker(config):
            receipt = _a_person_comes_and_is_erased(person, start, run, stop)
        ends = [
            datetime.fromisoformat(one["until"].split(",")[0]) for one in receipt["remains"] if one["until"][:2] == "20"
        ]
        ahead = max(ends) - datetime.now(UTC) + timedelta(days=1)
        assert timedelta(days=10) < ahead < timedelta(days=20)
        with moved_clock.ahead(clock, ahead):
            with Broker(config):
                _the_jobs_go_on(person, ahead, start, run, stop)
            with Broker(config):  # it looks for what is too old half a minute after its start, and every five minutes
                eventually(lambda: not kafka_holds(person), 600, "Kafka's clean-up")
            with Broker(config):
                pass  # what Kafka has marked as deleted goes when it starts
        assert person.found(lake.base) == {}
        assert person.found(tmp_path / "store") == {}
    finally:
        for child in children:
            child.end()


def _a_person_comes_and_is_erased(person: Person, start: Any, run: Any, stop: Any) -> dict[str, Any]:
    """Everything that the project can do with a person's messages. The receipt."""
    lake = person.lake
    person.others(20)
    person.send()
    person.send(ago(hours=1))
    person.send(montant='"much"')
    partition, offset = person.send(pays="")
    run("spark_streaming_delta.py", "--once")
    run("streaming_silver.py")
    run("ops_utils.py", "rejects", "replay", f"{partition}:{offset}", "--set", "pays=France")
    job = start("spark_streaming_delta.py")
    person.send()
    person.others(5)
    eventually(lake.all_read, 300, "the second batch")
    run("streaming_silver.py")
    backup = json.loads(run("ops_utils.py", "backup", "create", "--json"))["id"]
    run("ops_utils.py", "reconcile")
    for word in ("number", "number of 8 bytes", "name", *(f"sale {one}" for one in person.sales)):
        assert any(word in seen for seen in person.found(lake.base).values()), f"the search does not see: {word}"
    assert any("/state/" in file for file in person.found(lake.base)), "the search does not see into RocksDB"

    said = run("ops_utils.py", "erase", "--client-id", str(CLIENT), "--yes", "--json", code=1)
    receipt: dict[str, Any] = json.JSONDecoder().raw_decode(said[said.index("{") :])[0]
    assert receipt["rows"] == {"ventes_stream": 4, "ventes_rejetees": 2, "rejets_rejoues": 1}
    person.others(5)
    eventually(lake.all_read, 300, "a batch after the erasure")
    stop(job)
    run("streaming_silver.py")
    run("ops_utils.py", "erase", "--client-id", str(CLIENT), "--yes")
    _the_receipt_names_all(person, receipt)
    assert any(one["where"] == f"backup {backup}" for one in receipt["remains"])
    run("ops_utils.py", "backup", "remove", backup, "--yes")
    return receipt


def _the_receipt_names_all(person: Person, receipt: dict[str, Any]) -> None:
    wheres = {one["where"] for one in receipt["remains"]}
    assert not [where for where in wheres if "_delta_log" in where], "no earlier release wrote here"
    for file in person.found(person.lake.base):
        layer, table, *rest = file.split("/")
        where = {"kafka": "Kafka topic ventes", "checkpoints": "Bronze's checkpoint"}.get(layer, f"{layer} {table}")
        assert where in wheres and rest[:1] != ["_delta_log"], (
            f"{file} names the person, and the receipt does not say so"
        )


def _the_jobs_go_on(person: Person, ahead: timedelta, start: Any, run: Any, stop: Any) -> None:
    lake = person.lake

    def job_goes_on(forgotten: Callable[[], bool], what: str) -> None:
        """A start of the job, and batches of it until there is no more to find."""
        job = start("spark_streaming_delta.py", SPARK__CONF=lines(STATE | SOON))
        for _ in range(10):
            person.others(20, datetime.now(UTC) + ahead)
            eventually(lake.all_read, 600, "a batch after the dates on the receipt")
            if forgotten():
                break
        else:
            raise AssertionError(f"these still name a sale, {what}: {person.found(lake.base / 'checkpoints')}")
        stop(job)

    def lists_alone() -> bool:
        return all(file.endswith(".zip") for file in person.found(lake.base / "checkpoints"))

    job_goes_on(lists_alone, "after batches and RocksDB's compaction")
    job_goes_on(lambda: not person.found(lake.base / "checkpoints"), "after a new start of the job")
    run("streaming_silver.py")
    run("ops_utils.py", "maintain", "--yes")


def kafka_holds(person: Person) -> list[str]:
    return [file for file in person.found(person.lake.base / "kafka") if not file.endswith(".deleted")]
