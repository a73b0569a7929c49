"""Retention while ``reconcile`` reads Kafka again: what can no longer be checked is said, and is no success."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse.operations.reconcile import kafka_reread
from tests.stream.bronze.test_offset_gaps import expire
from tests.support.harness import Lake
from tests.support.messages import sale

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("upto", [12, 16], ids=["some", "all"])
def test_what_retention_takes_while_it_is_read_again_is_unread_and_no_success(
    lake: Lake,
    spark: SparkSession,
    run: Callable[..., tuple[int, dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    upto: int,
) -> None:
    """Offsets 8 to 15 are copies, thus in no table: only Kafka can tell, as long as no signed record does."""
    sold = [sale() for _ in range(8)]
    lake.sales(*sold, *sold, partition=0)
    lake.sales(sale(), partition=0)
    lake.bronze(spark)
    real = kafka_reread._read_span
    fired: list[int] = []

    def read_span(*args: Any) -> Iterator[Any]:
        if not fired:
            fired.append(1)
            expire(lake, p0=upto)
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(kafka_reread, "_read_span", read_span)
        code, said = run("reconcile")
    assert fired and code == 1
    lines = said["per_partition"]
    assert sum(line["unread"] for line in lines) == upto - 8
    assert sum(line["duplicates"] for line in lines) == 16 - upto
    assert sum(line["markers"] for line in lines) == 0, "what retention took is no marker and not compacted"
