"""``reconcile`` names every key that stands more than once, in whichever table."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from lakehouse.contract import tables
from lakehouse.contract.tables import MEMBRES, PAR_PAYS, REJETS, SILVER, TableSpec
from lakehouse.operations.reconcile import unique_keys
from tests.support import job_lake, lakes

Operate = Callable[..., tuple[int, str]]


def found(operate: Operate) -> list[str]:
    code, out = operate("reconcile", "--without-kafka", "--json")
    texts: list[str] = json.loads(out)["found"]
    assert code == (1 if texts else 0)
    return texts


@pytest.mark.parametrize("spec", [*SILVER, REJETS], ids=lambda spec: spec.name)
def test_a_row_that_was_written_again_is_named_by_its_key(operate: Operate, base: str, spec: TableSpec) -> None:
    job_lake.build(base)
    row = lakes.contents(job_lake.table(base, spec)).to_pylist()[0]
    lakes.write(base, spec.name, [row])
    key = " × ".join(f"{name}={row[name]}" for name in spec.identity)
    assert f"{spec.name} {key} stands 2 times, and a key stands once" in found(operate)


def test_every_row_of_a_table_that_was_doubled_is_counted(operate: Operate, base: str) -> None:
    job_lake.build(base)
    rows = lakes.contents(job_lake.table(base, tables.AGGREGES)).to_pylist()
    lakes.write(base, tables.AGGREGES.name, rows)
    texts = [text for text in found(operate) if text.startswith("ventes_aggreges") and "stand" in text]
    assert len(texts) == unique_keys.NAMED + 1
    assert texts[-1] == f"ventes_aggreges: {len(rows) - unique_keys.NAMED} more keys stand more than once"


def test_a_member_that_no_day_bounds_is_seen_twice(operate: Operate, base: str) -> None:
    job_lake.build(base)
    member = {"mesure": "ventes_par_pays.unique_customers", "jour": None, "cle": "x", "membre": "13", "_lot": -1}
    for lot in (-1, 4):
        lakes.write_spec(base, MEMBRES, [{**member, "_lot": lot}])
    assert any(text.startswith("_membres mesure=") and "stands 2 times" in text for text in found(operate))


def test_each_table_of_the_lake_is_looked_at_or_has_a_reason() -> None:
    looked_at = {tables.VENTES, *unique_keys.OF_BRONZE, *unique_keys.OF_SILVER}
    assert {*tables.PUBLIC, *tables.INTERNAL} - looked_at == {tables.GENERATIONS}, "its rows are steps, not keys"


def test_one_message_of_a_topic_that_was_created_anew_is_no_second_one(operate: Operate, base: str) -> None:
    job_lake.build(base)
    row = lakes.contents(job_lake.table(base, REJETS)).to_pylist()[0]
    later = row["kafka_timestamp"].replace(year=2030)
    lakes.write(base, REJETS.name, [{**row, "kafka_timestamp": later}])
    assert not [text for text in found(operate) if text.startswith("ventes_rejetees topic=")]
    assert PAR_PAYS.identity == PAR_PAYS.keys
