"""What Delta's log would keep of a person after the rows are gone: no table has file statistics on a column that names one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lakehouse import config
from lakehouse.contract.tables import INTERNAL, PERSONAL, PUBLIC, REJOUES, TableSpec
from lakehouse.lake import delta_tables

NOTE = {
    **dict.fromkeys(REJOUES.names), "topic": "t", "kafka_partition": 0, "kafka_offset": 1, "resultat": "vente",
    "vente_id": "named-sale", "correction": "named-text", "kafka_timestamp": datetime(2026, 1, 1, tzinfo=UTC),
}  # fmt: skip


@pytest.mark.parametrize("spec", [*PUBLIC, *INTERNAL], ids=lambda spec: spec.name)
def test_no_statistics_name_a_person(spec: TableSpec) -> None:
    personal = PERSONAL & set(spec.names)
    if spec.name == "retraits_sommes":  # its key is a country or a segment
        personal -= {"cle"}
    assert not personal & set(spec.stats)
    assert spec.stats or not personal, "without a list, all of the first 32 columns have statistics"


@pytest.mark.parametrize("earlier", [False, True])
def test_a_table_that_an_operator_writes_keeps_to_it_also_one_of_an_earlier_release(base: str, earlier: bool) -> None:
    settings = config.load(env={"VENTES_DELTA__BASE_PATH": base})
    if earlier:
        delta_tables.create(REJOUES, settings, {}, what="test")
    delta_tables.append([NOTE], REJOUES, settings, what="test")
    log = "\n".join(path.read_text() for path in Path(REJOUES.path(base), "_delta_log").glob("*.json"))
    added = [json.loads(line)["add"] for line in log.splitlines() if line.startswith('{"add"')]
    assert len(added) == 1 and "minValues" in added[0]["stats"] and "kafka_offset" in added[0]["stats"]
    assert "named" not in log
