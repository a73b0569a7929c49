"""``reconcile`` compares each reject with its message, as long as Kafka holds it, and once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse.contract.sale import JSON_INVALIDE, VIDE
from lakehouse.contract.tables import REJETS
from tests.support import job_lake
from tests.support.harness import Lake
from tests.support.messages import sale

PROOF = "read again in Kafka: the message of a reject"


@pytest.mark.parametrize("column", ["valeur", "cle"])
def test_a_reject_that_was_changed_is_named(
    lake: Lake, run: Callable[..., tuple[int, dict[str, Any]]], spark: SparkSession, column: str
) -> None:
    lake.sales(sale())
    lake.broken((b"{oops", JSON_INVALIDE), (b"", VIDE))
    lake.bronze(spark)
    job_lake.table(str(lake.base), REJETS).update(updates={column: "X'00ff'"}, predicate=f"motif = '{JSON_INVALIDE}'")
    code, record = run("reconcile")
    assert code == 1 and record["proofs"][PROOF] == 2
    (text,) = [text for text in record["found"] if text.startswith("partition")]
    assert text.endswith(f"): ventes_rejetees holds another {column} than the message in Kafka")


def test_each_reject_is_read_again_once(
    lake: Lake, run: Callable[..., tuple[int, dict[str, Any]]], spark: SparkSession
) -> None:
    lake.sales(sale())
    for n in (1, 2, 3):
        lake.broken((b"{oops %d" % n, JSON_INVALIDE))
        lake.bronze(spark)
        code, record = run("reconcile")
        assert (code, record["found"], record["proofs"][PROOF]) == (0, [], 1)
    code, record = run("reconcile")
    assert code == 0 and PROOF not in record["proofs"]
