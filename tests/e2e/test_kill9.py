"""SIGKILL at random moments, again and again, on the real processes: nothing acknowledged is lost, nothing is doubled."""

from __future__ import annotations

import random
import time

import pytest
from pyspark.sql import SparkSession

from lakehouse import config as settings
from lakehouse.contract.tables import GENERATIONS, PAR_PAYS
from lakehouse.operations import command
from lakehouse.operations.reconcile import sent_vs_stored
from tests.support.children import Child, eventually
from tests.support.harness import Lake

pytestmark = pytest.mark.timeout(900)

VICTIMS = ("group", "script", "jvm")
MIX = ["--duplicate-ratio=0.1", "--late-ratio=0.1", "--malformed-ratio=0.1"]


def at_a_random_moment(chance: random.Random, longest: float) -> None:
    """The one thing that is waited for by the clock: the moment of a kill is random, not awaited."""
    time.sleep(chance.uniform(0, longest))


def producing(lake: Lake, seed: int) -> Child:
    return lake.start("producer_ventes.py", "--rate=60", f"--seed={seed}", f"--truth={lake.truth_file}", *MIX)


def test_producer_and_bronze_killed_at_random_moments_lose_and_double_nothing(
    lake: Lake, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(20261122)
    small = lake.with_settings(STREAMING__MAX_OFFSETS_PER_TRIGGER="40")
    mid_batch = cut_off = 0
    producer = producing(lake, 100)
    for cycle, victim in enumerate(VICTIMS):
        before = len(lake.committed())
        bronze = small.start("spark_streaming_delta.py")
        eventually(lambda: len(lake.committed()) > before or not bronze.alive, 240, "a batch of the restarted job")  # noqa: B023
        at_a_random_moment(chance, 1.5)
        producer.kill()
        at_a_random_moment(chance, 1.0)
        bronze.kill(victim)
        mid_batch += lake.in_a_batch()
        cut_off = sum(not message.acknowledged for message in lake.sent())
        producer = producing(lake, 101 + cycle)
    at_a_random_moment(chance, 1.0)
    producer.kill()

    assert mid_batch > 0, "no kill met a batch in hand"
    print(f"{mid_batch} of {len(VICTIMS)} kills of Bronze met a batch in hand; {cut_off} messages were cut off")
    lake.bronze(spark)
    assert len({message.vente_id for message in lake.sent()}) > 100
    assert lake.differences() == []
    lake.silver(spark)
    assert lake.verify(spark) == []
    for name, text in settings.as_environment(lake.config).items():
        monkeypatch.setenv(name, text)
    assert command.main(["reconcile"]) == 0


def test_silver_killed_at_random_moments_equals_the_recompute(lake: Lake, spark: SparkSession) -> None:
    chance = random.Random(9)
    lake.produce(300, 1)
    lake.bronze(spark)
    slow = lake.with_settings(ANALYTICS__ENGINE="spark")  # the local engine is done before a random moment comes
    building = slow.start("streaming_silver.py")
    eventually(lambda: lake.version(GENERATIONS) >= 1 or not building.alive, 240, "the start of the build")
    at_a_random_moment(chance, 3)
    building.kill()
    assert [row["etat"] for row in lake.rows(GENERATIONS)] == ["debut"], "the build had ended: the kill came too late"
    lake.silver(spark)
    assert lake.verify(spark) == []

    mid_pass = 0
    for cycle, victim in enumerate(("script", "jvm")):  # the build above was the group
        lake.produce(150, 2 + cycle)
        lake.bronze(spark)
        versions = lake.silver_versions()
        silver = slow.start("streaming_silver.py", "--every=1")
        # a moment of the pass: when the first of its tables, or of their members, has a new version
        eventually(lambda: lake.silver_versions() != versions or not silver.alive, 240, "the pass")  # noqa: B023
        at_a_random_moment(chance, 2)
        silver.kill(victim)
        mid_pass += lake.in_a_batch("silver")
    assert mid_pass > 0, "no kill met a pass in hand"
    print(f"{mid_pass} of 2 kills met a pass in hand")

    lake.silver(spark)
    assert lake.verify(spark) == []
    assert sent_vs_stored.compare_countries(sent_vs_stored.by_country(lake.sent()), lake.rows(PAR_PAYS)) == []
    assert lake.differences() == []
