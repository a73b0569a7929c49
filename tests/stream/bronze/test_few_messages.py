"""A few messages wait for more before a micro-batch starts; a run that ends at the topic's end waits for none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyspark.sql import SparkSession

from tests.support.children import eventually
from tests.support.harness import Lake
from tests.support.messages import sale

pytestmark = pytest.mark.timeout(600)


def test_messages_wait_until_there_are_enough_of_them_and_once_reads_the_rest(
    make_lake: Callable[..., Lake], servers: str, spark: SparkSession
) -> None:
    lake = make_lake(servers, STREAMING__MIN_OFFSETS_PER_TRIGGER="3", STREAMING__MAX_TRIGGER_DELAY="1 hour")
    lake.sales(sale())
    with lake.streaming(spark):
        eventually(lambda: lake.committed() == [0], what="the first sale waits for nothing")
        for _ in range(3):
            lake.sales(sale())  # each is acknowledged before the next one is sent
        eventually(lambda: len(lake.committed()) > 1 and lake.all_read(), what="three are enough")
        assert lake.committed() == [0, 1]
        lake.sales(sale())
    assert lake.committed() == [0, 1]
    lake.bronze(spark)
    assert lake.committed() == [0, 1, 2]
    assert lake.differences() == [] and len(lake.rows()) == 5
