"""A lake of its own for each fault test: topic, folder, the truth of all that was sent, and the jobs over it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

from lakehouse import config as settings
from lakehouse.config import Config, Rate
from lakehouse.contract.tables import BRONZE, REJETS, SILVER, VENTES, TableSpec, checkpoint
from lakehouse.kafka import clients
from lakehouse.lake import job_progress
from lakehouse.observability import metrics
from lakehouse.operations.reconcile import producer_truth
from lakehouse.operations.reconcile.sent_vs_stored import Difference, Sent
from lakehouse.producer import producer
from tests.support.children import Child
from tests.support.messages import encoded

SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"
"""A test's JVM lives for seconds, and half of its time went into compiling for a long life. The code cache that Java
gives this mode is too small for Spark."""
INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
"""Spark evaluates expressions by generated code or by walking through them. Tests of faults are about commits and offsets,
and a quarter of their processor time went into code that saw ten rows. What tells rows and figures right from wrong
(``tests/spark``, the demo, QUICKSTART, the cluster) runs the generated code, as users do."""

SNAPSHOTS = {
    "spark.sql.streaming.stateStore.maintenanceInterval": "1s",
    "spark.sql.streaming.stateStore.minDeltasForSnapshot": "1",
    "spark.sql.streaming.stateStore.maintenanceShutdownTimeout": "5s",
}
"""The state's snapshots after a second instead of a minute, so that what is killed, backed up and restored has some. And 5
seconds instead of 300 for their thread to end: ``StateStore.stop`` now and then waits for a thread that waits for itself."""


def forget_state(spark: Any) -> None:
    """What the end of a job's process does: without it the session's thread goes on to save snapshots of the job's state,
    also into a checkpoint's folder that a test has just moved away."""
    spark._jvm.org.apache.spark.sql.execution.streaming.state.StateStore.stop()


@contextlib.contextmanager
def spark_setting(spark: Any, name: str, text: str) -> Iterator[None]:
    """A setting of the shared session, put back after the block."""
    before = spark.conf.get(name)
    spark.conf.set(name, text)
    try:
        yield
    finally:
        spark.conf.set(name, before)


def config_of(base: Path, servers: str, topic: str, **overrides: str) -> Config:
    """The project's settings for one test; ``overrides`` such as ``STREAMING__MAX_RESTARTS="0"``."""
    texts = {
        "DELTA__BASE_PATH": str(base),
        "KAFKA__BOOTSTRAP_SERVERS": servers,
        "KAFKA__TOPIC": topic,
        "KAFKA__PARTITIONS": "2",
        "SPARK__JAVA_OPTIONS": SHORT_LIVED,
        "SPARK__CONF": "\n".join(f"{key}={text}" for key, text in INTERPRETED.items()),
        "STREAMING__TRIGGER_INTERVAL": "0 seconds",
        "STREAMING__MAX_TRIGGER_DELAY": "0 seconds",
        "STREAMING__RESTART_DELAY": "200 ms",
        "MONITORING__PROGRESS_INTERVAL": "1 second",
        "MONITORING__SAMPLE_INTERVAL": "500 ms",
        **{f"MONITORING__{name.upper()}_METRICS_PORT": "0" for name in metrics.PROCESSES},
        **overrides,
    }
    return settings.load(env={f"{settings.ENV_PREFIX}{name}": text for name, text in texts.items()})


