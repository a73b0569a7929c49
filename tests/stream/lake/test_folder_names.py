"""A data folder of any name that the settings take: Kafka's log, Spark's tables and checkpoints, and the readers without
Java all mean the same folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lakehouse import config as settings
from lakehouse.contract.tables import VENTES
from lakehouse.kafka.broker.node import Broker
from lakehouse.kafka.broker.properties import free_port
from lakehouse.operations import command
from lakehouse.silver.job import SilverJob
from tests.support.harness import SHORT_LIVED, Lake, config_of
from tests.support.messages import sale

pytestmark = pytest.mark.timeout(900)

NAMES = ["sp ace #h ?q é", "'x' \"y\" %z a+b;c&d$e", "{f}<g>*~`x:y=z 100%"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_broker_and_jobs_in_a_folder_of_any_name(
    tmp_path: Path, name: str, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JDK_JAVA_OPTIONS", SHORT_LIVED)
    own = config_of(
        tmp_path / name, f"localhost:{free_port()}", "names", STREAMING__CHAMPS_INCONNUS="garder"
    )  # a column that Spark adds by SQL
    for key, text in settings.as_environment(own).items():
        monkeypatch.setenv(key, text)
    with Broker(own) as broker:
        broker.await_answer()
        lake = Lake(own)
        lake.sales(*[sale() for _ in range(20)])
        lake.bronze(spark)
        assert SilverJob(own).run() == 0, "the local engine"
        lake.sales(*[sale() for _ in range(5)])
        lake.bronze(spark)
        lake.silver(spark)
        lake.sales(sale())
        lake.bronze(spark)
        assert SilverJob(own).run() == 0
        assert lake.differences() == [] and len(lake.rows(VENTES)) == 26
        assert lake.verify(spark) == []
        assert command.main(["reconcile"]) == 0
        assert command.main(["maintain", "--yes"]) == 0
        assert list((tmp_path / name / "kafka").rglob("names-0")), "Kafka's log lies there too"
    assert [entry.name for entry in tmp_path.iterdir()] == [name], "and nothing lies beside it"