class Lake:
    """A topic, a data folder and the truth of all that was sent, for one test."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.base = Path(config.delta.base_path)
        self.base.mkdir(parents=True, exist_ok=True)
        self.truth_file = self.base / "truth.jsonl"
        self.by_hand: list[Sent] = []
        self._children: list[Child] = []

    def with_settings(self, **overrides: str) -> Lake:
        """The same lake with other settings; ``overrides`` as in ``config_of``."""
        texts = {**settings.as_environment(self.config)}
        texts.update({f"{settings.ENV_PREFIX}{name}": text for name, text in overrides.items()})
        other = Lake(settings.load(env=texts))
        other.by_hand, other._children = self.by_hand, self._children
        return other

    # sending

    def sales(self, *sold: Mapping[str, Any], partition: int | None = None, kind: str = "vente") -> list[Sent]:
        """Send valid sales and note them as truth."""
        places = self.send([encoded(fields) for fields in sold], partition)
        made = [
            Sent(fields["vente_id"], None, fields, None, True, *place, kind)
            for fields, place in zip(sold, places, strict=True)
        ]
        self.by_hand += made
        return made

    def operations(self, *done: Mapping[str, Any], partition: int | None = None) -> list[Sent]:
        """Send operations on sales and note them as truth."""
        places = self.send([encoded(fields) for fields in done], partition)
        made = [
            Sent(fields["vente_id"], None, {}, None, True, *place, fields["operation"], fields)
            for fields, place in zip(done, places, strict=True)
        ]
        self.by_hand += made
        return made

    def broken(self, *messages: tuple[bytes | None, str], partition: int | None = None) -> list[Sent]:
        """Send bad messages, each with the reason that it must get, and note them as truth."""
        places = self.send([value for value, _ in messages], partition)
        made = [
            Sent("", motif, {}, value, True, *place, "malformee")
            for (value, motif), place in zip(messages, places, strict=True)
        ]
        self.by_hand += made
        return made

    def send(self, values: Sequence[bytes | None], partition: int | None = None) -> list[tuple[int, int]]:
        """Send raw bytes, in order; the place of each."""
        clients.ensure_topic(self.config)
        client = clients.connect_producer(self.config)
        try:
            futures = [client.send(self.config.kafka.topic, value, b"7", partition=partition) for value in values]
            client.flush()
            answers = [future.get(60) for future in futures]
            return [(answer.partition, answer.offset) for answer in answers]
        finally:
            client.close()

    def produce(self, count: int, seed: int | None = None, *, ratio: float = 0.1, **order: Any) -> None:
        """Send ``count`` messages of the generator at full rate, with its truth in ``truth_file``."""
        ratios = {f"{kind}_ratio": ratio for kind in ("duplicate", "late", "malformed")}
        config = producer.with_options(self.config, rate=Rate(math.inf), **ratios)
        assert producer.produce(config, producer.RunOptions(count, seed, self.truth_file, **order)) == 0

    # looking

    def sent(self) -> list[Sent]:
        return [*(producer_truth.read([self.truth_file]) if self.truth_file.exists() else ()), *self.by_hand]

    def differences(self) -> list[Difference]:
        """Bronze beside all that was sent; empty when nothing is missing, doubled, different or unexpected."""
        return producer_truth.check(self.sent(), str(self.base))

    def rows(self, spec: TableSpec = VENTES) -> list[dict[str, Any]]:
        return producer_truth.held(spec, str(self.base))

    def version(self, spec: TableSpec) -> int:
        """-1 before the table exists."""
        path = spec.path(str(self.base))
        return DeltaTable(path).version() if DeltaTable.is_deltatable(path) else -1

    def bronze_versions(self) -> list[int]:
        return [self.version(spec) for spec in BRONZE]

    def silver_versions(self) -> list[int]:
        folders = [path for path in sorted((self.base / "silver").iterdir()) if path.name != "_generations"]
        return [DeltaTable(path).version() for path in folders if DeltaTable.is_deltatable(str(path))]

    def state(self) -> tuple[list[list[dict[str, Any]]], list[int]]:
        """Every row and version of Bronze, and of Silver when it is there: what a repeat may not change."""
        specs = [spec for spec in (*BRONZE, *SILVER) if self.version(spec) >= 0]
        rows = [sorted(self.rows(spec), key=repr) for spec in specs]
        return rows, [*self.bronze_versions(), *(self.silver_versions() if (self.base / "silver").exists() else ())]

    def checkpoint(self, job: str = "bronze") -> Path:
        """The checkpoint's folder; for ``silver`` that of the only generation."""
        if job == "bronze":
            return Path(checkpoint(str(self.base), job))
        (found,) = (self.base / "checkpoints").glob("silver-*")
        return found

    def planned(self, job: str = "bronze") -> list[int]:
        """Batches whose offsets are logged."""
        return _ids(self.checkpoint(job) / "offsets")

    def committed(self, job: str = "bronze") -> list[int]:
        return _ids(self.checkpoint(job) / "commits")

    def all_read(self) -> bool:
        """Whether Bronze has committed all that the topic holds, copies of sales at its end too: no batch follows."""
        held = clients.earliest_and_latest_offsets(self.config)
        position = job_progress.bronze(self.config)
        return position is not None and position.ends == {partition: end for partition, (_, end) in held.items()}

    def in_a_batch(self, job: str = "bronze") -> bool:
        """Whether a batch was planned and not committed: a kill now, or just before, hit the middle of it."""
        return self.planned(job)[-1:] != self.committed(job)[-1:]

    def forget_commit(self, job: str = "bronze") -> int:
        """Delete the last batch's commit record, as a crash just before it would have left things."""
        folder = self.checkpoint(job) / "commits"
        last = self.committed(job)[-1]
        (folder / str(last)).unlink()
        (folder / f".{last}.crc").unlink(missing_ok=True)
        return last

    # running

    def bronze(self, spark: Any, *, accept_data_loss: bool = False) -> None:
        """One ``--once`` run in the session of the tests."""
        from lakehouse.bronze.job import BronzeJob

        try:
            assert BronzeJob(self.config, once=True, accept_data_loss=accept_data_loss).run(spark) == 0
        finally:
            forget_state(spark)

    @contextlib.contextmanager
    def streaming(self, spark: Any) -> Iterator[threading.Thread]:
        """The Bronze job, streaming in the session of the tests, while the block runs; stopped at a batch boundary."""
        from lakehouse.bronze.job import BronzeJob

        job, failures = BronzeJob(self.config, once=False), []

        def run() -> None:
            try:
                job.run(spark)
            except Exception as failure:  # noqa: BLE001  # raised again below, in the test's own thread
                failures.append(failure)

        thread = threading.Thread(target=run, name="bronze")
        thread.start()
        try:
            yield thread
        finally:
            job.stop()
            thread.join(300)
            forget_state(spark)
            if failures:
                raise failures[0]  # beside what the block waited for in vain, when it did
        assert not thread.is_alive()

    def silver(self, spark: Any, *, full: bool = False) -> None:
        from lakehouse.silver.job import SilverJob

        assert SilverJob(self.config).run(full=full, spark=spark) == 0

    def verify(self, spark: Any) -> list[Any]:
        """The cells in which Silver differs from the recompute of Bronze."""
        from lakehouse.silver.job import SilverJob

        return SilverJob(self.config).verify(spark=spark)

    def start(self, script: str, *options: str, **producer_settings: Any) -> Child:
        """One of the project's scripts, as a process; ended with the test."""
        config = self.config
        if producer_settings:
            config = dataclasses.replace(config, producer=dataclasses.replace(config.producer, **producer_settings))
        name = f"{Path(script).stem.split()[-1]}-{len(self._children)}.log"
        child = Child(config, self.base / name, script, *options)
        self._children.append(child)
        return child

    def end(self) -> None:
        for child in self._children:
            child.end()


def _ids(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.glob("*") if re.fullmatch(r"\d+", path.name))


def rejected(lake: Lake) -> dict[tuple[int, int], dict[str, Any]]:
    """The reject table by place."""
    return {(row["kafka_partition"], row["kafka_offset"]): row for row in lake.rows(REJETS)}
